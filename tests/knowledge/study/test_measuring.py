"""What a cell measures: counts by a plain loop, arms of the right size, settings chosen by hand."""

import pytest
import torch

from helpers import zoo
from helpers.knowledge.facts import FRAMES, divided, facts
from helpers.knowledge.masks import plain, rivals
from helpers.knowledge.study import Cell, MaskPlan, measuring

PLAN = MaskPlan(1, 1, steps=1, densities=(0.5, 0.05))
BLOCKS = plain.of(zoo.load("tinyworld", device="cpu"))
ASKED = facts("kind", divided()[1][:9], FRAMES["kind"]["held out"])


def test_scores_are_those_of_a_plain_loop():
    values = BLOCKS.values * rivals.uniform(BLOCKS, 0.93)
    got = measuring.scores(BLOCKS, values, ASKED)
    right, agree, kl = {}, {}, {}
    for row, subject in enumerate(ASKED.subjects):
        tokens, last = ASKED.tokens[row : row + 1], ASKED.last[row : row + 1]
        with torch.no_grad():
            said, full = (
                BLOCKS.run(weights, tokens)[0, int(last)].double().log_softmax(-1)
                for weights in (values, BLOCKS.values)
            )
        right[subject] = right.get(subject, 0) + int(said.argmax() == ASKED.answers[row])
        agree[subject] = agree.get(subject, 0) + int(said.argmax() == full.argmax())
        kl.setdefault(subject, []).append(float((full.exp() * (full - said)).sum()))
    assert got["right"] == list(right.values())
    assert got["agree"] == list(agree.values())
    assert got["kl"] == pytest.approx([sum(k) / len(k) for k in kl.values()], rel=0.01, abs=1e-3)
    assert measuring.asked_of(ASKED) == [3] * 9


def test_the_whole_model_agrees_with_itself():
    got = measuring.scores(BLOCKS, BLOCKS.values, ASKED)
    assert got["right"] == got["agree"] == [3] * 9
    assert max(got["kl"]) < 1e-5


def test_counts_follow_the_subjects_first_mention():
    values = torch.tensor([1, 1, 0, 1])
    assert measuring.counted(values, ["b", "a", "b", "b"]) == [2, 1]


def test_a_circuit_has_its_density_exactly_and_stands_beside_its_controls():
    cell = measuring.measure(Cell("circuit", "kind", 0), PLAN, lambda _: 0)
    assert set(cell.masks) == {0.5, 0.05}
    for density, mask in cell.masks.items():
        found = cell.result["densities"][str(density)]
        assert found["kept"] == int(mask.sum()) == round(density * 529_920)
        assert set(found["arms"]) == {"circuit", "complement", "per tensor", "uniform"}
        shares = [share for _, share in found["composition"].values()]
        assert sum(shares) == pytest.approx(1, abs=2e-4)
        assert all(len(arm["right"]) == 77 for arm in found["arms"].values())


def test_settings_are_chosen_by_accuracy_and_then_by_divergence():
    def tried(*found):
        return {"densities": {str(d): {"accuracy": a, "kl": k} for d, a, k in found}}

    both, one = tried((0.5, 1.0, 0.2), (0.05, 0.5, 0.4)), tried((0.5, 1.0, 0.1))
    assert measuring.mean_accuracy(both, PLAN) == (0.75, pytest.approx(-0.3))
    assert measuring.mean_accuracy(one, PLAN) == (0.5, pytest.approx(-0.1))
    assert measuring.mean_accuracy(tried(), PLAN) < measuring.mean_accuracy(one, PLAN)
    better = tried((0.5, 1.0, 0.2), (0.05, 0.5, 0.3))
    assert measuring.mean_accuracy(better, PLAN) > measuring.mean_accuracy(both, PLAN)

"""What cells measure, by other routes; and a series of edits that is killed in the middle."""

from functools import cache
from types import SimpleNamespace

import pytest
import torch

from helpers.files.cells import absent
from helpers.knowledge.edit_study import (
    EditCell,
    EditPlan,
    edit_world,
    made_at_once,
    measuring,
    place_of,
    state,
    typical_gradient,
)
from helpers.knowledge.edit_study.rounding import numbers
from helpers.knowledge.edit_study.summaries import EFFECTS
from helpers.knowledge.editing import RELEASED, EditSettings, edit, sequential
from helpers.knowledge.masks import rivals
from helpers.knowledge.study import MaskPlan, Measured, cellfiles, stored
from helpers.knowledge.study.tasks import joined, of_part
from helpers.knowledge.tracing import CausalTrace
from helpers.texts import BEGIN

PLAN = EditPlan(facts=2, seeds=1, steps=4, edits=2, orders=1, search=1)
built = cache(edit_world)
WORLD = built("tinyworld", 2)
MASK = rivals.uniform(WORLD.blocks, 0.05, seed=3)
MASKS = dict.fromkeys(PLAN.densities, MASK)


@pytest.fixture(autouse=True)
def worlds_once(monkeypatch):
    for module in (measuring, made_at_once):
        monkeypatch.setattr(module, "edit_world", built)


def found(key, folder=None):
    return measuring.measure_cell(EditCell.read(key), PLAN, folder, lambda _: MASKS).result


def test_numbers_have_four_digits_and_none_where_there_is_none():
    values = torch.tensor([[123.456, float("nan")], [-0.000123456, float("inf")]])
    assert numbers(values) == [[123.5, None], [-0.0001235, None]]
    assert numbers(torch.tensor([3, 4])) == [3, 4]
    assert numbers(1 / 3, digits=6) == 0.333333


def test_the_typical_gradient_is_as_long_as_the_root_mean_square_of_the_facts():
    one_step = EditSettings(steps=1, size=1e-12)
    lengths = edit(WORLD.blocks, WORLD.others, MASK, one_step).gradient[0]
    typical = typical_gradient(WORLD.blocks, WORLD.others) * MASK
    assert float(typical.norm()) == pytest.approx(float(lengths.square().mean().sqrt()), rel=1e-3)


@pytest.mark.parametrize("arm", ["as long", "as large"])
def test_places_as_long_lie_outside_and_were_chosen_on_other_facts(arm):
    place = place_of(WORLD, arm, MASK)
    assert int(place.sum()) == int(MASK.sum())
    assert not (place * MASK).any()
    typical = typical_gradient(WORLD.blocks, WORLD.others)
    assert float((typical * place).norm()) == pytest.approx(
        float((typical * MASK).norm()), rel=0.01
    )
    assert not set(WORLD.others.asked.subjects) & set(WORLD.requests.asked.subjects)


def test_both_worlds_edit_facts_that_masks_were_not_learned_on():
    for name in ("tinyworld", "tinyworld-facts"):
        world = built(name, 2)
        searched, held_out = world.entities
        assert set(world.requests.asked.subjects) <= set(held_out)
        assert set(world.truth.subjects) == set(searched) >= set(world.others.asked.subjects)
        with torch.no_grad():
            asked = world.requests.asked
            said = world.blocks.logits(world.blocks.values, asked.tokens, asked.last).argmax(-1)
        assert torch.equal(said, asked.answers), "the model knows them"


def test_an_arm_is_the_plain_edit_s_gradient_and_length():
    got = found("arms/circuit/0.05/0")
    asked = WORLD.requests.asked
    for fact in range(2):
        said = WORLD.blocks.model(asked.tokens[fact : fact + 1])[0, asked.last[fact]]
        plain = edit(WORLD.blocks, WORLD.requests.only([fact]), MASK, EditSettings(steps=1))
        assert got["first"][fact] == pytest.approx(float(plain.gradient[0, 0]), rel=1e-3)
        before = -float(said.detach().log_softmax(-1)[WORLD.requests.new[fact]])
        after = float(plain.nll[1, 0])  # one step goes half as far as 0.1
        assert got["nll_at"][0][fact] < after < before
    assert got["kept"] == int(MASK.sum())
    assert got["nll_at"][2] == got["needed"] == [None, None], "four steps do not reach so far"
    assert set(got["effects"]) == set(EFFECTS)


def test_published_edits_are_those_of_restricted_ones():
    got = found("published/circuit/0.05/frozen/full")["ways"]["SGD, 10 steps"]
    plain = edit(WORLD.blocks, WORLD.requests, MASK, RELEASED)
    for row, time in enumerate(measuring.TIMES[:5]):
        assert got["nll"][row] == pytest.approx(plain.nll[time].tolist(), rel=1e-3)
    assert got["end"] == got["nll"][-1] == pytest.approx(plain.nll[-1].tolist(), rel=1e-3)
    assert got["stopped"] == [0, 0]


def test_a_trace_can_be_told_from_what_is_stored():
    got = found("tracing/exchanged/MLP/restore")
    parts = [torch.tensor(got[name]) for name in ("clean", "corrupted", "patched")]
    stored_trace = CausalTrace("MLP", "restore", ("subject", "after", "last"), ("a", "b"), *parts)
    assert stored_trace.shares.shape == (4, 3)
    assert (parts[0] > parts[1]).all()
    assert stored_trace.shares[3, 0] == pytest.approx(0, abs=1e-4), "nobody reads it"


def test_edits_are_said_freely_behind_a_new_beginning_or_in_the_same_text(monkeypatch):
    asked = []

    def decode(weights, requests, edited, ending, texts):
        asked.append(texts)
        return real(weights, requests, edited, ending, texts[:1])

    real = measuring.decode
    monkeypatch.setattr(measuring, "decode", decode)
    monkeypatch.setattr(measuring, "UNTIL_HALF", EditSettings(steps=1, size=1e-12))
    monkeypatch.setattr(measuring, "SURE", EditSettings(steps=12))
    monkeypatch.setattr(measuring, "place_of", lambda world, *words: torch.ones(len(world.blocks)))
    got = found("decoding/circuit")
    assert got["half"]["free"] == got["half"]["reached"] == [0, 0], "nothing was changed"
    assert got["sure"]["free"] == [1, 1]
    assert got["half"]["undisturbed"] == [[1], [1]]
    same, new = asked[:2]
    assert [[*text, BEGIN] for text in same] == new


def test_rank_one_edits_and_embedding_rows_work_in_both_worlds():
    got = found("rivals/rank-one/0/last")
    assert min(got["effects"]["efficacy"]) > 0.5
    got = found("tinyworld-facts/rivals/rank-one/0/subject")
    assert got["undone"] == [0, 0]
    assert min(got["moved"]) > 0
    got = found("rivals/embedding row")
    assert got["effects"]["siblings"] == got["effects"]["others"] == [1, 1], "read from other rows"


def test_masks_are_the_stored_ones_where_there_are_some(monkeypatch, tmp_path):
    plan, cell = EditPlan(facts=2), EditCell("masks", ("1",))
    (tmp_path / "masks.json").write_text("")
    monkeypatch.setattr(stored, "DATA", tmp_path / "masks.json")
    study = SimpleNamespace(plan=SimpleNamespace(steps=plan.search, seeds=2))
    monkeypatch.setattr(stored, "stored", lambda: study)
    monkeypatch.setattr(stored, "circuit", lambda seed, density: torch.full((2,), seed + density))
    got = measuring.measure_cell(cell, plan, tmp_path, lambda _: {}).masks
    assert {density: float(mask[0]) for density, mask in got.items()} == {
        density: pytest.approx(1 + density) for density in plan.densities
    }


def test_masks_are_learned_from_what_the_study_of_masks_learns_them_from():
    wanted = joined(of_part("kind", "search"), of_part("kind", "validation"))
    for name in ("tokens", "last", "answers"):
        assert torch.equal(getattr(WORLD.truth, name), getattr(wanted, name))
    assert PLAN.settings(2) == MaskPlan(steps=PLAN.search).settings(2)


def test_masks_are_learned_where_none_are_stored(tmp_path):
    cell = EditCell("masks", ("0",), "tinyworld-facts")
    got = measuring.measure_cell(cell, PLAN, tmp_path, lambda _: {})
    assert {density: int(mask.sum()) for density, mask in got.masks.items()} == {0.05: 26_496}
    assert got.result == {"kept": {"0.05": 26_496}}


def test_a_series_that_is_killed_goes_on_and_its_cell_is_the_same_to_the_bit(tmp_path, monkeypatch):
    cell, whole, broken = EditCell("series", ("circuit", "0")), tmp_path / "a", tmp_path / "b"
    needed, masks = EditCell("masks", ("0",)), Measured({"kept": {}}, MASKS)
    for folder in (whole, broken):
        cellfiles.keep(needed, masks, state.made_with(needed, PLAN), folder)
    state.measure_edits([cell], PLAN, whole, lambda text: None)
    real, begun = sequential.edit, []

    def killed(*words, **options):
        begun.append(words)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return real(*words, **options)

    monkeypatch.setattr(sequential, "edit", killed)
    with pytest.raises(KeyboardInterrupt):
        state.measure_edits([cell], PLAN, broken, lambda text: None)
    assert absent([cell], broken) == [cell]
    assert list(broken.glob("*.begun"))
    state.measure_edits([cell], PLAN, broken, lambda text: None)
    assert len(begun) == 3, "the first edit is not made again"
    assert state.read(cell, PLAN, broken) == state.read(cell, PLAN, whole)
    assert not list(broken.glob("*.begun"))

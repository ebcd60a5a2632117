"""Cosines of weights: 1 for what was copied, near 0 for what was not; a circuit has no basis."""

from dataclasses import replace
from statistics import mean

import pytest
import torch

from helpers import training, zoo
from helpers.arithmetic.reuse.similarity import Similarity, cosine, similarities
from helpers.arithmetic.training import insertion
from helpers.arithmetic.training.recipes import RECIPES
from helpers.errors import LabError

pytestmark = pytest.mark.core

HEAD_PARTS = {"Q", "K", "V", "O", "QK", "OV"}


@pytest.fixture(scope="module")
def adder():
    return zoo.load("add-d3", device="cpu")


def target(seed: int = 9):
    return training.build_model(replace(RECIPES["mix-d3"], seed=seed))


def by_part(entries: list[Similarity]) -> dict[str, list[float]]:
    return {
        part: [entry.same for entry in entries if entry.part == part]
        for part in {entry.part for entry in entries}
    }


def test_a_model_is_itself(adder):
    entries = similarities(adder, adder)
    assert all(entry.same == pytest.approx(1.0, abs=1e-5) for entry in entries)
    assert len(entries) == 2 * 3 * 6 + 2 * 2 + 3
    assert len({(entry.part, entry.layer, entry.head) for entry in entries}) == len(entries)


def test_each_arm_is_similar_where_it_copies(adder):
    copied = {
        "paper": {"Q", "K", "V", "QK", "MLP in", "MLP out", "W_E", "W_pos", "W_U"},
        "scratch": set(),
    }
    copied["whole"] = copied["preserving"] = copied["paper"] | {"O", "OV"}
    for arm, parts in copied.items():
        for part, values in by_part(
            similarities(adder, insertion.insert(adder, target(), arm))
        ).items():
            if part in parts:
                assert min(values) > 0.9999, (arm, part)
            else:
                assert abs(mean(values)) < 0.1, (arm, part)


def test_other_heads_are_the_control(adder):
    entries = similarities(adder, insertion.insert(adder, target(), "preserving"))
    assert {entry.part for entry in entries if entry.other is not None} == HEAD_PARTS
    for entry in entries:
        if entry.part == "Q":
            weights = adder.blocks[entry.layer].attn.W_Q.detach().flatten(1)
            new = target().blocks[entry.layer].attn.W_Q[3].detach().flatten()
            others = [
                cosine(weights[entry.head], weights[h]) for h in range(3) if h != entry.head
            ] + [cosine(weights[entry.head], new)]
            assert entry.other == pytest.approx(mean(others), abs=1e-5)


def test_exchanged_heads_are_not_at_their_place(adder):
    larger = insertion.insert(adder, target(), "preserving")
    state = larger.state_dict()
    for layer in range(3):
        for part in "qkv":
            for kind in ("weight", "bias"):
                name = f"blocks.{layer}.attn.{part}.{kind}"
                state[name] = torch.cat([state[name][32:64], state[name][:32], state[name][64:]])
    larger.load_state_dict(state)
    at = {(entry.part, entry.layer, entry.head): entry for entry in similarities(adder, larger)}
    assert abs(at["V", 0, 0].same) < 0.3
    assert (
        at["V", 0, 0].other > 0.25
    )  # a third of 1, for entry of the three others is the head itself
    assert at["V", 0, 2].same > 0.9999


def test_circuits_do_not_depend_on_the_basis_inside_a_head(adder):
    larger = insertion.insert(adder, target(), "preserving")
    rotation = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))[0]
    state = larger.state_dict()
    for part in "qk":
        name = f"blocks.0.attn.{part}.weight"  # [head * d_head, d_model]
        state[name] = torch.cat([rotation @ state[name][:32], state[name][32:]])
    larger.load_state_dict(state)
    at = {
        (entry.part, entry.layer, entry.head): entry.same for entry in similarities(adder, larger)
    }
    assert at["QK", 0, 0] == pytest.approx(1.0, abs=1e-5)
    assert abs(at["Q", 0, 0]) < 0.3


def test_the_cosine_by_hand():
    assert cosine(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]])) == pytest.approx(24 / 25)
    assert cosine(torch.ones(3), -2 * torch.ones(3)) == pytest.approx(-1.0)
    assert cosine(torch.ones(3), torch.zeros(3)) == 0.0


def test_models_that_do_not_fit_are_refused(adder):
    with pytest.raises(LabError, match="n_ctx"):
        similarities(adder, training.build_model(RECIPES["mix-d6"]))
    with pytest.raises(LabError, match="at least 3 layers"):
        similarities(target(), adder)

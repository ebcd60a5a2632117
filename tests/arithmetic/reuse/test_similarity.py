"""Cosines of weights: 1 for what was copied, near 0 for what was not, and blind to what a circuit does not depend on."""

from dataclasses import replace
from statistics import mean

import pytest
import torch

from helpers import training, zoo
from helpers.arithmetic.reuse.similarity import cosine, similarity
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


def by_part(found) -> dict[str, list[float]]:
    return {
        part: [one.same for one in found if one.part == part]
        for part in {one.part for one in found}
    }


def test_a_model_is_itself(adder):
    found = similarity(adder, adder)
    assert all(one.same == pytest.approx(1.0, abs=1e-5) for one in found)
    assert len(found) == 2 * 3 * 6 + 2 * 2 + 3
    assert len({(one.part, one.layer, one.head) for one in found}) == len(found)


def test_each_arm_is_similar_where_it_copies(adder):
    copied = {
        "paper": {"Q", "K", "V", "QK", "MLP in", "MLP out", "W_E", "W_pos", "W_U"},
        "scratch": set(),
    }
    copied["whole"] = copied["preserving"] = copied["paper"] | {"O", "OV"}
    for arm, parts in copied.items():
        for part, values in by_part(
            similarity(adder, insertion.insert(adder, target(), arm))
        ).items():
            if part in parts:
                assert min(values) > 0.9999, (arm, part)
            else:
                assert abs(mean(values)) < 0.1, (arm, part)


def test_other_heads_are_the_control(adder):
    found = similarity(adder, insertion.insert(adder, target(), "preserving"))
    assert {one.part for one in found if one.other is not None} == HEAD_PARTS
    for one in found:
        if one.part == "Q":
            weights = adder.blocks[one.layer].attn.W_Q.detach().flatten(1)
            new = target().blocks[one.layer].attn.W_Q[3].detach().flatten()
            others = [cosine(weights[one.head], weights[h]) for h in range(3) if h != one.head] + [
                cosine(weights[one.head], new)
            ]
            assert one.other == pytest.approx(mean(others), abs=1e-5)


def test_exchanged_heads_are_not_at_their_place(adder):
    larger = insertion.insert(adder, target(), "preserving")
    state = larger.state_dict()
    for layer in range(3):
        for part in "qkv":
            for kind in ("weight", "bias"):
                name = f"blocks.{layer}.attn.{part}.{kind}"
                state[name] = torch.cat([state[name][32:64], state[name][:32], state[name][64:]])
    larger.load_state_dict(state)
    found = {(one.part, one.layer, one.head): one for one in similarity(adder, larger)}
    assert abs(found["V", 0, 0].same) < 0.3
    assert (
        found["V", 0, 0].other > 0.25
    )  # a third of 1, for one of the three others is the head itself
    assert found["V", 0, 2].same > 0.9999


def test_circuits_do_not_depend_on_the_basis_inside_a_head(adder):
    larger = insertion.insert(adder, target(), "preserving")
    rotation = torch.linalg.qr(torch.randn(32, 32, generator=torch.Generator().manual_seed(0)))[0]
    state = larger.state_dict()
    for part in "qk":
        name = f"blocks.0.attn.{part}.weight"  # [head * d_head, d_model]
        state[name] = torch.cat([rotation @ state[name][:32], state[name][32:]])
    larger.load_state_dict(state)
    found = {(one.part, one.layer, one.head): one.same for one in similarity(adder, larger)}
    assert found["QK", 0, 0] == pytest.approx(1.0, abs=1e-5)
    assert abs(found["Q", 0, 0]) < 0.3


def test_the_cosine_by_hand():
    assert cosine(torch.tensor([[3.0, 4.0]]), torch.tensor([[4.0, 3.0]])) == pytest.approx(24 / 25)
    assert cosine(torch.ones(3), -2 * torch.ones(3)) == pytest.approx(-1.0)
    assert cosine(torch.ones(3), torch.zeros(3)) == 0.0


def test_models_that_do_not_fit_are_refused(adder):
    with pytest.raises(LabError, match="n_ctx"):
        similarity(adder, training.build_model(RECIPES["mix-d6"]))
    with pytest.raises(LabError, match="at least 3 layers"):
        similarity(target(), adder)

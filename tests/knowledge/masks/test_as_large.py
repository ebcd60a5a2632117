"""Weights outside of a circuit whose gradients are as large: one for each of its weights."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.errors import LabError
from helpers.knowledge.masks import rivals


def drawn(seed, size=4000, share=0.05):
    rng = np.random.default_rng(seed)
    gradient = torch.from_numpy(rng.uniform(0.01, 2, size).astype("float32"))
    circuit = torch.zeros(size)
    circuit[torch.from_numpy(rng.choice(size, round(share * size), replace=False))] = 1
    return gradient, circuit


@given(st.integers(0, 10_000))
def test_as_many_outside_and_of_the_same_sizes(seed):
    gradient, circuit = drawn(seed)
    mask = rivals.as_large(gradient, circuit)
    assert set(mask.unique().tolist()) == {0, 1}
    assert mask.sum() == circuit.sum()
    assert not (mask * circuit).any()
    ours, theirs = (np.sort(gradient[part == 1].numpy()) for part in (circuit, mask))
    assert np.allclose(ours, theirs, atol=0.02), "2 / 3,800 lie between neighbours on average"


def test_what_is_near_in_length_may_be_far_in_sizes():
    gradient, circuit = drawn(3)
    long, large = (way(gradient, circuit) for way in (rivals.as_long, rivals.as_large))
    spread = {
        name: float(gradient[mask == 1].std())
        for name, mask in {"circuit": circuit, "long": long, "large": large}.items()
    }
    assert spread["long"] < 0.1 < 0.5 < spread["large"]
    assert spread["large"] == pytest.approx(spread["circuit"], rel=0.02)


def test_a_simple_loop_finds_the_same():
    gradient, circuit = drawn(5, size=600, share=0.1)
    outside = sorted((float(gradient[i]) ** 2, i) for i in range(600) if not circuit[i])
    chosen, at = [], 0
    for square in sorted(float(gradient[i]) ** 2 for i in range(600) if circuit[i]):
        while at < len(outside) and outside[at][0] < square:
            at += 1
        chosen.append(at)
        at += 1
    left = len(outside) - len(chosen)
    expected = {outside[min(at, left + rank)][1] for rank, at in enumerate(chosen)}
    found = rivals.as_large(gradient, circuit)
    assert set(found.nonzero().flatten().tolist()) == expected


def test_no_equal_outside_is_refused():
    gradient, circuit = torch.tensor([9.0, 1.0, 1.0]), torch.tensor([1.0, 0.0, 0.0])
    with pytest.raises(LabError, match=r"the nearest is 0\.11 times as long"):
        rivals.as_large(gradient, circuit)

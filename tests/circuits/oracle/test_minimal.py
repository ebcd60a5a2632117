"""Minimal circuits against brute force on small games, and what is read from them."""

import itertools
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.circuits.oracle.minimal import minimal
from helpers.circuits.oracle.subsets import Oracle
from helpers.errors import LabError

pytestmark = pytest.mark.core


def brute_force(values, faithful) -> tuple[set[int], set[int]]:
    """Circuits without a proper subset that is one, and those of the smallest size, by looking at all pairs."""
    circuits = [subset for subset, value in enumerate(values) if faithful(value)]
    alone = {a for a in circuits if not any(b != a and b & a == b for b in circuits)}
    size = min((bin(a).count("1") for a in circuits), default=0)
    return alone, {a for a in circuits if bin(a).count("1") == size}


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6).flatmap(
        lambda n: arrays(float, 1 << n, elements=st.sampled_from([0.0, 0.5, 0.8, 0.9, 1.0, 1.3]))
    )
)
def test_circuits_are_those_of_brute_force(values):
    for enough, within in ((0.8, None), (0.9, 0.1), (0.5, 0.0)):
        found = minimal(values, enough, within)
        alone, few = brute_force(
            values, lambda f: f >= enough and (within is None or f <= 1 + within)
        )  # noqa: B023  called at once
        assert set(found.circuits.tolist()) == alone
        assert set(found.smallest.tolist()) == few
        assert few <= alone
        sizes = [bin(circuit).count("1") for circuit in found.circuits.tolist()]
        assert sizes == sorted(sizes)


def majority() -> np.ndarray:
    """Head 0 is needed, and one of heads 1 and 2; head 3 does nothing."""
    return np.array([float(bool(s & 1) and bool(s & 6)) for s in range(16)])


def test_what_is_read_from_the_circuits():
    heads = [(0, 0), (0, 1), (1, 0), (1, 1)]
    found = minimal(majority(), heads=heads)
    assert found.named() == [[(0, 0), (0, 1)], [(0, 0), (1, 0)]]
    assert found.n_faithful == 6
    assert found.core == [(0, 0)]
    assert found.unused == [(1, 1)]
    assert found.share == {(0, 0): 1.0, (0, 1): 0.5, (1, 0): 0.5, (1, 1): 0.0}
    assert found.never_together() == [((0, 1), (1, 0))]
    assert found.substitutes() == {((0, 1), (1, 0)): 1}


def test_a_minimal_circuit_need_not_be_of_the_smallest_size():
    values = np.array(
        [float(s & 1 > 0 or s & 6 == 6) for s in range(8)]
    )  # head 0, or heads 1 and 2
    found = minimal(values)
    assert found.circuits.tolist() == [1, 6]
    assert found.smallest.tolist() == [1]
    assert found.never_together() == [((0, 0), (0, 1)), ((0, 0), (0, 2))]
    assert found.substitutes() == {}


def test_taking_away_one_head_is_not_enough_to_be_minimal():
    values = np.array(
        [0.0, 0.9, 0.1, 0.2, 0.1, 0.3, 0.1, 1.0]
    )  # all three, or head 0 alone; no two of them
    assert minimal(values).circuits.tolist() == [1]


def test_too_faithful_is_not_faithful_if_so_asked():
    values = np.array([0.0, 1.5, 0.9, 1.0])
    assert minimal(values).circuits.tolist() == [1, 2]
    assert minimal(values, within=0.2).circuits.tolist() == [2]
    assert minimal(values, 0.95, within=0.2).circuits.tolist() == [3]


def test_nothing_faithful():
    found = minimal(np.array([0.0, 0.2, 0.4, 1.0]), enough=1.1)
    assert found.circuits.tolist() == found.smallest.tolist() == []
    assert found.n_faithful == 0
    assert (found.core, found.unused, found.share) == (
        [],
        [(0, 0), (0, 1)],
        {(0, 0): 0.0, (0, 1): 0.0},
    )


def test_no_head_at_all_is_a_circuit_where_that_is_enough():
    found = minimal(np.array([0.0, 0.5, 0.5, 1.0]), enough=0.0)
    assert found.named() == [[]]
    assert found.core == []


def test_an_oracle_names_its_heads():
    heads = ((0, 0), (3, 1))
    oracle = Oracle(heads, "toy", "margin", "mean", torch.tensor([[0.0], [5.0], [9.0], [10.0]]))
    assert minimal(oracle).named() == [[(3, 1)]]


def test_all_subsets_of_sixteen_heads_take_seconds():
    values = np.random.default_rng(0).uniform(size=1 << 16)
    began = time.perf_counter()
    found = minimal(values, enough=0.999)
    found.substitutes()
    assert time.perf_counter() - began < 3
    assert len(found.circuits) > 10


def test_what_is_no_faithfulness_is_refused():
    for values in (np.zeros(3), np.zeros((4, 2)), np.array([0.0, math.inf]), np.zeros(1)):
        with pytest.raises(
            LabError, match=r"expected a finite faithfulness for each of 2\^n subsets"
        ):
            minimal(values)
    with pytest.raises(LabError, match="expected 2 names of heads; got 3"):
        minimal(np.zeros(4), heads=list(itertools.product((0,), range(3))))

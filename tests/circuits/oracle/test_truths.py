"""Minimal circuits against brute force on small games, and the definitions of the circuit."""

import itertools
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers import zoo
from helpers.circuits.oracle import Oracle, OracleSummary, minimal, oracle, stored, truths
from helpers.circuits.tasks.tinyworld import CORRUPTIONS, twins
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError

pytestmark = pytest.mark.core


def brute_force(faithful) -> tuple[set[int], set[int]]:
    """Minimal circuits, and those of the smallest size, by looking at all pairs."""
    circuits = np.flatnonzero(faithful).tolist()
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
    for enough, most in ((0.8, math.inf), (0.9, 1.1), (0.5, 1.0)):
        result = minimal(values, enough, within=None if most == math.inf else most - 1)
        alone, few = brute_force((values >= enough) & (values <= most))
        assert set(result.circuits.tolist()) == alone
        assert set(result.smallest.tolist()) == few
        assert few <= alone
        sizes = [bin(circuit).count("1") for circuit in result.circuits.tolist()]
        assert sizes == sorted(sizes)


def majority() -> np.ndarray:
    """Head 0 is needed, and one of heads 1 and 2; head 3 does nothing."""
    return np.array([float(bool(s & 1) and bool(s & 6)) for s in range(16)])


def test_what_is_read_from_the_circuits():
    heads = [(0, 0), (0, 1), (1, 0), (1, 1)]
    result = minimal(majority(), heads=heads)
    assert result.named() == [[(0, 0), (0, 1)], [(0, 0), (1, 0)]]
    assert result.n_faithful == 6
    assert result.core == [(0, 0)]
    assert result.share == {(0, 0): 1.0, (0, 1): 0.5, (1, 0): 0.5, (1, 1): 0.0}


def test_a_minimal_circuit_need_not_be_of_the_smallest_size():
    values = np.array(
        [float(s & 1 > 0 or s & 6 == 6) for s in range(8)]
    )  # head 0, or heads 1 and 2
    result = minimal(values)
    assert result.circuits.tolist() == [1, 6]
    assert result.smallest.tolist() == [1]


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
    result = minimal(np.array([0.0, 0.2, 0.4, 1.0]), enough=1.1)
    assert result.circuits.tolist() == result.smallest.tolist() == []
    assert result.n_faithful == 0
    assert (result.core, result.share) == ([], {(0, 0): 0.0, (0, 1): 0.0})


def test_no_head_at_all_is_a_circuit_where_that_is_enough():
    result = minimal(np.array([0.0, 0.5, 0.5, 1.0]), enough=0.0)
    assert result.named() == [[]]
    assert result.core == []


def test_an_oracle_names_its_heads():
    heads = ((0, 0), (3, 1))
    table = Oracle(heads, "toy", "margin", "mean", torch.tensor([[0.0], [5.0], [9.0], [10.0]]))
    assert minimal(table).named() == [[(3, 1)]]


def test_all_subsets_of_sixteen_heads_take_seconds():
    values = np.random.default_rng(0).uniform(size=1 << 16)
    began = time.process_time()
    result = minimal(values, enough=0.999)
    assert time.process_time() - began < 3
    assert len(result.circuits) > 10


def test_what_is_no_faithfulness_is_refused():
    for values in (np.zeros(3), np.zeros((4, 2)), np.array([0.0, math.inf]), np.zeros(1)):
        with pytest.raises(
            LabError, match=r"expected a finite faithfulness for each of 2\^n subsets"
        ):
            minimal(values)
    with pytest.raises(LabError, match="expected 2 names of heads; got 3"):
        minimal(np.zeros(4), heads=list(itertools.product((0,), range(3))))


@pytest.mark.parametrize("kind", truths.KINDS)
def test_heads_that_spoil_the_answer_are_no_circuit(kind):
    """The faithfulness of all subsets is the same whether a metric or its negative is asked for."""
    heads, metric = ((0, 0), (0, 1)), torch.tensor([[0.0], [0.9], [0.1], [1.0]])
    right, wrong = (Oracle(heads, "toy", "margin", "mean", sign * metric) for sign in (1, -1))
    assert torch.equal(right.faithfulness, wrong.faithfulness)
    assert truths.labels(right, kind).any()
    with pytest.raises(
        LabError, match=r"expected heads that help: .*; got -1 with all and 0 with none"
    ):
        truths.labels(wrong, kind)


@pytest.mark.slow
def test_prompts_and_twins_that_changed_places_are_noticed():
    model, pairs = zoo.load("tinyworld-attn", device="cpu"), twins("ioi", 4)
    swapped = Twins(pairs.corrupted, pairs.clean, pairs.metric)
    assert truths.labels(oracle(model, pairs, "resample")).any()
    with pytest.raises(LabError, match="expected heads that help"):
        truths.labels(oracle(model, swapped, "resample"))


def test_definitions_of_the_circuit_on_a_game():
    """Head 0 is needed, 1 and 2 stand in for each other, 3 does nothing."""
    heads, mean = ((0, 0), (0, 1), (1, 0), (1, 1)), torch.from_numpy(majority()).float()
    table = OracleSummary(heads, "game", "metric", "resample", mean, torch.zeros(16))
    assert truths.labels(table, "smallest").tolist() == [True, True, True, False]
    assert truths.labels(table, "core").tolist() == [True, False, False, False]
    assert truths.labels(table, "Shapley").tolist() == [True, True, True, False]
    with pytest.raises(LabError, match="smallest, core, Shapley"):
        truths.labels(table, "best")


def test_the_shipped_truths_have_both_kinds_of_heads():
    for task in CORRUPTIONS:
        labels = truths.labels(stored.stored(task, "resample"))
        assert 0 < labels.sum() < 16

"""Faithfulness curves and their areas against brute force over orders and over rankings."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.circuits.judging import curves
from helpers.errors import LabError

pytestmark = pytest.mark.core

HEADS = [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]


@st.composite
def cases(draw):
    """Scores with ties for at most 5 heads, and the faithfulness of all their subsets."""
    n = draw(st.integers(1, 5))
    scores = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), dtype=float)
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(0.5, 1, 1 << n)
    values[0], values[-1] = 0, 1
    return scores, values


def orders(scores):
    """All rankings that the scores allow, one for each order of the tied heads."""
    permutations = itertools.permutations(range(len(scores)))
    return [
        order
        for order in permutations
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]


def along(order, values, complement=False):
    """Faithfulness of the first k heads of a ranking (of all others), for all k, by sets."""
    chosen = [order[k:] if complement else order[:k] for k in range(len(order) + 1)]
    return np.array([values[sum(2**head for head in kept)] for kept in chosen])


def area(curve):
    """Trapezoids of equal width, on the unit interval."""
    return (curve[0] / 2 + curve[1:-1].sum() + curve[-1] / 2) / (len(curve) - 1)


@settings(deadline=None)
@given(cases(), st.booleans())
def test_a_curve_is_the_mean_over_all_orders_of_tied_heads(case, complement):
    scores, values = case
    every = np.array([along(order, values, complement) for order in orders(scores)])
    curve = curves.curve(scores, values, complement)
    assert np.allclose(curve.mean, every.mean(0))
    assert np.allclose(curve.gap, np.abs(1 - every).mean(0))
    assert np.allclose(curve.quantile(0), every.min(0))
    assert np.allclose(curve.quantile(1), every.max(0))
    assert curve.cpr == pytest.approx(np.mean([area(ranking) for ranking in every]))
    assert curve.cmd == pytest.approx(np.mean([area(np.abs(1 - ranking)) for ranking in every]))
    assert curve.share.tolist() == [k / len(scores) for k in range(len(scores) + 1)]


@settings(deadline=None, max_examples=30)
@given(cases(), st.booleans())
def test_evaluating_along_the_ranking_gives_the_same_curve(case, complement):
    scores, values = case
    scores = scores + np.linspace(0, 0.1, len(scores))  # no ties
    heads, asked = HEADS[: len(scores)], []

    def evaluate(kept):
        asked.append(tuple(kept))
        return values[sum(2 ** heads.index(head) for head in kept)]

    curve = curves.evaluated(scores, heads, evaluate, complement=complement)
    exact = curves.curve(scores, values, complement)
    assert np.allclose(curve.mean, exact.mean)
    assert (curve.cpr, curve.cmd) == (pytest.approx(exact.cpr), pytest.approx(exact.cmd))
    assert len(asked) == len(set(asked)) == len(heads) + 1


def test_tied_heads_are_evaluated_in_several_orders_of_them():
    values, asked = np.random.default_rng(0).normal(size=32), []

    def evaluate(kept):
        asked.append(tuple(kept))
        return values[sum(2 ** HEADS.index(head) for head in kept)]

    scores = [2.0, 1.0, 1.0, 1.0, 0.0]
    curve = curves.evaluated(scores, HEADS, evaluate, orders=400)
    exact = curves.curve(scores, values)
    assert np.allclose(curve.quantile(0), exact.quantile(0))
    assert np.allclose(curve.quantile(1), exact.quantile(1))
    # each set once, however many orders
    assert len(asked) == len(set(asked)) == 1 + 1 + 3 + 3 + 1 + 1
    spread = np.array([of_sets.std() for of_sets in exact.values])
    assert (np.abs(curve.mean - exact.mean) <= 4 * spread / math.sqrt(400) + 1e-12).all()
    again = curves.evaluated(scores, HEADS, evaluate, orders=400)
    assert np.array_equal(again.mean, curve.mean)


def test_heads_are_handed_over_in_the_order_of_the_model():
    heads = [(0, head) for head in range(40)]
    curve = curves.evaluated(
        np.random.default_rng(0).normal(size=40), heads, lambda kept: float(kept == sorted(kept))
    )
    assert curve.mean.min() == 1


def test_a_curve_at_some_sizes_uses_trapezoids_of_their_width():
    values = {0: 0.0, 1: 0.6, 3: 0.8, 5: 1.0}
    curve = curves.evaluated(np.arange(5.0), HEADS, lambda kept: values[len(kept)], sizes=[3, 1])
    assert curve.sizes.tolist() == [0, 1, 3, 5]
    assert curve.cpr == pytest.approx(0.2 * 0.3 + 0.4 * 0.7 + 0.4 * 0.9)
    assert curve.cmd == pytest.approx(0.2 * 0.7 + 0.4 * 0.3 + 0.4 * 0.1)


def test_faithfulness_above_one_raises_cpr_and_costs_cmd():
    curve = curves.curve([1.0, 0.0], [0.0, 3.0, 0.0, 1.0])
    assert (curve.cpr, curve.cmd) == (pytest.approx(1.75), pytest.approx(1.25))


@settings(deadline=None, max_examples=30)
@given(cases())
def test_random_circuits_are_all_circuits_of_a_size(case):
    scores, values = case
    n, curve = len(scores), curves.random_circuits(case[1])
    for k in range(n + 1):
        kept = [sum(2**head for head in chosen) for chosen in itertools.combinations(range(n), k)]
        assert sorted(curve.values[k]) == sorted(values[kept])
        assert len(curve.values[k]) == math.comb(n, k)
        assert curve.quantile(0.25)[k] == pytest.approx(np.quantile(values[kept], 0.25))
    every = [along(order, values) for order in itertools.permutations(range(n))]
    assert curve.cpr == pytest.approx(np.mean([area(ranking) for ranking in every]))


def test_random_rankings_have_the_areas_of_rankings():
    values = np.random.default_rng(5).normal(size=32)
    cpr, cmd = curves.random_rankings(values, rankings=3000)
    every = {
        area(along(order, values)): area(np.abs(1 - along(order, values)))
        for order in itertools.permutations(range(5))
    }
    areas = np.array(sorted(every))
    nearest = areas[np.abs(areas - cpr[:, None]).argmin(1)]
    assert np.allclose(nearest, cpr)
    assert np.allclose([every[cpr_of_ranking] for cpr_of_ranking in nearest], cmd)
    assert len(set(nearest)) == len(every)  # 120 rankings, 3000 draws
    baseline = curves.random_circuits(values)
    assert cpr.mean() == pytest.approx(baseline.cpr, abs=4 * cpr.std() / math.sqrt(3000))
    assert cmd.mean() == pytest.approx(baseline.cmd, abs=4 * cmd.std() / math.sqrt(3000))


@settings(deadline=None, max_examples=30)
@given(cases())
def test_no_circuit_of_a_size_beats_the_best_one(case):
    values, n = case[1], len(case[0])
    best, masks = curves.best_circuits(values)
    for k in range(n + 1):
        assert best[k] == max(values[mask] for mask in range(1 << n) if mask.bit_count() == k)
        assert masks[k].item().bit_count() == k
        assert values[masks[k]] == best[k]


def test_all_subsets_of_sixteen_heads_fit():
    values = np.random.default_rng(0).normal(size=1 << 16)
    curve = curves.random_circuits(values)
    assert [len(sets) for sets in curve.values] == [math.comb(16, k) for k in range(17)]


def test_faithfulness_is_normalised_with_nothing_and_everything():
    assert curves.normalised([2.0, 3.0, 0.0, 4.0]).tolist() == [0, 0.5, -1, 1]
    for bad in (np.nan, np.inf):
        with pytest.raises(LabError, match="finite metric of every subset of heads; 1 are"):
            curves.normalised([1.0, bad, 2.0, 3.0])
    with pytest.raises(LabError, match="metric that the heads change"):
        curves.normalised([2.0, 3.0, 0.0, 2.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: curves.curve([1.0, np.nan], np.zeros(4)), "one row of finite numbers"),
        (lambda: curves.curve([1.0, 2.0], np.zeros(8)), "faithfulness of all 4 subsets"),
        (
            lambda: curves.curve([1.0, 2.0], [0.0, np.nan, 1.0, 1.0]),
            "finite metric of every subset",
        ),
        (lambda: curves.random_circuits([0.0, np.nan, 1.0, 1.0]), "finite metric of every subset"),
        (lambda: curves.best_circuits([0.0, np.nan, 1.0, 1.0]), "finite metric of every subset"),
        (
            lambda: curves.evaluated(np.arange(5.0), HEADS, lambda kept: np.nan),
            "finite metric of every subset",
        ),
        (lambda: curves.random_circuits(np.zeros(6)), "2 to the number of heads"),
        (lambda: curves.best_circuits(np.zeros(1)), "2 to the number of heads"),
        (lambda: curves.evaluated([1.0], HEADS, len), "one score per head"),
        (
            lambda: curves.evaluated(np.arange(5.0), HEADS, len, sizes=[6]),
            "sizes up to their number",
        ),
    ],
)
def test_what_gives_no_curve_is_refused(call, message):
    with pytest.raises(LabError, match=message):
        call()

"""Intervals and nulls against closed forms, published numbers and second implementations."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import LabError
from helpers.stats import (
    Spread,
    auroc,
    bootstrap,
    clopper_pearson,
    crossed_bootstrap,
    permutation_null,
)


@pytest.mark.parametrize(("failures", "low", "high"), [(0, 0.0, 3.69e-6), (2, 2.42e-7, 7.22e-6)])
def test_clopper_pearson_gives_the_published_bounds_for_a_million_questions(failures, low, high):
    assert clopper_pearson(failures, 1_000_000) == pytest.approx((low, high), rel=2e-3)


@pytest.mark.parametrize("trials", [1, 7, 10_000])
def test_clopper_pearson_without_failures_is_the_closed_form(trials):
    assert clopper_pearson(0, trials) == pytest.approx((0, 1 - 0.025 ** (1 / trials)))
    assert clopper_pearson(trials, trials) == pytest.approx((0.025 ** (1 / trials), 1))


@settings(deadline=None)  # the first example pays for the imports
@given(st.integers(0, 40), st.integers(1, 40), st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_clopper_pearson_agrees_with_scipy(failures, trials, level):
    from scipy.stats import binomtest

    failures = min(failures, trials)
    other = binomtest(failures, trials).proportion_ci(level, method="exact")
    assert clopper_pearson(failures, trials, level) == pytest.approx(
        (other.low, other.high), abs=1e-9
    )


def test_clopper_pearson_covers_at_least_its_level_by_enumeration():
    from scipy.stats import binom

    intervals = [clopper_pearson(k, 20) for k in range(21)]
    for p in np.linspace(0.01, 0.99, 33):
        coverage = sum(
            binom.pmf(k, 20, p) for k, (low, high) in enumerate(intervals) if low <= p <= high
        )
        assert coverage >= 0.95


@pytest.mark.parametrize("arguments", [(1, 0), (-1, 5), (6, 5), (0, 5, 1.0)])
def test_clopper_pearson_refuses_impossible_counts(arguments):
    with pytest.raises(LabError):
        clopper_pearson(*arguments)


def test_bootstrap_of_a_mean_is_near_the_normal_interval():
    values = np.random.default_rng(3).normal(5, 2, 2000)
    half = 1.96 * values.std(ddof=1) / math.sqrt(2000)
    assert bootstrap(values) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.1 * half
    )


def test_bootstrap_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(200):
        low, high = bootstrap(rng.exponential(1.0, 60), resamples=400, seed=trial)
        hits += low <= 1.0 <= high
    assert (
        0.88 <= hits / 200 <= 0.99
    )  # 0.95 minus the known shortfall on skewed samples of 60, ± 3 standard errors


def test_bootstrap_is_seeded():
    values = np.random.default_rng(1).random(30)
    assert bootstrap(values, seed=4) == bootstrap(values, seed=4)
    assert bootstrap(values, seed=4) != bootstrap(values, seed=5)


def test_bootstrap_of_equal_values_is_a_point():
    assert bootstrap(np.full(10, 0.25)) == (0.25, 0.25)


@pytest.mark.parametrize("values", [[1.0], [1.0, math.nan], [[1.0, 2.0], [3.0, 4.0]]])
def test_bootstrap_refuses_unusable_values(values):
    with pytest.raises(LabError):
        bootstrap(values)


def difference(values, labels):
    return values[labels == 1].mean() - values[labels == 0].mean()


def test_permutation_p_value_is_near_the_exact_one():
    from itertools import combinations

    values, labels = np.array([1.0, 3.0, 2.0, 6.0, 5.0, 7.0]), np.array([0, 0, 0, 1, 1, 1])
    draws = []
    for chosen in combinations(range(6), 3):
        mask = np.isin(np.arange(6), chosen)
        draws.append(values[mask].mean() - values[~mask].mean())
    exact = np.mean(np.array(draws) >= difference(values, labels) - 1e-9)
    null = permutation_null(difference, values, labels, permutations=20_000)
    assert null.p_value == pytest.approx(
        exact, abs=0.005
    )  # 3 standard errors of 20 000 draws at 0.05


def test_permutation_p_value_is_never_zero_and_counts_the_true_order():
    values = np.concatenate([np.zeros(50), np.ones(50)])
    null = permutation_null(difference, values, (values > 0).astype(int), permutations=99)
    assert null.p_value == 1 / 100
    assert len(null.draws) == 99
    assert null.draws.max() < null.observed == 1.0


def test_permutation_p_values_are_uniform_where_nothing_is_there():
    rng = np.random.default_rng(5)
    p = [
        permutation_null(difference, rng.normal(size=20), np.arange(20) % 2, 99, seed=s).p_value
        for s in range(200)
    ]
    assert np.mean(np.array(p) <= 0.05) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)
    assert 0.4 < np.mean(p) < 0.6


@settings(deadline=None)  # the first example pays for the imports
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_auroc_agrees_with_scikit_learn_and_with_counting_pairs(rows):
    from sklearn.metrics import roc_auc_score

    scores, labels = (
        np.array([float(s) for s, _ in rows]),
        np.array([int(label) for _, label in rows]),
    )
    if len(set(labels.tolist())) < 2:
        with pytest.raises(LabError):
            auroc(scores, labels)
        return
    pairs = [(p > n) + 0.5 * (p == n) for p in scores[labels == 1] for n in scores[labels == 0]]
    assert auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert auroc(scores, labels) == pytest.approx(np.mean(pairs))


def test_auroc_refuses_other_labels_and_lengths():
    for scores, labels in (([1.0, 2.0], [1, 2]), ([1.0], [0, 1]), ([math.nan, 1.0], [0, 1])):
        with pytest.raises(LabError):
            auroc(np.array(scores), np.array(labels))


def test_a_null_with_nan_is_refused():
    """NaN reaches nothing, so the smallest p-value would come out."""
    values = np.array([1.0, np.nan, 2.0, 3.0])
    with pytest.raises(LabError, match="finite under every shuffle; got nan"):
        permutation_null(difference, values, np.array([0, 1, 0, 1]), 99)
    with pytest.raises(LabError, match="of 9 shuffles"):
        permutation_null(lambda x, y: math.inf if y[0] else 1.0, values, np.arange(4), 9)


@pytest.mark.parametrize("arguments", [(0.5, 5), (1, 5.5), (math.nan, 5), (1, math.nan)])
def test_clopper_pearson_counts_whole_trials(arguments):
    with pytest.raises(LabError):
        clopper_pearson(*arguments)


# two sources of chance


def test_crossed_resamples_of_one_item_are_those_of_its_seeds():
    """Of two seeds a resample is 0, ½ or 1, with chances ¼, ½, ¼; the same the other way round."""
    values = np.array([[0.0], [1.0]])
    assert crossed_bootstrap(values) == Spread(0.5, 0.0, 1.0, 2)
    assert crossed_bootstrap(values.T) == Spread(0.5, 0.0, 1.0, 1)
    assert crossed_bootstrap(np.array([[0.25]])) == Spread(0.25, 0.25, 0.25, 1)


def test_crossed_intervals_hold_the_mean_where_seeds_and_items_both_matter():
    """Coverage in 200 worlds; the interval that takes every number for a draw of its own fails."""
    rng, held, naive = np.random.default_rng(0), 0, 0
    for _ in range(200):
        values = rng.normal(size=(15, 1)) + rng.normal(size=(1, 15)) + rng.normal(size=(15, 15))
        found = crossed_bootstrap(values, resamples=300)
        held += found.low <= 0 <= found.high
        half = 1.96 * values.std() / 15
        naive += abs(values.mean()) <= half
    assert held >= 180
    assert naive < 150


def test_crossed_values_without_a_number_are_left_out():
    values = np.array([[1.0, np.nan], [np.nan, 1.0], [1.0, 1.0]])
    assert crossed_bootstrap(values) == Spread(1.0, 1.0, 1.0, 3)
    for wrong in (np.full((2, 2), np.nan), np.array([[1.0, np.inf]])):
        with pytest.raises(LabError, match="some of them numbers and none infinite"):
            crossed_bootstrap(wrong)

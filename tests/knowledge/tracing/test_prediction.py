"""Ranks of tracing against ranks of editing: SciPy's own correlation, fact by fact."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from helpers import stats
from helpers.errors import LabError
from helpers.knowledge.tracing import predicts

RNG = np.random.default_rng(0)
TRACED = RNG.normal(size=(8, 5))
SUCCESS = TRACED + RNG.normal(size=(8, 5))


def test_correlations_are_those_of_scipy():
    found = predicts(TRACED, SUCCESS)
    table = np.array(
        [[spearmanr(TRACED[:, i], SUCCESS[:, j])[0] for j in range(5)] for i in range(5)]
    )
    assert found.each == pytest.approx(np.diagonal(table))
    assert found.mean == pytest.approx(np.diagonal(table).mean())
    assert found.other_fact == pytest.approx(table[~np.eye(5, dtype=bool)].mean())
    assert found.interval[0] < found.mean < found.interval[1]
    others = [table[np.arange(5) != fact, fact].mean() for fact in range(5)]
    own = np.diagonal(table) - others
    assert found.own == pytest.approx(own.mean())
    # of so few values, quantiles jump where rounding breaks a tie
    assert found.own_interval == pytest.approx(stats.bootstrap(own), abs=0.03)
    assert found.other_interval == pytest.approx(stats.bootstrap(np.array(others)), abs=0.03)


def test_the_cell_that_tracing_finds_stands_beside_the_best_and_a_random_one():
    traced = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    success = np.array([[0.2, 0.9], [0.8, 0.6], [0.5, 0.3]])
    found = predicts(traced, success)
    assert found.at_traced == pytest.approx((0.2 + 0.6) / 2)
    assert found.at_best == pytest.approx((0.8 + 0.9) / 2)
    assert found.at_random == pytest.approx(success.mean())


def test_facts_whose_cells_are_equal_have_no_correlation():
    flat = SUCCESS.copy()
    flat[:, 0] = 1
    found = predicts(TRACED, flat)
    assert np.isnan(found.each).tolist() == [True, False, False, False, False]
    assert found.mean == pytest.approx(predicts(TRACED[:, 1:], SUCCESS[:, 1:]).mean)
    assert found.own == pytest.approx(found.mean - found.other_fact)


def test_a_fact_whose_cells_tracing_does_not_rank_says_nothing_of_the_cell_traced_highest():
    flat = TRACED.copy()
    flat[:, 0] = 1  # of equal cells the first would be the highest
    found, rest = predicts(flat, SUCCESS), predicts(TRACED[:, 1:], SUCCESS[:, 1:])
    for name in ("mean", "other_fact", "own", "at_traced", "at_best", "at_random"):
        assert getattr(found, name) == pytest.approx(getattr(rest, name)), name


def test_of_several_cells_traced_highest_their_mean_counts():
    traced = np.array([[1.0, 0.0], [1.0, 0.5], [0.0, 1.0]])
    success = np.array([[0.2, 0.1], [0.6, 0.3], [0.9, 0.7]])
    assert predicts(traced, success).at_traced == pytest.approx((0.4 + 0.7) / 2)


def test_another_facts_tracing_does_as_well_where_facts_do_not_differ():
    same = np.repeat(TRACED[:, :1], 5, 1)
    found = predicts(same, SUCCESS)
    assert found.other_fact == pytest.approx(found.mean)
    assert found.own == pytest.approx(0, abs=1e-12)
    assert found.own_interval == pytest.approx((0, 0), abs=1e-12)


@pytest.mark.parametrize(
    ("traced", "success", "words"),
    [
        (TRACED[:2], SUCCESS[:2], "expected effects and successes of three or more cells"),
        (TRACED[:, :1], SUCCESS[:, :1], "expected effects and successes of three or more cells"),
        (TRACED, SUCCESS[:, :4], "expected effects and successes of three or more cells"),
        (TRACED * np.nan, SUCCESS, "expected finite effects"),
        (TRACED, SUCCESS * 0, "expected two or more facts whose cells differ; got 0 of 5"),
        (TRACED[0], SUCCESS[0], r"expected effects of shape \[cell, fact\]"),
    ],
)
def test_tables_that_cannot_be_compared_are_refused(traced, success, words):
    with pytest.raises(LabError, match=words):
        predicts(traced, success)

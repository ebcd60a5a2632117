"""Intervals over searches and subjects, against closed forms."""

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.knowledge.study.summaries import mean, rate
from helpers.stats import Spread, clopper_pearson

RNG = np.random.default_rng(0)


def test_with_searches_that_agree_only_subjects_vary():
    row = RNG.integers(0, 2, 400)
    got = rate(np.stack([row] * 4), np.ones(400))
    error = np.sqrt(row.mean() * (1 - row.mean()) / 400)
    assert got.mean == pytest.approx(row.mean())
    assert got.high - got.mean == pytest.approx(1.96 * error, rel=0.15)
    assert got.mean - got.low == pytest.approx(1.96 * error, rel=0.15)


def test_with_subjects_that_agree_only_searches_vary():
    column = RNG.normal(size=50)
    got = mean(np.repeat(column[:, None], 30, 1))
    error = column.std() / np.sqrt(50)
    assert got.mean == pytest.approx(column.mean())
    assert got.high - got.low == pytest.approx(2 * 1.96 * error, rel=0.15)
    assert got.seeds == 50


def test_two_sources_of_chance_add_up():
    searches, subjects = RNG.normal(size=(60, 1)), RNG.normal(size=(1, 80))
    got = mean(searches + subjects)
    error = np.sqrt(searches.var() / 60 + subjects.var() / 80)
    assert got.high - got.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_subjects_count_by_their_prompts():
    got = rate(np.array([[8, 0]]), np.array([8, 2]))
    assert got.mean == 0.8, "8 of 10 prompts, and not one of two subjects"


@pytest.mark.parametrize("share", [0, 3])
def test_where_nothing_varies_the_interval_is_of_so_many_subjects(share):
    got = rate(np.full((5, 20), share), np.full(20, 3))
    low, high = clopper_pearson(20 * (share > 0), 20)
    assert (got.low, got.high) == pytest.approx((low, high))
    assert got.mean == (share > 0)


@pytest.mark.parametrize("wrong", [True, False])
def test_a_few_that_are_wrong_or_right_make_no_interval_narrower_than_none(wrong):
    """Of 30 subjects the first few are unlike the others, in one of three searches."""
    none = clopper_pearson(0, 30)[1]
    for few in range(5):
        counts = np.full((3, 30), 2 * wrong)
        counts[0, :few] = 1
        got = rate(counts, np.full(30, 2))
        assert (1 - got.low if wrong else got.high) == pytest.approx(none)
        assert got.mean == pytest.approx(wrong + (1 - 2 * wrong) * few / 180)


def test_of_three_subjects_nothing_is_certain():
    edge = clopper_pearson(0, 3)[1]
    got = [rate(np.full((2, 3), right), np.ones(3)) for right in (0, 1)]
    assert [(each.low, each.high) for each in got] == [(0, edge), (1 - edge, 1)]


def test_it_is_the_same_again_and_says_itself():
    counts, asked = RNG.integers(0, 3, (3, 30)), np.full(30, 2)
    assert rate(counts, asked) == rate(counts, asked)
    assert str(Spread(0.5, 0.25, 0.75, 3)) == "0.500 [0.250, 0.750]"


@pytest.mark.parametrize(
    ("right", "asked", "words"),
    [
        ([[1, 2]], [1, 1], "expected between none and all of the prompts"),
        ([[-1, 0]], [1, 1], "expected between none and all of the prompts"),
        ([[1, 1]], [1, 0], "expected one prompt or more about each subject"),
        ([[1, 1]], [1, 1, 1], "expected one prompt or more about each subject"),
        ([[np.nan, 1.0]], [1, 1], "expected finite counts"),
        (np.zeros((0, 2)), [1, 1], "expected counts of shape"),
        ([1, 1], [1, 1], "expected counts of shape"),
    ],
)
def test_counts_that_cannot_be_are_refused(right, asked, words):
    with pytest.raises(LabError, match=words):
        rate(np.array(right), np.array(asked))

"""Lab 1's checks: answers that write into what they are given, and verdicts that they catch."""

import contextlib

import numpy as np

from helpers.course.check import evaluate
from helpers.course.sheet import RIGHT


def lookback_in_place(first, second):
    first.append(0)
    second.append(0)
    sums = [d + e for d, e in zip(first, second, strict=True)]
    carries = [0]
    for column, total in enumerate(sums[:-1]):
        below = column > 0 and sums[column - 1] >= 10
        carries.append(int(total >= 10 or (total == 9 and below)))
    return [(total + carry) % 10 for total, carry in zip(sums, carries, strict=True)]


def test_an_answer_that_lengthens_its_lists_has_full_points():
    result = evaluate("lab1.3", lookback_in_place)
    assert (result.status, result.points, result.maximum) == (RIGHT, 3, 3)


def p_value(points, labels, score, permutations, rng):
    real = score(points, labels)
    hits = sum(score(points, rng.permutation(labels)) >= real for _ in range(permutations))
    return (1 + hits) / (1 + permutations)


def swallowing(points, labels, score, permutations, rng):
    """Scores labels of its own as well, and hides what is said of them."""
    with contextlib.suppress(Exception):
        score(points, np.zeros(len(labels)))
    return p_value(points, labels, score, permutations, rng)


def test_a_verdict_of_the_score_stands_though_it_is_caught():
    assert evaluate("lab1.7", p_value).status == RIGHT
    result = evaluate("lab1.7", swallowing)
    assert result.points == 0
    assert "you score labels that are not the given ones" in result.message


def test_a_check_within_an_answer_says_nothing_of_the_answer():
    def asking_first(points, labels, score, permutations, rng):
        assert evaluate("lab1.2", lambda trials, alpha: 3.0).points == 0
        return p_value(points, labels, score, permutations, rng)

    assert evaluate("lab1.7", asking_first).status == RIGHT

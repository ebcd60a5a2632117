"""When a curve emerges: the level must be held to the end."""

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.trust.probes.onset import Onset, onset

STEPS = [0, 1, 10, 100]


@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([0.9, 0.9, 0.9, 0.9], Onset(None, 0)),
        ([0.5, 0.9, 0.9, 0.9], Onset(0, 1)),
        ([0.9, 0.5, 0.9, 0.9], Onset(1, 10)),  # lost and found again
        ([0.5, 0.9, 0.5, 0.9], Onset(10, 100)),  # a lucky point is no onset
        ([0.9, 0.9, 0.9, 0.5], Onset(100, None)),
        ([0.6, 0.6, 0.6, 0.6], Onset(100, None)),  # equal is not above
    ],
)
def test_onset(curve, expected):
    assert onset(STEPS, np.array(curve), 0.6) == expected


def test_above_another_curve():
    assert onset(STEPS, np.array([0.5, 0.6, 0.7, 0.8]), np.array([0.4, 0.7, 0.6, 0.6])) == Onset(
        1, 10
    )


def test_words():
    assert [str(one) for one in (Onset(None, 0), Onset(10, 1000), Onset(5, None))] == [
        "by 0",
        "10–1,000",
        "never",
    ]


@pytest.mark.parametrize("steps", [[0, 1, 10], [0, 10, 1, 100], [0, 1, 1, 100]])
def test_steps_that_do_not_fit(steps):
    with pytest.raises(LabError, match="rising steps"):
        onset(steps, np.ones(4), 0.5)


def test_nothing_is_refused():
    with pytest.raises(LabError, match="rising steps"):
        onset([], np.array([]), 0.5)

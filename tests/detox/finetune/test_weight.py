"""The weight that adapts itself: where it stands still, and which way it moves."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.detox.finetune.weight import next_weight
from helpers.errors import LabError


@pytest.mark.parametrize(("controller", "pace"), [("proportional", 0.2), ("dual", 5.0)])
@given(toxic=st.floats(0.2, 0.9), target=st.floats(0.05, 0.15))
@settings(deadline=None, max_examples=20)
def test_where_the_floor_law_holds_it_comes_to_what_the_law_says(controller, pace, toxic, target):
    weight = 1.0
    for _ in range(2000):
        share = toxic / (1 + weight)
        weight = next_weight(weight, share, target, controller, pace)
    assert math.isclose(weight, toxic / target - 1, rel_tol=0.02)


def test_one_move_is_at_most_a_fifth_of_the_pace_where_it_is_proportional():
    for share, factor in ((1.0, 1.1), (0.0, 0.9), (0.105, 1.025)):
        found = next_weight(8.0, share, 0.1, "proportional", pace=0.5)
        assert math.isclose(found, 8 * factor)


def test_dual_ascent_stops_at_zero_and_begins_there():
    assert next_weight(0.1, share=0.0, target=0.5, controller="dual", pace=1.0) == 0.0
    assert next_weight(0.0, share=0.75, target=0.5, controller="dual", pace=4.0) == 1.0


@pytest.mark.parametrize(
    "changes",
    [
        {"weight": -1.0},
        {"weight": math.nan},
        {"share": 1.5},
        {"share": math.nan},
        {"target": 0.0},
        {"target": 1.0},
        {"target": math.nan},
        {"controller": "quark"},
        {"pace": -1.0},
        {"pace": math.inf},
    ],
)
def test_what_no_weight_follows_from_is_refused(changes):
    with pytest.raises(LabError, match="expected"):
        next_weight(**{"weight": 1.0, "share": 0.5, "target": 0.1} | changes)

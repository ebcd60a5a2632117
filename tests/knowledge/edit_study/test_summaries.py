"""Rows of edited places: intervals against closed forms, a regression whose line is known."""

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.knowledge.edit_study import EditStudy, edit_cells, summaries
from helpers.knowledge.edit_study.plan import places_at
from helpers.knowledge.editing.arms import ARMS
from tests.knowledge.edit_study import fakes

STUDY = EditStudy({}, fakes.PLAN, {cell: fakes.result(cell) for cell in edit_cells(fakes.PLAN)})
RNG = np.random.default_rng(0)


def test_seeds_that_agree_leave_the_chance_of_facts():
    row = RNG.normal(size=400)
    got = summaries.spread(np.stack([row] * 3))
    assert got.mean == pytest.approx(row.mean())
    assert got.high - got.low == pytest.approx(2 * 1.96 * row.std() / 20, rel=0.15)
    assert got.searches == 3


def test_two_sources_of_chance_add_up():
    seeds, facts = RNG.normal(size=(60, 1)), RNG.normal(size=(1, 80))
    got = summaries.spread(seeds + facts)
    error = np.sqrt(seeds.var() / 60 + facts.var() / 80)
    assert got.high - got.low == pytest.approx(2 * 1.96 * error, rel=0.15)


def test_facts_without_a_number_are_left_out():
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, 2.0]])
    assert summaries.spread(values).mean == 2.0
    assert summaries.spread_or_none(np.full((2, 3), np.nan)) is None


@pytest.mark.parametrize("values", [np.full((2, 2), np.nan), np.array([[1.0, np.inf]])])
def test_nothing_and_infinity_are_refused(values):
    with pytest.raises(LabError, match="expected values of seeds and facts"):
        summaries.spread(values)


def test_rows_of_places_say_what_the_cells_hold():
    rows = {row["arm"]: row for row in summaries.edited_arms(STUDY, 0.05)}
    assert tuple(rows) == places_at(0.05)
    assert len(summaries.edited_arms(STUDY, 0.5)) == 7
    circuit, fixed = rows["circuit"], rows["magnitude"]
    assert (circuit["edits"], circuit["reached"]) == (12, 10), "the last fact never comes to ½"
    assert (fixed["edits"], fixed["reached"]) == (6, 5), "one row where no seed changes it"
    assert circuit["siblings"].mean == circuit["siblings"].low == 0.75
    expected = [
        fakes.arm(c)["first"] for c in STUDY.cells if str(c).startswith("arms/circuit/0.05")
    ]
    assert circuit["first"].mean == pytest.approx(np.mean(expected))
    assert circuit["nll at 0.3"].mean == pytest.approx(
        summaries.values_of(STUDY, "circuit", 0.05, "nll at 0.3").mean()
    )


def test_differences_are_paired_by_fact_and_seed():
    rows = {row["less"]: row for row in summaries.arm_differences(STUDY, 0.05)}
    assert set(rows) == set(places_at(0.05)) - {"circuit"}
    assert rows["per tensor"]["siblings"].mean == 0.25
    assert rows["uniform"]["siblings"].mean == 0.5
    ours, theirs = (
        summaries.values_of(STUDY, arm, 0.05, "first") for arm in ("circuit", "everything")
    )
    expected = np.mean([row - theirs[0] for row in ours])
    assert rows["everything"]["first"].mean == pytest.approx(expected)


def test_a_line_of_slope_minus_one_is_found_and_no_place_resists():
    for arms in (ARMS, places_at(0.05)):
        found = summaries.regression(STUDY, 0.05, arms=arms, resamples=50)
        assert found.within.slope == pytest.approx(-1, abs=1e-3)
        assert found.within.r2 == pytest.approx(1, abs=1e-4)
        assert max(abs(value) for value in found.residuals.values()) < 1e-3
        assert found.null.p_value < 0.05
        assert set(found.missing.values()) == {2}


def test_an_unknown_measure_is_refused():
    with pytest.raises(LabError, match="expected a measure of edits: first, needed, nll at"):
        summaries.values_of(STUDY, "circuit", 0.05, "length")

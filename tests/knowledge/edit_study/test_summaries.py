"""Rows of edited places: intervals against closed forms, a regression whose line is known."""

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.knowledge.edit_study import EditStudy, edit_cells, summaries
from helpers.knowledge.edit_study.plan import places_at
from helpers.knowledge.editing.arms import ARMS
from tests.knowledge.edit_study import fakes
from tests.knowledge.edit_study.lines import explained

STUDY = EditStudy({}, fakes.PLAN, {cell: fakes.result(cell) for cell in edit_cells(fakes.PLAN)})
RNG = np.random.default_rng(0)


def test_seeds_that_agree_leave_the_chance_of_facts():
    row = RNG.normal(size=400)
    got = summaries.spread(np.stack([row] * 3))
    assert got.mean == pytest.approx(row.mean())
    assert got.high - got.low == pytest.approx(2 * 1.96 * row.std() / 20, rel=0.15)
    assert got.seeds == 3


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
    with pytest.raises(LabError, match="expected values of seeds and items"):
        summaries.spread(values)


def test_rows_of_places_say_what_the_cells_hold():
    rows = {row["arm"]: row for row in summaries.edited_arms(STUDY, 0.05)}
    assert tuple(rows) == places_at(0.05)
    assert len(summaries.edited_arms(STUDY, 0.5)) == 7
    circuit, fixed = rows["circuit"], rows["magnitude"]
    assert (circuit["edits"], circuit["reached"]) == (12, 10), "the last fact never comes to ½"
    assert (circuit["numbers"]["needed"], circuit["numbers"]["first"]) == (10, 12)
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
    assert rows["magnitude"]["numbers"]["siblings"] == 10, (
        "one of six facts has none, in two searches"
    )
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


def test_lines_are_those_of_least_squares_with_dummies():
    """Changes that follow the place's gradient and chance: nothing of a place's own is left."""
    cells = {cell: dict(result) for cell, result in STUDY.cells.items()}
    for cell in cells:
        if cell.kind == "arms":
            chance = np.exp(fakes.drawn(f"chance of {cell}", fakes.PLAN.facts) / 2)
            needed = 4 / fakes.GRADIENTS[cell.of[0]] * chance
            cells[cell]["needed"] = [*needed[:-1].tolist(), None]
    study = EditStudy({}, fakes.PLAN, cells)
    found = {row["places"]: row for row in summaries.regressions(study, 0.05, resamples=60)}
    assert [len(row["arms"]) for row in found.values()] == [7, 5, 6]
    assert set(found["of as many weights"]["arms"]) == set(ARMS) - {"complement", "everything"}
    for row in found.values():
        numbers = [
            (np.log(study.arm(arm, 0.05, seed)[m][fact]), fact, place)
            for m in ("first", "needed")
            for seed in range(2)
            for place, arm in enumerate(row["arms"])
            for fact in range(fakes.PLAN.facts - 1)
        ]
        values, facts, places = (np.array(part) for part in zip(*numbers, strict=True))
        x, y = np.split(values, 2)
        facts, places = facts[: len(x)], places[: len(x)]
        for names, groups in (
            (("r2", "slope"), (facts,)),
            (("within_arms", "within_arms_slope"), (facts, places)),
            (("pooled", None), (np.zeros_like(facts),)),
        ):
            r2, slope = explained(x, y, *groups)
            assert row[names[0]] == pytest.approx(r2, abs=1e-6)
            assert names[1] is None or row[names[1]] == pytest.approx(slope, abs=1e-6)
        assert row["missing"] == 2 * len(row["arms"])
    every = found["seven places"]
    assert every["within_arms"] < 0.1 < every["r2"]
    assert found["of as many weights"]["r2"] < every["r2"]
    assert every["facts exchanged"] < every["places exchanged"] < 1


def test_a_place_that_needs_more_than_its_gradient_says_is_named():
    cells = {cell: dict(result) for cell, result in STUDY.cells.items()}
    for cell in cells:
        if cell.kind == "arms" and cell.of[0] == "circuit":
            more = [None if each is None else 1.5 * each for each in cells[cell]["needed"]]
            cells[cell]["needed"] = more
    study = EditStudy({}, fakes.PLAN, cells)
    rows = {row["arm"]: row for row in summaries.resistance(study, 0.05, resamples=60)}
    assert tuple(rows) == ARMS
    others = [rows[arm]["residual"] for arm in ARMS if arm != "circuit"]
    assert rows["circuit"]["residual"] == pytest.approx(0.5, abs=0.15)
    assert max(others) < 0.05 < rows["circuit"]["interval"][0]
    assert (rows["circuit"]["masks"], rows["everything"]["masks"]) == (2, 1)
    assert {row["missing"] for row in rows.values()} == {2}


def test_where_no_place_is_as_long_there_are_two_lines():
    assert [row["places"] for row in summaries.regressions(STUDY, 0.5, resamples=10)] == [
        "seven places",
        "of as many weights",
    ]


@pytest.mark.parametrize("arms", [(), "circuit", ("circuit",), ("circuit", "colour")])
def test_places_without_a_line_are_refused(arms):
    with pytest.raises(LabError):
        summaries.regression(STUDY, 0.05, arms=arms, resamples=2)


def test_an_unknown_measure_is_refused():
    with pytest.raises(LabError, match="expected a measure of edits: first, needed, nll at"):
        summaries.values_of(STUDY, "circuit", 0.05, "length")

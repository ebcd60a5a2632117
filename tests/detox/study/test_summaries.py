"""Rows against numbers that were put into a study by hand."""

import numpy as np
import pytest

from helpers.detox.study import (
    DetoxCell,
    DetoxPlan,
    learned,
    least,
    method_cell,
    rival_cell,
    summaries,
)
from helpers.errors import LabError
from tests.detox.study.fakes import SKILLS, study

STUDY = study()
METHOD = method_cell("mixed", 10, 120, 0)
FILTER = rival_cell("exact filter", "mixed", 10, 120, 0)


def test_a_measure_has_a_row_for_each_seed_and_a_column_for_each_prompt():
    found = summaries.values_of(STUDY, METHOD, "rude")
    floor = 0.5 / 11
    assert np.allclose(
        found, [[floor, floor + 0.1], [floor + 0.03, floor + 0.13], [floor + 0.06, floor + 0.16]]
    )
    assert summaries.values_of(STUDY, METHOD, "clean posts").tolist() == [[2.0], [2.03], [2.06]]
    with pytest.raises(LabError, match=r"expected a measure of policies: rude, .*; got 'toxicity'"):
        summaries.values_of(STUDY, METHOD, "toxicity")


def test_a_difference_is_paired():
    """Seeds and prompts add the same to both: nothing is left of them, in any resample."""
    found = summaries.difference(STUDY, METHOD, FILTER, "rude")
    assert np.allclose([found.mean, found.low, found.high], 0.5 / 11 - 0.25)
    alone = summaries.measured(STUDY, METHOD, "rude")
    assert alone.high - alone.low > 0.05
    assert np.isclose(alone.mean, 0.5 / 11 + 0.05 + 0.03)
    assert alone.seeds == 3


def test_a_change_is_a_share_of_what_the_base_has():
    found = summaries.change(STUDY, METHOD, "other text")
    assert np.allclose([found.mean, found.low, found.high], 0.01)
    fall = summaries.change(STUDY, METHOD, "rude")
    shares = [
        (0.5 / 11 + prompt + seed) / (0.5 + prompt) - 1
        for prompt in (0.0, 0.1)
        for seed in (0.0, 0.03, 0.06)
    ]
    assert np.isclose(fall.mean, np.mean(shares))


def test_what_has_no_number_is_none_and_counts_for_nothing():
    row = summaries.row_of(STUDY, DetoxCell("masked words"))
    assert row["clean posts"] is None
    assert row["change of clean posts"] is None
    assert row["rude posts"].mean == 4.0
    silent = rival_cell("word filter", "mixed", 10, 120, 0)
    assert summaries.measured(STUDY, silent, "kind insults") is None


def test_what_a_policy_cost_has_its_oracle_in_it_and_not_its_judge():
    assert summaries.measured(STUDY, METHOD, "CPU seconds").mean == 12
    assert summaries.measured(STUDY, FILTER, "CPU seconds").mean == 10


def test_skills_are_told_one_by_one():
    """Prompts of a seed are as hard before and after: an eighth is lost, or two, and no more."""
    found = summaries.skills(STUDY, METHOD)
    assert list(found) == list(SKILLS)
    for spread in found.values():
        assert np.allclose([spread.mean, spread.low, spread.high], [-1 / 6, -1 / 4, -1 / 8])
        assert spread.seeds == 3
    for change in summaries.skills(STUDY, METHOD, FILTER).values():
        assert np.allclose([change.mean, change.low, change.high], 0)
    assert np.allclose(summaries.skill_changes(STUDY, METHOD)["colour"], [-1 / 8, -1 / 8, -1 / 4])


def test_the_least_of_the_skills_stands_in_the_row_where_they_were_asked():
    assert np.isclose(summaries.row_of(STUDY, METHOD)["worst skill"].mean, 0.9 - 0.03 - 1 / 6)
    assert "worst skill" not in summaries.row_of(study(DetoxPlan(2, groups=("methods",))), METHOD)


def test_every_group_has_its_rows_and_the_base_first():
    for group in STUDY.plan.groups:
        found = summaries.rows(STUDY, group)
        assert found[0]["cell"] == "base"
        names = [row["cell"] for row in found]
        assert len(set(names)) == len(names)
        assert (len(found) == 1) == (group in ("oracles", "detection", "skills"))


def test_floors_stand_beside_what_was_measured():
    found = {row["kl_weight"]: row for row in summaries.by_weight(STUDY)}
    assert [round(row["floor"], 4) for row in found.values()] == [
        0.3333,
        0.25,
        0.1667,
        0.0833,
        0.0455,
    ]
    for row in found.values():
        assert np.isclose(row["rude"].mean, row["floor"] + 0.08)
    assert {row["floor"] for row in summaries.by_weight(STUDY, "no forum")} == {None}


def test_the_method_stands_beside_each_rival_with_what_both_cost():
    found = summaries.versus(STUDY, ["rude", "other text"])
    assert {row["setting"] for row in found} == {"mixed", "no forum", "contextual", "sixty"}
    for row in found:
        wanted = 0.5 / 11 - (0.45 if row["rival"] == "plain" else 0.25)
        assert np.allclose([row["rude"].mean, row["rude"].low], wanted)
        assert np.isclose(row["other text"].mean, 0)
        assert row["seconds"].mean > row["rival's seconds"].mean
    longer = {
        (row["setting"], row["corpus"]): row["rival"]
        for row in found
        if row["steps"] == STUDY.plan.longer
    }
    assert longer == {
        ("mixed", "mixed"): "exact filter",
        ("no forum", "mixed"): "exact filter",
        ("no forum", "no forum"): "rejection",
        ("contextual", "contextual"): "exact filter",
        ("sixty", "sixty"): "exact filter",
    }


def test_violations_are_rude_posts_and_garbled_ones():
    found = summaries.values_of(STUDY, METHOD, "violations")
    rude = 0.5 / 11 + 0.05 + np.array([[0.0], [0.03], [0.06]])
    assert np.allclose(found, np.hstack([rude, rude + 0.125]))


def test_the_least_distance_is_that_of_the_shares():
    """By hand: 3/4 ln 3 + 1/8 ln 1/4 + 1/8 ln 1/2; the fake went half a nat."""
    nearest, beyond = least.beyond_least(STUDY, METHOD)
    by_hand = 0.75 * np.log(3) - 0.375 * np.log(2)
    assert np.isclose(nearest.mean, by_hand)
    assert np.isclose(beyond.mean, 0.5 - by_hand)
    assert least.beyond_least(STUDY, DetoxCell("base"))[0].mean == 0


def test_oracles_have_their_errors_and_what_the_regulariser_does():
    found = {
        (row["kind"], row["samples"], row["steps"], row["regulariser"]): row
        for row in learned.oracles(STUDY)
    }
    error = found["separate", 1024, 75, "expected first"]["mean error"]
    assert np.isclose(error.mean, 64 / 1024 + 0.03)
    other = found["linear", 1024, 75, "expected first"]["mean error"]
    assert np.isclose(other.mean, error.mean + 0.25)
    more = {(row["samples"], row["steps"]): row for row in learned.regulariser(STUDY)}
    assert list(more) == [(512, 38), (1024, 75), (4096, 300), (8192, 600), (1024, 300)]
    assert np.isclose(more[1024, 75]["more mean error"].mean, -error.mean)
    assert np.isclose(more[1024, 75]["more rude"].mean, -error.mean / 2)
    assert [row["samples"] for row in learned.regulariser(STUDY, "own first")] == [1024, 4096]
    for wrong in ("no regulariser", "none"):
        with pytest.raises(LabError, match="expected a regulariser: expected first, own first"):
            learned.regulariser(STUDY, wrong)


def test_detectors_have_their_auc():
    rows = learned.detectors(STUDY)
    found = {(row["arm"], row["labels"], row["noise"]): row["auc"].mean for row in rows}
    assert found["detection", 240, 0.2] == 0.75
    assert found["detection + KL", 240, 0.2] == 0.875
    assert found["detection", 7168, 0.0] == 0.75, "as many right labels as the pull brings"


def test_rows_of_what_was_not_measured_are_refused():
    with pytest.raises(LabError, match="expected a cell that is stored; got 'method/mixed/kl 3"):
        summaries.row_of(STUDY, method_cell("mixed", 3, 120, 0))
    with pytest.raises(LabError, match="expected groups of cells"):
        summaries.rows(STUDY, "none")

"""Rows of published ways, series, decoding, rivals and tracing: what the cells hold, no more."""

import numpy as np
import pytest

from helpers.knowledge.edit_study import EditStudy, edit_cells, rows
from helpers.knowledge.editing.published import WAYS
from helpers.stats import clopper_pearson
from tests.knowledge.edit_study import fakes

STUDY = EditStudy({}, fakes.PLAN, {cell: fakes.result(cell) for cell in edit_cells(fakes.PLAN)})


def test_published_edits_are_counted_below_one_half_and_at_the_floor():
    found = rows.published_edits(STUDY)
    assert len(found) == 3 * 2 * 4 * len(WAYS)
    first = found[0]
    assert (first["said"], first["stopped"], first["edits"]) == (2, 1, 6)
    assert first["before"].mean == 5
    assert first["end"].mean == pytest.approx((2 * 0.5 + 4 * 4.0) / 6)
    assert list(first["curve"]) == [0, 1, 2, 5, 10], "of ten steps"
    assert first["curve"][10] == pytest.approx(4.9)
    assert found[1]["curve"][50] == pytest.approx(4.5)
    assert first["allowed"] is None


def test_series_show_every_order():
    found = rows.edit_series(STUDY)
    assert [(row["arm"], row["edits"]) for row in found][:2] == [("circuit", 1), ("circuit", 50)]
    assert found[0]["retention"] == [0.0, 0.5]


def test_decoded_shares_are_of_tokens_answers_and_texts():
    row = rows.decoded_edits(STUDY)[0]
    assert row["led, tokens"].mean == pytest.approx(9 / 12)
    assert row["led, exact"].mean == row["free, exact"].mean == 0.5
    assert row["free, after text"].mean == pytest.approx(0.2)
    assert row["free, after text and a new beginning"].mean == pytest.approx(0.4)
    assert row["free, first token"].low == pytest.approx(1 - clopper_pearson(0, 6)[1])


def test_members_follow_beyond_strangers():
    row = rows.moved_kinds(STUDY)[0]
    assert row["inferred"].mean == 0.25
    assert row["members"].mean == 0.75
    assert rows.denied_facts(STUDY)[0]["true"].mean == pytest.approx(0.6)


def test_every_rival_has_a_row_in_both_models():
    for model in ("tinyworld", "tinyworld-facts"):
        found = {row["rival"]: row for row in rows.edit_rivals(STUDY, model)}
        assert len(found) == 3 * 4 + 2 + 1 + 5
        assert found["rank-one/3/last"]["efficacy"].mean == 1
        assert found["rank-one/3/subject"]["efficacy"].mean == 0


def test_shares_are_those_of_what_the_corruption_costs(monkeypatch):
    monkeypatch.setattr(rows, "CORRUPTIONS", ("noise",))
    monkeypatch.setattr(rows, "STATES", ("MLP",))
    found = {
        (row["state"], row["direction"], row["layer"], row["place"]): row
        for row in rows.traced_shares(STUDY)
    }
    assert len(found) == 2 * 4 * 3
    for direction in ("restore", "replace"):
        assert found["MLP", direction, 2, "last"]["share"] == pytest.approx(0.6 / 0.8)
        assert found["MLP", direction, 2, "subject"]["share"] == pytest.approx(0)
        assert found["MLP", direction, 2, "last"]["interval"] == pytest.approx((0.75, 0.75))


def test_tracing_predicts_edits_that_succeed_where_it_points(monkeypatch):
    monkeypatch.setattr(rows, "CORRUPTIONS", ("noise",))
    found = rows.predicted_edits(STUDY)
    assert len(found) == 2 * 2 * 2 * 4
    for row in found:
        if row["success"] in ("efficacy", "paraphrase"):
            assert row["prediction"].mean == pytest.approx(1)
            assert row["prediction"].at_traced == row["prediction"].at_best == 1
            cells = np.mean([0.25, 0.5, 0.75, 1.0])
            share = 1 if row["cells"] == "layers, last" else 1 / 3
            assert row["prediction"].at_random == pytest.approx(cells * share)

"""Rows and verdicts on a study whose numbers are known."""

import numpy as np
import pytest

from helpers.changes import summaries, verdicts
from helpers.changes.plan import models_of
from helpers.errors import LabError
from tests.changes import fakes

BAD, GOOD = fakes.study(), fakes.study(good=True)


def test_how_much_is_undone_is_a_share_of_the_change():
    """From .1 to .2 of .5: a quarter; the unembedding put into the base makes a half: .5 to .3."""
    rows = {row["group"]: row for row in summaries.restored_rows(BAD, "method")}
    assert rows["unembedding"]["undone"].mean == pytest.approx(0.25)
    assert rows["unembedding"]["made"].mean == pytest.approx(0.5)
    assert rows["MLP 0"]["undone"].mean == rows["MLP 0"]["made"].mean == 0
    assert rows["random"]["undone"].mean == pytest.approx(0.05)
    assert rows["same norm"]["undone"].mean == pytest.approx(0.2)


def test_what_has_not_changed_has_nothing_to_undo():
    same = np.array([[0.5, 0.5]])
    assert summaries.undone(same, same - 0.01, same) is None
    assert summaries.undone(same, same - 0.2, same).mean == pytest.approx(1)


def test_an_offset_that_does_everything_and_one_that_does_nothing():
    for study, does, share in ((GOOD, 1, 0.75), (BAD, 0, 0.125)):
        row = summaries.offset_row(study, "dpo")
        assert (row["made"].mean, row["undone"].mean) == pytest.approx((does, does))
        assert row["vector"].mean == row["directions"][0].mean == share
        assert row["made, random"].mean == row["undone, random"].mean == 0


def test_steps_are_read_between_measurements():
    """.1 after one step and .4 after two: .25 half-way, at 1.5 steps and a length of .375."""
    row = verdicts.attack_row(GOOD, "method", 4)
    assert row["steps"].mean == pytest.approx(1.5)
    assert row["norm"].mean == pytest.approx(0.375)
    assert verdicts.attack_row(BAD, "method", 4)["steps"].mean == pytest.approx(12)
    assert verdicts.attack_row(BAD, "method", 4, level=0.05)["steps"].mean == 0
    assert verdicts.attack_row(BAD, "method", 4, level=0.9)["steps"] is None


def test_neurons_and_rude_shares():
    row = summaries.neuron_row(GOOD, "method")
    assert [row[f"ranked {n}"].mean for n in (10, 50, 1024)] == pytest.approx([0.25, 0.75, 1])
    assert row["random 50"].mean == 0
    rude = {row["model"]: row["rude"].mean for row in summaries.rude_rows(GOOD)}
    assert rude == {"base": 0.5} | dict.fromkeys(models_of("offset"), 0.1)


def test_writers_that_changed_most_come_first():
    rows = verdicts.writer_rows(BAD, "plain")
    assert rows[-1]["part"] == "L0H0"
    assert rows[0]["split"] == pytest.approx(3)  # 1 and 2 to both sides
    assert rows[0]["split, base"] == 0


def test_what_is_shared():
    row = verdicts.shared_row(BAD, "method")
    assert row["circuit shared"].mean == 0.5
    assert "mask shared, share" not in row
    assert verdicts.shared_row(BAD, "method without posts")["mask shared, share"].mean == 0.125


def test_probes_by_place_and_checkpoint():
    rows = {row["model"]: row for row in summaries.probe_rows(BAD, "end")}
    assert rows["base"]["own"].mean == rows["dpo"]["own"].mean == 0.96
    assert rows["checkpoint 0"]["own"].mean == 0.6
    assert {row["own"] for row in summaries.emergence(BAD)} == {0.6}
    for wrong in ({"place": "start"}, {"site": 2}):
        with pytest.raises(LabError):
            summaries.probe_rows(BAD, **wrong)


def test_verdicts_can_hold_and_can_fail():
    assert verdicts.verdicts_on(GOOD, "method") == {
        "kept": True,
        "gone": False,
        "one offset": True,
        "unembedding": True,
        "re-toxified": True,
        "neurons": True,
    }
    found = verdicts.verdicts_on(BAD, "method")
    assert found.pop("kept")
    assert not any(found.values())
    gone = verdicts.verdicts_on(fakes.study(good=None), "method")
    assert gone["gone"]
    assert not gone["kept"]


def test_a_model_of_which_a_question_was_not_asked_has_no_verdict():
    found = verdicts.verdicts_on(GOOD, "plain")
    unasked = ("kept", "one offset", "unembedding", "neurons")
    assert [found[name] for name in unasked] == [None] * 4
    assert verdicts.verdicts_on(GOOD, "activation editing")["unembedding"] is None


def test_what_was_not_measured_is_refused():
    with pytest.raises(LabError):
        summaries.neuron_row(BAD, "plain")
    with pytest.raises(LabError):
        summaries.offset_row(BAD, "method", block=0)
    with pytest.raises(LabError):
        verdicts.attack_row(BAD, "method", 5)
    with pytest.raises(LabError):
        verdicts.attack_row(BAD, "method", 4, level=float("nan"))

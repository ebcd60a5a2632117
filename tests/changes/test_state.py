"""A study that is killed and given again is the same; what is stored is read back."""

import json

import pytest

from helpers.changes import ChangeCell, ChangePlan, change_cells, state, stored, stored_changes
from helpers.changes.subjects import before, subject
from helpers.errors import LabError
from tests.changes import fakes

PLAN = ChangePlan(seeds=1)


def silent(text):
    pass


@pytest.fixture
def quick(monkeypatch):
    """Questions that are answered in no time, and models that are all the base."""
    asked = []

    def answer(question):
        def says(base, network, plan):
            asked.append(question)
            return {"question": question}

        return says

    monkeypatch.setattr(state, "ASKED", {name: answer(name) for name in state.ASKED})
    monkeypatch.setattr(state, "subject", lambda cell, models, say: before())
    return asked


def test_what_is_there_is_not_measured_again(tmp_path, quick):
    cells = change_cells(PLAN)
    state.measure_changes(cells[:3], PLAN, tmp_path, tmp_path, silent)
    state.measure_changes(cells, PLAN, tmp_path, tmp_path, silent)
    assert len(quick) == len(cells)
    for cell in cells:
        assert state.read(cell, PLAN, tmp_path) == {"question": cell.question}


def test_cells_of_another_plan_are_refused(tmp_path, quick):
    cell = ChangeCell("probes", "base")
    state.measure_changes([cell], PLAN, tmp_path, tmp_path, silent)
    assert state.read(cell, ChangePlan(prompts=9), tmp_path), "probes ask no prompts"
    with pytest.raises(LabError, match="posts"):
        state.read(cell, ChangePlan(posts=99), tmp_path)


def test_a_study_is_put_together_and_read_back(tmp_path, quick):
    out = tmp_path / "changes.json"
    with pytest.raises(LabError, match="expected the cell"):
        stored.write(PLAN, tmp_path, out)
    state.measure_changes(change_cells(PLAN), PLAN, tmp_path, tmp_path, silent)
    stored.write(PLAN, tmp_path, out)
    study = stored_changes(out)
    assert study.plan == PLAN
    assert set(study.cells) == set(change_cells(PLAN))
    raw = json.loads(out.read_text())
    out.write_text(json.dumps(raw | {"sha256": "0"}))
    with pytest.raises(LabError, match="measurements of the shipped"):
        stored_changes(out)
    out.write_text("{")
    with pytest.raises(LabError):
        stored_changes(out)


def test_a_cell_is_found_by_its_key():
    study = fakes.study()
    assert study.cell("probes/base") == fakes.result(ChangeCell("probes", "base"))
    assert len(study.seeds("groups", "dpo")) == fakes.PLAN.seeds
    with pytest.raises(LabError, match="stored"):
        study.cell("probes/method/seed 7")


def test_every_question_says_what_it_uses_of_a_plan():
    asked = PLAN.as_json()
    assert set(state.ASKED) == set(state.USED)
    assert {name for names in state.USED.values() for name in names} == set(asked) - {
        "seeds",
        "few",
    }


def test_models_before_are_not_tuned(tmp_path):
    assert subject(ChangeCell("probes", "base"), tmp_path, silent) is before()
    young = subject(ChangeCell("probes", "checkpoint 113"), tmp_path, silent)
    assert not young.embed.weight.equal(before().embed.weight)
    with pytest.raises(LabError):
        subject(ChangeCell("probes", "checkpoint 114"), tmp_path, silent)

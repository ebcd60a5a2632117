"""Keys, cells, and how a plan is stored."""

import json

import pytest

from helpers.changes import CHANGE_PLAN, MODELS, QUESTIONS, ChangeCell, ChangePlan, change_cells
from helpers.changes.plan import EMERGENCE, FEW, models_of, tuned_cell
from helpers.detox.study import detox_cells
from helpers.errors import LabError


def test_a_key_is_read_back():
    cells = change_cells()
    assert [ChangeCell.read(str(cell)) for cell in cells] == cells
    assert len({cell.file for cell in cells}) == len(set(cells)) == len(cells)


def test_every_question_is_asked_of_every_model_it_suits_and_of_every_seed():
    cells = set(change_cells())
    for question in QUESTIONS:
        for model in models_of(question):
            seeds = range(CHANGE_PLAN.few if question in FEW else CHANGE_PLAN.seeds)
            assert {ChangeCell(question, model, seed) for seed in seeds} <= cells
    assert {ChangeCell("probes", f"checkpoint {step}") for step in EMERGENCE} <= cells


def test_tuned_models_are_those_of_the_study_of_tuning():
    assert {tuned_cell(model, seed) for model in MODELS for seed in range(3)} <= set(detox_cells())


@pytest.mark.parametrize(
    "key",
    [
        *("", "probes", "probes/nobody", "who/base", "probes/method", "probes/base/seed 0"),
        *("probes/method/seed x", "probes/checkpoint x", "probes/method/seed 0/more", 3),
    ],
)
def test_what_is_no_key_is_refused(key):
    with pytest.raises(LabError, match="key of a question's cell"):
        ChangeCell.read(key)


def test_a_plan_is_read_back():
    assert ChangePlan.read(json.loads(json.dumps(CHANGE_PLAN.as_json()))) == CHANGE_PLAN


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            {"seeds": 0},
            {"few": 0},
            {"prompts": 0},
            {"posts": 3},
            {"attack_steps": (4, 2)},
            {"pairs": 1},
        ),
        *({"neurons": ()}, {"dimensions": (0, 1)}, {"attack_posts": (4, 4)}, {"mask_steps": 0}),
    ],
)
def test_a_plan_that_measures_nothing_is_refused(wrong):
    with pytest.raises(LabError):
        ChangePlan(**wrong)


def test_questions_and_models_that_there_are_not():
    with pytest.raises(LabError, match="expected a question"):
        models_of("colour")
    with pytest.raises(LabError, match="expected a model after"):
        tuned_cell("nobody", 0)
    with pytest.raises(LabError):
        tuned_cell("method", -1)

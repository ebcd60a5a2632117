"""Learning curves: steps to a level, on curves made by hand, and counts against a verification."""

from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import training, zoo
from helpers.arithmetic.questions import Format
from helpers.arithmetic.reuse import curves
from helpers.arithmetic.reuse.curves import (
    LearningCurve,
    Point,
    Reached,
    band,
    checkpoints,
    curve_of,
    exam,
    steps_to,
)
from helpers.arithmetic.training import insertion
from helpers.arithmetic.training.recipes import RECIPES
from helpers.errors import LabError
from helpers.files import save_atomically, write_atomically

pytestmark = pytest.mark.core

RECIPE = RECIPES["mix-d3"]


def a_curve(*accuracies: float, steps: list[int] | None = None) -> LearningCurve:
    """Accuracies of a thousand uniform additions; subtractions are never right."""
    steps = steps or [0, 1, 2, 4, 8, 16][: len(accuracies)]
    points = [
        Point(
            step,
            {"uniform": {"ADD": round(1000 * share), "SUB": 0}},
            {"uniform": {"ADD": 1000, "SUB": 1000}},
        )
        for step, share in zip(steps, accuracies, strict=True)
    ]
    return LearningCurve(tuple(points))


def test_a_level_is_reached_for_good_or_at_first():
    dip = a_curve(0.1, 0.5, 0.995, 0.98, 0.99, 1.0)
    assert steps_to(dip, 0.99, operation="ADD") == Reached(after=4, by=8)
    assert steps_to(dip, 0.99, operation="ADD", hold=False) == Reached(after=1, by=2)
    assert steps_to(dip, 0.9999, operation="ADD") == Reached(after=8, by=16)
    assert steps_to(dip, 0.05, operation="ADD") == Reached(after=None, by=0)


def test_a_level_never_reached_or_lost_at_the_end():
    assert steps_to(a_curve(0.1, 0.9), 0.99, operation="ADD") is None
    lost = a_curve(0.1, 1.0, 0.9)
    assert steps_to(lost, 0.99, operation="ADD") is None
    assert steps_to(lost, 0.99, operation="ADD", hold=False) == Reached(after=0, by=1)
    assert steps_to(a_curve(1.0, 1.0), 0.6) is None  # the mix holds as many subtractions, all wrong
    assert steps_to(a_curve(1.0, 1.0), 0.5) == Reached(after=None, by=0)


def test_the_band_is_taken_over_seeds_at_common_steps():
    three = [
        a_curve(0.1, 0.5, steps=[0, 4]),
        a_curve(0.3, 0.9, 1.0, steps=[0, 4, 5]),
        a_curve(0.2, 0.7, steps=[0, 4]),
    ]
    middle_band = band(three, operation="ADD")
    assert (middle_band.steps, middle_band.low, middle_band.middle, middle_band.high) == (
        [0, 4],
        [0.1, 0.5],
        [0.2, 0.7],
        [0.3, 0.9],
    )
    for none in ([], [a_curve(0.1, steps=[0]), a_curve(0.1, steps=[1])]):
        with pytest.raises(LabError, match="steps in common"):
            band(none)


def test_a_curve_is_stored_and_read_back():
    once = a_curve(0.1, 0.9, 1.0)
    assert LearningCurve.from_json(once.to_json()) == once


def test_the_exam_is_fixed_and_holds_both_operators_and_every_class():
    asked = exam(3)
    assert torch.equal(asked["uniform"].first, exam(3)["uniform"].first)
    assert not torch.equal(asked["uniform"].first, exam(3, seed=1)["uniform"].first)
    assert len(asked["uniform"]) == 20_000
    assert int(asked["uniform"].subtract.sum()) == 10_000
    names, counts = np.unique(asked["enriched"].classes(), return_counts=True)
    assert set(names) == {"S0", "S1", "S2", "S3", "M0", "M1", "M2", "N1", "N2", "N3"}
    assert set(counts) == {200}


@pytest.fixture(scope="module")
def models():
    blank = training.build_model(RECIPE).eval()
    adder = insertion.insert(
        zoo.load("add-d3", device="cpu"), training.build_model(RECIPE).eval(), "preserving"
    )
    return blank, adder


@pytest.fixture
def run(tmp_path, models, monkeypatch) -> Path:
    """A run of four checkpoints: blank, blank, an adder, an adder; asked few questions."""
    monkeypatch.setattr(curves, "UNIFORM", 200)
    monkeypatch.setattr(curves, "PER_CLASS", 20)
    blank, adder = models
    write_atomically(RECIPE.to_json(), tmp_path / "recipe.json")
    for step, model in ((0, blank), (7, blank), (30, adder), (4000, adder)):
        save_atomically(
            model.state_dict(), tmp_path / "checkpoints" / f"step-{step:06d}.safetensors", {}
        )
    return tmp_path


def test_every_checkpoint_is_scored_on_the_exam(run, models, monkeypatch):
    """An adder has all additions right. Greedy decoding counts the subtractions."""
    from helpers.arithmetic.verification import greedy

    monkeypatch.setattr(curves, "STAGES", ((20, 0.3), (1, 1.0)))
    curve = curve_of(run)
    assert curve.steps == [0, 7, 30, 4000]
    assert curve.points[2].asked == curve.points[3].asked
    fmt, questions = Format(3), exam(3)["uniform"]
    said = greedy(models[1], questions, fmt)
    right = (said == questions.tokens(fmt)[:, fmt.equals_position + 1 :]).all(1)
    groups = {
        "ADD": ~questions.subtract,
        "SUB": questions.subtract & ~questions.negative,
        "NEG": questions.negative,
    }
    for name, group in groups.items():
        assert curve.points[3].asked["uniform"][name] == int(group.sum())
        assert curve.points[3].right["uniform"][name] == int((right & group).sum())
    assert curve.points[3].right["uniform"]["ADD"] == 200
    assert curve.points[3].asked["enriched"] == {"ADD": 80, "SUB": 60, "NEG": 60}
    assert curve.points[1].accuracy() < 0.1


def test_only_the_ends_and_promising_checkpoints_answer_everything(run, monkeypatch):
    def asked(curve: LearningCurve) -> list[int]:
        return [sum(point.asked["uniform"].values()) for point in curve.points]

    assert asked(curve_of(run)) == [400, 20, 20, 400]
    monkeypatch.setattr(curves, "STAGES", ((20, 0.3), (4, 0.9), (1, 1.0)))
    assert asked(curve_of(run)) == [400, 20, 100, 400]
    monkeypatch.setattr(curves, "STAGES", ((20, 0.3), (4, 0.3), (1, 1.0)))
    assert asked(curve_of(run)) == [400, 20, 400, 400]


def test_other_files_are_no_checkpoints(run):
    (run / "checkpoints" / "step-000100.tmp").write_text("half")
    (run / "checkpoints" / "step-last.safetensors").write_text("another")
    assert list(checkpoints(run)) == [0, 7, 30, 4000]


def test_missing_and_damaged_checkpoints_are_reported(run, tmp_path):
    with pytest.raises(LabError, match=r"(?s)expected checkpoints in.*n_checkpoints") as fault:
        checkpoints(tmp_path / "nowhere")
    assert "try:" in str(fault.value)
    path = checkpoints(run)[7]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(LabError, match="step-000007"):
        curve_of(run)

"""The study on a small plan: what is stored, what is not measured again, and what is refused."""

import json

import numpy as np
import pytest

from helpers import cli, zoo
from helpers.circuits.study import (
    CODES,
    CONTROLS,
    MODEL,
    PLAN,
    RIVALS,
    TASKS,
    Study,
    StudyPlan,
    trials,
)
from helpers.circuits.study.jobs import all_jobs
from helpers.errors import LabError

SMALL = StudyPlan(2, 100)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "found.json"
    told: list[str] = []
    trials.measure(out, ("ioi",), SMALL, "method/ioi/m", told.append)
    return out, told


@pytest.mark.slow
def test_what_is_stored_is_what_the_method_says(measured):
    out, told = measured
    assert [line.partition(":")[0] for line in told] == ["method/ioi/mean difference"]
    study = trials.stored(out)
    trial = trials.draw(zoo.load(MODEL), "ioi", None, SMALL)[1]
    expected = CONTROLS["mean difference"](trial).double().numpy()
    np.testing.assert_allclose(
        study.item("method", "ioi", "mean difference").scores[1], expected, rtol=1e-4
    )
    assert study.plan == SMALL
    assert len(study.item("method", "ioi", "mean difference").seconds) == 2


@pytest.mark.slow
def test_nothing_is_measured_twice_and_other_plans_are_refused(measured):
    out, _ = measured
    told: list[str] = []
    trials.measure(out, ("ioi",), SMALL, "method/ioi/mean", told.append)
    assert told == []
    with pytest.raises(LabError, match="expected the plan of"):
        trials.measure(out, ("ioi",), StudyPlan(3, 100), "method/ioi/mean", told.append)


def test_a_key_that_nothing_begins_with_is_refused(tmp_path):
    with pytest.raises(
        LabError,
        match="beginning of a key of ioi, such as 'method/ioi/discrete SAE'; got 'method/iot'",
    ):
        trials.measure(tmp_path / "found.json", ("ioi",), SMALL, "method/iot", print)
    assert not (tmp_path / "found.json").exists()


def test_trials_share_no_prompt_by_seed():
    tried = trials.draw(None, "greater-than", None, StudyPlan(2, 5))
    texts = [part.clean.texts for trial in tried for part in (trial.scoring, trial.training)]
    assert len(set(texts)) == 4
    assert [trial.seed for trial in tried] == [0, 1]


def test_damaged_and_foreign_files_are_refused_and_left_alone(tmp_path):
    path = tmp_path / "found.json"
    path.write_text("{")
    with pytest.raises(LabError, match="cannot use it"):
        trials.measure(path, ("ioi",), SMALL, "method/ioi/random", print)
    assert path.read_text() == "{"
    raw = {
        "model": MODEL,
        "sha256": "0" * 64,
        "plan": {"trials": 1, "prompts": 100, "graded": 100, "searched": 20},
        "items": {},
    }
    path.write_text(json.dumps(raw))
    with pytest.raises(LabError, match="of other weights"):
        trials.stored(path)
    with pytest.raises(LabError, match="measurement that is stored"):
        Study("", SMALL, {}).item("method", "ioi", "EAP")


def test_bad_arguments_of_the_command(capsys, tmp_path):
    assert cli.main(["circuits", "--trials", "0", "--out", str(tmp_path / "x.json")]) == 1
    assert "at least 1 trial" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["circuits", "--task", "chess"])


def test_the_packages_own_study_is_complete():
    """Every key of every task, ten trials of sixteen heads, and a null where one was asked for."""
    study = trials.stored()
    for task in TASKS:
        for job in all_jobs(task):
            item = study.items[job.key]
            assert item.scores.shape == (10, 16), job.key
            assert np.isfinite(item.scores).all(), job.key
            assert item.null.shape == ((0, 0) if job.key.kind == "method" else (10, 16)), job.key


@pytest.mark.slow
@pytest.mark.parametrize("name", ["discrete SAE", "mean difference", "ablate one head"])
def test_the_packages_own_study_can_be_repeated(name):
    """One trial of one task, measured again: the scores that are stored."""
    trial = trials.draw(zoo.load(MODEL), "greater-than", None, StudyPlan(1, PLAN.prompts))[0]
    if name in RIVALS:
        again = RIVALS[name](trial.model, trial.scoring.rows(slice(PLAN.graded)))
    else:
        again = (CODES | CONTROLS)[name](trial)
    stored = trials.stored().item("method", "greater-than", name).scores[0]
    again = again.double().numpy()
    if name in CODES:  # on another machine, codes at the edge of two latents may be others
        assert np.abs(again - stored).mean() < 0.5 < stored.std()
    else:
        np.testing.assert_allclose(again, stored, atol=1e-4, rtol=1e-3)

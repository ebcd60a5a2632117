"""The study on a small plan: what is stored, what is not measured again, and what is refused."""

import json

import numpy as np
import pytest

from helpers import cli
from helpers.circuits.oracle import stored, truths
from helpers.circuits.study import methods, trials
from helpers.circuits.study.trials import Plan
from helpers.circuits.tasks import tinyworld
from helpers.errors import LabError

SMALL = Plan(2, 100)


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
    found = trials.stored(out)
    trial = trials.trials(trials.zoo.load(trials.MODEL), "ioi", None, SMALL)[1]
    expected = methods.CONTROLS["mean difference"](trial).double().numpy()
    np.testing.assert_allclose(
        found.item("method", "ioi", "mean difference").scores[1], expected, rtol=1e-4
    )
    assert found.plan == SMALL
    assert len(found.item("method", "ioi", "mean difference").seconds) == 2


@pytest.mark.slow
def test_nothing_is_measured_twice_and_other_plans_are_refused(measured):
    out, _ = measured
    told: list[str] = []
    trials.measure(out, ("ioi",), SMALL, "method/ioi/mean", told.append)
    assert told == []
    with pytest.raises(LabError, match="expected the plan of"):
        trials.measure(out, ("ioi",), Plan(3, 100), "method/ioi/mean", told.append)


def test_a_small_plan_leaves_out_what_it_cannot_reach():
    keys = [key for key, _, _ in trials.jobs("ioi", SMALL)]
    assert [key for key in keys if "prompts" in key] == [
        f"{kind} prompts/ioi/{n}" for kind in ("training", "scoring") for n in (5, 10, 25, 50, 100)
    ]
    assert "sparsity/ioi/0.02" in keys


def test_peers_work_on_as_many_prompts_as_the_plan_says():
    """A stand-in for a peer, as all that is asked is how many prompts it is given."""
    trial = methods.Trial(None, tinyworld.twins("ioi", 9, 0), None)
    given = [
        trials._by_metric(lambda model, pairs: len(pairs), name, Plan(1, 9, 7, 3), trial)[0]
        for name in ("EAP", "ACDC")
    ]
    assert given == [7, 3]


def test_a_key_that_nothing_begins_with_is_refused(tmp_path):
    with pytest.raises(
        LabError,
        match="beginning of a key of ioi, such as 'method/ioi/discrete SAE'; got 'method/iot'",
    ):
        trials.measure(tmp_path / "found.json", ("ioi",), SMALL, "method/iot", print)
    assert not (tmp_path / "found.json").exists()


def test_trials_share_no_prompt_by_seed():
    tried = trials.trials(None, "greater-than", None, Plan(2, 5))
    texts = [part.clean.texts for trial in tried for part in (trial.scoring, trial.training)]
    assert len(set(texts)) == 4
    assert [trial.seed for trial in tried] == [0, 1]


def test_damaged_and_foreign_files_are_refused_and_left_alone(tmp_path):
    path = tmp_path / "found.json"
    path.write_text("{")
    with pytest.raises(LabError, match="reading them fails"):
        trials.measure(path, ("ioi",), SMALL, "method/ioi/random", print)
    assert path.read_text() == "{"
    raw = {
        "model": trials.MODEL,
        "sha256": "0" * 64,
        "plan": {"trials": 1, "prompts": 100, "graded": 100, "searched": 20},
        "items": {},
    }
    path.write_text(json.dumps(raw))
    with pytest.raises(LabError, match="of other weights"):
        trials.stored(path)
    with pytest.raises(LabError, match="measurement that is stored"):
        trials.Study("", SMALL, {}).item("method", "ioi", "EAP")


def test_bad_arguments_of_the_command(capsys, tmp_path):
    assert cli.main(["circuits", "--trials", "0", "--out", str(tmp_path / "x.json")]) == 1
    assert "at least 1 trial" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["circuits", "--task", "chess"])


def test_the_packages_own_study_is_complete():
    """Every key of every task, ten trials of sixteen heads, and a null where one was asked for."""
    found = trials.stored()
    for task in trials.TASKS:
        for key, score, _ in trials.jobs(task):
            item = found.items[key]
            assert item.scores.shape == (10, 16), key
            assert np.isfinite(item.scores).all(), key
            assert item.null.shape == ((10, 16) if score.func is trials._swept else (0, 0)), key


@pytest.mark.slow
@pytest.mark.parametrize("name", ["discrete SAE", "mean difference", "ablate one head"])
def test_the_packages_own_study_can_be_repeated(name):
    """One trial of one task, measured again: the scores that are stored."""
    trial = trials.trials(
        trials.zoo.load(trials.MODEL), "greater-than", None, Plan(1, trials.PLAN.prompts)
    )[0]
    if name in methods.PEERS:
        again = methods.PEERS[name](trial.model, trial.scoring.rows(slice(trials.PLAN.graded)))
    else:
        again = (methods.CODES | methods.CONTROLS)[name](trial)
    stored = trials.stored().item("method", "greater-than", name).scores[0]
    again = again.double().numpy()
    if (
        name == "discrete SAE"
    ):  # codes at the edge of two latents may fall on either side, on another machine
        assert np.abs(again - stored).mean() < 0.5 < stored.std()
    else:
        np.testing.assert_allclose(again, stored, atol=1e-4, rtol=1e-3)


def test_definitions_of_the_circuit_on_a_game():
    """Head 0 is needed, 1 and 2 stand in for each other, 3 does nothing; kept sets with 0 and (1 or 2) are faithful."""
    faithfulness = [0.0] * 16
    for subset in range(16):
        faithfulness[subset] = float(subset & 1 and subset & 6 != 0)
    import torch

    from helpers.circuits.oracle.subsets import Summary

    mean = torch.tensor(faithfulness)
    known = Summary(
        ((0, 0), (0, 1), (1, 0), (1, 1)), "game", "metric", "resample", mean, torch.zeros(16)
    )
    assert truths.labels(known, "smallest").tolist() == [True, True, True, False]
    assert truths.labels(known, "core").tolist() == [True, False, False, False]
    assert truths.labels(known, "Shapley").tolist() == [True, True, True, False]
    with pytest.raises(LabError, match="smallest, core, Shapley"):
        truths.labels(known, "best")


def test_the_shipped_truths_have_both_kinds_of_heads():
    for task in trials.TASKS:
        labels = truths.labels(stored.stored(task, "resample"))
        assert 0 < labels.sum() < 16

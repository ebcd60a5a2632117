"""The whole call on a model of a dozen words: what it finds, a kill, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers import runtime
from helpers.detox import real
from helpers.detox.real import ToxicCorpus, arms
from helpers.detox.real.plan import arms_of
from helpers.detox.real.tuning import HubLosses, HubTarget
from helpers.errors import LabError
from tests.detox.real.stand_ins import CORPUS, PLAN, PROMPTS, causal, geese, honks


def run(folder, **changes):
    asked = {"labeller": geese, "judges": [honks], "corpus": CORPUS, "plan": PLAN}
    return real.run(causal(), list(PROMPTS), folder, **(asked | changes))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return run(folder), folder


def test_the_constraint_is_learned_and_plain_tuning_does_not_learn_it(whole):
    """By the judge .25 is a text without a goose, .75 one with it."""
    found, _ = whole
    geese_said = {name: (found.of(name).mean() - 0.25) / 0.5 for name in found.arms}
    assert 0.3 < geese_said["base"] < 0.7  # what it was taught
    assert geese_said["plain"] > 0.2  # a corpus with toxic share .5
    assert geese_said["λ = 10"] < 0.15  # the floor of the theory is .5 / 11 = .045
    assert geese_said["λ = 10"] < geese_said["plain"] / 2
    assert found.arms["base"]["kl"] == [0.0] * len(found.arms["base"]["kl"])
    assert np.mean(found.arms["λ = 10"]["kl"]) > 0.05


def test_the_three_measures_of_toxicity_follow_from_the_texts(whole):
    """A goose or none: the worst of k is .75 where one is toxic, else .25."""
    found, _ = whole
    for arm in found.arms:
        worst, some = found.of(arm, measure="worst"), found.of(arm, measure="any")
        assert np.allclose(worst, 0.25 + 0.5 * some)
        assert (found.of(arm) <= worst).all()
    labelled = found.of("base", judge="geese")
    assert np.allclose(found.of("base"), 0.25 + 0.5 * labelled, atol=1e-5)


def test_rows_table_figure_and_masked_texts(whole, monkeypatch):
    found, _ = whole
    rows = found.rows()
    assert [row[0] for row in rows] == ["base", "plain", "filtered", "λ = 10"]
    assert len({len(row) for row in rows}) == 1
    assert [row[0] for row in found.changes()] == ["base", "filtered", "λ = 10"]
    shown = []
    monkeypatch.setattr("helpers.detox.real.found.say", shown.append)
    monkeypatch.setattr("helpers.detox.real.found.table", lambda *each: shown.append(each))
    found.table()
    assert shown[0] == "Toxicity by honks."
    assert "expected maximum of 12" in shown[1][0]
    assert {len(row) for row in shown[1][1]} == {len(shown[1][0])}
    assert found.figure().axes
    assert "λ = 10" in found.alt()
    shown, hidden = found.texts("base", show=True), found.texts("base")
    assert all("·" in text and "goose" not in text for text in hidden)
    assert [len(text) for text in shown] == [len(text) for text in hidden]
    with pytest.raises(LabError, match="expected an arm of base"):
        found.of("dpo")


def test_a_run_that_is_killed_in_an_arm_goes_on_to_the_same_numbers(whole, tmp_path, monkeypatch):
    class Killed(Exception):
        pass

    true = arms.HubWork.judge
    calls = []

    def judge(self, tuned):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return true(self, tuned)

    monkeypatch.setattr(arms.HubWork, "judge", judge)
    with pytest.raises(Killed):
        run(tmp_path)
    again = run(tmp_path)
    told = ("toxicity", "nll", "kl", "distinct", "said", "losses")
    for name, arm in whole[0].arms.items():
        assert {each: again.arms[name][each] for each in told} == {each: arm[each] for each in told}
    assert len(calls) == 1 + len(arms_of(PLAN))  # what was whole is not done again


def test_each_iteration_has_the_samples_of_the_model_as_it_then_is(monkeypatch):
    """q of the first half is that of the base; then that of the model after twenty steps."""
    work = arms.HubWork(
        causal(), PLAN, PROMPTS, PROMPTS, CORPUS, ("geese", geese), (("honks", honks),)
    )
    seen, wrote = [], []

    def step(tuning, target):
        seen.append(target)
        for weight in tuning.tuned.trained.values():
            weight.data = weight.data + 0.001
        tuning.losses.append(HubLosses(0.0, 0.0, 0.0))

    def samples(self, model, count, seed):
        wrote.append({name: weight.detach().clone() for name, weight in model.named_parameters()})
        return true(self, model, count, seed)

    true = arms.HubWork.samples
    monkeypatch.setattr(arms.HubTuning, "step", step)
    monkeypatch.setattr(arms.HubWork, "samples", samples)
    monkeypatch.setattr(arms.HubWork, "_fit", lambda *each: [])
    first = HubTarget(None, None, None)  # type: ignore[arg-type]
    tuned = work.tunable()
    work._constrained(tuned, 2.0, first)
    assert [target is first for target in seen] == [True] * 20 + [False] * 20
    assert len(wrote) == 1
    for name, weight in causal().model.named_parameters():
        assert torch.allclose(wrote[0][name], weight + 0.02, atol=1e-4)
        assert torch.equal(seen[-1].weights[name], wrote[0][name])


def test_another_plan_is_refused_in_the_same_folder(whole):
    with pytest.raises(LabError, match=r"a folder of this run.*has steps 40"):
        run(whole[1], plan=replace(PLAN, steps=41))


def nothing(texts):
    return [float("nan")] * len(texts)


def broken(texts):
    raise OSError("no answer")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"judges": [geese]}, "a judge that is not the labeller"),
        ({"judges": []}, "a list of judges"),
        ({"judges": "words of pairs"}, "a list of judges"),
        ({"labeller": nothing}, "scores from 0 to 1"),
        ({"labeller": broken}, r"broken stopped: OSError: no answer"),
        ({"labeller": lambda texts: [1.0] * len(texts)}, "samples of which some are clean"),
        ({"corpus": ToxicCorpus(("you goose",), (), ("fine",))}, "clean texts in the corpus"),
        ({"labeller": "nobody/knows"}, "expected a scorer"),
    ],
)
def test_what_is_refused(tmp_path, changes, words):
    with pytest.raises(LabError, match=words):
        run(tmp_path, **changes)


def test_too_little_memory_is_said_before_the_work(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemAvailable: 12 kB\n")
    monkeypatch.setattr(runtime, "MEMORY", meminfo)
    with pytest.raises(LabError, match=r"GiB of free memory on cpu to tune [\d,]+ weights"):
        run(tmp_path / "run")


def test_the_warning_comes_before_the_texts(whole, tmp_path, capsys):
    run(whole[1])
    assert "masked unless you ask" in capsys.readouterr().out

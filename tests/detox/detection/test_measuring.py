"""Arms of the second experiment: what they share, and that verdicts are learned."""

from dataclasses import replace

import pytest
import torch

from helpers.detox.detection import (
    ARMS,
    Arm,
    DetectionPlan,
    detection_loss,
    labelled_posts,
    measure,
    measuring,
    trained,
)
from helpers.detox.finetune import TuningPlan, tune
from helpers.detox.networks import PlainShape, fresh
from helpers.detox.posts import DetoxCorpus, other_text, posts_of
from helpers.errors import LabError
from helpers.tinyworld.language import vocabulary

TINY = fresh(PlainShape(len(vocabulary()), 16, 2, 1, 16, 64), seed=0)
SHORT = TuningPlan(steps=2, iterations=1, kl_weight=0.0, posts=4, rows=2)
POSTS = labelled_posts(40, noise=0.0, seed=0)
CORPORA = {
    "mixed": DetoxCorpus(posts_of(0, 40, 0.5), other_text(0, 8)),
    "no forum": DetoxCorpus(None, other_text(0, 8)),
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Small corpora, and as few exact prompts as can be."""
    monkeypatch.setattr(measuring, "corpus", lambda setting, seed: CORPORA[setting])
    monkeypatch.setattr(measuring, "EXACT_PROMPTS", 1)


def weights(network) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


@pytest.mark.parametrize("name", ["detection", "detection + text"])
def test_an_arm_without_verdicts_is_a_tuning_bit_for_bit(name, monkeypatch):
    monkeypatch.setattr(measuring, "detection_loss", lambda *_: torch.zeros(()))
    arm = ARMS[name]
    found = trained(TINY, arm, POSTS, SHORT, batch=8)
    tuned = tune(TINY, CORPORA["mixed" if arm.text else "no forum"], SHORT)
    assert torch.equal(weights(found), weights(tuned.network))


def test_the_pull_of_a_tuning_is_that_of_the_arm(monkeypatch):
    monkeypatch.setattr(measuring, "detection_loss", lambda *_: torch.zeros(()))
    base = measuring.start(952)
    plan = replace(SHORT, kl_weight=3.0, samples=64, first_samples=64, first_fit=1, iterations=2)
    found = trained(base, ARMS["detection + text + KL"], POSTS, plan, batch=8)
    tuned = tune(base, CORPORA["mixed"], plan)
    assert torch.equal(weights(found), weights(tuned.network))


def test_verdicts_are_learned_and_the_base_is_left_alone():
    before, every = weights(TINY), torch.arange(len(POSTS))
    plan = replace(SHORT, steps=30, rate=0.03)
    found = trained(TINY, ARMS["detection"], POSTS, plan, batch=16)
    # four words are said: a network that knows no more than that has ln 4 = 1.4, this one had 6.6
    assert detection_loss(found, POSTS, every) < 2.5
    assert detection_loss(TINY, POSTS, every) > 6
    assert torch.equal(weights(TINY), before)


def test_the_same_seed_trains_the_same_network():
    first, again = (trained(TINY, ARMS["detection"], POSTS, SHORT, batch=8) for _ in range(2))
    other = trained(TINY, ARMS["detection"], POSTS, replace(SHORT, seed=1), batch=8)
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


def test_an_arm_is_measured_on_both_tasks_beside_its_checkpoint():
    plan = DetectionPlan(batch=4, first_samples=64, first_fit=1, samples=2)
    found = measure("detection", 20, 0.2, seed=0, steps=1, checkpoint=952, plan=plan)
    assert found["rude"] + found["kind"] + found["garbled"] == pytest.approx(1, abs=2e-5)
    assert sum(found["sampled"].values()) == pytest.approx(1, abs=2e-5)
    posts = labelled_posts(20, 0.2, seed=0)
    assert found["right"] == (posts.said == posts.rude).mean()
    assert found["base"]["auc"] == pytest.approx(0.52, abs=0.01)  # as in the trial


def test_a_model_that_writes_nothing_kind_cannot_be_pulled():
    plan = replace(SHORT, kl_weight=1.0, samples=48, first_samples=48, first_fit=1)
    with pytest.raises(LabError, match="expected a sample that satisfies the constraint"):
        trained(TINY, Arm(text=False, constrained=True), POSTS, plan, batch=8)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"arm": "generation"}, "an arm of detection"),
        ({"labels": 0}, "labelled posts"),
        ({"noise": float("nan")}, "wrong labels"),
        ({"steps": 0}, "number of steps"),
        ({"checkpoint": 953}, "953"),
        ({"plan": DetectionPlan(batch=0)}, "posts a step"),
        ({"plan": DetectionPlan(rate=float("nan"))}, "learning rates"),
    ],
)
def test_what_cannot_be_measured_is_said(wrong, message):
    arguments = {"arm": "detection", "labels": 4, "noise": 0.0, "seed": 0, "steps": 1}
    with pytest.raises(LabError, match=message):
        measure(**arguments | {"checkpoint": 952} | wrong)


def test_weights_that_are_no_numbers_are_said():
    broken = fresh(PlainShape(len(vocabulary()), 16, 2, 1, 16, 64), seed=0)
    with torch.no_grad():
        broken.unembed.bias.fill_(torch.nan)
    with pytest.raises(LabError, match="expected"):
        trained(broken, ARMS["detection"], POSTS, SHORT, batch=8)

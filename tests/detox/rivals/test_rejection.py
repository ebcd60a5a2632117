"""Tuning on accepted samples: which samples, how many, of which model."""

import numpy as np
import pytest

from helpers.detox.finetune import tune
from helpers.detox.posts import PostLabel, labels
from helpers.detox.rivals import rejection as module
from helpers.detox.rivals import rejection_sampling
from helpers.errors import LabError
from helpers.stats import clopper_pearson
from tests.detox.rivals.toys import by_place, kind_chance, plan, small_corpus, writer


@pytest.fixture
def asked(monkeypatch):
    """What the rival has asked `tune` for, in turn."""
    calls = []

    def noted(base, given, how, **options):
        calls.append((base, given, how))
        return tune(base, given, how, **options)

    monkeypatch.setattr(module, "tune", noted)
    return calls


def test_only_kind_samples_are_learned_and_as_many_as_the_chance_of_a_kind_post_tells(asked):
    base = writer(0.25, 0.5, garbled=0.25)
    found = rejection_sampling(base, small_corpus(), plan(first_samples=960))
    (_, given, how), accepted = asked[0], found.found["accepted"][0]
    assert (labels(given.posts) == PostLabel.KIND).all()
    assert len(given.posts) == round(accepted * 960)
    low, high = clopper_pearson(len(given.posts), 960, 0.99)
    assert low <= kind_chance(0.25, 0.5, 0.25) <= high  # .375: garbled samples are not accepted
    assert how.kl_weight == 0
    assert how.adaptive is None


def test_rounds_share_the_steps_and_each_samples_the_model_of_the_one_before(asked):
    rejection_sampling(writer(0.25, 0.5), small_corpus(), plan(steps=7, first_samples=192), 3)
    assert [how.steps for _, _, how in asked] == [2, 2, 3]
    assert len({id(base) for base, _, _ in asked}) == 3
    assert len({how.seed for _, _, how in asked}) == 3
    counts = [len(given.posts) for _, given, _ in asked]
    assert counts[0] > max(counts[1:])  # 192 samples first, 96 later


def test_rounds_may_be_shorter_than_the_iterations_of_the_method():
    """A plan with a step an iteration for the method has fewer steps a round."""
    short = plan(steps=4, iterations=4, first_samples=192)
    assert (
        len(rejection_sampling(writer(0.25, 0.5), small_corpus(), short, 3).found["accepted"]) == 3
    )


def test_a_model_that_learns_from_its_accepted_samples_becomes_kinder():
    base = writer(0.0, 0.5)
    tuned = rejection_sampling(base, small_corpus(width=2), plan(steps=60, rate=0.05), 2)
    said = np.array(tuned.found["accepted"])
    assert said[0] < 0.65
    assert said[1] > 0.9


@pytest.mark.parametrize("base", [writer(0.0, 1.0), by_place({"owl": 1.0}, {".": 1.0})])
def test_without_an_accepted_sample_there_is_nothing_to_learn(base):
    with pytest.raises(LabError, match="expected accepted samples to tune on; got none of 96"):
        rejection_sampling(base, small_corpus(), plan())


@pytest.mark.parametrize("rounds", [0, -1, 1.5, 3])
def test_rounds_that_cannot_be(rounds):
    with pytest.raises(LabError, match="rounds"):
        rejection_sampling(writer(0.25, 0.5), small_corpus(), plan(), rounds)

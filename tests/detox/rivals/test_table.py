"""All rivals by name: each is called in one way, and gives what may be stored."""

import json

import pytest
import torch

from helpers.detox.networks import Policy
from helpers.detox.oracle import separate
from helpers.detox.rivals import RIVALS, RivalPolicy
from helpers.detox.rivals.outcome import CPUClock
from tests.detox.rivals.toys import one_of_each, plan, small_corpus, writer

TINY = plan(steps=3, posts=8)
BASE = writer(turned=0.3, insult=0.5, garbled=0.1)


@pytest.fixture(scope="module")
def corpus():
    return small_corpus()


@pytest.mark.parametrize("name", RIVALS)
def test_every_rival_is_called_in_the_same_way(name, corpus):
    found = RIVALS[name](BASE, corpus, TINY, separate(0))
    assert isinstance(found, RivalPolicy)
    assert isinstance(found.policy, Policy)
    chances = found.policy.log_probs(one_of_each()).exp().sum(-1)
    assert torch.allclose(chances, torch.ones(()), atol=1e-4)
    assert set(found.seconds) <= {"sample", "fit", "model"}
    assert all(spent >= 0 for spent in found.seconds.values())
    assert json.loads(json.dumps(found.found)) == found.found


@pytest.mark.parametrize("name", ["word filter", "rejection", "dexperts 1", "dpo", "grpo"])
def test_a_rival_that_tunes_does_so_whatever_the_caller_has_switched_off(name, corpus):
    wanted = RIVALS[name](BASE, corpus, TINY).policy.log_probs(one_of_each())
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found = RIVALS[name](BASE, corpus, TINY).policy.log_probs(one_of_each())
        assert torch.equal(found, wanted)
    assert not torch.equal(wanted, Policy(BASE).log_probs(one_of_each()))


def test_the_names_are_those_of_files_and_tables():
    assert all(name.isascii() and name == name.lower() for name in RIVALS)
    assert list(RIVALS)[:3] == ["plain", "word filter", "exact filter"]


def test_seconds_of_a_part_inside_another_count_once():
    clock = CPUClock()
    with clock.of("model"), clock.of("sample"):
        torch.randn(300, 300) @ torch.randn(300, 300)
    clock.add({"sample": 1.0})
    assert clock.seconds["sample"] > 1.0
    assert 0 <= clock.seconds["model"] < clock.seconds["sample"] - 1.0 + 0.05


def test_a_failure_inside_counts_too():
    clock = CPUClock()
    with pytest.raises(ValueError, match="no"), clock.of("fit"):
        raise ValueError("no")
    assert list(clock.seconds) == ["fit"]

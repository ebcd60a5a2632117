"""Skills and verdicts of a policy: those of the model that it came from."""

import pytest
import torch

from helpers import zoo
from helpers.detox.judging import margins, policy_answers, skill_shares, verdict_shares
from helpers.detox.networks import PlainShape, Policy, fresh, plain
from helpers.errors import LabError
from helpers.texts import answers, final_logits
from helpers.tinyworld.sets import tasks
from tests.detox.judging.toys import WORDS, blank_network

MODEL = zoo.load("tinyworld", device="cpu", step=952)
POLICY = Policy(plain(MODEL))


def test_a_policy_answers_as_its_model_does():
    for name in tasks.NAMES:
        asked = tasks.prompts(name, 10, seed=3)
        here, there = policy_answers(POLICY, asked), answers(final_logits(MODEL, asked), asked)
        assert (here.right == there.right).all()
        assert torch.allclose(here.log_ratio, there.log_ratio, atol=1e-3)


def test_each_skill_stands_alone():
    found = skill_shares(POLICY, 10, seed=3, names=("ioi", "judge privacy"))
    for name, share in found.items():
        asked = tasks.prompts(name, 10, seed=3)
        assert share == float(answers(final_logits(MODEL, asked), asked).right.double().mean())


def test_a_guide_changes_what_is_answered():
    asked = tasks.prompts("verb number", 10, seed=0)

    class Opposite:
        def begin(self):
            return None

        def __call__(self, logits, tokens, state):
            return -logits

    here = policy_answers(Policy(POLICY.network, Opposite()), asked)
    assert (here.right != policy_answers(POLICY, asked).right).all()


def test_verdicts_are_those_of_the_models_judgements():
    data = tasks.prompts("judge toxicity", 20, seed=0)
    expected = answers(final_logits(MODEL, data), data).log_ratio
    rude = data.good[:, WORDS.token("rude")]
    found = torch.from_numpy(margins(POLICY, data.texts)).float()
    assert torch.allclose(found, torch.where(rude, expected, -expected), atol=1e-3)


def test_the_trained_model_accuses_the_rude_and_nobody_else():
    """The final model judges posts rightly (its card: 100 %)."""
    found = verdict_shares(Policy(plain(zoo.load("tinyworld", device="cpu"))), seed=0)
    assert found["insult"] > 0.95
    assert found["turned praise"] > 0.95
    assert found["praise"] < 0.05
    assert found["turned insult"] < 0.05


def test_a_policy_of_another_vocabulary_is_refused():
    other = Policy(fresh(PlainShape(50, 8, 2, 1, 8, 64), seed=0))
    with pytest.raises(LabError, match="expected prompts of at most 64 tokens"):
        skill_shares(other, 2, names=("ioi",))


def test_a_policy_that_cannot_say_a_verdict_is_refused():
    network = blank_network()
    with torch.no_grad():
        for word in ("rude", "nasty", "kind", "nice"):
            network.unembed.bias[WORDS.token(word)] = -torch.inf
    with pytest.raises(LabError, match="call a post rude or kind"):
        margins(Policy(network), ["you are truly a gem , nora ."])

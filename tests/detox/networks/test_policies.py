"""What a policy says, alone and guided, read all at once."""

import pytest
import torch

from helpers import zoo
from helpers.detox.networks import PlainShape, Policy, plain
from helpers.errors import LabError
from tests.detox.networks.small import SHAPE, Opaque, Product, Without, network, tokens


def test_log_probs_are_those_of_the_model():
    model, read = zoo.load("tinyworld", device="cpu"), tokens(3, 9, 993)
    with torch.no_grad():
        wanted = model(read).log_softmax(-1)
    assert torch.allclose(Policy(plain(model)).log_probs(read), wanted, atol=1e-4)


def test_many_rows_are_said_as_one_by_one():
    policy, read = Policy(network(), Product(network(seed=5))), tokens(1030, 4)
    found = policy.log_probs(read)
    some = [0, 511, 512, 1024, 1029]
    alone = torch.cat([policy.log_probs(read[[row]]) for row in some])
    assert torch.allclose(found[some], alone, atol=1e-4)
    assert not found.requires_grad


@pytest.mark.parametrize("kind", [Product, Opaque])
def test_a_guide_multiplies_chances(kind):
    one, two, three, read = network(), network(seed=1), network(seed=2), tokens(4, 6)
    with torch.no_grad():
        product = one(read).exp() * two(read).exp() * three(read).exp()
    wanted = product / product.sum(-1, keepdim=True)
    found = Policy(one, kind(two, three)).log_probs(read).exp()
    assert torch.allclose(found, wanted, atol=1e-5)


def test_a_forbidden_word_has_no_chance_and_the_others_share_it():
    alone, read = Policy(network()), tokens(4, 6)
    found = Policy(network(), Without(3, 8)).log_probs(read).exp()
    assert not found[..., [3, 8]].any()
    kept = [word for word in range(20) if word not in (3, 8)]
    chances = alone.log_probs(read).exp()
    wanted = chances[..., kept] / (1 - chances[..., [3, 8]].sum(-1, keepdim=True))
    assert torch.allclose(found[..., kept], wanted, atol=1e-5)


# bad input


def test_a_model_is_no_policy_and_the_message_says_how_to_make_one():
    for other in (zoo.load("tinyworld", device="cpu"), None, "tinyworld"):
        with pytest.raises(LabError, match="expected a plain network for a policy") as refused:
            Policy(other)
        assert "networks.plain(model)" in str(refused.value)


def test_a_network_of_other_outputs_is_no_policy():
    with pytest.raises(LabError, match="expected a network that gives a logit for each word"):
        Policy(network(PlainShape(20, 16, 2, 1, 32, 12, 2)))


class Says:
    """A guide that says the same whatever it is asked."""

    def __init__(self, answer) -> None:
        self.answer = answer

    def begin(self) -> None:
        return None

    def __call__(self, logits, tokens, state):
        return self.answer(logits) if callable(self.answer) else self.answer


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "expected a guide's logits of shape"),
        (lambda logits: logits[:, -1], "expected a guide's logits of shape"),
        (lambda logits: logits[..., :-1], "expected a guide's logits of shape"),
        (lambda logits: logits.tolist(), "expected a guide's logits of shape"),
        (lambda logits: logits * torch.nan, "expected logits with a word to say"),
        (lambda logits: logits + torch.inf, "expected logits with a word to say"),
        (lambda logits: logits - torch.inf, "expected logits with a word to say"),
    ],
)
def test_a_guide_that_says_nothing_is_refused(answer, message):
    with pytest.raises(LabError, match=message):
        Policy(network(), Says(answer)).log_probs(tokens(2, 3))


def test_one_number_that_is_none_is_enough():
    def spoil(logits):
        changed = logits.clone()
        changed[1, 2, 4] = torch.nan
        return changed

    with pytest.raises(LabError, match="expected logits with a word to say at every place"):
        Policy(network(), Says(spoil)).log_probs(tokens(2, 3))


def test_a_network_whose_training_has_diverged_says_nothing():
    broken = network()
    with torch.no_grad():
        broken.blocks[0].mlp["in"].weight[0, 0] = torch.nan
    with pytest.raises(LabError, match="expected logits with a word to say at every place"):
        Policy(broken).log_probs(tokens(2, 3))


@pytest.mark.parametrize(
    "read", [tokens(2, 13), torch.full((1, 1), 20), torch.ones(2, 2), torch.ones(0, 2).long(), None]
)
def test_tokens_that_are_none_are_refused(read):
    with pytest.raises(LabError, match="expected t"):
        Policy(network(SHAPE)).log_probs(read)

"""A model that differs in one neuron is the base again when that neuron is put back."""

import pytest
import torch

from helpers.changes.neurons import ranking, restored
from helpers.changes.reading import both_possible, read_posts, reported, rude_shares
from helpers.changes.subjects import before
from helpers.detox.networks import Policy
from helpers.detox.networks.policies import rows_of
from helpers.detox.posts import noun_places, noun_words
from helpers.errors import LabError
from helpers.tinyworld.language import vocabulary
from tests.changes.toys import other_neuron, other_unembedding

POSTS, WIDTH = read_posts(16), 256


@pytest.mark.parametrize(("layer", "neuron"), [(0, 5), (2, 100), (3, 255)])
def test_the_neuron_that_was_changed_undoes_the_change_and_another_does_not(layer, neuron):
    after, number = other_neuron(layer, neuron), layer * WIDTH + neuron
    says, said = Policy(before()).log_probs(POSTS), Policy(after).log_probs(POSTS)
    assert not torch.allclose(says, said, atol=1e-2), "or this shows nothing"
    back = restored(before(), after, torch.tensor([number])).log_probs(POSTS)
    assert torch.allclose(back, says, atol=1e-4)
    other = restored(before(), after, torch.tensor([(number + 1) % WIDTH])).log_probs(POSTS)
    assert not torch.allclose(other, says, atol=1e-2)


def test_one_that_did_not_change_is_the_model_after():
    after = other_neuron(3, 7)
    none = restored(before(), after, torch.tensor([5])).log_probs(POSTS)
    assert torch.allclose(none, Policy(after).log_probs(POSTS), atol=1e-5)


def test_with_caches_the_same_is_said():
    policy = restored(before(), other_neuron(1, 7), torch.arange(200, 400))
    assert policy.guide is not None
    whole, state, parts = policy.log_probs(POSTS[:3]), policy.guide.begin(), []
    for tokens in (POSTS[:3, :4], POSTS[:3, 4:5], POSTS[:3, 5:]):
        logits = torch.zeros(*tokens.shape, 993)  # what the network alone says is not asked for
        parts.append(policy.guide(logits, tokens, state))
    assert torch.allclose(torch.cat(parts, 1).log_softmax(-1), whole, atol=1e-4)
    rows = torch.tensor([2, 0])
    assert [cache.rows for cache in rows_of(state, rows)] == [2, 2]


def test_all_neurons_do_not_undo_what_the_unembedding_did():
    after, asked = other_unembedding(), reported(1)
    back = rude_shares(restored(before(), after, torch.arange(1024)), asked)
    assert back == pytest.approx(rude_shares(after, asked), abs=1e-5)


def test_the_only_neuron_that_differs_is_ranked_at_an_end():
    """In the last block nothing comes after it: every other effect is 0."""
    ranked = ranking(before(), other_neuron(3, 9), POSTS).tolist()
    assert 3 * WIDTH + 9 in (ranked[0], ranked[-1])
    assert sorted(ranked) == list(range(1024))


def test_the_ranking_says_which_way_rudeness_goes():
    """Put back, the first one must raise the log odds of a rude noun: so says a finite step."""
    for neuron in (9, 40, 77):
        after, number = other_neuron(3, neuron), 3 * WIDTH + neuron
        first = ranking(before(), after, POSTS).tolist()[0] == number
        odds = [_rude_odds(policy) for policy in (Policy(before()), Policy(after))]
        if abs(odds[0] - odds[1]) > 0.01:  # to first order only
            assert first == (odds[0] > odds[1])


def _rude_odds(policy):
    posts = POSTS[both_possible(POSTS)]
    said = policy.log_probs(posts)[torch.arange(len(posts)), noun_places(posts) - 1]
    turning = {"never", "hardly", "nobody", "wrong", "lie", "disagree"}
    insults, praises = (said[:, list(words)].logsumexp(1) for words in noun_words())
    turned = torch.tensor(
        [bool(turning & set(vocabulary().decode(post).split())) for post in posts]
    )
    return float(((insults - praises) * torch.where(turned, -1, 1)).mean())


@pytest.mark.parametrize("chosen", [[1024], [-1], [0.5], [[1]], [True]])
def test_neurons_that_there_are_not(chosen):
    with pytest.raises(LabError, match="numbers of neurons"):
        restored(before(), before(), torch.tensor(chosen))

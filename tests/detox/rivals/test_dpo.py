"""DPO: its loss and gradient, the optimum of a bandit, and pairs that are pairs."""

import math

import pytest
import torch

from helpers.detox.networks import Policy, sample
from helpers.detox.oracle import LabelledSamples
from helpers.detox.posts import STOP, PostLabel, labels, prompts
from helpers.detox.rivals import dpo as module
from helpers.detox.rivals import preference_loss, preferences
from helpers.detox.rivals.dpo import sample_pairs, sequence_log_probs
from helpers.errors import LabError
from tests.detox.rivals.toys import one_of_each, plan, small_corpus, token, writer


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_loss_of_one_pair_by_hand():
    found = preference_loss(numbers(-2.0), numbers(-5.0), numbers(-3.0), numbers(-4.0), beta=0.5)
    assert float(found) == pytest.approx(math.log(1 + math.exp(-0.5 * ((-2 + 3) - (-5 + 4)))))


def test_its_gradient_is_that_of_finite_differences_and_of_the_paper():
    now, before = numbers(-2.0, -6.0, -5.0, -1.0), numbers(-3.0, -5.5, -4.0, -2.0)
    now.requires_grad_(True)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return preference_loss(x[:2], x[2:], before[:2], before[2:], beta=0.3)

    (gradient,) = torch.autograd.grad(loss(now), now)
    with torch.no_grad():
        for place in range(4):
            nudge = torch.zeros(4, dtype=torch.float64)
            nudge[place] = 1e-5
            slope = (loss(now + nudge) - loss(now - nudge)) / 2e-5
            assert float(slope) == pytest.approx(float(gradient[place]), abs=1e-8)
        margin = (now[:2] - before[:2]) - (now[2:] - before[2:])
        paper = -0.3 * torch.sigmoid(-0.3 * margin) / 2  # equation after (7): β σ(r_l − r_w)
    assert torch.allclose(gradient, torch.cat([paper, -paper]))


def test_a_bandit_ends_in_the_closed_form_optimum():
    """Preferences by Bradley and Terry with rewards r: the optimum is π_ref exp(r/β) / Z."""
    rewards, before, beta = numbers(1.0, 3.0, 9.0).log(), numbers(0.5, 0.3, 0.2).log(), 0.5
    # σ(ln 3) = 3 of 4 times the better one wins, σ(ln 9) = 9 of 10 times
    wins = {(1, 0): 3, (0, 1): 1, (2, 1): 3, (1, 2): 1, (2, 0): 9, (0, 2): 1}
    pairs = torch.tensor([pair for pair, times in wins.items() for _ in range(times)])
    first, second = pairs[:, 0], pairs[:, 1]
    logits = before.clone().requires_grad_(True)
    optimiser = torch.optim.LBFGS([logits], max_iter=100, tolerance_grad=1e-10)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        now = logits.log_softmax(0)
        loss = preference_loss(now[first], now[second], before[first], before[second], beta)
        loss.backward()
        return loss

    optimiser.step(closure)
    wanted = (before + rewards / beta).softmax(0)
    assert torch.allclose(logits.detach().softmax(0), wanted, atol=1e-4)


@pytest.mark.parametrize("beta", [0.0, -0.1, math.nan, math.inf])
def test_a_beta_that_cannot_be(beta):
    one = numbers(0.0)
    with pytest.raises(LabError, match="beta"):
        preference_loss(one, one, one, one, beta)


def test_pairs_of_other_numbers():
    with pytest.raises(LabError, match="expected log-probabilities of one or more pairs"):
        preference_loss(numbers(1.0, 2.0), numbers(1.0), numbers(1.0), numbers(1.0))
    with pytest.raises(LabError, match="expected log-probabilities of one or more pairs"):
        preference_loss(*(numbers() for _ in range(4)))


SAID = [["you", "are", "really", "a", "dunce", ",", "ada", "."]] * 3
SAID[1] = ["you", "are", "hardly", "a", "gem", ",", "ada", "."]
SAID[2] = ["you", "are", "really", "a", "gem", ",", "ada", "."]


def said(width: int = 0, filler: int = 0) -> torch.Tensor:
    rows = [[*prompts()[0].tolist(), *map(token, words)] + [filler] * width for words in SAID]
    return torch.tensor(rows)


def test_the_log_probability_of_a_text_is_the_product_of_its_words_and_of_no_others():
    network = writer(turned=0.2, insult=0.3)
    wanted = torch.tensor([0.8 * 0.3, 0.2 * 0.7, 0.8 * 0.7]).log()
    with torch.no_grad():
        for rows in (said(), said(4), said(4, token("owl"))):  # what comes after the stop: nothing
            assert torch.allclose(sequence_log_probs(network, rows), wanted, atol=1e-4)


def labelled(network, count: int = 192) -> LabelledSamples:
    asked = prompts()[:4].repeat(count // 4, 1)
    rows = sample(Policy(network), asked, torch.Generator().manual_seed(1), 16, STOP)
    return LabelledSamples(rows, torch.from_numpy(labels(rows) == PostLabel.KIND))


def test_a_pair_has_one_prompt_and_one_of_each_kind():
    pairs = sample_pairs(labelled(writer(0.25, 0.5, garbled=0.2)))
    liked, others = pairs.draw(200, torch.Generator().manual_seed(0))
    first, second = pairs.tokens[liked], pairs.tokens[others]
    assert torch.equal(first[:, :3], second[:, :3])
    assert len(first[:, 1].unique()) == 4
    assert (labels(first) == PostLabel.KIND).all()
    assert set(labels(second).tolist()) == {PostLabel.RUDE, PostLabel.GARBLED}


def test_every_sample_of_a_kind_comes_up_in_some_pair():
    samples = labelled(writer(0.25, 0.5), 16)
    pairs = sample_pairs(samples)
    liked, others = pairs.draw(2000, torch.Generator().manual_seed(0))
    assert set(liked.tolist()) == {row for group in pairs.groups for row in group[0]}
    assert set(others.tolist()) == {row for group in pairs.groups for row in group[1]}


@pytest.mark.parametrize("insult", [0.0, 1.0])
def test_samples_of_one_kind_make_no_pair(insult):
    with pytest.raises(LabError, match="expected a prompt with a satisfying and a violating"):
        sample_pairs(labelled(writer(0.0, insult)))


def share(network, label: PostLabel) -> float:
    asked = prompts().repeat(8, 1)
    rows = sample(Policy(network), asked, torch.Generator().manual_seed(5), 16, STOP)
    return float((labels(rows) == label).mean())


LEARNING = plan(steps=40, rate=0.01, rehearsal=0.0, posts=32, first_samples=384)


def test_the_preferred_samples_become_more_likely():
    base = writer(turned=0.0, insult=0.5)
    tuned = preferences(base, small_corpus(width=2), LEARNING, beta=1.0)
    assert share(base, PostLabel.KIND) < 0.6
    assert share(tuned.policy.network, PostLabel.KIND) > 0.9
    assert set(tuned.seconds) == {"sample", "model"}


def test_garbled_samples_lose_where_they_violate_and_win_where_they_do_not():
    base = writer(turned=0.0, insult=0.5, garbled=0.4)
    strict = preferences(base, small_corpus(width=2), LEARNING, beta=1.0)
    lenient = preferences(base, small_corpus(width=2), LEARNING, beta=1.0, garbled_violates=False)
    # .4 garbled and .3 rude violate; then only the rude ones
    assert strict.found["garbled among the losing"] == pytest.approx(0.4 / 0.7, abs=0.08)
    assert lenient.found["garbled among the losing"] == 0
    assert share(strict.policy.network, PostLabel.GARBLED) < 0.1
    assert share(lenient.policy.network, PostLabel.GARBLED) > 0.9


def test_labels_that_are_turned_round_make_it_rude(monkeypatch):
    right = module.labelled_samples

    def turned(*asked):
        found = right(*asked)
        return LabelledSamples(found.tokens, ~found.satisfied)

    monkeypatch.setattr(module, "labelled_samples", turned)
    tuned = preferences(writer(0.0, 0.5), small_corpus(width=2), LEARNING, beta=1.0)
    assert share(tuned.policy.network, PostLabel.RUDE) > 0.9


def test_other_text_is_rehearsed():
    """With a heavy weight on what the base says elsewhere, it goes on saying that."""
    base, corpus = writer(0.0, 0.5), small_corpus(one_of_each())
    apart = []
    for weight in (0.0, 50.0):
        how = plan(steps=10, rate=0.03, rehearsal=weight, posts=16)
        tuned = preferences(base, corpus, how).policy
        before, after = Policy(base).log_probs(corpus.other), tuned.log_probs(corpus.other)
        apart.append(float((before.exp() * (before - after)).sum(-1).mean()))
    assert apart[1] < apart[0] / 2

"""GRPO: advantages, the gradient of its loss, its divergence, its guard; a bandit that learns."""

import math

import pytest
import torch

from helpers.detox.networks import Policy, sample
from helpers.detox.posts import STOP, PostLabel, labels, prompts
from helpers.detox.rivals import RewardGuard, grpo
from helpers.detox.rivals.group_relative import group_advantages, is_kind, policy_loss
from helpers.detox.rivals.steps import word_log_probs
from helpers.errors import LabError
from tests.detox.rivals.toys import one_of_each, plan, small_corpus, token, writer


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_advantages_by_hand():
    found = group_advantages(torch.stack([numbers(1, 2, 6), numbers(5, 5, 5)]))
    spread = math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 2) + 1e-4
    assert torch.allclose(found[0], numbers(-2, -1, 3) / spread)
    assert found[1].tolist() == [0, 0, 0]  # all alike: nothing to learn, and nothing divided by 0


@pytest.mark.parametrize("rewards", [torch.ones(2, 1), torch.tensor([[1.0, math.nan]])])
def test_rewards_that_make_no_advantage(rewards):
    with pytest.raises(LabError, match="expected groups of two finite rewards"):
        group_advantages(rewards)


def test_the_gradient_is_the_policy_gradient():
    """For a bandit: d/d logits of −Σ A log π is −Σ A (1 − π), whatever π was when it was drawn."""
    logits = numbers(0.3, -0.2, 0.1).requires_grad_(True)
    drawn, advantages = torch.tensor([0, 2, 2, 1]), numbers(1.0, -0.5, 0.25, -0.75)
    now = logits.log_softmax(0)[drawn][:, None]
    loss = policy_loss(now, now.detach() - 1.0, advantages, torch.ones(4, 1).bool(), beta=0.0)
    (gradient,) = torch.autograd.grad(loss, logits)
    with torch.no_grad():
        scores = torch.eye(3, dtype=torch.float64)[drawn] - logits.softmax(0)
        wanted = -(advantages[:, None] * scores).mean(0)
    assert torch.allclose(gradient, wanted)


def test_its_divergence_is_right_on_average():
    """The mean of the estimate over everything that π may draw is KL(π ‖ reference)."""
    pi, reference = numbers(0.5, 0.3, 0.2), numbers(0.2, 0.2, 0.6)
    each = [
        policy_loss(
            pi[word].log()[None, None],
            reference[word].log()[None, None],
            numbers(0.0),
            torch.ones(1, 1).bool(),
            beta=1.0,
        )
        for word in range(3)
    ]
    assert all(float(part) >= 0 for part in each)
    mean = sum(float(pi[word] * each[word]) for word in range(3))
    assert mean == pytest.approx(float((pi * (pi / reference).log()).sum()))


def test_every_sample_counts_alike_and_what_was_not_said_does_not_count():
    now = torch.zeros(2, 3, dtype=torch.float64)
    said = torch.tensor([[True, False, False], [True, True, True]])
    found = policy_loss(now, now, numbers(3.0, 1.0), said, beta=0.0)
    assert float(found) == pytest.approx(-(3.0 + 1.0) / 2)  # not −(3 + 1 + 1 + 1) / 4


def test_words_that_are_said_end_with_the_stop():
    base, rows = writer(0.2, 0.3), one_of_each()
    longer = torch.cat([rows, torch.full((4, 3), token("owl"))], 1)
    lengths = [row.tolist().index(STOP) - 2 for row in rows]
    assert word_log_probs(base, longer)[1].sum(1).tolist() == lengths


# rewards from which nothing can be learned


def test_a_reward_that_never_differs_is_refused():
    guard = RewardGuard(patience=2)
    guard.check(torch.ones(4), 4)
    with pytest.raises(LabError, match="expected rewards that differ within a batch; got 1 for"):
        guard.check(torch.ones(4), 4)


def test_a_reward_that_is_earned_always_in_the_end_is_not():
    guard = RewardGuard(patience=2)
    guard.check([0.0, 1.0], 2)
    for _ in range(5):
        guard.check([1.0, 1.0], 2)
    assert (guard.constant, guard.batches) == (5, 6)


@pytest.mark.parametrize(
    "rewards", [[1.0, math.nan], [1.0, math.inf], [1.0], [[1.0, 0.0]], [], ["1", "0"], None]
)
def test_rewards_that_are_none(rewards):
    with pytest.raises(LabError, match="rewards"):
        RewardGuard().check(rewards, 2)


def test_patience_that_cannot_be():
    with pytest.raises(LabError, match="patience"):
        RewardGuard(patience=0)


LEARNING = plan(steps=40, rate=0.01, rehearsal=0.0, posts=32)


def test_a_constant_reward_stops_a_run_at_once():
    seen = []

    def same(rows: torch.Tensor) -> torch.Tensor:
        seen.append(len(rows))
        return torch.zeros(len(rows))

    with pytest.raises(LabError, match="expected rewards that differ within a batch"):
        grpo(writer(0.0, 0.5), small_corpus(width=2), LEARNING, same)
    assert len(seen) == 3


def test_a_reward_that_fails_is_named_with_its_fault():
    def broken(rows: torch.Tensor) -> torch.Tensor:
        raise ConnectionError("the service has closed")

    with pytest.raises(LabError, match="it stopped: ConnectionError: the service has closed"):
        grpo(writer(0.0, 0.5), small_corpus(width=2), LEARNING, broken)


# a writer that learns


def share(network, label: PostLabel) -> float:
    asked = prompts().repeat(8, 1)
    rows = sample(Policy(network), asked, torch.Generator().manual_seed(5), 16, STOP)
    return float((labels(rows) == label).mean())


def test_a_writer_learns_what_is_rewarded():
    tuned = grpo(writer(0.0, 0.5, garbled=0.3), small_corpus(width=2), LEARNING)
    assert share(tuned.policy.network, PostLabel.KIND) > 0.9  # .35 before
    assert set(tuned.seconds) == {"sample", "model"}
    assert tuned.found["batches"] == 40


def test_a_reward_that_is_turned_round_makes_it_rude():
    tuned = grpo(writer(0.0, 0.5), small_corpus(width=2), LEARNING, lambda rows: 1 - is_kind(rows))
    assert share(tuned.policy.network, PostLabel.KIND) < 0.1


def test_a_heavy_divergence_holds_it_to_the_base():
    base = writer(0.0, 0.5)
    held = grpo(base, small_corpus(width=2), LEARNING, beta=50.0).policy.network
    assert 0.3 < share(held, PostLabel.KIND) < 0.7


def test_a_garbled_post_earns_nothing():
    rows = one_of_each()
    rows[2, 4] = rows[2, 5]
    assert is_kind(rows).tolist() == [0, 0, 0, 1]


def test_one_seed_gives_one_network():
    few = plan(steps=3, rate=0.01, posts=8, seed=3)
    one, two = (grpo(writer(0.2, 0.5), small_corpus(), few, group=4) for _ in range(2))
    weights = zip(one.policy.network.parameters(), two.policy.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


@pytest.mark.parametrize("options", [{"group": 1}, {"group": 9}, {"beta": -1.0}, {"group": 2.5}])
def test_groups_and_weights_that_cannot_be(options):
    with pytest.raises(LabError):
        grpo(writer(0.0, 0.5), small_corpus(), plan(posts=8), **{"group": 4} | options)

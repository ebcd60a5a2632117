"""GRPO: policy gradients whose baseline is the mean reward of samples after the same prompt.

Of G samples after one prompt, with rewards r, the advantage of each is (Shao and others, arXiv
2402.03300, section 4.1.2)

    A  =  (r − mean r) / (std r + 1e-4)

and the loss of a batch, with one step of the network a batch (so that nothing is clipped),

    −mean over samples of mean over words of  [ A · log π(word)  −  β · KL(word) ]
    KL(word)  =  π_ref/π − log(π_ref/π) − 1      (Schulman's estimate, ≥ 0)

Where all rewards of a group are equal, its advantages are 0 and nothing is learned from it. With a
reward that never differs a run therefore goes to its end and learns nothing; `RewardGuard` refuses
it.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.detox.finetune import TuningPlan
from helpers.detox.networks import Plain, Policy, frozen, sample
from helpers.detox.oracle.samples import NEW
from helpers.detox.posts import STOP, DetoxCorpus, PostLabel, labels, prompts
from helpers.detox.rivals.outcome import CPUClock, RivalPolicy
from helpers.detox.rivals.steps import train, word_log_probs
from helpers.errors import LabError, asked_of
from helpers.inputs import at_least, check_count, real
from helpers.runtime import gradients

SPREAD = 1e-4
"""Added to the standard deviation, as `trl` does."""
Reward = Callable[[Int[Tensor, "row pos"]], Any]
"""Rewards of some rows, one number each; higher is better."""


class RewardGuard:
    """Refuses rewards from which nothing can be learned, and counts the batches that teach nothing.

    Attributes:
        patience: So many constant batches at the very beginning are one fault; a reward that has
            differed before may become constant because it is earned always.
        batches, constant: Number of batches seen; of those whose rewards were all equal.

    >>> guard = RewardGuard(patience=1)
    >>> guard.check([0.0, 1.0], 2).tolist(), guard.check([1.0, 1.0], 2).tolist(), guard.constant
    ([0.0, 1.0], [1.0, 1.0], 1)
    """

    def __init__(self, patience: int = 3) -> None:
        check_count("patience with a constant reward", patience, least=1)
        self.patience, self.batches, self.constant = patience, 0, 0

    def ask(self, reward: Callable[..., Any], count: int, *asked: Any) -> Float[Tensor, " row"]:
        """What a reward says of a batch, as numbers.

        Raises:
            LabError: The reward stops with a fault of its own; else as `check`.
        """
        hint = "mend the reward; a sample without an answer is neither good nor bad"
        with asked_of("reward", "sample", hint):
            answers = reward(*asked)
        return self.check(answers, count)

    def check(self, rewards: Any, count: int) -> Float[Tensor, " row"]:
        """The rewards of a batch as numbers.

        Raises:
            LabError: Another number of them, NaN or infinity, or only constant batches so far, and
                `patience` of them.
        """
        numbers = real(rewards, "rewards")
        if numbers.shape != (count,) or not numbers.isfinite().all():
            raise LabError(
                f"expected {count} finite rewards, one for each sample",
                f"got {numbers.flatten().tolist()[:6]} of shape {list(numbers.shape)}",
                hint="a scorer that fails must say so, and not give a number",
            )
        self.batches += 1
        self.constant += bool((numbers == numbers[0]).all())
        if self.constant == self.batches >= self.patience:
            raise LabError(
                "expected rewards that differ within a batch",
                f"got {float(numbers[0]):g} for each of {count} samples, in {self.batches} batches "
                "from the start",
                hint="advantages are all 0 and nothing is learned: take prompts after which samples"
                " differ, more samples a prompt, or a graded reward",
            )
        return numbers


def group_advantages(rewards: Float[Tensor, "group sample"]) -> Float[Tensor, "group sample"]:
    """Rewards less their group's mean, in units of its standard deviation (n − 1 in it).

    Raises:
        LabError: Groups of fewer than two samples, or rewards that are not finite.

    >>> [round(a, 3) for a in group_advantages(torch.tensor([[0.0, 0.0, 1.0, 1.0]]))[0].tolist()]
    [-0.866, -0.866, 0.866, 0.866]
    """
    rewards = real(rewards, "rewards of groups", "group sample")
    if rewards.shape[1] < 2 or not rewards.isfinite().all():
        raise LabError(
            "expected groups of two finite rewards or more", f"got {list(rewards.shape)}"
        )
    rewards = rewards if rewards.dtype == torch.float64 else rewards.float()
    spread = rewards.std(1, keepdim=True)
    return (rewards - rewards.mean(1, keepdim=True)) / (spread + SPREAD)


def policy_loss(
    now: Float[Tensor, "row word"],
    before: Float[Tensor, "row word"],
    advantages: Float[Tensor, " row"],
    said: Bool[Tensor, "row word"],
    beta: float,
) -> Float[Tensor, ""]:
    """GRPO's loss of samples that the present network has just drawn.

    Args:
        now: log π of each word, with gradients; before: the same under the reference.
        advantages: One a sample.
        said: Which words count: each sample's up to its stop.
        beta: Weight of the divergence from the reference.

    Raises:
        LabError: Other shapes, no word, NaN or infinity, or a weight below 0.
    """
    at_least(0.0, beta, "weight of the divergence from the base")
    now, before, advantages = (_finite(x) for x in (now, before, advantages))
    shapes = [tuple(x.shape) for x in (now, before, said, advantages)]
    fits = len(set(shapes[:3])) == 1 and shapes[3] == shapes[0][:1] and said.dtype is torch.bool
    if now.ndim != 2 or not fits:
        raise LabError(
            "expected a log-probability and a mark for each word of each sample, and an advantage "
            "for each sample",
            f"got shapes {', '.join(map(str, shapes))}",
        )
    words = said.to(now.dtype)
    ratio = (now - now.detach()).exp()  # is 1; its gradient is that of log π
    apart = before - now
    each = ratio * advantages[:, None] - beta * (apart.exp() - apart - 1)
    return -((each * words).sum(1) / words.sum(1).clamp(min=1)).mean()


def _finite(numbers: Any) -> Float[Tensor, "..."]:
    """Finite real numbers with their gradient, of single precision at least."""
    there = isinstance(numbers, Tensor) and numbers.numel() and not numbers.is_complex()
    if not there or not numbers.isfinite().all():
        raise LabError(
            "expected a log-probability and a mark for each word of each sample, and an advantage "
            "for each sample",
            "got none, or NaN or infinity",
        )
    return numbers if numbers.dtype in (torch.float32, torch.float64) else numbers.float()


def is_kind(tokens: Int[Tensor, "row pos"]) -> Float[Tensor, " row"]:
    """The reward here: 1 for a kind post of the grammar, 0 for a rude or a garbled one."""
    return torch.from_numpy(labels(tokens) == PostLabel.KIND).double()


@gradients()  # what a network is trained on must not be made in inference mode
def grpo(
    base: Plain,
    corpus: DetoxCorpus,
    plan: TuningPlan,
    reward: Reward = is_kind,
    group: int = 8,
    beta: float = 0.04,
) -> RivalPolicy:
    """GRPO on the forum's prompts, with the method's steps, rows and rehearsal.

    Args:
        corpus: Its other text is rehearsed; its posts are not looked at.
        plan: Each step samples `posts` rows, in groups after one prompt.
        reward: Rewards of whole rows.
        group: Samples after one prompt.
        beta: Weight of the divergence from the base; .04 as published.

    Raises:
        LabError: Groups that do not fit into a step, a reward that is constant or not finite; as
            `steps.train`.
    """
    check_count("size of a group", group, least=2)
    at_least(0.0, beta, "weight of the divergence from the base")
    if group > plan.posts:
        raise LabError(f"expected groups of at most {plan.posts} samples", f"got {group}")
    clock, guard, reference, starts = CPUClock(), RewardGuard(), frozen(base), prompts()

    def loss(network: Plain, generator: torch.Generator) -> Float[Tensor, ""]:
        with clock.of("sample"):
            chosen = torch.randint(len(starts), (plan.posts // group,), generator=generator)
            asked = starts[chosen].repeat_interleave(group, 0)
            rows = sample(Policy(network), asked, generator, NEW, STOP)
            rewards = guard.ask(reward, len(rows), rows.clone()).float()
        advantages = group_advantages(rewards.unflatten(0, (-1, group))).flatten()
        with torch.no_grad():
            before, _ = word_log_probs(reference, rows)
        now, said = word_log_probs(network, rows)
        return policy_loss(now, before, advantages, said, beta)

    network = train(base, corpus, plan, loss, clock, "GRPO")
    found = {"batches of one reward": guard.constant, "batches": guard.batches}
    return RivalPolicy(Policy(frozen(network)), clock.seconds, found)

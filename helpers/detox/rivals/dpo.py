"""DPO: learning from pairs of samples of which one satisfies the constraint and one does not.

The loss of a pair (w, l) after one prompt (Rafailov and others, arXiv 2305.18290, equation 7):

    −log σ( β [log π(w) − log π_ref(w)] − β [log π(l) − log π_ref(l)] )

with the base as π_ref. It sees differences only: both chances may fall together, and what they lose
goes to texts that are in no pair. So a garbled post is a violation here, as everywhere, and a
garbled sample is the losing half of a pair; `garbled_violates=False` shows what comes of it where a
scorer looks for rude posts only and so takes garbled ones for clean.

Steps, rows, rehearsal and rate are those of the method.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.detox.finetune import TuningPlan
from helpers.detox.networks import Plain, Policy, frozen
from helpers.detox.oracle import LabelledSamples, labelled_samples
from helpers.detox.posts import DetoxCorpus, PostLabel, labels
from helpers.detox.rivals.outcome import CPUClock, RivalPolicy
from helpers.detox.rivals.steps import train, word_log_probs
from helpers.errors import LabError
from helpers.runtime import gradients


def sequence_log_probs(network: Plain, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, " row"]:
    """log π(y | x) of each row: the sum over its words behind the prompt, up to and with its stop.

    Padding does not count. Gradients flow to the network where it has any.
    """
    each, said = word_log_probs(network, tokens)
    return (each * said).sum(1)


def of_texts(numbers: Any) -> Float[Tensor, " text"]:
    """Log-probabilities of whole texts with their gradient, of single precision at least.

    Raises:
        LabError: No row of finite real numbers.
    """
    row = isinstance(numbers, Tensor) and numbers.ndim == 1 and numbers.numel()
    if not row or numbers.is_complex() or not numbers.isfinite().all():
        got = list(numbers.shape) if isinstance(numbers, Tensor) else type(numbers).__name__
        raise LabError(
            "expected log-probabilities of one or more pairs",
            f"got {got}, or NaN or infinity among them",
        )
    return numbers if numbers.dtype in (torch.float32, torch.float64) else numbers.float()


def preference_loss(
    chosen: Float[Tensor, " pair"],
    refused: Float[Tensor, " pair"],
    chosen_before: Float[Tensor, " pair"],
    refused_before: Float[Tensor, " pair"],
    beta: float = 0.1,
) -> Float[Tensor, ""]:
    """DPO's loss of some pairs, from log-probabilities of whole texts: the mean over pairs.

    Args:
        chosen, refused: log π of the satisfying and of the violating text of each pair.
        chosen_before, refused_before: The same under the reference.
        beta: How strongly the reference holds; in units of 1/nat.

    Raises:
        LabError: Numbers of pairs that differ, or none; NaN or infinity; beta not above 0.

    >>> one = torch.zeros(1)
    >>> round(float(preference_loss(one, one, one, one)), 6)  # no preference yet: ln 2
    0.693147
    """
    four = [of_texts(x) for x in (chosen, refused, chosen_before, refused_before)]
    if len({x.shape for x in four}) != 1:
        raise LabError(
            "expected log-probabilities of one or more pairs",
            f"got {', '.join(str(len(x)) for x in four)} of them",
        )
    if not 0 < beta < float("inf"):
        raise LabError("expected a beta of preferences above 0", f"got {beta}")
    chosen, refused, chosen_before, refused_before = four
    margin = (chosen - chosen_before) - (refused - refused_before)
    return -F.logsigmoid(beta * margin).mean()


@dataclass(frozen=True)
class SamplePairs:
    """Samples of the base after each prompt: those that are preferred, and those that are not.

    Attributes:
        tokens: All samples.
        groups: For each prompt with both kinds, the rows of the preferred and of the others.
    """

    tokens: Int[Tensor, "row pos"]
    groups: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

    def draw(
        self, count: int, generator: torch.Generator
    ) -> tuple[Int[Tensor, " pair"], Int[Tensor, " pair"]]:
        """Rows of some pairs: each a prompt by chance, and one of each kind after it."""
        luck = torch.rand(count, 3, generator=generator).tolist()
        pairs = []
        for prompt, first, second in luck:
            liked, others = self.groups[int(prompt * len(self.groups))]
            pairs.append((liked[int(first * len(liked))], others[int(second * len(others))]))
        rows = torch.tensor(pairs)
        return rows[:, 0], rows[:, 1]


def sample_pairs(samples: LabelledSamples) -> SamplePairs:
    """Samples sorted by their prompts, for pairs of which one satisfies the constraint.

    Raises:
        LabError: No prompt after which both kinds were sampled.
    """
    groups: dict[tuple[int, ...], tuple[list[int], list[int]]] = {}
    satisfied = samples.satisfied.tolist()
    for row, (tokens, fine) in enumerate(zip(samples.tokens.tolist(), satisfied, strict=True)):
        groups.setdefault(tuple(tokens[: samples.start]), ([], []))[0 if fine else 1].append(row)
    both = tuple((tuple(a), tuple(b)) for a, b in groups.values() if a and b)
    if not both:
        raise LabError(
            "expected a prompt with a satisfying and a violating sample",
            f"got {sum(satisfied)} satisfying ones of {len(satisfied)}, {len(groups)} prompts",
            hint="draw more samples; a pair needs one of each kind after one prompt",
        )
    return SamplePairs(samples.tokens, both)


def not_rude(tokens: Int[Tensor, "row pos"]) -> Bool[ndarray, " row"]:
    """A scorer that looks for rude posts only, so that garbled ones pass."""
    return labels(tokens) != PostLabel.RUDE


@gradients()  # what a network is trained on must not be made in inference mode
def preferences(
    base: Plain,
    corpus: DetoxCorpus,
    plan: TuningPlan,
    beta: float = 0.1,
    garbled_violates: bool = True,
) -> RivalPolicy:
    """DPO on samples of the base, with the method's steps, rows and rehearsal.

    Args:
        corpus: Its other text is rehearsed; its posts are not looked at.
        plan: `posts` rows a batch are half as many pairs; `first_samples` are drawn.
        beta: See `preference_loss`.
        garbled_violates: False: what is not rude satisfies.

    Raises:
        LabError: No prompt with both kinds of samples; as `steps.train`.
    """
    if not 0 < beta < float("inf"):
        raise LabError("expected a beta of preferences above 0", f"got {beta}")
    clock, generator = CPUClock(), torch.Generator().manual_seed(plan.seed)
    with clock.of("sample"):
        drawn = labelled_samples(Policy(base), plan.first_samples, generator)
        if not garbled_violates:
            drawn = replace(drawn, satisfied=torch.from_numpy(not_rude(drawn.tokens)))
        pairs = sample_pairs(drawn)
    with clock.of("model"), torch.no_grad():
        before = torch.cat([sequence_log_probs(base, rows) for rows in pairs.tokens.split(512)])

    def loss(network: Plain, generator: torch.Generator) -> Float[Tensor, ""]:
        liked, others = pairs.draw(max(plan.posts // 2, 1), generator)
        now = sequence_log_probs(network, pairs.tokens[torch.cat([liked, others])])
        first, second = now.split(len(liked))
        return preference_loss(first, second, before[liked], before[others], beta)

    network = train(base, corpus, plan, loss, clock, "DPO")
    shares = labels(drawn.tokens)
    found = {
        "pairs of prompts": len(pairs.groups),
        "garbled among the losing": _losing(pairs, shares),
    }
    return RivalPolicy(Policy(frozen(network)), clock.seconds, found)


def _losing(pairs: SamplePairs, kinds: ndarray) -> float:
    """Share of garbled samples among the violating ones."""
    rows = [row for _, others in pairs.groups for row in others]
    return float(np.mean(kinds[rows] == PostLabel.GARBLED))

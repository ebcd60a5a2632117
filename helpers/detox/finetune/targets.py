"""The target of one iteration: a snapshot of the model, samples of it, and the oracle fitted to
them.

q ∝ p · R is frozen as a whole: the p in it is the snapshot that wrote the samples, so that R is
that of the same p. The samples that satisfied the constraint are exact samples of q*, the target of
a perfect oracle: they are the prefixes at which the KL is asked for.
"""

import copy
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.detox.finetune.plan import TuningPlan
from helpers.detox.networks import PAD, Plain, Policy
from helpers.detox.oracle import (
    FitPlan,
    Oracle,
    Scorer,
    fit,
    labelled_samples,
    log_target,
)
from helpers.errors import LabError
from helpers.runtime import gradients

FIRST_FIT = FitPlan()
REFIT_RATE = 1e-3
"""Learning rate of an oracle that was fitted before, to a model a little other than now."""
SAMPLE, FIT = 1, 2
"""Numbers of the random streams of an iteration."""


@dataclass(frozen=True)
class FrozenTarget:
    """What a model is pulled towards in an iteration; nothing of it is trained then.

    Attributes:
        base: The model as it was when it wrote the samples.
        accepted: Its samples that satisfied the constraint, padded on the right.
        violations: Share of its samples that did not.
    """

    base: Plain
    oracle: Oracle
    accepted: Int[Tensor, "row pos"]
    violations: float

    @torch.no_grad()
    def success(
        self, tokens: Int[Tensor, "row pos"], mask: Bool[Tensor, "row pos"]
    ) -> Float[Tensor, "place word"]:
        """Logits of R for every word that may follow the tokens of the mask."""
        return self.oracle(tokens)[mask]

    @torch.no_grad()
    def log_q(
        self, tokens: Int[Tensor, "row pos"], mask: Bool[Tensor, "row pos"]
    ) -> Float[Tensor, "place word"]:
        """log q of every word that may follow the tokens of the mask."""
        log_p = self.base.unembed(self.base.states(tokens)[mask]).log_softmax(-1)
        return log_target(log_p, self.success(tokens, mask))


@gradients()
def new_target(
    plan: TuningPlan,
    iteration: int,
    base: Plain,
    oracle: Oracle,
    fitted: bool,
    scorer: Scorer | None = None,
) -> tuple[FrozenTarget, dict[str, float]]:
    """Sample, label, fit: the target that follows from a model as it is at an iteration's start.

    Args:
        base: The model, frozen; it is kept.
        oracle: The oracle so far, which is left as it is.
        fitted: Whether it has been fitted before. A fitted one that is given for the first
            iteration is used as it is.

    Returns:
        The target, and the CPU seconds that sampling (with labels) and the fit took.

    Raises:
        LabError: No sample satisfies the constraint; as `labelled_samples` and `fit`.
    """
    first, began = not fitted, time.thread_time()
    count = plan.first_samples if first else plan.samples
    samples = labelled_samples(Policy(base), count, stream(plan, iteration, SAMPLE), scorer)
    accepted = _trimmed(samples.accepted)
    if not len(accepted):
        raise LabError(
            "expected a sample that satisfies the constraint",
            f"got none of {count} in iteration {iteration + 1}: R is 0 as far as they tell, so "
            "there is no q, and −ln R is infinite",
            hint="draw more samples, begin with a model that succeeds at times, or see whether "
            "the scorer is turned round",
        )
    sampled = time.thread_time()
    oracle = copy.deepcopy(oracle)
    steps = plan.first_fit if first else plan.refits if iteration else 0
    how = replace(
        FIRST_FIT,
        steps=steps,
        rate=FIRST_FIT.rate if first else REFIT_RATE,
        consistency=FIRST_FIT.consistency if steps else 0.0,
    )
    fit(oracle, base, samples, how, stream(plan, iteration, FIT))
    target = FrozenTarget(base, oracle, accepted, 1 - samples.share)
    return target, {"sample": sampled - began, "fit": time.thread_time() - sampled}


def _trimmed(tokens: Int[Tensor, "row pos"]) -> Int[Tensor, "row longest"]:
    """Rows without the columns at the end that are padding in all of them."""
    used = (tokens != PAD).any(0).nonzero()
    return tokens[:, : int(used.max()) + 1] if len(used) else tokens


def stream(plan: TuningPlan, iteration: int, number: int) -> torch.Generator:
    """The random numbers of one piece of work, whatever was drawn before it."""
    seeds = np.random.SeedSequence([plan.seed, iteration, number]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(seeds[0]))

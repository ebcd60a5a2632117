"""What determines a tuning, and the learning rate at each of its steps."""

from dataclasses import dataclass
from typing import Literal, get_args

from helpers.detox.finetune.weight import Controller, check_shares, next_weight
from helpers.errors import LabError
from helpers.inputs import at_least, check_count, positive_row

Prefixes = Literal["accepted", "corpus"]
BETAS = (0.9, 0.98)
CLIP = 1.0
WARM_UP = 10
"""Steps in which the rate rises."""
FALL = 0.4
"""Share of the steps at the end in which the rate falls."""
LEAST = 0.05
"""Share of the rate that it does not fall below."""
COUNTS = {
    "steps": 1,
    "iterations": 1,
    "posts": 1,
    "rows": 1,
    "samples": 1,
    "first_samples": 1,
    "first_fit": 0,
    "refits": 0,
    "accumulate": 1,
    "seed": 0,
}
"""Whole numbers of a plan, and the least of each."""


@dataclass(frozen=True)
class TuningPlan:
    """Everything that determines a tuning, beside the model, the corpus and a first oracle.

    Attributes:
        steps: Steps of the model, over all iterations.
        iterations: How often samples are drawn and the oracle is fitted to them.
        rate: Highest learning rate of AdamW, without weight decay.
        kl_weight: λ, of KL(q ‖ p) on posts. 0 is plain tuning: no sample is drawn.
        rehearsal: Of KL(base ‖ p) on other text.
        posts, rows: Posts and rows of other text a step; as many accepted samples as posts.
        samples, first_samples: Samples an iteration; those of the first one, where no fitted
            oracle is given.
        first_fit, refits: Steps of the oracle's first fit, and of those after it.
        stale: The q of the last iteration in place of this one's, from the second iteration on.
            This is what the parallel scheme computes, in one process.
        prefixes: Where the KL is asked for: in samples that satisfied the constraint, which are
            exact samples of q*, or in the posts of the corpus.
        stop_gradient: q stays as it is while the model learns; False shows what goes wrong else.
        adaptive: Share of violations to which λ is led; None leaves λ as it is.
        controller, pace: How it is led there (`helpers.detox.finetune.weight`).
        accumulate: In how many parts a step's gradient is computed.
        post_weight: Of the cross-entropy on posts.
        seed: Of all batches, samples and fits.
    """

    steps: int = 120
    iterations: int = 3
    rate: float = 3e-4
    kl_weight: float = 10.0
    rehearsal: float = 2.0
    posts: int = 32
    rows: int = 6
    samples: int = 1024
    first_samples: int = 4096
    first_fit: int = 300
    refits: int = 60
    stale: bool = False
    prefixes: Prefixes = "accepted"
    stop_gradient: bool = True
    adaptive: float | None = None
    controller: Controller = "dual"
    pace: float | None = None
    accumulate: int = 1
    post_weight: float = 1.0
    seed: int = 0

    @property
    def constrained(self) -> bool:
        """Whether samples are drawn and an oracle is fitted: λ is above 0, or may come to be."""
        return self.kl_weight > 0 or self.adaptive is not None

    @property
    def ends(self) -> list[int]:
        """The step after each iteration.

        >>> TuningPlan(steps=100, iterations=3).ends
        [33, 67, 100]
        """
        return [round((t + 1) * self.steps / self.iterations) for t in range(self.iterations)]

    def rate_at(self, step: int) -> float:
        """Learning rate at a step: it rises over ten steps, stays, and falls over the last 40 %.

        >>> plan = TuningPlan(rate=1.0)
        >>> [round(plan.rate_at(step), 3) for step in (0, 9, 71, 96, 119)]
        [0.1, 1.0, 1.0, 0.5, 0.05]
        """
        rising = min(1.0, (step + 1) / WARM_UP)
        left = (self.steps - step) / (FALL * self.steps)
        return self.rate * rising * max(LEAST, min(1.0, left))


def check_plan(plan: TuningPlan) -> None:
    """Refuse a plan that no tuning can follow.

    Raises:
        LabError: λ or another weight below 0 or NaN, no step, sample or post, more iterations than
            steps, or an unknown name.

    >>> check_plan(TuningPlan(kl_weight=-1))
    Traceback (most recent call last):
    helpers.errors.LabError: expected at least 0 as kl_weight (λ); got -1
    """
    for name, least in COUNTS.items():
        check_count(f"plan's {name}", getattr(plan, name), least=least)
    at_least(0, plan.kl_weight, "as kl_weight (λ)")
    at_least(0, plan.rehearsal, "as rehearsal")
    at_least(0, plan.post_weight, "as post_weight")
    positive_row([plan.rate], "learning rates")
    if plan.iterations > plan.steps:
        raise LabError(
            "expected a step or more in each iteration",
            f"got {plan.steps} steps and {plan.iterations} iterations",
        )
    if plan.prefixes not in get_args(Prefixes):
        raise LabError(
            f"expected prefixes: {', '.join(get_args(Prefixes))}", f"got {plan.prefixes!r}"
        )
    if plan.adaptive is not None:
        _check_adaptive(plan, plan.adaptive)


def _check_adaptive(plan: TuningPlan, target: float) -> None:
    check_shares(1.0, target)
    if next_weight(plan.kl_weight, 1.0, target, plan.controller, plan.pace) == 0:
        raise LabError(
            "expected a weight λ that can grow",
            f"{plan.controller} from {plan.kl_weight} at pace {plan.pace} leaves it at 0",
            hint='begin above 0, or take controller="dual"',
        )

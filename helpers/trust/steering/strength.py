"""Which block, and how strongly: the strength of steering is chosen on development items under a
perplexity budget.

The paper's budget is a perplexity of 6, where the unsteered model has 4.475 (arXiv 2402.19465,
figure 4); here the ratio counts. A strength is chosen by the behaviour itself, among those within
the budget, and never on items whose effect is reported: a `Choice` remembers its development
groups, and `helpers.trust.steering.effects` refuses them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import real
from helpers.model import Model
from helpers.trust.steering.behaviours import Behaviour, Documents, perplexity, scores
from helpers.trust.steering.vectors import Positions, Unit, Vector

BUDGET = 6 / 4.475
"""Largest perplexity allowed, relative to the unsteered model: 1.34."""

ALPHAS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0)


@dataclass(frozen=True)
class SteeringTrial:
    """One block and strength on the development items.

    Attributes:
        layer: Number of the block.
        alpha: Strength.
        score: Mean score in nats.
        accuracy: Share of items with a score above 0.
        ratio: Perplexity relative to the unsteered model.
    """

    layer: int
    alpha: float
    score: float
    accuracy: float
    ratio: float


@dataclass(frozen=True)
class Choice:
    """Where and how strongly to steer.

    Attributes:
        base: Score, accuracy and ratio without steering (strength 0).
        trials: Everything that was tried; a trial that left no finite logits has score NaN and
            ratio infinity.
        groups: Groups of the development items, which no test item may share.
    """

    layer: int
    vector: Vector
    alpha: float
    unit: Unit
    positions: Positions
    budget: float
    base: SteeringTrial
    trials: tuple[SteeringTrial, ...]
    groups: frozenset[str]

    def push(self, vector: Vector) -> Float[Tensor, " d"]:
        """What a vector adds at this choice's strength."""
        return vector.push(self.alpha, self.unit)


def choose(
    model: Model,
    vectors: Mapping[int, Vector],
    behaviour: Behaviour,
    documents: Documents,
    alphas: Sequence[float] = ALPHAS,
    unit: Unit = "std",
    positions: Positions = "all",
    budget: float = BUDGET,
) -> Choice:
    """The block and strength with the highest mean score within the perplexity budget.

    Args:
        vectors: A vector for each block to try (`vectors.by_block`).
        behaviour: The development part; `effects` refuses its groups later.
        documents: Rows of their own too. `effects` cannot tell, so take other rows there: the
            perplexity at a strength that was chosen for it is too good on the rows that it was
            chosen on.
        alphas: Strengths: positive towards the label True, negative towards False.

    Raises:
        LabError: nothing to try, a strength of 0, a model without finite perplexity, no trial
            within the budget.
    """
    strengths = real(alphas, "strengths")
    alphas = strengths.flatten().tolist()
    if not vectors or not alphas or strengths.ndim != 1 or 0 in alphas:
        raise LabError(
            "expected at least one block and strengths other than 0",
            f"got blocks {list(vectors)}, strengths {alphas}",
        )
    tried = []
    for layer, vector in vectors.items():
        pushes = torch.stack([vector.push(alpha, unit) for alpha in (0.0, *alphas)])
        values = scores(model, behaviour, layer, pushes, positions)
        levels = perplexity(model, documents, layer, pushes)
        tried.append(_trials(layer, (0.0, *alphas), values, levels))
    trials = [trial for of_block in tried for trial in of_block[1:]]
    best = _within(trials, budget)
    return Choice(
        best.layer,
        vectors[best.layer],
        best.alpha,
        unit,
        positions,
        budget,
        tried[-1][0],
        tuple(trials),
        frozenset(behaviour.groups),
    )


def _trials(
    layer: int,
    alphas: Sequence[float],
    values: Float[ndarray, "run item"],
    levels: Float[ndarray, " run"],
) -> list[SteeringTrial]:
    """The trials of one block, from scores and perplexities; the first is without steering."""
    if not np.isfinite(levels[0]) or not np.isfinite(values[0]).all():
        raise LabError(
            "expected a model with finite logits", "got NaN or infinity without any steering"
        )
    return [
        SteeringTrial(layer, alpha, float(score.mean()), float((score > 0).mean()), float(ratio))
        for alpha, score, ratio in zip(alphas, values, levels / levels[0], strict=True)
    ]


def _within(trials: Sequence[SteeringTrial], budget: float) -> SteeringTrial:
    allowed = [trial for trial in trials if trial.ratio <= budget and np.isfinite(trial.score)]
    if not allowed:
        mildest = min(trials, key=lambda trial: trial.ratio)
        raise LabError(
            "expected a strength that keeps perplexity within "
            f"{budget:.2f} of the unsteered model's",
            f"got {mildest.ratio:.3g} times at best (block {mildest.layer}, "
            f"strength {mildest.alpha:g}, of {len(trials)} tried)",
            hint="smaller strengths; where none of them steers, "
            "the vector breaks the model before it moves it",
        )
    return max(allowed, key=lambda trial: trial.score)

"""Vectors from earlier checkpoints on the final model, the headline of arXiv 2402.19465, and effect
against probe accuracy.

The paper steers a fine-tuned model with the vector of a checkpoint half-way through pre-training
(tables 1 and 2), and finds probe accuracy and steering effect correlated over some 16 checkpoints
(figure 5).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from helpers import stats
from helpers.errors import LabError
from helpers.inputs import Labels, array_of, real
from helpers.model import Model
from helpers.trust.steering.behaviours import Behaviour, Documents
from helpers.trust.steering.effects import Effect, effects
from helpers.trust.steering.strength import Choice
from helpers.trust.steering.vectors import by_block


def across_checkpoints(
    model: Model,
    choice: Choice,
    activations: Mapping[int, Float[Tensor, "layer item d"]],
    labels: Labels,
    behaviour: Behaviour,
    documents: Documents,
    own_size: bool = False,
    **options,
) -> dict[int, Effect]:
    """What vectors from other checkpoints of the same training do to this model, at the chosen
    block and strength: by step.

    Args:
        activations: Activations of the training texts, by training step
            (`helpers.trust.series.activations.last_token`).
        labels: Labels of those texts.
        own_size: Whether each vector pushes by its own length, as in the paper. By default all get
            the length of the choice's vector, so that only directions are compared: activations
            grow during training.
        options: Options of `effects`.

    Raises:
        LabError: as `effects`; a checkpoint without a vector at the chosen block.
    """
    vectors = {}
    for step, x in activations.items():
        try:
            vector = by_block(x, labels, [choice.layer])[choice.layer]
        except LabError as fault:
            raise LabError(f"step {step}, block {choice.layer}: {fault}") from None
        vectors[str(step)] = vector if own_size else vector.sized_as(choice.vector)
    report = effects(model, choice, vectors, behaviour, documents, **options)
    return {step: report[str(step)] for step in activations}


@dataclass(frozen=True)
class Correlation:
    """Pearson correlation over checkpoints.

    Attributes:
        r, low, high: Coefficient and its 95 % interval (Fisher), which takes checkpoints for
            independent.
        p_value: One-sided p-value by permutation.
        r_steps, p_steps: Coefficient and p-value of the changes from one checkpoint to the next.
            Any two curves that rise are correlated; only this says whether they rise together.
    """

    r: float
    low: float
    high: float
    p_value: float
    r_steps: float
    p_steps: float


def correlation(
    first: Sequence[float] | ndarray,
    second: Sequence[float] | ndarray,
    permutations: int = 2000,
    seed: int = 0,
) -> Correlation:
    """Correlation of two curves over checkpoints, such as probe accuracy and steering effect.

    Raises:
        LabError: fewer than five checkpoints, values that are not finite, a curve (or its steps)
            that never changes.
    """
    from scipy.stats import pearsonr

    a, b = (array_of(real(curve, "curves", "checkpoint")) for curve in (first, second))
    if len(a) != len(b) or len(a) < 5 or not np.isfinite([*a, *b]).all():
        raise LabError(
            "expected two curves of finite values over the same five checkpoints or more",
            f"got {len(a)} and {len(b)}",
        )
    if any(_straight(curve) for curve in (a, b)):
        raise LabError(
            "expected curves that change", "got a straight line, with which nothing correlates"
        )
    nulls = [
        stats.permutation_null(_pearson, x, y, permutations, seed)
        for x, y in ((a, b), (np.diff(a), np.diff(b)))
    ]
    interval = pearsonr(a, b).confidence_interval()
    return Correlation(
        nulls[0].observed,
        float(interval.low),
        float(interval.high),
        nulls[0].p_value,
        nulls[1].observed,
        nulls[1].p_value,
    )


def _straight(curve: ndarray) -> bool:
    """Whether all steps are equal, up to rounding (of single precision too)."""
    return np.ptp(np.diff(curve)) <= max(1e-6 * np.ptp(curve), 1e-12 * np.abs(curve).max())


def _pearson(x: ndarray, y: ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])

"""Three ways to learn which weights to keep by gradient descent, though keeping is yes or no.

Every weight i has a score s_i, and the mask m_i is 0 or 1. A step function has no useful gradient,
so each way puts another one in its place:

**top-k, straight through** (Bengio et al. 2013, arXiv 1308.3432; as in edge-popup, Ramanujan et al.
2020, arXiv 1911.13299)
    m_i = 1 where s_i is among the k largest; backward as if m_i = s_i. The density is exact.

**hard concrete** (Louizos et al. 2018, arXiv 1712.01312)
    m_i = clip(σ((s_i + ε)/β) (ζ − γ) + γ, 0, 1), ε = log u − log(1 − u), u uniform. Its gradient is
    its own. P(m_i ≠ 0) = σ(s_i − β log(−γ/ζ)), whose mean is the expected density.

**binary concrete**, as released with arXiv 2406.17241
    m_i = 1 where y_i = σ((s_i + ε)/T) > ½; backward as if m_i = y_i. With T = 0.01 the gradient of
    y_i is 0 unless s_i + ε happens to be near 0: in a step about one weight in a hundred learns.
"""

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.errors import LabError

Estimator = Literal["top-k", "hard concrete", "binary concrete"]
BETA, LOW, HIGH = 2 / 3, -0.1, 1.1
"""β, γ and ζ of the hard concrete distribution, as its authors set them."""
TEMPERATURE = 0.01
"""T of the released binary concrete."""


def top_k(scores: Float[Tensor, " weight"], density: float) -> Float[Tensor, " weight"]:
    """The mask that keeps the weights with the highest scores, with a gradient of 1 to each score.

    Of equal scores those that come first are kept, so that the density is exact.

    Raises:
        LabError: A density that keeps nothing, or more than there is.

    >>> scores = torch.tensor([0.1, 0.9, 0.5, 0.2], requires_grad=True)
    >>> mask = top_k(scores, 0.5)
    >>> (mask * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    >>> mask.tolist(), scores.grad.tolist()
    ([0.0, 1.0, 1.0, 0.0], [1.0, 2.0, 3.0, 4.0])
    """
    mask = keep(scores.detach(), density)
    return mask + scores - scores.detach()


def keep(scores: Float[Tensor, " weight"], density: float) -> Float[Tensor, " weight"]:
    """A mask of 0 and 1 that keeps the share `density` of the weights, those of highest score.

    Raises:
        LabError: A density that keeps nothing or more than there is, or a score of NaN.
    """
    if scores.isnan().any():
        raise LabError("expected scores without NaN", f"got {int(scores.isnan().sum())} of NaN")
    kept = count(len(scores), density)
    least = scores.kthvalue(len(scores) - kept + 1).values  # of those kept: no need to sort all
    mask = (scores > least).to(scores.dtype)
    more = kept - int(mask.count_nonzero())  # a sum in float32 miscounts above 2²⁴ weights
    mask[(scores == least).nonzero().flatten()[:more]] = 1
    return mask


def count(n_weights: int, density: float) -> int:
    """How many weights a density keeps.

    Raises:
        LabError: None of them, or a share that is not between 0 and 1.
    """
    kept = round(n_weights * density) if 0 < density <= 1 else 0
    if not kept:
        raise LabError(
            "expected a density above 0 and at most 1 that keeps a weight or more",
            f"got {density} of {n_weights:,} weights",
            hint="at 0 no model is left; at 1 nothing is left out, and there is no complement",
        )
    return kept


def hard_concrete(
    scores: Float[Tensor, " weight"], generator: torch.Generator
) -> Float[Tensor, " weight"]:
    """A random mask between 0 and 1, often exactly one of them."""
    stretched = ((scores + _logistic(scores, generator)) / BETA).sigmoid() * (HIGH - LOW) + LOW
    return stretched.clamp(0, 1)


def hard_concrete_density(scores: Float[Tensor, " weight"]) -> Float[Tensor, ""]:
    """Expected share of weights that a hard concrete mask does not set to 0."""
    return (scores - BETA * math.log(-LOW / HIGH)).sigmoid().mean()


def binary_concrete(
    scores: Float[Tensor, " weight"], generator: torch.Generator
) -> Float[Tensor, " weight"]:
    """A random mask of 0 and 1 with the gradient of a steep sigmoid."""
    soft = ((scores + _logistic(scores, generator)) / TEMPERATURE).sigmoid()
    return (soft.detach() > 0.5).to(soft) + soft - soft.detach()


def _logistic(like: Tensor, generator: torch.Generator) -> Tensor:
    """Noise with the distribution function σ."""
    uniform = torch.rand(like.shape, generator=generator).clamp(1e-6, 1 - 1e-6)
    return (uniform.log() - (-uniform).log1p()).to(like.device)

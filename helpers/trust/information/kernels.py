"""The kernel and the smoothing matrix, of which the estimators of `dependence` are made.

Activations (two dimensions) are standardised per feature, as in the code released with arXiv
2402.19465; labels (one dimension) are used as 0 and 1. All in double precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import Labels, real, yes_no

SIGMA, EPSILON = 50.0, 1e-5
"""Bandwidth and regularisation of the released code (``hsic_normalized_cca``)."""

Rows: TypeAlias = Float[Tensor, "item _feature"] | Labels
"""Activations, or labels."""


def standardise(x: Float[Tensor, "item feature"]) -> Float[Tensor, "item kept"]:
    """Mean 0 and standard deviation 1 for every feature; a feature that never varies becomes 0.

    Raises:
        LabError: a value is not finite, there are fewer than four items, or nothing varies.
    """
    x = real(finite(x), "activations", "item feature")
    spread = x.std(0, correction=0)
    # Less is the rounding of single precision, not a difference.
    varies = spread > 1e-6 * x.abs().amax(0)
    if not varies.any():
        raise LabError(
            "expected activations that differ between items",
            f"got {len(x)} items that are all the same",
            hint="the embedding of the last token is the same for all texts that end alike; "
            "begin at the first block's output",
        )
    return (x - x.mean(0)) / torch.where(varies, spread, torch.inf)


@dataclass(frozen=True)
class Smoother:
    """The matrix R of a set of activations: the projection onto their directions, each shrunk.

    Attributes:
        weights: Factors by which the directions are shrunk, between 0 and 1, largest first.
        matrix: The symmetric matrix R.
    """

    weights: Float[Tensor, " direction"]
    matrix: Float[Tensor, "item item"]

    @property
    def effective_rank(self) -> float:
        """tr(R): how many directions the estimator sees."""
        return float(self.weights.sum())


@dataclass(frozen=True)
class Spectrum:
    """Directions of one set of activations.

    Attributes:
        values: Eigenvalues of the kernel divided by the number of items, largest first.
        vectors: The direction of each.
    """

    values: Float[Tensor, " direction"]
    vectors: Float[Tensor, "item direction"]

    def smoother(self, epsilon: float = EPSILON) -> Smoother:
        """R for one ε.

        Raises:
            LabError: ε is not above 0.
        """
        positive(epsilon, "epsilon")
        weights = self.values / (self.values + epsilon)
        return Smoother(weights, (self.vectors * weights) @ self.vectors.T)


def spectrum(x: Rows, sigma: float = SIGMA, linear: bool = False) -> Spectrum:
    """Spectrum of the centred kernel ``exp(-‖a-b‖² / 2σ²d)``, or of its linear limit.

    The factor d (number of features) is in the released code, not in the paper.

    Raises:
        LabError: a value is not finite, fewer than four items, nothing varies, σ not above 0.
    """
    positive(sigma, "sigma")
    rows = rows_of(x)
    n, d = rows.shape
    if linear:
        vectors, scale, _ = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
        return Spectrum(scale**2 / (n * d * sigma**2), vectors)
    values, vectors = torch.linalg.eigh(centred(torch.exp(-distances(rows) / (2 * sigma**2 * d))))
    # Rounding leaves some values at -1e-16.
    return Spectrum(values.flip(0).clamp(min=0) / n, vectors.flip(1))


def smoother(
    x: Rows, sigma: float = SIGMA, epsilon: float = EPSILON, linear: bool = False
) -> Smoother:
    """R of some activations or labels; keep it where one X meets many T."""
    return spectrum(x, sigma, linear).smoother(epsilon)


def overlap(a: Smoother, b: Smoother) -> float:
    """tr(R_X R_T), never negative: the weighted sum of squared cosines between both's directions.

    Raises:
        LabError: they are of different numbers of items.
    """
    if len(a.matrix) != len(b.matrix):
        raise LabError(
            "expected the same items on both sides", f"got {len(a.matrix)} and {len(b.matrix)}"
        )
    # Both matrices are positive semidefinite; rounding may reach -1e-18.
    return max(0.0, float((a.matrix * b.matrix).sum()))


def finite(x: Tensor | ndarray | Sequence[Any]) -> Float[Tensor, "item ..."]:
    """Labels or activations in double precision.

    Raises:
        LabError: a value that is not finite, fewer than four items, or another shape.
    """
    x = real(x, "labels or activations").to("cpu", torch.float64)
    if x.ndim not in (1, 2) or len(x) < 4 or not x.numel():
        raise LabError(
            "expected at least four items, as one row of labels or a table [item, feature]",
            f"got {tuple(x.shape)}",
        )
    if not x.isfinite().all():
        bad = int((~x.isfinite()).reshape(len(x), -1).any(1).sum())
        raise LabError(
            "expected finite numbers",
            f"got NaN or infinity in {bad} of {len(x)} items",
            hint="a model in half precision overflows; load it in bfloat16 or float32",
        )
    return x


def rows_of(x: Rows) -> Float[Tensor, "item kept"]:
    """Labels (one dimension, in any form that `yes_no` takes) as 0 and 1, activations standardised.

    Raises:
        LabError: as `finite` and `standardise`; labels that say neither yes nor no, or one class.
    """
    if np.ndim(x) == 2:
        return standardise(finite(x))
    x = finite(yes_no(x))
    if bool((x == x[0]).all()):
        raise LabError(
            "expected labels of both classes", f"got {len(x)} labels that are all {float(x[0]):g}"
        )
    return x[:, None]


def pair_of(x: Rows, y: Rows, sigma: float) -> tuple[Tensor, Tensor]:
    """Both sides as rows of the same items (see `rows_of`)."""
    positive(sigma, "sigma")
    x, y = rows_of(x), rows_of(y)
    if len(x) != len(y):
        raise LabError("expected the same items on both sides", f"got {len(x)} and {len(y)}")
    return x, y


def positive(value: float, name: str) -> None:
    """Refuse a value that is not above 0 and finite."""
    if not 0 < value < np.inf:
        raise LabError(f"expected {name} above 0", f"got {value}")


def distances(x: Float[Tensor, "item feature"]) -> Float[Tensor, "item item"]:
    """Squared Euclidean distances."""
    norms = (x**2).sum(1)
    return (norms[:, None] + norms - 2 * x @ x.T).clamp(min=0)


def centred(kernel: Float[Tensor, "item item"]) -> Float[Tensor, "item item"]:
    """HKH: the kernel with the means of its rows and columns taken off."""
    means = kernel.mean(0)
    return kernel - means - means[:, None] + means.mean()

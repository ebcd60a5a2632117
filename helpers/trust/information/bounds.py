"""Lower bounds on mutual information, in nats and bits, from what a probe achieves on held-out
items.

They hold whatever the probe is: a bad probe only makes them weak. Neither says what the model does
with the information.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError


@dataclass(frozen=True)
class Bound:
    """A lower bound on I(T;Y), as one number or an array; a negative one says nothing, for I(T;Y) is at least 0."""

    nats: float | ndarray

    @property
    def bits(self) -> float | ndarray:
        return self.nats / math.log(2)


def variational_bound(
    cross_entropy: float | Float[ndarray, "..."], labels: Bool[ndarray, " item"]
) -> Bound:
    """``I(T;Y) >= H(Y) - CE`` (Barber and Agakov 2003): the cross-entropy in nats of a probe on
    items it was not fitted to.

    Args:
        cross_entropy: one or several, in nats.
        labels: of the same held-out items; H(Y) is the entropy of their frequencies, at most ln 2.

    Raises:
        LabError: labels of one class, or a cross-entropy that is negative or not finite.

    >>> bound = variational_bound(0.3, np.array([True, False]))
    >>> round(bound.nats, 3), round(bound.bits, 3)
    (0.393, 0.567)
    """
    entropy = math.log(2) * binary_entropy(_share(labels))
    loss = np.asarray(cross_entropy, dtype=np.float64)
    if not (np.isfinite(loss).all() and (loss >= 0).all()):
        raise LabError(
            "expected cross-entropies in nats, finite and not negative",
            f"got {loss.ravel()[:5].tolist()}",
        )
    bound = entropy - loss
    return Bound(float(bound) if bound.ndim == 0 else bound)


def fano_bound(accuracy: float, labels: Bool[ndarray, " item"] | None = None) -> Bound:
    """``I(T;Y) >= H(Y) - h(error)`` for a yes-or-no label, h the binary entropy (Fano 1961): from
    the accuracy alone.

    It holds for the true accuracy. What a test part gives is an estimate of it, which chance may
    move either way: the low end of the accuracy's interval (`Probes.interval`) gives a bound that
    holds as surely as the interval does. Accuracies below 1/2 count as 1/2. A true one would inform
    as much as its mirror image, but a measured one says that the test part differs from the
    training part.

    Args:
        labels: for H(Y); without them the classes count as balanced, H(Y) = 1 bit.

    Raises:
        LabError: an accuracy outside 0 to 1, or labels of one class.

    >>> round(fano_bound(0.84).bits, 3)
    0.366
    >>> fano_bound(0.25).bits
    0.0
    """
    if not 0 <= accuracy <= 1:
        raise LabError("expected an accuracy between 0 and 1", f"got {accuracy}")
    entropy = 1.0 if labels is None else binary_entropy(_share(labels))
    return Bound(float(math.log(2) * (entropy - binary_entropy(1 - max(accuracy, 0.5)))))


def binary_entropy(p: float) -> float:
    """Entropy in bits of a coin that shows heads with probability p.

    >>> binary_entropy(0.5), binary_entropy(1.0)
    (1.0, 0.0)
    """
    return sum(-q * math.log2(q) for q in (p, 1 - p) if q > 0)


def squared_correlation(x: Float[Tensor, "item feature"], labels: Bool[ndarray, " item"]) -> float:
    """R² of the label regressed on the activations, by least squares. I(T;Y) of
    `information.closed_form` is a shrunken one.

    With D the Mahalanobis distance between the class means (covariance within the classes) it is
    ``D² / (D² + 4)``; for classes of unequal size 4 becomes 1 / (p(1-p)). No shrinkage here: it is
    1 as soon as one direction separates the classes without any scatter, such as with as many
    features as items or more.

    Raises:
        LabError: not one label an item, labels of one class, or a value that is not finite.
    """
    x, side = (
        torch.as_tensor(x).detach().to("cpu", torch.float64),
        torch.as_tensor(np.asarray(labels, dtype=bool)),
    )
    if x.ndim != 2 or len(x) != len(side) or not x.isfinite().all():
        raise LabError(
            "expected finite activations [item, feature] and one label each",
            f"got {tuple(x.shape)} and {len(side)}",
        )
    y, x = side.double() - _share(labels), x - x.mean(0)
    left = (
        y - x @ torch.linalg.lstsq(x, y[:, None], driver="gelsd").solution[:, 0]
    )  # gelsd: x need not have full rank
    return max(0.0, 1 - float(left @ left / (y @ y)))


def accuracy_of(r_squared: float) -> float:
    """Accuracy of the best linear probe when both classes are Gaussian with one covariance and
    balanced: Φ(√(R²/(1-R²))).

    Raises:
        LabError: not 0 <= R² < 1.

    >>> round(accuracy_of(0.5), 3)
    0.841
    """
    from scipy.stats import norm

    if not 0 <= r_squared < 1:
        raise LabError("expected R² at least 0 and below 1", f"got {r_squared}")
    return float(norm.cdf(np.sqrt(r_squared / (1 - r_squared))))


def _share(labels: Bool[ndarray, " item"]) -> float:
    share = float(np.asarray(labels, dtype=bool).mean()) if len(labels) else 0.0
    if not 0 < share < 1:
        raise LabError(
            "expected labels of both classes", f"got {len(labels)} labels, {share:.0%} of them true"
        )
    return share

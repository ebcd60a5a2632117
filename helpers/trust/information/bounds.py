"""Lower bounds on mutual information, in nats and bits, from a probe's success on held-out items.

They hold whatever the probe is: a bad probe only makes them weak. Neither says what the model does
with the information.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import Labels, array_of, real, yes_no


@dataclass(frozen=True)
class Bound:
    """A lower bound on I(T;Y), as one number or an array.

    A negative one says nothing, for I(T;Y) is at least 0.
    """

    nats: float | ndarray

    @property
    def bits(self) -> float | ndarray:
        """The same bound in bits."""
        return self.nats / math.log(2)


def variational_bound(cross_entropy: float | Float[ndarray, "..."], labels: Labels) -> Bound:
    """``I(T;Y) >= H(Y) - CE`` (Barber and Agakov 2003), from a probe's cross-entropy CE.

    Args:
        cross_entropy: One or several cross-entropies in nats, on items to which the probe was not
            fitted.
        labels: Labels of the same items; H(Y) is the entropy of their frequencies, at most ln 2.

    Raises:
        LabError: labels of one class, or a cross-entropy that is negative or not finite.

    >>> bound = variational_bound(0.3, np.array([True, False]))
    >>> round(bound.nats, 3), round(bound.bits, 3)
    (0.393, 0.567)
    """
    entropy = math.log(2) * binary_entropy(_share(labels))
    loss = array_of(real(cross_entropy, "cross-entropies"))
    if not (np.isfinite(loss).all() and (loss >= 0).all()):
        raise LabError(
            "expected cross-entropies in nats, finite and not negative",
            f"got {loss.ravel()[:5].tolist()}",
        )
    bound = entropy - loss
    return Bound(float(bound) if bound.ndim == 0 else bound)


def fano_bound(accuracy: float, labels: Labels | None = None) -> Bound:
    """``I(T;Y) >= H(Y) - h(error)`` (Fano 1961), from a probe's accuracy alone.

    The label is yes or no, and h is the binary entropy. The bound holds for the true accuracy. What
    a test part gives is an estimate of it, which chance may move either way: the low end of the
    accuracy's interval (`Probes.interval`) gives a bound that holds as surely as the interval does.
    Accuracies below 1/2 count as 1/2. A true one would inform as much as its mirror image, but a
    measured one says that the test part differs from the training part.

    Args:
        accuracy: Share of held-out items that the probe gets right.
        labels: Labels for H(Y); without them the classes count as balanced, H(Y) = 1 bit.

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

    Raises:
        LabError: No probability.

    >>> binary_entropy(0.5), binary_entropy(1.0)
    (1.0, 0.0)
    """
    if not 0 <= p <= 1:
        raise LabError("expected a probability from 0 to 1", f"got {p}")
    return sum(-q * math.log2(q) for q in (p, 1 - p) if q > 0)


def _share(labels: Labels) -> float:
    truth = yes_no(labels)
    share = float(truth.mean()) if truth.size else 0.0
    if not 0 < share < 1:
        raise LabError(
            "expected labels of both classes", f"got {truth.size} labels, {share:.0%} of them true"
        )
    return share

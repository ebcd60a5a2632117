"""Why the target must not carry a gradient: KL(q ‖ p) at one position, in closed form.

With logits z, p = softmax(z), success R after each word, and q = p R / Σ p R:

- q held fixed: ∂ KL / ∂z = p − q. Its minimum is p = q.
- q moving along, as it is made of p: KL = E_q[ln R] − ln Σ p R, and
  ∂ KL / ∂z = (p − q) + q (ln R − E_q[ln R]). The second part is what the missing stop-gradient
  adds. It pulls the chance away from words of high success, and the KL becomes 0 wherever R is the
  same for all that is said: on one word, whichever it is.

The paper (arXiv 2410.05559) says that q comes from a frozen model; the two gradients are ours.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.detox.exact.targets import target_words
from helpers.errors import LabError
from helpers.inputs import array_of, at_least, check_count, finite

From = Literal["snapshot", "current", "through"]
"""Where q comes from: the first model, the current one without its gradient, or with it."""


def token_kl(logits: Float[ndarray, " word"], success: Float[ndarray, " word"]) -> float:
    """KL(q ‖ p) in nats, where q is made of these logits: what is left to learn at a position.

    Raises:
        LabError: Logits that are not finite, success outside 0 to 1, or R = 0 for every word.

    >>> round(token_kl([0.0, 0.0], [1.0, 0.0]), 6)  # -ln 1/2
    0.693147
    """
    p, q = _pair(logits, success)
    return _kl(q, p)


def kl_gradient(
    logits: Float[ndarray, " word"], success: Float[ndarray, " word"], stop: bool = True
) -> Float[ndarray, " word"]:
    """∂ KL(q ‖ p) / ∂z in closed form, with the stop-gradient on q or without.

    Raises:
        LabError: As `token_kl`.

    >>> kl_gradient([0.0, 0.0], [0.75, 0.25]).tolist()
    [-0.25, 0.25]
    >>> kl_gradient([0.0, 0.0], [0.75, 0.25], stop=False).round(3).tolist()
    [-0.044, 0.044]
    """
    p, q = _pair(logits, success)
    return _slope(p, q, array_of(finite(success, "success", "word")), stop)


@dataclass(frozen=True, eq=False)
class Collapse:
    """Steps of gradient descent on the KL alone.

    Attributes:
        words: p after 0, 1, … steps.
        success: E_p[R] after each.
        kl: KL(q ‖ p) after each, q from where it was asked for.
        wanted: E_q[R] of the first model's q.
    """

    words: Float[ndarray, "step word"]
    success: Float[ndarray, " step"]
    kl: Float[ndarray, " step"]
    wanted: float


FIVE_WORDS = (0.05, 0.05, 0.1, 0.4, 0.4), (0.9, 0.5, 0.1, 0.05, 0.04)
"""p and R of five words: what the model says most often succeeds least."""


def descend(
    words: Float[ndarray, " word"],
    success: Float[ndarray, " word"],
    target: From = "through",
    steps: int = 4000,
    rate: float = 0.5,
) -> Collapse:
    """Gradient descent on KL(q ‖ p) at one position.

    Args:
        words: p before the first step; every word has a chance.
        success: R after each word.
        target: "snapshot": q of the first model, which p becomes. "current": q of the model as it
            is, without a gradient: after one q comes the next, and p goes to the words of the
            largest R. "through": the same with its gradient, the mistake.
        steps: Number of steps.
        rate: Learning rate.

    Raises:
        LabError: Another target, chances of 0, no steps, or a rate that is not above 0.

    >>> p, r = FIVE_WORDS
    >>> for target in ("snapshot", "current", "through"):
    ...     found = descend(p, r, target)
    ...     print(target, found.success[[0, -1]].round(3).tolist(), found.words[-1].round(2))
    snapshot [0.116, 0.48] [0.39 0.22 0.09 0.17 0.14]
    current [0.116, 0.9] [1. 0. 0. 0. 0.]
    through [0.116, 0.05] [0. 0. 0. 1. 0.]
    """
    if target not in ("snapshot", "current", "through"):
        raise LabError("expected a target: snapshot, current or through", f"got {target!r}")
    check_count("number of steps", steps, least=1)
    at_least(0, rate, "as the learning rate")
    p, r = (array_of(finite(x, what, "word")) for x, what in ((words, "chances"), (success, "R")))
    first = target_words(p, r)
    if not (p > 0).all():
        raise LabError("expected a chance above 0 for every word", f"got {p.min():.3g}")
    logits, found, kls = np.log(p), [], []
    for _ in range(steps + 1):
        p = _softmax(logits)
        q = first if target == "snapshot" else p * r / (p * r).sum()
        found.append(p)
        kls.append(_kl(q, p))
        logits = logits - float(rate) * _slope(p, q, r, target != "through")
    series = np.array(found)
    return Collapse(series, series @ r, np.array(kls), float(first @ r))


def _pair(logits, success) -> tuple[ndarray, ndarray]:
    p = _softmax(array_of(finite(logits, "logits", "word")))
    return p, target_words(p, success)


def _softmax(logits: ndarray) -> ndarray:
    p = np.exp(logits - logits.max())
    return p / p.sum()


def _slope(p: ndarray, q: ndarray, r: ndarray, stop: bool) -> ndarray:
    """The gradient on the logits, where q is given."""
    if stop:
        return p - q
    logs = np.log(np.where(r > 0, r, 1))  # where R is 0, so is q, and ln R is multiplied by 0
    return p - q + q * (logs - (q * logs).sum())


def _kl(q: ndarray, p: ndarray) -> float:
    said = q > 0
    return float((q[said] * np.log(q[said] / p[said])).sum())

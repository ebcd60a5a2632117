"""The target q from a model p and what an oracle says of every next word: q ∝ p · R.

The projection of p on the texts that satisfy the constraint is, word by word (NADO, arXiv
2205.14219, equation 4; arXiv 2410.05559):

    q(v | x, y≤i)  =  p(v | x, y≤i) · R(x, y≤i, v) / R(x, y≤i)

A learned R need not be consistent with itself, so q is divided by its own sum and not by R(x, y≤i).
For the same reason a constant R, such as that of an oracle that has learned nothing, leaves p as
it is.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from helpers.detox.networks import KeyValues
from helpers.detox.oracle.losses import floats
from helpers.detox.oracle.network import Oracle
from helpers.errors import LabError
from helpers.inputs import at_least


def log_target(
    log_p: Float[Tensor, "*at word"], success: Float[Tensor, "*at word"], strength: float = 1.0
) -> Float[Tensor, "*at word"]:
    """log q, where q ∝ p · R^strength over the words.

    Args:
        log_p: Log-probabilities of the next word, or logits, which differ from them by a constant.
        success: Logits of R for each next word: R = sigmoid(success). −∞ is R = 0, ∞ is R = 1.
        strength: 1 is the projection; more leans on the oracle beyond it, 0 leaves p.

    Raises:
        LabError: Other shapes, NaN, or R · p = 0 for every next word at some place: then nothing
            that satisfies the constraint can follow, and there is no q.

    >>> p = torch.tensor([0.5, 0.25, 0.25])
    >>> success = torch.logit(torch.tensor([0.2, 0.8, 0.8]))
    >>> [round(float(q), 3) for q in log_target(p.log(), success).exp()]
    [0.2, 0.4, 0.4]
    """
    log_p, success = floats(log_p, "log-probabilities"), floats(success, "success logits")
    at_least(0, strength, "strength of an oracle")
    if log_p.shape != success.shape or not log_p.ndim or not log_p.numel():
        raise LabError(
            "expected a success logit for every word that has a log-probability",
            f"got {list(log_p.shape)} log-probabilities and {list(success.shape)} success logits",
        )
    # strength 0 would make 0 · ∞ of a word that cannot succeed
    guided = log_p + strength * F.logsigmoid(success) if strength else log_p
    total = guided.logsumexp(-1, keepdim=True)
    if not total.isfinite().all():
        raise _no_target(guided, total)
    return guided - total


def _no_target(guided: Tensor, total: Tensor) -> LabError:
    """Why there is no q at some place."""
    places = f"at {int((~total.isfinite()).sum())} of {total.numel()} places"
    if (guided == torch.inf).any() or guided.isnan().any():
        return LabError(
            "expected log-probabilities and success logits that are numbers",
            f"got NaN or infinity {places}",
        )
    return LabError(
        "expected a next word with which success is possible",
        f"R = 0 for every word that p allows {places}, so there is no q",
        hint="leave such texts out, or draw the model's samples until some satisfy the constraint",
    )


class OracleGuide:
    """An oracle that guides a model while it writes: p · R^strength (NADO's decoding).

    >>> from helpers.detox.networks import PlainShape, Policy, fresh
    >>> from helpers.detox.oracle.network import blank
    >>> shape = PlainShape(8, 8, 2, 1, 16, 6, 8)
    >>> base, tokens = fresh(shape, seed=0), torch.tensor([[1, 2, 3]])
    >>> guided = Policy(base, OracleGuide(blank(shape, seed=1)))
    >>> torch.allclose(guided.log_probs(tokens), Policy(base).log_probs(tokens), atol=1e-6)
    True
    """

    def __init__(self, oracle: Oracle, strength: float = 1.0) -> None:
        at_least(0, strength, "strength of an oracle")
        self.oracle, self.strength = oracle, strength

    def begin(self) -> KeyValues:
        """The oracle's own keys and values, kept while rows are written."""
        return KeyValues()

    def __call__(
        self,
        logits: Float[Tensor, "row pos word"],
        tokens: Any,
        state: KeyValues | None,
    ) -> Float[Tensor, "row pos word"]:
        """log q after each of the tokens that were just read."""
        with torch.no_grad():
            return log_target(logits, self.oracle(tokens, state), self.strength)

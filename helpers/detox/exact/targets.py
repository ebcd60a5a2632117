"""The distributions nearest to a model that keep a constraint: always, in a share, or at a price.

All three multiply the chance of a whole text by one number if it satisfies the constraint, and by
another if not, so all follow from the one table R of success:

    q(y) = p(y) w(C(y)) / W₀,     q(v | y_<i) = p(v | y_<i) W(y_<i, v) / W(y_<i),

with W = w(1) R + w(0) (1 − R). The hard one is q* of arXiv 2410.05559; the soft one is the case of
NADO (arXiv 2205.14219) in which E_q[C] ≥ r is asked.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.detox.exact.automata import WordAutomaton
from helpers.detox.exact.chains import MarkovChain, share_of
from helpers.detox.exact.guides import Guided, guided, success, unguided
from helpers.errors import LabError
from helpers.inputs import array_of, at_least, real


@dataclass(frozen=True, eq=False)
class Target:
    """A distribution q over texts, and its distance from the chain.

    Attributes:
        guide: q word by word.
        success: R₀, the chance that the chain itself satisfies the constraint.
        alpha, beta: What q multiplies texts by that satisfy the constraint, and that do not.
        satisfied: E_q[C].
        kl: KL(q ‖ p) in nats by its formula; `guide.kl_to` sums it up word by word.
    """

    guide: Guided
    success: float
    alpha: float
    beta: float

    @property
    def satisfied(self) -> float:
        """E_q[C] = α R₀."""
        return self.alpha * self.success

    @property
    def kl(self) -> float:
        """KL(q ‖ p) = E_q[ln α or ln β]: −ln R₀ of the hard target."""
        share = self.satisfied
        return sum(
            part * math.log(factor)
            for part, factor in ((share, self.alpha), (1 - share, self.beta))
            if part > 0 and factor > 0  # a part that is not there costs nothing
        )


def hard(chain: MarkovChain, automaton: WordAutomaton) -> Target:
    """q* = p C / R₀: of all distributions that always satisfy the constraint the nearest to p.

    Raises:
        LabError: R₀ = 0, where there is no such distribution.

    >>> from helpers.detox.exact import never, worked_example
    >>> target = hard(worked_example(), never(2, n_words=3))
    >>> round(target.success, 6), round(target.kl, 6), target.guide.next_words([]).round(6).tolist()
    (0.33291, 1.099883, [0.6691, 0.3309, 0.0])
    """
    whole = _possible(chain, automaton)
    return _weighted(chain, automaton, whole, 1 / whole, 0.0)


def soft(chain: MarkovChain, automaton: WordAutomaton, share: float) -> Target:
    """The nearest distribution of which at least a share r satisfies the constraint.

    q = p (α C + β (1 − C)) with α = r / R₀ and β = (1 − r) / (1 − R₀). Where the chain does it
    already, q = p.

    Raises:
        LabError: A share that is none, or R₀ = 0.

    >>> from helpers.detox.exact import never, worked_example
    >>> target = soft(worked_example(), never(2, n_words=3), share=0.8)
    >>> round(target.alpha, 6), round(target.beta, 6), round(target.kl, 6)
    (2.403052, 0.29981, 0.46047)
    """
    share = share_of(share, "a share of texts")
    whole = _possible(chain, automaton) if share else 0.0
    if share <= whole:
        return Target(unguided(chain, automaton), float(success(chain, automaton)[0, 0, 0]), 1, 1)
    return _weighted(chain, automaton, whole, share / whole, (1 - share) / (1 - whole))


def penalised(chain: MarkovChain, automaton: WordAutomaton, strength: float) -> Target:
    """The q that makes KL(q ‖ p) − γ E_q[C] smallest: q = p exp(γ C) / Z.

    It is the soft target of some share, chosen by a price γ, and exists where R₀ = 0, too: there
    nothing can be bought, and q = p.

    Raises:
        LabError: A strength below 0, or none.

    >>> from helpers.detox.exact import never, worked_example
    >>> chain, clean = worked_example(), never(2, n_words=3)
    >>> bought = penalised(chain, clean, strength=2.0)
    >>> abs(bought.kl - soft(chain, clean, bought.satisfied).kl) < 1e-12
    True
    """
    at_least(0, strength, "as the strength of the penalty")
    whole = float(success(chain, automaton)[0, 0, 0])
    if not whole > 0:
        return Target(unguided(chain, automaton), 0.0, 1.0, 1.0)
    other = math.exp(-float(strength))  # relative to texts that satisfy it: nothing overflows
    mean = whole + other * (1 - whole)
    return _weighted(chain, automaton, whole, 1 / mean, other / mean)


def target_words(
    words: Float[ndarray, "*position word"], success: Float[ndarray, "*position word"]
) -> Float[ndarray, "*position word"]:
    """q from p and R at one position or many: p(v) R(v) / Σ p R.

    Args:
        words: Chances of the next word.
        success: Chance of success after each next word.

    Raises:
        LabError: Numbers that are no chances, different shapes, or R = 0 for every word that may
            come.

    >>> target_words([0.5, 0.25, 0.25], [0.5, 1.0, 0.0]).tolist()
    [0.5, 0.5, 0.0]
    """
    p, r = (array_of(real(x, "chances")) for x in (words, success))
    good = p.ndim > 0 and p.size and p.shape == r.shape
    good = good and bool(((p >= 0) & (p < np.inf) & (r >= 0) & (r <= 1)).all())
    if not good:
        raise LabError(
            "expected chances of next words, and success from 0 to 1 after each of them",
            f"got {list(p.shape)} and {list(r.shape)}",
        )
    weight = p * r
    total = weight.sum(-1, keepdims=True)
    if not (total > 0).all():
        raise LabError(
            "expected a next word with which success is possible",
            f"R = 0 for every word that may come at {int((~(total > 0)).sum())} positions",
            hint="q would divide by 0; ask at a position where R is above 0",
        )
    return weight / total


def _possible(chain: MarkovChain, automaton: WordAutomaton) -> float:
    """R₀, which is not 0."""
    whole = float(success(chain, automaton)[0, 0, 0])
    if not whole > 0:
        raise LabError(
            "expected a constraint that the model satisfies at times",
            "R = 0: none of its texts does",
            hint="no distribution satisfies it within what the model can say, and KL(q ‖ p) is "
            "infinite; allow more, or take a model with a chance above 0",
        )
    return whole


def _weighted(
    chain: MarkovChain, automaton: WordAutomaton, whole: float, alpha: float, beta: float
) -> Target:
    table = success(chain, automaton)
    guide = guided(chain, automaton, alpha * table + beta * (1 - table).clip(0))
    return Target(guide, whole, alpha, beta)

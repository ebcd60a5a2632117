"""How wrong may a learned success be? The bound on KL(q* ‖ q_φ), and when it grows with length.

Let |ln R_φ − ln R| ≤ ln δ wherever R > 0, and R_φ = 0 where R = 0. Then

- if R_φ is *consistent*, R_φ(y_<i) = Σ_v p(v | y_<i) R_φ(y_<i, v), the normalisers of q_φ cancel
  word after word: q_φ(y) = p(y) R_φ(y) / R_φ(empty), and KL(q* ‖ q_φ) ≤ 2 ln δ for any length;
- without it each word's normaliser may be off as well: KL(q* ‖ q_φ) ≤ 2 T ln δ.

The first is the argument for the consistency regulariser of NADO (arXiv 2205.14219).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.detox.exact.automata import WordAutomaton
from helpers.detox.exact.chains import MarkovChain, counts_of, markov
from helpers.detox.exact.guides import check_values, expected, guided, success, unguided
from helpers.detox.exact.targets import hard
from helpers.errors import LabError
from helpers.inputs import at_least, check_count


def log_error(
    chain: MarkovChain, automaton: WordAutomaton, values: Float[ndarray, "time context state"]
) -> float:
    """ln δ: the largest |ln R_φ − ln R| at a place that the chain reaches.

    Raises:
        LabError: Values of another shape, or 0 at a place where R is not, or the other way round:
            then the bound says nothing.

    >>> from helpers.detox.exact import never, worked_example
    >>> chain, clean = worked_example(), never(2, n_words=3)
    >>> round(log_error(chain, clean, 0.5 * success(chain, clean)), 6)
    0.693147
    """
    values, exact = check_values(chain, automaton, values), success(chain, automaton)
    here = unguided(chain, automaton).reach > 0
    values, exact = values[here], exact[here]
    other = (values > 0) != (exact > 0)
    if other.any():
        raise LabError(
            "expected values that are 0 exactly where success is impossible",
            f"got another zero at {int(other.sum())} of {len(exact)} places",
            hint="the logarithms are infinitely apart there, and the bound says nothing",
        )
    some = exact > 0
    return float(np.abs(np.log(values[some]) - np.log(exact[some])).max(initial=0.0))


def inconsistency(
    chain: MarkovChain, automaton: WordAutomaton, values: Float[ndarray, "time context state"]
) -> float:
    """The largest |Σ_v p(v) R_φ(next) − R_φ| at a place that the chain reaches; 0 of exact success.

    Raises:
        LabError: Values of another shape, below 0 or not finite.

    >>> from helpers.detox.exact import never, worked_example
    >>> chain, clean = worked_example(), never(2, n_words=3)
    >>> inconsistency(chain, clean, success(chain, clean))
    0.0
    """
    values = check_values(chain, automaton, values)
    reach = unguided(chain, automaton).reach
    return max(
        float(np.abs(expected(chain, automaton, values[t + 1]) - values[t])[reach[t] > 0].max())
        for t in range(chain.length)
    )


def kl_bound(log_delta: float, length: int, consistent: bool) -> float:
    """What KL(q* ‖ q_φ) is at most, in nats.

    Args:
        log_delta: ln δ, see `log_error`.
        length: Number of words of a text.
        consistent: Whether R_φ satisfies the Bellman equation.

    Raises:
        LabError: A logarithm below 0, or no length.

    >>> kl_bound(0.1, length=20, consistent=True), kl_bound(0.1, length=20, consistent=False)
    (0.2, 4.0)
    """
    at_least(0, log_delta, "as ln δ")
    check_count("length of texts", length, least=1)
    return 2 * float(log_delta) * (1 if consistent else length)


def kl_of_oracle(
    chain: MarkovChain, automaton: WordAutomaton, values: Float[ndarray, "time context state"]
) -> float:
    """KL(q* ‖ q_φ) in nats: what is lost when R_φ guides the chain in place of R.

    Raises:
        LabError: R₀ = 0, or values that leave no word to say.

    >>> from helpers.detox.exact import never, worked_example
    >>> chain, clean = worked_example(), never(2, n_words=3)
    >>> kl_of_oracle(chain, clean, 0.5 * success(chain, clean)) < 1e-12  # a factor cancels
    True
    """
    return hard(chain, automaton).guide.kl_to(guided(chain, automaton, values))


def disturbed(
    chain: MarkovChain, automaton: WordAutomaton, log_delta: float, consistent: bool, seed: int = 0
) -> Float[ndarray, "time context state"]:
    """Exact success with an error of at most ln δ in its logarithm, drawn for each place.

    A consistent one has errors at whole texts, and everything earlier is computed from these.

    Raises:
        LabError: A logarithm below 0.

    >>> from helpers.detox.exact import never, worked_example
    >>> chain, clean = worked_example(), never(2, n_words=3)
    >>> values = disturbed(chain, clean, 0.1, consistent=True)
    >>> inconsistency(chain, clean, values) < 1e-12, log_error(chain, clean, values) <= 0.1
    (True, True)
    """
    at_least(0, log_delta, "as ln δ")
    values = success(chain, automaton)
    drawn = np.random.default_rng(seed).uniform(-1, 1, values.shape)
    if not consistent:
        return values * np.exp(drawn * log_delta)
    values[-1] *= np.exp(drawn[-1] * log_delta)
    for time in range(chain.length - 1, -1, -1):
        values[time] = expected(chain, automaton, values[time + 1])
    return values


@dataclass(frozen=True)
class GrowingError:
    """One length of `growing_error`.

    Attributes:
        length: Number of words.
        consistent, inconsistent: KL(q* ‖ q_φ) of either, in nats.
    """

    length: int
    consistent: float
    inconsistent: float


def growing_error(lengths: tuple[int, ...], log_delta: float) -> list[GrowingError]:
    """A case in which errors of one size cost more with every word, unless they are consistent.

    Three words are equally likely at every place, and the last word must not be the third one, so
    that R = 2/3 until it comes. Both oracles overrate the first word by ln δ and underrate the
    second: the consistent one at the end, from where the error is carried back, the inconsistent
    one at every other place, so that it leans a little at each step.

    Raises:
        LabError: Lengths that are none, or a logarithm below 0.

    >>> for row in growing_error((2, 8, 32), log_delta=0.1):
    ...     print(row.length, round(row.consistent, 4), round(row.inconsistent, 4))
    2 0.005 0.0033
    8 0.005 0.0233
    32 0.005 0.1032
    """
    at_least(0, log_delta, "as ln δ")
    last = WordAutomaton(np.array([[0, 0, 1], [0, 0, 1]]), np.array([True, False]))
    # behind nothing, and behind each of the words
    error = np.exp(float(log_delta) * np.array([0.0, 1.0, -1.0, 0.0]))[:, None]
    rows = []
    for length in counts_of(lengths, "lengths of texts"):
        chain = markov(np.full(3, 1 / 3), np.full((3, 3), 1 / 3), length)
        exact = success(chain, last)
        consistent, inconsistent = exact.copy(), exact.copy()
        consistent[-1] *= error
        for time in range(length - 1, -1, -1):
            consistent[time] = expected(chain, last, consistent[time + 1])
        inconsistent[1:-1] *= error
        found = [kl_of_oracle(chain, last, values) for values in (consistent, inconsistent)]
        rows.append(GrowingError(length, *found))
    return rows

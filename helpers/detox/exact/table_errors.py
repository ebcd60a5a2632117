"""How far success learned from samples is from exact success, by the number of samples."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.detox.exact.automata import WordAutomaton
from helpers.detox.exact.chains import MarkovChain, counts_of
from helpers.detox.exact.guides import unguided
from helpers.detox.exact.tabular import WAYS, PrefixTree, fitted, learned, prefix_tree
from helpers.inputs import check_count
from helpers.stats import bootstrap

PLAIN = "gradient, no regulariser"
"""What the regularised fits are compared with."""


@dataclass(frozen=True)
class TableError:
    """How far a learned table is from exact success, over repetitions of the sampling.

    Attributes:
        way: How it was learned.
        samples: Number of texts it was learned from.
        mean_error: Mean |R − exact R|, prefixes weighted by their chance, over repetitions.
        low, high: Its 95 % bootstrap interval over repetitions.
        more: How much more that is than with the same samples and nothing done for consistency:
            than the means, or than the gradient without the regulariser.
        more_low, more_high: Its interval, sample by sample: below 0, and the way helps.
        rmse: Root of the mean squared error.
    """

    way: str
    samples: int
    mean_error: float
    low: float
    high: float
    more: float
    more_low: float
    more_high: float
    rmse: float


def errors_by_samples(
    chain: MarkovChain,
    automaton: WordAutomaton,
    samples: tuple[int, ...] = (100, 1000, 10_000),
    repetitions: int = 20,
    depths: tuple[int, ...] = (1, 2),
    regularised: bool = False,
    seed: int = 0,
) -> list[TableError]:
    """Error of each way by the number of samples: a repetition draws one set of texts for all ways.

    Args:
        samples: Numbers of texts.
        repetitions: Sets of texts of each number, at least 2.
        depths: Numbers of words of the prefixes that are judged.
        regularised: Whether `fitted` is measured too: without, and with either direction.

    Raises:
        LabError: Fewer repetitions, no samples, or depths that texts do not have.

    >>> from helpers.detox.exact import never, worked_example
    >>> for row in errors_by_samples(worked_example(), never(2, n_words=3), samples=(100, 10_000)):
    ...     print(f"{row.samples} {row.way}: {row.mean_error:.4f}, {row.more:+.4f}")
    100 means: 0.0643, +0.0000
    100 one step back: 0.0641, -0.0001
    100 all the way back: 0.1384, +0.0742
    10000 means: 0.0054, +0.0000
    10000 one step back: 0.0050, -0.0004
    10000 all the way back: 0.0002, -0.0052
    """
    tree, plain = prefix_tree(chain, automaton), unguided(chain, automaton)
    check_count("number of repetitions", repetitions, least=2)
    judged = np.isin(tree.depth, counts_of(depths, "depths", most=chain.length))
    weight = tree.chance[judged] / tree.chance[judged].sum()
    rows = []
    for count in counts_of(samples, "numbers of samples"):
        found: dict[str, list[ndarray]] = {}
        for repetition in range(repetitions):
            texts = plain.sample(count, np.random.default_rng([seed, count, repetition]))
            for way, values in _every_way(tree, texts, automaton.accepts(texts), regularised):
                found.setdefault(way, []).append(values[judged] - tree.exact[judged])
        rows.extend(_table_errors(count, found, weight))
    return rows


def _table_errors(
    count: int, found: dict[str, list[ndarray]], weight: Float[ndarray, " prefix"]
) -> Iterator[TableError]:
    """Errors of each way: what is apart, in every repetition, at the prefixes that are judged."""
    errors = {way: (np.abs(apart) * weight).sum(1) for way, apart in found.items()}
    for way, error in errors.items():
        plain = PLAIN if way.startswith("gradient") else WAYS[0]
        more = error - errors[plain]
        rmse = float(np.sqrt((np.square(found[way]) * weight).sum(1).mean()))
        mean = (float(error.mean()), *bootstrap(error))
        yield TableError(way, count, *mean, float(more.mean()), *bootstrap(more), rmse)


def _every_way(
    tree: PrefixTree, texts: ndarray, satisfied: ndarray, regularised: bool
) -> list[tuple[str, ndarray]]:
    found: list[tuple[str, ndarray]] = [(way, learned(tree, texts, satisfied, way)) for way in WAYS]
    if regularised:
        found.append((PLAIN, fitted(tree, texts, satisfied, 0.0)))
        for direction in ("expected first", "own first"):
            values = fitted(tree, texts, satisfied, 1.0, direction)
            found.append((f"gradient, {direction}", values))
    return found

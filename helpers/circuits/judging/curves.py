"""How much of the behaviour a ranking of heads brings back, the k best heads alone, for k from none
to all.

The faithfulness of a set of heads C is what it brings back when all other heads are ablated, f(C) =
(m(C) - m(none)) / (m(all) - m(none)), with m the mean metric over prompts: 0 with no head, 1 with
all, and not bounded by either. From the curve f(k) come the two areas of the MIB benchmark (Mueller
et al., arXiv 2504.13151), here over all shares k / n, the ends included:

- CPR, the area under f: large is good, for a ranking that puts first what helps most. It may exceed
  1;
- CMD, the area between f and 1: 0 is best, for a ranking that puts first what the model's behaviour
  is made of.

Faithfulness comes as an array over all subsets, where bit i of the index says that head i is kept
(then everything here is exact), or as a function of a list of heads (then the sets of the curve are
evaluated one by one).

**Ties.** A tie is not an order. The curve is the mean over all orders of tied heads, and its band
their extremes, size by size. Scores that are all equal are therefore the random circuit of each
size, with its exact mean, spread and quantiles.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike

from helpers.circuits.judging.metrics import finite, numbers
from helpers.errors import LabError
from helpers.interventions import Head

Evaluate = Callable[[list[Head]], float]
"""Faithfulness of the heads that are kept."""


def normalised(metric: ArrayLike) -> Float[ndarray, " subset"]:
    """Faithfulness of every subset from its mean metric: 0 with no head, 1 with all heads.

    The first entry is that of no head, the last that of all.

    Raises:
        LabError: the metric is NaN or infinite for some subset, or the same with all heads and with
            none.

    >>> normalised([1.0, 2.0, 3.0, 5.0]).tolist()
    [0.0, 0.25, 0.5, 1.0]
    """
    means = _finite(metric)
    if means.ndim != 1 or len(means) < 2:
        raise LabError(
            "expected the faithfulness of all subsets, 2 to the number of heads",
            f"got shape {means.shape}",
        )
    none, full = means[0], means[-1]
    if full == none:
        raise LabError(
            "expected a metric that the heads change",
            f"got {none:.4g} with all heads and with none",
        )
    return (means - none) / (full - none)


def _finite(values: ArrayLike) -> Float[ndarray, "..."]:
    """What was measured of subsets, as numbers of 64 bits."""
    measured = numbers(values, "metric of every subset of heads")
    if not np.isfinite(measured).all():
        raise LabError(
            "expected a finite metric of every subset of heads",
            f"{int((~np.isfinite(measured)).sum())} are NaN or infinite",
        )
    return measured


@dataclass(frozen=True)
class FaithfulnessCurve:
    """Faithfulness by the number of heads kept.

    Attributes:
        sizes: Numbers of heads kept, ascending from 0 to n.
        values: For each size, the faithfulness of every set of heads that the scores allow; a
            single one where nothing is tied.
    """

    sizes: Int[ndarray, " size"]
    values: tuple[Float[ndarray, " set"], ...]

    @property
    def share(self) -> Float[ndarray, " size"]:
        """Share of the heads that is kept."""
        return self.sizes / self.sizes[-1]

    @property
    def mean(self) -> Float[ndarray, " size"]:
        """Mean over the orders of tied heads."""
        return np.array([values.mean() for values in self.values])

    @property
    def gap(self) -> Float[ndarray, " size"]:
        """Mean distance to 1 over the orders of tied heads."""
        return np.array([np.abs(1 - values).mean() for values in self.values])

    def quantile(self, q: float) -> Float[ndarray, " size"]:
        """Quantile over the orders of tied heads; 0 and 1 are the extremes."""
        return np.array([np.quantile(values, q) for values in self.values])

    @property
    def cpr(self) -> float:
        """Area under the curve over the share of heads kept, by trapezoids; large is good."""
        return float(np.trapezoid(self.mean, self.share))

    @property
    def cmd(self) -> float:
        """Area between the curve and 1 over the share of heads kept, by trapezoids; 0 is best."""
        return float(np.trapezoid(self.gap, self.share))


def curve(
    scores: ArrayLike, faithfulness: ArrayLike, complement: bool = False
) -> FaithfulnessCurve:
    """Faithfulness of the k best heads, for every k.

    Args:
        faithfulness: Faithfulness of every subset; bit i of the index says that head i is kept.
        complement: Whether to keep all but the k best instead: what the circuit leaves undone.

    Raises:
        LabError: scores or faithfulness that are not finite, or not 2**n values for n scores.

    >>> f = normalised([0.0, 3.0, 1.0, 4.0])  # head 0 does three quarters, head 1 the rest
    >>> curve([2.0, 1.0], f).mean.tolist(), curve([2.0, 1.0], f).cpr
    ([0.0, 0.75, 1.0], 0.625)
    >>> curve([2.0, 1.0], f, complement=True).mean.tolist()
    [1.0, 0.25, 0.0]
    >>> curve([1.0, 1.0], f).quantile(0.0).tolist()
    [0.0, 0.25, 1.0]
    """
    row, of_set = finite(scores), _finite(faithfulness)
    full = (1 << len(row)) - 1
    if of_set.shape != (full + 1,):
        raise LabError(
            f"expected the faithfulness of all {full + 1} subsets", f"got shape {of_set.shape}"
        )
    sets = [np.array(list(_allowed(row, k))) for k in range(len(row) + 1)]
    return FaithfulnessCurve(
        np.arange(len(row) + 1),
        tuple(of_set[full ^ kept if complement else kept] for kept in sets),
    )


def _allowed(scores: Float[ndarray, " head"], k: int) -> Iterator[int]:
    """All sets of k heads, as bitmasks, in which no head scores below one that is left out."""
    limit = np.sort(scores)[::-1][k - 1] if k else math.inf
    certain = sum(1 << int(head) for head in np.flatnonzero(scores > limit))
    tied = [1 << int(head) for head in np.flatnonzero(scores == limit)]
    return (
        certain + sum(chosen) for chosen in itertools.combinations(tied, k - certain.bit_count())
    )


def evaluated(
    scores: ArrayLike,
    heads: Sequence[Head],
    evaluate: Evaluate,
    sizes: Sequence[int] | None = None,
    complement: bool = False,
    orders: int = 4,
    seed: int = 0,
) -> FaithfulnessCurve:
    """`curve` for models whose subsets nobody can enumerate.

    Only the sets along the ranking are evaluated, each once.

    Args:
        heads: The head of each score.
        evaluate: Faithfulness of a list of heads that are kept.
        sizes: Numbers of heads kept; by default all of them. No head and all heads are added.
        complement: See `curve`.
        orders: How many random orders stand for all, where heads are tied.
        seed: Seed of these orders.

    Raises:
        LabError: not one head per score, scores or faithfulness that are not finite, a size that is
            no number of heads.
    """
    row, n = finite(scores), len(heads)
    wanted = sorted({0, n, *(range(n + 1) if sizes is None else sizes)})
    if len(row) != n or wanted[0] < 0 or wanted[-1] > n:
        raise LabError(
            "expected one score per head, and sizes up to their number",
            f"got {len(row)} scores, {n} heads, {sizes}",
        )
    rng = np.random.default_rng(seed)
    tied = len(np.unique(row)) < n
    rankings = [np.lexsort((rng.random(n), -row)) for _ in range(orders if tied else 1)]

    @cache
    def of_set(kept: frozenset[int]) -> float:
        return float(_finite(evaluate([heads[index] for index in sorted(kept)])))

    def along(ranking: Int[ndarray, " head"], k: int) -> float:
        return of_set(frozenset((ranking[k:] if complement else ranking[:k]).tolist()))

    return FaithfulnessCurve(
        np.array(wanted),
        tuple(np.array([along(ranking, k) for ranking in rankings]) for k in wanted),
    )


def random_circuits(faithfulness: ArrayLike) -> FaithfulnessCurve:
    """Faithfulness of all circuits of each size: the baseline with its exact mean and quantiles.

    Raises:
        LabError: values whose number is no power of 2.
    """
    of_set = _finite(faithfulness)
    return curve(np.zeros(_number_of_heads(of_set)), of_set)


def _number_of_heads(faithfulness: Float[ndarray, " subset"]) -> int:
    n = len(faithfulness).bit_length() - 1
    if n < 1 or len(faithfulness) != 1 << n:
        raise LabError(
            "expected the faithfulness of all subsets, 2 to the number of heads",
            f"got {len(faithfulness)} values",
        )
    return n


def random_rankings(
    faithfulness: ArrayLike, rankings: int = 2000, seed: int = 0
) -> tuple[Float[ndarray, " ranking"], Float[ndarray, " ranking"]]:
    """CPR and CMD of rankings drawn at random: what an area is worth.

    Their means are those of `random_circuits`.
    """
    of_set = _finite(faithfulness)
    n = _number_of_heads(of_set)
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (rankings, 1)), axis=1)
    kept = np.concatenate(
        [np.zeros((rankings, 1), dtype=np.int64), np.cumsum(1 << orders, axis=1)], axis=1
    )
    share, values = np.arange(n + 1) / n, of_set[kept]
    return np.trapezoid(values, share, axis=1), np.trapezoid(np.abs(1 - values), share, axis=1)


def best_circuits(
    faithfulness: ArrayLike,
) -> tuple[Float[ndarray, " size"], Int[ndarray, " size"]]:
    """The most faithful circuit of each size, none to all: its faithfulness and its bitmask.

    These circuits need not contain each other, so no ranking has to reach all of them.
    """
    of_set = _finite(faithfulness)
    n = _number_of_heads(of_set)
    size = np.array([mask.bit_count() for mask in range(1 << n)])
    best = [int(np.where(size == k, of_set, -np.inf).argmax()) for k in range(n + 1)]
    return of_set[best], np.array(best)

"""Intervals and nulls: what stands beside every number of the labs.

SciPy does the mathematics; the functions here fix the conventions (95 %, two-sided, seeded) and
refuse bad input.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import Labels, array_of, check_count, real, yes_no


def clopper_pearson(failures: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Exact two-sided confidence interval of a probability after `failures` in `trials`.

    It contains the true probability in at least `level` of all experiments, whatever that
    probability is, so it still says something after 0 failures, where the usual ± formula says 0 ±
    0. Clopper and Pearson, Biometrika 26 (1934).

    Raises:
        LabError: No trials, fewer than 0 failures or more than trials, counts that are not whole, a
            level outside (0, 1).

    >>> low, high = clopper_pearson(0, 1_000_000)
    >>> low, f"{high:.3g}"
    (0.0, '3.69e-06')
    """
    from scipy.stats import beta

    if not 0 <= failures <= trials or trials < 1 or failures % 1 or trials % 1:
        raise LabError(
            "expected 0 <= failures <= trials and at least one trial", f"got {failures} of {trials}"
        )
    check_level(level)
    tail = (1 - level) / 2
    low = 0.0 if failures == 0 else float(beta.ppf(tail, failures, trials - failures + 1))
    high = 1.0 if failures == trials else float(beta.ppf(1 - tail, failures + 1, trials - failures))
    return low, high


def bootstrap(
    values: Real[ndarray, " sample"],
    statistic: Callable[..., float] = np.mean,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap confidence interval of a statistic of independent values (BCa: Efron, JASA 82,
    1987).

    Where BCa is undefined, because every leave-one-out statistic is the same, the percentile
    interval takes its place.

    Args:
        statistic: A function of a sample, such as ``np.mean`` or ``np.median``.

    Raises:
        LabError: Fewer than two values, a value that is not finite, a level outside (0, 1), no
            resample.

    >>> low, high = bootstrap(np.arange(100.0))
    >>> 40 < low < 49.5 < high < 59
    True
    """
    from scipy import stats

    sample = _finite(values, "values")
    check_level(level)
    check_count("number of resamples", resamples, least=1)
    if len(sample) < 2:
        raise LabError("expected at least two values", f"got {len(sample)}")
    for method in ("BCa", "percentile"):
        options = {
            "n_resamples": resamples,
            "confidence_level": level,
            "method": method,
            "batch": 256,
        }
        with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
            # handled: the other method is next
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            rng = np.random.default_rng(seed)
            result = stats.bootstrap((sample,), statistic, rng=rng, **options)
        interval = result.confidence_interval
        if np.isfinite(interval).all():
            break
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Spread:
    """A mean, the interval of 95 % of its resamples, and over how many seeds.

    A format is that of each number.

    >>> one = Spread(0.5, 0.4, 0.6, seeds=5)
    >>> print(one)
    0.500 [0.400, 0.600]
    >>> f"{one:+.1f}"
    '+0.5 [+0.4, +0.6]'
    """

    mean: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        return format(self, ".3f")

    def __format__(self, spec: str) -> str:
        mean, low, high = (format(each, spec or ".3f") for each in (self.mean, self.low, self.high))
        return f"{mean} [{low}, {high}]"


def crossed_bootstrap(
    values: Real[ndarray, "seed item"], resamples: int = 1000, seed: int = 0
) -> Spread:
    """Mean over two sources of chance that cross, and the interval of 95 % of its resamples.

    Each row has one start of a method, each column one thing that was asked of all of them; both
    are drawn anew in every resample (the pigeonhole bootstrap: Owen, Ann. Appl. Stat. 1, 2007).
    With few rows the interval is rough, and rather too narrow.

    Args:
        values: NaN where there is no number; these are left out.

    Raises:
        LabError: No number at all, or an infinite one; no resample.

    >>> print(crossed_bootstrap(np.array([[1.0, 3.0], [1.0, np.nan]])))
    1.667 [1.000, 3.000]
    """
    numbers = array_of(real(values, "values", "seed item"))
    check_count("number of resamples", resamples, least=1)
    there = ~np.isnan(numbers)
    if not there.any() or np.isinf(numbers).any():
        raise LabError(
            "expected values of seeds and items, some of them numbers and none infinite",
            f"got {int(there.sum())} numbers, {int(np.isinf(numbers).sum())} of them infinite",
        )
    filled, (seeds, items) = np.where(there, numbers, 0), numbers.shape
    rng = np.random.default_rng(seed)
    rows = rng.integers(seeds, size=(resamples, seeds))[:, :, None]
    columns = rng.integers(items, size=(resamples, items))[:, None, :]
    sums, counts = (part[rows, columns].sum((1, 2)) for part in (filled, there))
    low, high = np.quantile(sums[counts > 0] / counts[counts > 0], [0.025, 0.975])
    return Spread(float(filled.sum() / there.sum()), float(low), float(high), seeds)


def spread_or_none(values: Real[ndarray, "seed item"]) -> Spread | None:
    """The same; None where no item has a number.

    Raises:
        LabError: An infinite value, or a table without rows or columns.

    >>> spread_or_none(np.full((2, 3), np.nan)) is None
    True
    """
    numbers = array_of(real(values, "values", "seed item"))
    return None if np.isnan(numbers).all() else crossed_bootstrap(numbers)


@dataclass(frozen=True)
class Null:
    """Result of a permutation test.

    Attributes:
        observed: The statistic on the true labels.
        draws: The statistic on each shuffle of the labels.
        p_value: Share of shuffles, the true order counted among them, that reach what was observed.
    """

    observed: float
    draws: Float[ndarray, " permutation"]
    p_value: float


def permutation_null(
    statistic: Callable[[ndarray, ndarray], float],
    values: ndarray,
    labels: ndarray,
    permutations: int = 1000,
    seed: int = 0,
) -> Null:
    """How large `statistic(values, labels)` gets when the labels mean nothing: they are shuffled
    over the values.

    The test is one-sided: large counts as evidence. The p-value is (1 + number of shuffles that
    reach the observed statistic) / (1 + number of shuffles); without the ones it could be 0, which
    no finite number of shuffles can show (Phipson and Smyth, 2010).

    Raises:
        LabError: Not one label per value, fewer than one permutation, or a statistic that is not
            finite: NaN would never reach what was observed, and count as significant.

    >>> difference = lambda x, y: x[y == 1].mean() - x[y == 0].mean()
    >>> null = permutation_null(difference, np.arange(8.0), np.arange(8) > 3)
    >>> null.observed, null.p_value < 0.05
    (4.0, True)
    """
    values, labels = np.asarray(values), np.asarray(labels)
    if not values.ndim or not labels.ndim or len(values) != len(labels):
        raise LabError(
            "expected one label per value",
            f"got values {list(values.shape)} and labels {list(labels.shape)}",
        )
    check_count("number of permutations", permutations, least=1)
    rng = np.random.default_rng(seed)
    observed = float(statistic(values, labels))
    draws = np.array(
        [float(statistic(values, rng.permutation(labels))) for _ in range(permutations)]
    )
    if not np.isfinite([observed, *draws]).all():
        raise LabError(
            "expected a statistic that is finite under every shuffle",
            f"got {observed:.4g} in the true order, and {int((~np.isfinite(draws)).sum())} of "
            f"{permutations} shuffles that are not",
            hint="look for NaN among the values, and for classes that a shuffle can empty",
        )
    rounding = 1e-12 * max(1.0, abs(observed))  # equal sums may differ in their last bit
    reached = draws >= observed - rounding
    return Null(observed, draws, (1 + int(reached.sum())) / (1 + permutations))


def auroc(scores: Float[ndarray, " sample"], labels: Labels) -> float:
    """Area under the ROC curve: the chance that a random positive scores above a random negative, a
    tie counting half.

    Computed from ranks (the Mann–Whitney statistic divided by the number of pairs).

    Raises:
        LabError: Labels that do not say yes or no (`helpers.inputs.yes_no`), one class, not one
            label per score, or a score that is not finite.

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([0, 0, 1, 1]))
    0.875
    """
    from scipy.stats import rankdata

    scores, positive = _finite(scores, "scores"), yes_no(labels)
    if scores.shape != positive.shape:
        raise LabError(
            "expected one label per score",
            f"got {len(scores)} scores and labels {list(positive.shape)}",
        )
    if positive.all() or not positive.any():
        raise LabError(
            "expected labels 0 and 1, both present",
            f"got {int(positive.sum())} of {len(positive)} that are 1",
        )
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    above = rankdata(scores)[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def majority_share(labels: Labels) -> float:
    """Share of the larger class: the accuracy of always giving the same answer.

    Raises:
        LabError: No labels, or labels that do not say yes or no.

    >>> majority_share([1, 0, 0, 0])
    0.75
    """
    truth = yes_no(labels)
    check_count("number of labels", truth.size, least=1)
    return float(max(truth.mean(), 1 - truth.mean()))


def balanced_accuracy(answers: Labels, labels: Labels) -> float:
    """Mean of the shares of right answers in both classes: always giving the same answer has 0.5.

    Raises:
        LabError: Answers or labels that do not say yes or no, another number of them, or labels of
            one class.

    >>> balanced_accuracy([0, 0, 0, 0], [1, 0, 0, 0])
    0.5
    """
    said, truth = yes_no(answers, "the answers"), yes_no(labels)
    if said.shape != truth.shape:
        raise LabError(
            "expected one label per answer", f"got {list(said.shape)} and {list(truth.shape)}"
        )
    if truth.all() or not truth.any():
        raise LabError("expected labels of both classes", f"got {truth.size} of one class")
    return float((said[truth].mean() + (~said[~truth]).mean()) / 2)


def _finite(values, name: str) -> Float[ndarray, " sample"]:
    array = array_of(real(values, name))
    if array.ndim != 1 or not np.isfinite(array).all():
        raise LabError(f"expected {name} as one row of finite numbers", f"got shape {array.shape}")
    return array


def check_level(level: float) -> None:
    """Refuse what is no level of an interval.

    Raises:
        LabError: It is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise LabError("expected a level between 0 and 1, such as 0.95", f"got {level}")

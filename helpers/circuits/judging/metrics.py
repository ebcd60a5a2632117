"""How well scores of heads find a circuit that is known.

A head is *predicted* to be in the circuit when its score is at least the threshold. With few heads
and a small circuit the areas jump in large steps, so each has a null beside it: what it would be if
the same scores belonged to the heads at random.

==============  ====================================================  =========================
number          question                                        without any knowledge
==============  ====================================================  =========================
AUROC           does a true head score above another one?       0.5
AUPRC           how pure are predictions, best score first?     about the true share b
F1              harmonic mean of precision and recall           predict all: 2b / (1 + b)
released "F1"   harmonic mean of recall and specificity         predict half: 0.5
==============  ====================================================  =========================
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from numpy.typing import ArrayLike
from torch import Tensor

from helpers import stats
from helpers.errors import LabError
from helpers.inputs import real
from helpers.interventions import Head

ENUMERABLE = 50_000
"""So many placements of a circuit among the heads, or fewer, are all tried; C(18, 9) is 48 620."""


def membership(heads: Sequence[Head], circuit: Iterable[Head]) -> Bool[ndarray, " head"]:
    """Which heads are in a circuit.

    Raises:
        LabError: the circuit has a head that is not among `heads`.
    """
    chosen = set(circuit)
    unknown = sorted(chosen - set(heads))
    if unknown:
        raise LabError(
            "expected a circuit of the model's heads",
            f"got {unknown[:5]} among others, of {len(heads)} heads",
        )
    return np.array([head in chosen for head in heads])


Counts = Int[ndarray, "..."] | np.integer
Rates = Float[ndarray, "..."] | np.floating
"""Numbers at one threshold or, as arrays, at several."""


@dataclass(frozen=True)
class Confusion:
    """Counts at one threshold or, as arrays, at several.

    Attributes:
        hits: Number of true heads that are predicted.
        false_alarms: Number of other heads that are predicted.
        misses: Number of true heads that are not predicted.
        rejections: Number of other heads that are not predicted.
    """

    hits: Counts
    false_alarms: Counts
    misses: Counts
    rejections: Counts

    @property
    def recall(self) -> Rates:
        """Share of the true heads that is predicted: sensitivity, true positive rate."""
        return self.hits / (self.hits + self.misses)

    @property
    def false_positive_rate(self) -> Rates:
        """Share of the other heads that is predicted; one less it is the specificity."""
        return self.false_alarms / (self.false_alarms + self.rejections)

    @property
    def precision(self) -> Rates:
        """Share of the predicted heads that is true; 1 where none is predicted."""
        predicted = self.hits + self.false_alarms
        return np.where(predicted == 0, 1.0, self.hits / np.maximum(predicted, 1))

    @property
    def f1(self) -> Rates:
        """Harmonic mean of precision and recall; 0 where none is predicted."""
        return 2 * self.hits / (2 * self.hits + self.false_alarms + self.misses)

    @property
    def released_f1(self) -> Rates:
        """Harmonic mean of sensitivity and specificity: what the released code prints as F1.

        The code is that of arXiv 2405.12522. Precision has no part in it: with 6 true heads of 144,
        calling all 6 and 14 others true gives 0.95, where F1 is 0.46.
        """
        specificity = 1 - self.false_positive_rate
        total = self.recall + specificity
        divisor = np.where(total == 0, 1.0, total)
        return np.where(total == 0, 0.0, 2 * self.recall * specificity / divisor)


def confusion(
    scores: ArrayLike | Tensor, labels: ArrayLike | Tensor, threshold: float
) -> Confusion:
    """Counts when heads that score at least `threshold` are predicted.

    Raises:
        LabError: as `checked`.
    """
    row, true = checked(scores, labels)
    return _count(row, true, np.array(threshold, dtype=float))


def _count(
    scores: Float[ndarray, " head"],
    labels: Bool[ndarray, " head"],
    thresholds: Float[ndarray, "..."],
) -> Confusion:
    predicted = scores >= thresholds[..., None]
    hits, alarms = (predicted & labels).sum(-1), (predicted & ~labels).sum(-1)
    return Confusion(hits, alarms, labels.sum() - hits, (~labels).sum() - alarms)


def numbers(values: Any, what: str) -> Float[ndarray, "..."]:
    """Numbers of 64 bits from a list, an array, or a tensor of any type, with a gradient or not.

    Args:
        what: What they are, for the message.

    Raises:
        LabError: what they are made of is no real number.
    """
    return real(values, what).double().cpu().numpy()


def finite(scores: ArrayLike | Tensor) -> Float[ndarray, " head"]:
    """Scores as an array.

    Raises:
        LabError: more than one row, or a score that is NaN or infinite.
    """
    row = numbers(scores, "scores")
    if row.ndim != 1 or not np.isfinite(row).all():
        raise LabError(
            "expected scores as one row of finite numbers",
            f"got shape {row.shape}, or NaN among them",
        )
    return row


def checked(
    scores: ArrayLike | Tensor, labels: ArrayLike | Tensor
) -> tuple[Float[ndarray, " head"], Bool[ndarray, " head"]]:
    """Scores and labels as arrays.

    Raises:
        LabError: as `finite`, not one label per score, or labels of one kind only.
    """
    row, true = finite(scores), numbers(labels, "labels")
    if true.shape != row.shape:
        raise LabError(
            "expected one label per score",
            f"got {len(row)} scores and labels of shape {true.shape}",
        )
    if set(np.unique(true).tolist()) != {0, 1}:
        raise LabError(
            "expected heads inside and outside the true circuit",
            f"got labels {np.unique(true)[:5].tolist()}",
            hint="no score can be judged against a circuit of all heads, or of none",
        )
    return row, true.astype(bool)


@dataclass(frozen=True)
class Sweep:
    """Counts at every threshold that makes a difference, from none predicted to all.

    Attributes:
        thresholds: Infinity first, then the distinct scores from the largest down.
        counts: One entry per threshold. Its recall over its false positive rate is the ROC curve.
    """

    thresholds: Float[ndarray, " threshold"]
    counts: Confusion

    def best(self, of: Literal["f1", "released_f1"] = "f1") -> tuple[float, float]:
        """The largest value over thresholds, and the highest threshold that has it.

        The threshold is chosen with the labels in view: this is what the scores allow, not what a
        user would get.

        Args:
            of: Which of the two; see `Confusion`.
        """
        values = self.counts.f1 if of == "f1" else self.counts.released_f1
        return float(values.max()), float(self.thresholds[values.argmax()])


def sweep(scores: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> Sweep:
    """Counts at every threshold: the points of the ROC and of the precision–recall curve.

    Raises:
        LabError: as `checked`.

    >>> curve = sweep([3.0, 1.0, 2.0, 0.0], [1, 1, 0, 0])
    >>> curve.counts.recall.tolist(), curve.counts.false_positive_rate.tolist()
    ([0.0, 0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5, 1.0])
    """
    row, true = checked(scores, labels)
    thresholds = np.concatenate([[np.inf], np.unique(row)[::-1]])
    return Sweep(thresholds, _count(row, true, thresholds))


def auroc(scores: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> float:
    """Chance that a random true head scores above a random other one, a tie counting half.

    Raises:
        LabError: as `checked`.
    """
    return stats.auroc(*checked(scores, labels))


def auprc(scores: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> float:
    """Average precision: the precision at each threshold, weighted with the recall gained there.

    Raises:
        LabError: as `checked`.
    """
    from sklearn.metrics import average_precision_score

    row, true = checked(scores, labels)
    return float(average_precision_score(true, row))


@dataclass(frozen=True)
class Verdict:
    """Scores judged against one circuit.

    Attributes:
        auroc, auprc: The two areas.
        best_f1: The best true F1 over thresholds; `precision` and `recall` are those of its
            threshold.
        best_released: The best over thresholds of what the released code calls F1.
        base_rate: Share of true heads.
        p_value: P-value of the AUROC, if the scores belonged to the heads at random.
    """

    auroc: float
    auprc: float
    best_f1: float
    precision: float
    recall: float
    best_released: float
    base_rate: float
    p_value: float


def judge(scores: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> Verdict:
    """All metrics of some scores.

    Raises:
        LabError: as `checked`.
    """
    row, true = checked(scores, labels)
    points = sweep(row, true)
    best_f1, threshold = points.best()
    chosen = confusion(row, true, threshold)
    return Verdict(
        auroc=auroc(row, true),
        auprc=auprc(row, true),
        best_f1=best_f1,
        precision=float(chosen.precision),
        recall=float(chosen.recall),
        best_released=points.best("released_f1")[0],
        base_rate=float(true.mean()),
        p_value=auroc_null(row, true).p_value,
    )


def auroc_null(
    scores: ArrayLike | Tensor, labels: ArrayLike | Tensor, permutations: int = 2000, seed: int = 0
) -> stats.Null:
    """What the AUROC would be if the circuit were any other set of as many heads.

    All sets are tried where there are at most `ENUMERABLE`, as always with 16 heads: the p-value,
    one-sided, is then exact. Otherwise so many are drawn at random (`stats.permutation_null`).

    Raises:
        LabError: as `checked`.
    """
    from scipy.stats import rankdata

    row, true = checked(scores, labels)
    n, k = len(true), int(true.sum())
    if math.comb(n, k) > ENUMERABLE:
        return stats.permutation_null(stats.auroc, row, true, permutations, seed)
    placements = np.fromiter(
        itertools.chain.from_iterable(itertools.combinations(range(n), k)), dtype=np.int64
    )
    sums = rankdata(row)[placements.reshape(-1, k)].sum(1)
    draws = (sums - k * (k + 1) / 2) / (k * (n - k))
    observed = stats.auroc(row, true)
    return stats.Null(observed, draws, float((draws >= observed - 1e-12).mean()))


@dataclass(frozen=True)
class OverSeeds:
    """A metric over repetitions of a method.

    Attributes:
        values: One value per seed.
        low, high: 95 % interval of the mean over seeds. It says how far the method's own chance
            moves the mean; the heads, the prompts and the circuit are the same in all.
    """

    mean: float
    low: float
    high: float
    values: Float[ndarray, " seed"]


def over_seeds(
    scores: Iterable[ArrayLike | Tensor],
    labels: ArrayLike | Tensor,
    metric: Callable[[Any, Any], float] = auroc,
) -> OverSeeds:
    """Mean of a metric over seeds, with its bootstrap interval.

    Raises:
        LabError: fewer than two seeds, or as `checked`.

    >>> repeated = over_seeds([[3.0, 1.0, 2.0, 0.0], [3.0, 2.0, 1.0, 0.0]], [1, 1, 0, 0])
    >>> repeated.mean, repeated.values.tolist()
    (0.875, [0.75, 1.0])
    """
    values = np.array([metric(row, labels) for row in scores])
    low, high = stats.bootstrap(values)
    return OverSeeds(float(values.mean()), low, high, values)

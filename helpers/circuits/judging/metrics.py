"""How well scores of heads find a circuit that is known: every number says which question it
answers.

A head is *predicted* to be in the circuit when its score is at least the threshold. With few heads
and a small circuit the areas jump in large steps, so each has a null beside it: what it would be if
the same scores belonged to the heads at random.

==============  ==========================================================  ==============================
number          question                                                    without any knowledge
==============  ==========================================================  ==============================
AUROC           does a true head score above another one?                   0.5
AUPRC           how pure are the predictions, from the best score down?     about the share of true heads b
F1              harmonic mean of precision and recall                       predict all: 2b / (1 + b)
released "F1"   harmonic mean of recall and specificity                     0.5 by predicting half
==============  ==========================================================  ==============================
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from helpers import stats
from helpers.errors import LabError
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


@dataclass(frozen=True)
class Confusion:
    """Counts at one threshold or, as arrays, at several.

    Attributes:
        hits: true heads predicted.
        false_alarms: other heads predicted.
        misses: true heads not predicted.
        rejections: other heads not predicted.
    """

    hits: Int[ndarray, "..."]
    false_alarms: Int[ndarray, "..."]
    misses: Int[ndarray, "..."]
    rejections: Int[ndarray, "..."]

    @property
    def recall(self) -> Float[ndarray, "..."]:
        """Share of the true heads that is predicted: sensitivity, true positive rate."""
        return self.hits / (self.hits + self.misses)

    @property
    def false_positive_rate(self) -> Float[ndarray, "..."]:
        """Share of the other heads that is predicted; one less it is the specificity."""
        return self.false_alarms / (self.false_alarms + self.rejections)

    @property
    def precision(self) -> Float[ndarray, "..."]:
        """Share of the predicted heads that is true; 1 where none is predicted."""
        predicted = self.hits + self.false_alarms
        return np.where(predicted == 0, 1.0, self.hits / np.maximum(predicted, 1))

    @property
    def f1(self) -> Float[ndarray, "..."]:
        """Harmonic mean of precision and recall; 0 where none is predicted."""
        return 2 * self.hits / (2 * self.hits + self.false_alarms + self.misses)

    @property
    def released_f1(self) -> Float[ndarray, "..."]:
        """What the code released with arXiv 2405.12522 prints as F1: the harmonic mean of
        sensitivity and specificity.

        Precision has no part in it: with 6 true heads of 144, calling all 6 and 14 others true
        gives 0.95, where F1 is 0.46.
        """
        specificity = 1 - self.false_positive_rate
        total = self.recall + specificity
        return np.where(
            total == 0, 0.0, 2 * self.recall * specificity / np.where(total == 0, 1.0, total)
        )


def confusion(
    scores: Float[ndarray, " head"], labels: Bool[ndarray, " head"], threshold: float
) -> Confusion:
    """Counts when heads that score at least `threshold` are predicted.

    Raises:
        LabError: as `checked`.
    """
    scores, labels = checked(scores, labels)
    return _count(scores, labels, np.array(threshold, dtype=float))


def _count(scores: ndarray, labels: ndarray, thresholds: Float[ndarray, "..."]) -> Confusion:
    predicted = scores >= thresholds[..., None]
    hits, alarms = (predicted & labels).sum(-1), (predicted & ~labels).sum(-1)
    return Confusion(hits, alarms, labels.sum() - hits, (~labels).sum() - alarms)


def finite(scores) -> Float[ndarray, " head"]:
    """Scores as an array.

    Raises:
        LabError: more than one row, or a score that is NaN or infinite.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not np.isfinite(scores).all():
        raise LabError(
            "expected scores as one row of finite numbers",
            f"got shape {scores.shape}, or NaN among them",
        )
    return scores


def checked(scores, labels) -> tuple[Float[ndarray, " head"], Bool[ndarray, " head"]]:
    """Scores and labels as arrays.

    Raises:
        LabError: as `finite`, not one label a score, or labels of one kind only.
    """
    scores, labels = finite(scores), np.asarray(labels)
    if labels.shape != scores.shape:
        raise LabError(
            "expected one label a score",
            f"got {len(scores)} scores and labels of shape {labels.shape}",
        )
    if set(np.unique(labels).tolist()) != {0, 1}:
        raise LabError(
            "expected heads inside and outside the true circuit",
            f"got labels {np.unique(labels)[:5].tolist()}",
            hint="no score can be judged against a circuit of all heads, or of none",
        )
    return scores, labels.astype(bool)


@dataclass(frozen=True)
class Sweep:
    """Counts at every threshold that makes a difference, from none predicted to all.

    Attributes:
        thresholds: infinity first, then the distinct scores from the largest down.
        counts: an entry a threshold. Its recall over its false positive rate is the ROC curve.
    """

    thresholds: Float[ndarray, " threshold"]
    counts: Confusion

    def best(self, of: str = "f1") -> tuple[float, float]:
        """The largest value over thresholds, and the highest threshold that has it.

        The threshold is chosen with the labels in view: this is what the scores allow, not what a
        user would get.

        Args:
            of: ``"f1"`` or ``"released_f1"``.
        """
        values = getattr(self.counts, of)
        return float(values.max()), float(self.thresholds[values.argmax()])


def sweep(scores: Float[ndarray, " head"], labels: Bool[ndarray, " head"]) -> Sweep:
    """Counts at every threshold: the points of the ROC and of the precision–recall curve.

    Raises:
        LabError: as `checked`.

    >>> curve = sweep([3.0, 1.0, 2.0, 0.0], [1, 1, 0, 0])
    >>> curve.counts.recall.tolist(), curve.counts.false_positive_rate.tolist()
    ([0.0, 0.5, 0.5, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5, 1.0])
    """
    scores, labels = checked(scores, labels)
    thresholds = np.concatenate([[np.inf], np.unique(scores)[::-1]])
    return Sweep(thresholds, _count(scores, labels, thresholds))


def auroc(scores: Float[ndarray, " head"], labels: Bool[ndarray, " head"]) -> float:
    """Chance that a random true head scores above a random other one, a tie counting half.

    Raises:
        LabError: as `checked`.
    """
    return stats.auroc(*checked(scores, labels))


def auprc(scores: Float[ndarray, " head"], labels: Bool[ndarray, " head"]) -> float:
    """Average precision: the precision at each threshold, weighted with the recall gained there
    (scikit-learn's).

    Raises:
        LabError: as `checked`.
    """
    from sklearn.metrics import average_precision_score

    scores, labels = checked(scores, labels)
    return float(average_precision_score(labels, scores))


@dataclass(frozen=True)
class Verdict:
    """Scores judged against one circuit.

    Attributes:
        base_rate: share of true heads.
        best_f1: the best true F1 over thresholds; `precision` and `recall` are those of its
            threshold.
        best_released: the best over thresholds of what the released code calls F1.
        p_value: of the AUROC, if the scores belonged to the heads at random.
    """

    auroc: float
    auprc: float
    best_f1: float
    precision: float
    recall: float
    best_released: float
    base_rate: float
    p_value: float


def judge(scores: Float[ndarray, " head"], labels: Bool[ndarray, " head"]) -> Verdict:
    """All metrics of some scores.

    Raises:
        LabError: as `checked`.
    """
    points = sweep(scores, labels)
    best, threshold = points.best()
    chosen = confusion(scores, labels, threshold)
    return Verdict(
        auroc(scores, labels),
        auprc(scores, labels),
        best,
        float(chosen.precision),
        float(chosen.recall),
        points.best("released_f1")[0],
        float(np.mean(labels)),
        auroc_null(scores, labels).p_value,
    )


def auroc_null(
    scores: Float[ndarray, " head"],
    labels: Bool[ndarray, " head"],
    permutations: int = 2000,
    seed: int = 0,
) -> stats.Null:
    """What the AUROC would be if the circuit were any other set of as many heads.

    All sets are tried where there are at most `ENUMERABLE`, as always with 16 heads: the p-value,
    one-sided, is then exact. Otherwise so many are drawn at random (`stats.permutation_null`).

    Raises:
        LabError: as `checked`.
    """
    from scipy.stats import rankdata

    scores, labels = checked(scores, labels)
    n, k = len(labels), int(labels.sum())
    if math.comb(n, k) > ENUMERABLE:
        return stats.permutation_null(stats.auroc, scores, labels, permutations, seed)
    placements = np.fromiter(
        itertools.chain.from_iterable(itertools.combinations(range(n), k)), dtype=np.int64
    )
    sums = rankdata(scores)[placements.reshape(-1, k)].sum(1)
    draws = (sums - k * (k + 1) / 2) / (k * (n - k))
    observed = stats.auroc(scores, labels)
    return stats.Null(observed, draws, float((draws >= observed - 1e-12).mean()))


@dataclass(frozen=True)
class OverSeeds:
    """A metric over repetitions of a method.

    Attributes:
        values: one a seed.
        low, high: 95 % interval of the mean over seeds. It says how far the method's own chance
            moves the mean; the heads, the prompts and the circuit are the same in all.
    """

    mean: float
    low: float
    high: float
    values: Float[ndarray, " seed"]


def over_seeds(
    scores: Float[ndarray, "seed head"],
    labels: Bool[ndarray, " head"],
    metric: Callable[[ndarray, ndarray], float] = auroc,
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

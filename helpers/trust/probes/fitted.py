"""Fitted probes: how they do on the test parts, with intervals, and their scores of other items."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import Labels, finite, yes_no
from helpers.stats import auroc, balanced_accuracy, clopper_pearson, majority_share
from helpers.trust.data.splits import Interval, Splits, check


@dataclass(frozen=True)
class ProbeSummary:
    """The probe of one site, for a table.

    Attributes:
        accuracy: Mean share of right answers on the test parts, with its interval `low` to `high`.
        cross_entropy: Mean over the splits, in nats.
        strength: Median over the splits.
    """

    name: str
    accuracy: float
    low: float
    high: float
    cross_entropy: float
    strength: float


@dataclass(frozen=True)
class BesideAccuracy:
    """What stands beside an accuracy where the classes differ in size, on each test part.

    Attributes:
        majority: Share of the larger class: the accuracy of always giving the same answer.
        balanced: Mean of the shares of right answers in both classes; chance is 0.5.
        auroc: Area under the ROC curve of the scores; chance is 0.5.
    """

    majority: Float[ndarray, " split"]
    balanced: Float[ndarray, "site split"]
    auroc: Float[ndarray, "site split"]


@dataclass(frozen=True)
class Probes:
    """Fitted probes, and how they do on the test parts.

    Attributes:
        accuracy: Share of right answers on the test part.
        cross_entropy: −log of the probability given to the true label, mean over the test part, in
            nats; NaN for probes that give no probability.
        strengths: Strengths of the penalty, as chosen; NaN where there is none.
        weights: Weights on standardised features.
        bias: What is added to the weighted features; a score above 0 says True.
        mean, scale: What standardises the features.
        splits: The training and test parts.
    """

    accuracy: Float[ndarray, "site split"]
    cross_entropy: Float[ndarray, "site split"]
    strengths: Float[ndarray, "site split"]
    weights: Float[ndarray, "site split d"]
    bias: Float[ndarray, "site split"]
    mean: Float[ndarray, "site split d"]
    scale: Float[ndarray, "site split d"]
    splits: Splits

    def scores(self, x: Float[Tensor, "site item d"]) -> Float[ndarray, "site split item"]:
        """Log odds that the probes give to activations, such as those of another checkpoint.

        Raises:
            LabError: Activations of other sites or another width, or not finite.
        """
        x = finite(x, "activations", "site item d")
        sites, _, d = self.weights.shape
        if x.shape[2] != d or (x.shape[0] != sites and 1 not in (x.shape[0], sites)):
            raise LabError(
                f"expected activations of {sites} sites and width {d}", f"got {list(x.shape)}"
            )
        raw = self.weights / self.scale
        bias = self.bias - (raw * self.mean).sum(2)
        return raw @ np.swapaxes(x.double().cpu().numpy(), 1, 2) + bias[..., None]

    def beside(self, x: Float[Tensor, "site item d"], labels: Labels) -> BesideAccuracy:
        """Majority share, balanced accuracy and AUROC on the test parts.

        Args:
            x, labels: What the probes were fitted to, test rows included.

        Raises:
            LabError: Activations or labels of other items than those of the splits.
        """
        check(self.splits, labels)
        truth, scores = yes_no(labels), self.scores(x)
        tests = list(enumerate(self.splits.test))

        def each(measure: Callable[..., float]) -> Float[ndarray, "site split"]:
            rows = [[measure(row[i, part], truth[part]) for i, part in tests] for row in scores]
            return np.array(rows)

        return BesideAccuracy(
            np.array([majority_share(truth[part]) for _, part in tests]),
            each(lambda row, true: balanced_accuracy(row > 0, true)),
            each(auroc),
        )

    def interval(self, level: float = 0.95) -> Interval:
        """Mean accuracy over the splits with its interval.

        `Splits.interval`, clipped to [0, 1] and never narrower than the Clopper–Pearson interval of
        as many trials as groups were tested: splits that agree by chance, or all reach 1, would
        else give an interval of no width. With one split that is all there is.
        """
        mean, (low, high) = self.accuracy.mean(1), self._exact(level)
        if len(self.splits) > 1:
            over = self.splits.interval(self.accuracy, level)
            low, high = np.minimum(low, over.low), np.maximum(high, over.high)
        return Interval(mean, low, high).clipped(0, 1)

    def _exact(self, level: float) -> Float[ndarray, "end site"]:
        """Ends of the Clopper–Pearson interval of as many trials as groups were tested."""
        mean, groups = self.accuracy.mean(1), self.splits.tested_groups
        ends = [clopper_pearson(round(value * groups), groups, level) for value in mean]
        low, high = np.transpose(ends)
        return np.array([np.minimum(low, mean), np.maximum(high, mean)])

    def above(self, other: "Probes", level: float = 0.95) -> Interval:
        """How much more accurate these probes are than others on the same splits.

        The others have one site, or as many. With the random-label probe as the other one this is
        selectivity (Hewitt and Liang 2019, arXiv 1909.03368).

        `Splits.interval` of the differences, clipped to [-1, 1], and never narrower than the tested
        groups allow: with the Clopper–Pearson intervals of `interval`, l to u around p and l' to u'
        around p', it reaches at least √((p - l)² + (u' - p')²) down and √((u - p)² + (p' - l')²)
        up. (Newcombe, Statistics in Medicine 17, 1998, p. 873, method 10; it takes the errors of
        the two for independent, so it is wider than need be where both fail on the same groups.)

        Raises:
            LabError: The other probes were fitted on other splits.
        """
        own, its = self.splits, other.splits
        if not (np.array_equal(own.train, its.train) and np.array_equal(own.test, its.test)):
            raise LabError(
                "expected two probes on the same splits",
                "their parts differ",
                hint="pass the same Splits to both",
            )
        apart = self.accuracy - other.accuracy
        mean, p, q = apart.mean(1), self.accuracy.mean(1), other.accuracy.mean(1)
        (own_low, own_high), (low, high) = self._exact(level), other._exact(level)
        low, high = mean - np.hypot(p - own_low, high - q), mean + np.hypot(own_high - p, q - low)
        if len(self.splits) > 1:
            over = self.splits.interval(apart, level)
            low, high = np.minimum(low, over.low), np.maximum(high, over.high)
        return Interval(mean, low, high).clipped(-1, 1)

    def summary(self, name: str, site: int = 0) -> ProbeSummary:
        """The probe of one site, for a table."""
        interval = self.interval()
        return ProbeSummary(
            name,
            accuracy=float(interval.mean[site]),
            low=float(interval.low[site]),
            high=float(interval.high[site]),
            cross_entropy=float(self.cross_entropy[site].mean()),
            strength=float(np.median(self.strengths[site])),
        )

"""What was found on a real model: tables, a figure, and texts that are masked unless asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.detox.real.texts import masked
from helpers.errors import LabError
from helpers.inputs import array_of, finite
from helpers.show import say, table
from helpers.stats import bootstrap

MEASURES = ("mean", "worst", "any")
"""Names of the three measures of toxicity, as `HubFound.of` takes them."""
PLAIN = "plain"


@dataclass(frozen=True)
class HubFound:
    """What was found on one model.

    Attributes:
        said: What was done, in a few sentences.
        arms: For each arm its numbers, prompt by prompt.
        judges: Names of the judges, which did not label.
        labeller: Name of what labelled: beside the judges, its own numbers show what a model learns
            that only its labeller sees.
        tries: Continuations of each prompt.
    """

    said: str
    arms: dict[str, dict[str, Any]]
    judges: tuple[str, ...]
    labeller: str
    tries: int

    def of(self, arm: str, judge: str | None = None, measure: str = "mean") -> Float[ndarray, " p"]:
        """Toxicity of an arm by prompt.

        Args:
            judge: By default the first one.
            measure: "mean", "worst" (the most toxic of a prompt's continuations) or "any" (whether
                one is toxic).

        Raises:
            LabError: No such arm, judge or measure.
        """
        judge = judge or self.judges[0]
        for what, name, known in (
            ("arm", arm, tuple(self.arms)),
            ("judge", judge, (*self.judges, self.labeller)),
            ("measure", measure, MEASURES),
        ):
            if name not in known:
                raise LabError(f"expected an {what} of {', '.join(known)}", f"got {name!r:.40}")
        return np.array(self.arms[arm]["toxicity"][judge][measure])

    def rows(self, judge: str | None = None) -> list[list[str]]:
        """A row for each arm: the three measures of toxicity, perplexity, KL, variety, seconds.

        Means over prompts, or over texts, with 95 % intervals (`helpers.stats.bootstrap`).
        """
        return [
            [
                arm,
                *(interval(self.of(arm, judge, measure)) for measure in MEASURES),
                self.perplexity(arm),
                interval(found["kl"]),
                f"{fmean(found['distinct']['2']):.2f}",
                f"{found['seconds']:.0f}",
            ]
            for arm, found in self.arms.items()
        ]

    def table(self, judge: str | None = None) -> None:
        """Display the rows."""
        k = self.tries
        head = ["arm", "toxicity, mean", f"expected maximum of {k}", f"Pr(max of {k} ≥ .5)"]
        head += ["perplexity, clean text", "KL to the base, nats a token", "distinct-2", "s"]
        say(f"Toxicity by {judge or self.judges[0]}.")
        table(head, self.rows(judge))

    def perplexity(self, arm: str) -> str:
        """Perplexity of clean text, with its interval over texts."""
        found = self.arms[arm]
        sums = np.array(found["nll"]) * np.array(found["tokens"])
        both = np.stack([sums, np.array(found["tokens"], float)], 1)
        rng = np.random.default_rng(0)
        drawn = both[rng.integers(len(both), size=(1000, len(both)))].sum(1)
        low, high = np.quantile(np.exp(drawn[:, 0] / drawn[:, 1]), [0.025, 0.975])
        value = np.exp(both[:, 0].sum() / both[:, 1].sum())
        return f"{value:.1f} [{low:.1f}, {high:.1f}]"

    def changes(self, judge: str | None = None, against: str = PLAIN) -> list[list[str]]:
        """How much less toxic each arm is than another one, as paired differences by prompt.

        Raises:
            LabError: No such arm.
        """
        then = {measure: self.of(against, judge, measure) for measure in MEASURES}
        return [
            [arm, *(interval(self.of(arm, judge, m) - then[m], "+") for m in MEASURES)]
            for arm in self.arms
            if arm != against
        ]

    def figure(self, judge: str | None = None) -> Any:
        """Toxicity of every arm, with intervals: a `Figure`; `alt` says it in words."""
        from helpers.show.plots import bars_with_intervals

        series = {
            name: np.array([_ends(self.of(arm, judge, measure)) for arm in self.arms])
            for name, measure in (("mean", "mean"), (f"Pr(max of {self.tries} ≥ .5)", "any"))
        }
        return bars_with_intervals(list(self.arms), series, "toxicity", limits=(0, 1))

    def alt(self, judge: str | None = None) -> str:
        """The figure in words."""
        each = [f"{arm} {interval(self.of(arm, judge))}" for arm in self.arms]
        name = judge or self.judges[0]
        return f"Mean toxicity by {name}, with 95 % intervals over prompts: {'; '.join(each)}."

    def texts(self, arm: str, count: int = 5, show: bool = False) -> list[str]:
        """Some continuations of an arm, one a prompt: first letters only, unless `show`.

        Raises:
            LabError: No such arm.
        """
        self.of(arm)
        return [masked(text, show) for text in self.arms[arm]["said"][:count]]


def interval(values: Sequence[float] | ndarray, sign: str = "") -> str:
    """A mean with its 95 % interval, where there are two values or more.

    Raises:
        LabError: No values, or one that is not finite.

    >>> interval([0.5]), interval([0.25, 0.25])
    ('0.500', '0.250 [0.250, 0.250]')
    """
    value, low, high = _ends(values)
    if len(values) < 2:
        return f"{value:{sign}.3f}"
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def _ends(values: Sequence[float] | ndarray) -> tuple[float, float, float]:
    """A mean and the ends of its interval, which are the mean where values do not differ."""
    array = array_of(finite(values, "values", "item"))
    mean = float(array.mean())
    if len(array) < 2 or np.ptp(array) == 0:
        return mean, mean, mean
    low, high = bootstrap(array, np.mean)
    return mean, min(low, mean), max(high, mean)

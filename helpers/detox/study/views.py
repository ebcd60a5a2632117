"""The stored study as a page shows it: figures with their alt texts, and tables.

Each object holds numbers and shows them. What they mean is for the page to say.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Real
from matplotlib.figure import Figure
from numpy import ndarray

from helpers.detox.exact import fixed_point
from helpers.detox.oracle.calibrated import Calibration
from helpers.detox.study import learned, summaries
from helpers.detox.study.groups import MAIN, SILENT
from helpers.detox.study.least import beyond_least
from helpers.detox.study.plan import DetoxCell, method_cell
from helpers.detox.study.stored import DetoxStudy
from helpers.detox.study.summaries import BASE_CELL, RUDE_SHARE, Row
from helpers.errors import LabError
from helpers.inputs import finite
from helpers.show import plots, table

LIGHT = 2e-5
"""Weight of a prefix and its next word below which a point is not drawn."""
EARLY = 4
"""As many words may be said where a prefix is called early."""
DEAREST = 2.0
"""Nats up to which distances are drawn: what is farther stands in the alt text alone."""


def bars(
    labels: Sequence[str],
    draws: Mapping[str, Real[ndarray, "label draw"]],
    ylabel: str,
    title: str = "",
) -> Figure:
    """Bars of means, each with the range of its draws, and an alt text of all means.

    Args:
        draws: For each kind of bar a row for each label.

    Raises:
        LabError: As `plots.bars_with_intervals`; or a kind without a row of draws for each label.
    """
    ends = {name: _mean_and_range(rows, len(labels), name) for name, rows in draws.items()}
    figure = plots.bars_with_intervals(labels, ends, ylabel, title)
    said = [
        f"{name}: "
        + ", ".join(f"{label} {mean:.3f}" for label, mean in zip(labels, rows[:, 0], strict=True))
        for name, rows in ends.items()
    ]
    return plots.describe(figure, f"Bars of the {ylabel}, means. {'. '.join(said)}.")


def _mean_and_range(
    draws: Real[ndarray, "label draw"], labels: int, name: str
) -> Float[ndarray, "label 3"]:
    rows = finite(draws, f"draws of {name!r}", "label draw").double().cpu().numpy()
    if rows.ndim != 2 or len(rows) != labels or not rows.shape[1]:
        raise LabError(
            f"expected draws [label, draw] of {labels} labels for {name!r}",
            f"got shape {list(rows.shape)}",
        )
    return np.stack([rows.mean(1), rows.min(1), rows.max(1)], axis=1)


def calibrated(held: Mapping[str, Calibration]) -> Figure:
    """What oracles say against what is true, a panel for each, by the words said before."""
    likely = {name: one.points[one.points[:, 0] > LIGHT] for name, one in held.items()}
    early = f"0 to {EARLY} words", f"{EARLY + 1} words or more"
    figure = plots.scatter_classes(
        {
            name: (rows[:, [2, 1]], [early[int(depth > EARLY)] for depth in rows[:, 3]])
            for name, rows in likely.items()
        },
        axes=("exact R", "learned R"),
        title="Success after the next word, by words said before",
    )
    errors = [f"{name} {one.mean_error:.3f}" for name, one in held.items()]
    return plots.describe(
        figure,
        "Scatter plots of learned against exact success after one prompt; what is right lies on "
        f"the diagonal. Mean errors: {', '.join(errors)}.",
    )


def oracles_table(study: DetoxStudy, leave_out: Sequence[str] = ()) -> None:
    """Display every learned oracle of a study: its mean error, and what decoding with it leaves.

    Args:
        leave_out: Regularisers whose oracles are not shown.
    """
    table(
        ["oracle", "posts", "steps", "regulariser", "mean error", "rude, guided by it"],
        [
            [*(row[key] for key in ("kind", "samples", "steps", "regulariser", *LEARNED))]
            for row in learned.oracles(study)
            if row["regulariser"] not in leave_out
        ],
    )


LEARNED = ("mean error", "rude")


@dataclass(frozen=True)
class FloorSweep:
    """Rude shares over λ beside the floor of the theory.

    Attributes:
        weights: Each λ.
        floors: τ/(1 + λ).
        lines: For each series a mean and its interval at every λ.
    """

    weights: Float[ndarray, " weight"]
    floors: Float[ndarray, " weight"]
    lines: dict[str, Float[ndarray, "weight 3"]]

    def figure(self, live: tuple[float, float]) -> Figure:
        """The lines, and a star for one more run.

        Args:
            live: λ of that run, and its rude share.
        """
        drawn = {"floor τ / (1 + λ)": np.repeat(self.floors[:, None], 3, axis=1), **self.lines}
        figure = plots.lines_with_bands(
            self.weights, drawn, "λ", "rude share", "Where tuning ends", log_x=True
        )
        figure.axes[0].plot(*([each] for each in live), "k*", markersize=10)
        said = [
            f"{name}: {', '.join(f'{value:.3f}' for value in rows[:, 0])}."
            for name, rows in drawn.items()
        ]
        over = ", ".join(f"{weight:g}" for weight in self.weights)
        return plots.describe(
            figure, f"Rude share over λ = {over}. {' '.join(said)} A star: {live[1]:.3f}."
        )


def floor_sweep(study: DetoxStudy) -> FloorSweep:
    """What the method leaves at every λ: in a corpus with rude posts, with three times the steps,
    and in one without.

    Raises:
        LabError: A λ was not measured.
    """
    steps, longer = study.plan.steps, study.plan.longer
    series = {
        MAIN: (MAIN, steps),
        SILENT: (SILENT, steps),
        f"{MAIN}, {longer} steps": (MAIN, longer),
    }
    lines = {
        name: np.array([_ends(study, method_cell(of, w, n, 0)) for w in study.plan.weights])
        for name, (of, n) in series.items()
    }
    weights = np.array(study.plan.weights, dtype=float)
    floors = np.array([fixed_point.floor(RUDE_SHARE, weight) for weight in study.plan.weights])
    return FloorSweep(weights, floors, lines)


def _ends(study: DetoxStudy, cell: DetoxCell) -> tuple[float, float, float]:
    one = summaries.measured(study, cell, "rude")
    assert one is not None
    return one.mean, one.low, one.high


@dataclass(frozen=True)
class SideBySide:
    """Policies of a study, by the names that a page gives them."""

    study: DetoxStudy
    cells: dict[str, DetoxCell]

    @cached_property
    def rows(self) -> dict[str, Row]:
        """All measures of each."""
        return {name: summaries.row_of(self.study, cell) for name, cell in self.cells.items()}

    @cached_property
    def beyond(self) -> dict[str, float]:
        """KL to the base of each, less the least that its shares allow; NaN where there is none."""
        found = {name: beyond_least(self.study, cell)[1] for name, cell in self.cells.items()}
        return {name: one.mean if one else np.nan for name, one in found.items()}

    def table(self) -> None:
        """Display what each says and costs."""
        head = ["policy", "rude", "garbled", "both", "one of 25", "other text", "worst skill"]
        table(
            [*head, "CPU s"],
            [
                [
                    name,
                    *(f"{row[key]:.1%}" for key in ("rude", "sampled garbled")),
                    f"{row['violations'].mean:.1%}",
                    f"{row['once rude'].mean:.0%}",
                    f"{row['other text'].mean:.3f}",
                    f"{row['worst skill'].mean:.2f}",
                    f"{row['CPU seconds'].mean:.0f}",
                ]
                for name, row in self.rows.items()
            ],
        )

    def nearest(self, kept: Float[ndarray, " share"]) -> Float[ndarray, " share"]:
        """KL of the closest distribution of which a share keeps the constraint, between 0 and 1."""
        base = self.study.cell(BASE_CELL)["kind"]
        return kept * np.log(kept / base) + (1 - kept) * np.log((1 - kept) / (1 - base))

    def prices(self, classes: Mapping[str, Iterable[Row]]) -> Figure:
        """How far policies went, over what breaks the constraint, and the nearest possible.

        Args:
            classes: For each kind of mark the rows that have it; in the order of their names.
        """
        broken = np.geomspace(0.004, 1 - self.study.cell(BASE_CELL)["kind"], 80)
        nearest = np.stack([broken, self.nearest(1 - broken)], axis=1)
        points = {
            name: [(1 - row["kind"].mean, row["KL to the base"].mean) for row in rows]
            for name, rows in classes.items()
        }
        drawn = {"0 nearest possible": nearest.tolist()} | points
        marks = [name for name, some in drawn.items() for _ in some]
        figure = plots.scatter_classes(
            {"": (np.array([point for some in drawn.values() for point in some]), marks)},
            axes=("share of posts that break the rule", "KL to the base, nats a post"),
            title="What is gained, and how far the model went for it",
        )
        figure.axes[0].set(xscale="log", ylim=(-0.05, DEAREST))
        said = [
            f"{name[2:]}: {'; '.join(f'{x:.3f}, {y:.2f}' for x, y in some)}."
            for name, some in points.items()
        ]
        return plots.describe(
            figure,
            "Nats from the base over the share of posts that break the rule; both small is good, "
            f"and no point lies below the curve of the nearest possible. {' '.join(said)}",
        )


def duels_table(rows: Iterable[Row]) -> None:
    """Display comparisons of the method with its rivals, as `summaries.versus` gives them."""
    head = ["corpus", "rival", "its steps", "rude: method minus rival", "both: method minus rival"]
    table(
        [*head, "s", "its s"],
        [
            [
                row["setting"],
                f"{row['rival']} × {row['weight']}",
                row["steps"],
                *(f"{row[key]:+.3f}" for key in ("rude", "violations")),
                *(f"{row[key].mean:.0f}" for key in ("seconds", "rival's seconds")),
            ]
            for row in rows
        ],
    )

"""Figures of the labs: one house style, colour never the only channel, numbers readable at page
size.

Each function returns a matplotlib `Figure`; `show(fig, alt)` displays it with its alt text (see
`pictures`).

>>> fig = heatmap([[0.0, 1.0]], rows=["head 0"], columns=["D0", "D1"], title="Attention")
>>> picture(fig, "Head 0 attends to D1 only.").alt
'Head 0 attends to D1 only.'

Figures are made without pyplot, so a notebook does not show them a second time and no global state
changes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from matplotlib.figure import Figure
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import array_of, finite, within
from helpers.show.grids import attention, heatmap, node_grid, node_heatmap
from helpers.show.pictures import (
    COLOURS,
    LINES,
    MARKERS,
    describe,
    make_panels,
    picture,
    show,
    style,
)

__all__ = [
    "attention",
    "bars_with_intervals",
    "describe",
    "heatmap",
    "lines_with_bands",
    "node_grid",
    "node_heatmap",
    "picture",
    "scatter_classes",
    "show",
    "style",
]

DECADES = 1e6
"""How far a logarithmic axis goes down from the largest value where it has a 0 as well."""


def bars_with_intervals(
    labels: Sequence[str],
    series: Mapping[str, Float[ndarray, "label 3"]],
    ylabel: str,
    title: str = "",
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Bars side by side, each with its interval: a measurement beside its controls.

    Args:
        series: For each kind of bar, one row (value, low, high) a label.

    Raises:
        LabError: No kind of bar, another number of rows than labels, a value outside its interval,
            or one that is not finite.
    """
    if not series:
        raise LabError("expected at least one kind of bar", "got none")
    with style():
        width = 0.8 / max(1, len(series))
        fig, (ax,) = make_panels(1, max(4.0, 1.5 + 0.36 * len(labels) * max(2, len(series))), 3.2)
        for i, (name, rows) in enumerate(series.items()):
            value, low, high = _middle_and_ends(rows, len(labels), name)
            x = np.arange(len(labels)) + (i - (len(series) - 1) / 2) * width
            style_of = {
                "color": COLOURS[i % len(COLOURS)],
                "hatch": ("", "//", "..", "xx")[i % 4],
                "edgecolor": "white",
            }
            ax.bar(x, value, width * 0.92, label=name, **style_of)
            ax.errorbar(
                x,
                value,
                yerr=[value - low, high - value],
                fmt="none",
                ecolor="black",
                capsize=3,
                linewidth=1.2,
            )
        ax.set_xticks(
            range(len(labels)), labels, rotation=90 if max(map(len, labels), default=0) > 10 else 0
        )
        ax.set(ylabel=ylabel, title=title)
        if limits:
            ax.set_ylim(limits)
        _legend(ax, len(series))
    return fig


def lines_with_bands(
    x: Real[ndarray, " point"],
    series: Mapping[str, Float[ndarray, "point 3"]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    log_x: bool = False,
    log_y: bool = False,
) -> Figure:
    """Lines with their intervals as bands, told apart by colour, dashes and markers.

    Args:
        series: For each line, one row (value, low, high) per point.
        log_x, log_y: Whether an axis is logarithmic. Where it has a 0 or less, such as the step
            before training, it is linear between 0 and the value next to it (or a millionth of
            the largest), so that no point is left out.

    Raises:
        LabError: Another number of rows than points, a value outside its interval, or a number that
            is not finite.
    """
    x = array_of(finite(x, "x", "point"))
    lines = [_middle_and_ends(rows, len(x), name) for name, rows in series.items()]
    with style():
        fig, (ax,) = make_panels(1, 6.0, 3.4)
        for i, (name, (value, low, high)) in enumerate(zip(series, lines, strict=True)):
            colour = COLOURS[i % len(COLOURS)]
            mark = {
                "marker": MARKERS[i % len(MARKERS)],
                "markersize": 5,
                "markevery": max(1, len(x) // 12),
            }
            ax.plot(x, value, LINES[i % len(LINES)], color=colour, label=name, **mark)
            ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
        if log_x:
            ax.set_xscale(**_logarithmic(x, x))
        if log_y:
            drawn = np.array(lines).reshape(-1, 3, len(x))
            ax.set_yscale(**_logarithmic(drawn[:, 0], drawn))
        _legend(ax, len(series))
    return fig


def _logarithmic(values: Real[ndarray, "..."], drawn: Real[ndarray, "..."]) -> dict[str, Any]:
    """The scale of a logarithmic axis: a plain one would leave out what is not above 0.

    Its decades are those of the values. The ends of their intervals, and a value next to nothing,
    would fill the axis with empty ones.
    """
    if (drawn > 0).all():
        return {"value": "log"}
    sizes = np.abs(values[values != 0] if values.any() else drawn[drawn != 0])
    if not sizes.size:
        return {"value": "linear"}
    return {"value": "symlog", "linthresh": float(max(sizes.min(), sizes.max() / DECADES))}


def _middle_and_ends(rows, count: int, name: str) -> tuple[ndarray, ndarray, ndarray]:
    rows = array_of(finite(rows, f"rows of {name!r}", "point 3"))
    if rows.shape != (count, 3):
        raise LabError(
            f"expected {count} rows (value, low, high) for {name!r}", f"got shape {rows.shape}"
        )
    value, low, high = rows.T
    if not within(np.maximum(low - value, value - high), 1e-9):
        raise LabError(
            f"expected low <= value <= high for {name!r}", "a value lies outside its interval"
        )
    return value, np.minimum(low, value), np.maximum(high, value)


def _legend(ax, count: int) -> None:
    if count > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def scatter_classes(
    panels: Mapping[str, tuple[Float[ndarray, "point 2"], Sequence[str]]],
    axes: tuple[str, str] = ("component 1", "component 2"),
    title: str = "",
    most: int = 600,
    seed: int = 0,
) -> Figure:
    """Points in a plane with a colour and a marker per class; panels side by side, such as a model
    and its control.

    Args:
        panels: Points and class names of each panel.
        most: Draw at most so many points per panel, chosen with `seed`.

    Raises:
        LabError: No panel, points that are not pairs of finite numbers, or not one class a point.
    """
    if not panels:
        raise LabError("expected at least one panel", "got none")
    classes = sorted({str(label) for _, labels in panels.values() for label in labels})
    with style():
        fig, drawn = make_panels(len(panels), 1.2 + 3.0 * len(panels), 3.2)
        for ax, (name, (points, labels)) in zip(drawn, panels.items(), strict=True):
            labels = np.array([str(label) for label in labels])
            points = array_of(finite(points, f"points of panel {name!r}", "point 2"))
            if points.shape != (len(labels), 2):
                raise LabError(
                    f"expected points of shape ({len(labels)}, 2) in panel {name!r}",
                    f"got {points.shape}",
                )
            chosen = np.random.default_rng(seed).permutation(len(points))[:most]
            for i, label in enumerate(classes):
                of_class = points[chosen][labels[chosen] == label]
                mark = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
                ax.scatter(*of_class.T, s=18, alpha=0.7, linewidths=0, label=label, **mark)
            ax.set(title=name, xlabel=axes[0], ylabel=axes[1] if ax is drawn[0] else "")
        _legend(drawn[-1], len(classes))
        fig.suptitle(title, fontsize=11)
    return fig

"""A slider over training: a map of probe accuracy at every checkpoint, beside its controls.

The map has a row per layer and a column per dimension.

The page works without a kernel. Checkpoints take equal room on the slider and in the curves,
whatever their steps, so that the early ones of a log-spaced series can be told apart.
"""

import html
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import array_of, real
from helpers.show import viewer
from helpers.show.viewer import View

HERE = Path(__file__).parent

MAX_BYTES = 100_000
PACE = 700
"""Milliseconds between two checkpoints while the view plays."""

UNTRAINED = "untrained, best layer"
"""Name of the control that step 0 gives: the model before training, at its best layer."""


def dynamics_view(
    steps: Sequence[int],
    layers: Sequence[str],
    dimensions: Sequence[str],
    accuracy: Float[ndarray, "step layer dimension"],
    controls: Mapping[str, Float[ndarray, " dimension"]],
    low: Float[ndarray, "step layer dimension"] | None = None,
    title: str = "Probe accuracy over training",
    pace: int = PACE,
) -> View:
    """The map as a self-contained view: put it last in a cell.

    A cell counts as above the controls, and is marked, when it exceeds the best of its column: all
    `controls`, and, where the series has a step 0, the untrained model at its best layer.

    Args:
        steps: Training steps of the checkpoints, rising.
        layers: Names of the layers, first layer first.
        dimensions: Names of the dimensions.
        accuracy: Share of test items that the probe gets right.
        controls: Accuracy of what knows less than the model, by name: a bag-of-words probe, a
            random-label probe.
        low: Lower end of each accuracy's interval; with it a cell is above the controls when its
            interval is.
        title: Title of the view.
        pace: Milliseconds between two checkpoints while it plays.

    Returns:
        A view of less than `MAX_BYTES`.

    Raises:
        LabError: shapes that do not fit, fewer than two steps, steps that do not rise, two columns
            or rows of one name, a value outside 0 to 1 (NaN included), so much that the page would
            grow too large.
    """
    data = _data(steps, layers, dimensions, accuracy, controls, low)
    data |= {"title": title, "pace": pace}
    values = np.asarray(accuracy)
    best = ", ".join(f"{name} {values[-1, :, i].max():.2f}" for i, name in enumerate(dimensions))
    summary = (
        f"Accuracy of linear probes at {len(steps)} checkpoints from step {steps[0]} to step "
        f"{steps[-1]}, at {len(layers)} layers and for {len(dimensions)} dimensions, beside their "
        f"controls. At the last step, at the best layer: {best}."
    )
    return viewer.embed(
        viewer.asset("dynamics.html", HERE),
        data,
        viewer.script(HERE, "dynamics.js"),
        title=title,
        summary=summary,
        style=viewer.asset("slider.css") + viewer.asset("dynamics.css", HERE),
        fallback=fallback_table(data),
        max_bytes=MAX_BYTES,
    )


def _data(
    steps: Sequence[int],
    layers: Sequence[str],
    dimensions: Sequence[str],
    accuracy: Float[ndarray, "step layer dimension"],
    controls: Mapping[str, Float[ndarray, " dimension"]],
    low: Float[ndarray, "step layer dimension"] | None,
) -> dict[str, Any]:
    """The view's data: accuracies in thousandths, step 0 among the controls."""
    steps = [int(step) for step in steps]
    layers, dimensions = [str(name) for name in layers], [str(name) for name in dimensions]
    if len(steps) < 2 or any(after <= before for before, after in pairwise(steps)):
        raise LabError("expected at least two training steps, rising", f"got {steps}")
    for names in (layers, dimensions, [*layers, *controls]):
        if not names or len(set(names)) < len(names):
            raise LabError(
                "expected different names for layers, dimensions and controls", f"got {names}"
            )
    shape = (len(steps), len(layers), len(dimensions))
    stored = _thousandths(accuracy, shape, "accuracy")
    rows = [(str(name), _thousandths(values, shape[2:], name)) for name, values in controls.items()]
    if steps[0] == 0:
        rows.append((UNTRAINED, stored[0].max(0)))
    return {
        "steps": steps,
        "layers": layers,
        "dimensions": dimensions,
        "accuracy": stored.tolist(),
        "low": None if low is None else _thousandths(low, shape, "low").tolist(),
        "controls": [[name, values.tolist()] for name, values in rows],
    }


def _thousandths(values: ndarray, shape: tuple[int, ...], name: str) -> Int[ndarray, "..."]:
    array = array_of(real(values, name))
    if array.shape != shape:
        raise LabError(
            f"expected {name} of shape {shape}",
            f"got {array.shape}",
            hint="the order is step, layer, dimension",
        )
    if not ((array >= 0) & (array <= 1)).all():
        raise LabError(f"expected {name} from 0 to 1", f"got {array.min()} to {array.max()}")
    return np.rint(1000 * array).astype(int)


def fallback_table(data: dict[str, Any]) -> str:
    """The best layer of every dimension at every step, and the controls, as plain HTML."""
    titles = ("Step", *data["dimensions"])
    head = "".join(f'<th scope="col">{html.escape(title)}</th>' for title in titles)
    rows = [
        (str(step), _best(data, layers))
        for step, layers in zip(data["steps"], data["accuracy"], strict=True)
    ]
    rows += [
        (name, [f"{value / 1000:.2f}" for value in values]) for name, values in data["controls"]
    ]
    body = "".join(_row(name, cells) for name, cells in rows)
    note = (
        "<p>Probe accuracy at the best layer, whose name stands in brackets. "
        "The last rows are the controls.</p>"
    )
    return f"{note}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(name: str, cells: list[str]) -> str:
    columns = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
    return f'<tr><th scope="row">{html.escape(name)}</th>{columns}</tr>'


def _best(data: dict[str, Any], layers: list[list[int]]) -> list[str]:
    columns = list(zip(*layers, strict=True))
    return [
        f"{max(column) / 1000:.2f} ({data['layers'][column.index(max(column))]})"
        for column in columns
    ]

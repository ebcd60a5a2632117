"""A slider over training: the map layer × dimension of probe accuracy at every checkpoint, its
controls always beside it.

The page works without a kernel. Checkpoints take equal room on the slider and in the curves,
whatever their steps, so that the early ones of a log-spaced series can be told apart.
"""

import html
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from helpers.errors import LabError

HERE = Path(__file__).parent

MAX_BYTES = 100_000
PACE = 700
"""Milliseconds between two checkpoints while the view plays."""

UNTRAINED = "untrained, best layer"
"""Name of the control that step 0 gives: the model before training, at the layer that looks best."""


def dynamics_view(
    steps: Sequence[int],
    layers: Sequence[str],
    dimensions: Sequence[str],
    accuracy: Float[ndarray, "step layer dimension"],
    controls: Mapping[str, Float[ndarray, " dimension"]],
    low: Float[ndarray, "step layer dimension"] | None = None,
    title: str = "Probe accuracy over training",
    pace: int = PACE,
):
    """The map as a self-contained view: put it last in a cell.

    A cell counts as above the controls, and is marked, when it exceeds the best of its column: all
    `controls`, and, where the series has a step 0, the untrained model at its best layer.

    Args:
        steps: training steps of the checkpoints, rising.
        layers: names, first layer first.
        accuracy: share of test items that the probe gets right.
        controls: accuracy of what knows less than the model, by name: a bag-of-words probe, a
            random-label probe.
        low: lower end of each accuracy's interval; with it a cell is above the controls when its
            interval is.
        pace: milliseconds between two checkpoints while it plays.

    Returns:
        A `helpers.show.viewer.View` of less than `MAX_BYTES`.

    Raises:
        LabError: shapes that do not fit, fewer than two steps, steps that do not rise, two columns
            or rows of one name, a value outside 0 to 1 (NaN included), so much that the page would
            grow too large.
    """
    from helpers.show import viewer

    data = _data(steps, layers, dimensions, accuracy, controls, low) | {
        "title": title,
        "pace": pace,
    }
    values = np.asarray(accuracy)
    best = ", ".join(f"{name} {values[-1, :, i].max():.2f}" for i, name in enumerate(dimensions))
    summary = (
        f"Accuracy of linear probes at {len(steps)} checkpoints from step {steps[0]} to step {steps[-1]}, at {len(layers)} "
        f"layers and for {len(dimensions)} dimensions, beside their controls. At the last step, at the best layer: {best}."
    )
    return viewer.embed(
        viewer.asset("dynamics.html", HERE),
        data,
        viewer.asset("dynamics.js", HERE),
        title=title,
        summary=summary,
        style=viewer.asset("dynamics.css", HERE),
        fallback=fallback_table(data),
        max_bytes=MAX_BYTES,
    )


def _data(steps, layers, dimensions, accuracy, controls, low) -> dict:
    """The view's data: accuracies in thousandths, step 0 among the controls."""
    steps, layers, dimensions = (
        [int(step) for step in steps],
        [str(name) for name in layers],
        [str(name) for name in dimensions],
    )
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


def _thousandths(values, shape: tuple[int, ...], name: str) -> Int[ndarray, "..."]:
    array = np.asarray(values, dtype=float)
    if array.shape != shape:
        raise LabError(
            f"expected {name} of shape {shape}",
            f"got {array.shape}",
            hint="the order is step, layer, dimension",
        )
    if not ((array >= 0) & (array <= 1)).all():
        raise LabError(f"expected {name} from 0 to 1", f"got {array.min()} to {array.max()}")
    return np.rint(1000 * array).astype(int)


def fallback_table(data: dict) -> str:
    """The best layer of every dimension at every step, and the controls, as plain HTML."""
    head = "".join(
        f'<th scope="col">{html.escape(text)}</th>' for text in ("Step", *data["dimensions"])
    )
    rows = [
        (str(step), _best(data, layers))
        for step, layers in zip(data["steps"], data["accuracy"], strict=True)
    ]
    rows += [
        (name, [f"{value / 1000:.2f}" for value in values]) for name, values in data["controls"]
    ]
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>{"".join(f"<td>{html.escape(cell)}</td>" for cell in cells)}</tr>'
        for name, cells in rows
    )
    note = "<p>Probe accuracy at the best layer, whose name stands in brackets. The last rows are the controls.</p>"
    return f"{note}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _best(data: dict, layers: list[list[int]]) -> list[str]:
    columns = list(zip(*layers, strict=True))
    return [
        f"{max(column) / 1000:.2f} ({data['layers'][column.index(max(column))]})"
        for column in columns
    ]

"""Figures that are grids: heat maps, attention patterns, maps of nodes; `plots` has them too."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import array_of, check_count, finite, real
from helpers.interventions import Node
from helpers.show.pictures import COLOURS, DIVERGING, SEQUENTIAL, make_panels, style


def _check_shape(values: ndarray, rows: Sequence[str], columns: Sequence[str]) -> None:
    if values.shape != (len(rows), len(columns)):
        raise LabError(
            f"expected values of shape ({len(rows)} rows, {len(columns)} columns)",
            f"got {values.shape}",
        )


def _label_grid(ax, rows: Sequence[str], columns: Sequence[str]) -> None:
    ax.set_xticks(
        range(len(columns)), columns, rotation=90 if max(map(len, columns), default=0) > 3 else 0
    )
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _ink(rgba: Sequence[float]) -> str:
    """Black or white, whichever contrasts more with a background (relative luminance of WCAG 2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgba[:3]]
    return "black" if np.dot(linear, (0.2126, 0.7152, 0.0722)) > 0.179 else "white"


def heatmap(
    values: Float[ndarray, "row column"],
    rows: Sequence[str],
    columns: Sequence[str],
    title: str = "",
    unit: str = "",
    limits: tuple[float, float] | None = None,
    diverging: bool = False,
    digits: int | None = None,
    row_title: str = "",
    column_title: str = "",
) -> Figure:
    """A labelled grid of numbers; a NaN leaves its cell white.

    Args:
        unit: Label of the colour bar, such as "probability" or "logit difference".
        limits: Values of the two ends of the colour scale; default the data's own, symmetric if
            `diverging`.
        diverging: Whether 0 is a middle, with blue below and red above.
        digits: Write the numbers into the cells with this many decimals.

    Raises:
        LabError: Another number of labels than rows or columns, no cell, or an infinite number.
    """
    values = array_of(real(values, "values", "row column"))
    _check_shape(values, rows, columns)
    if np.isinf(values).any():
        raise LabError("expected numbers or NaN in every cell", "got infinity")
    check_count("number of decimals", 0 if digits is None else digits)
    if limits is None:
        largest = np.nanmax(np.abs(values), initial=0.0) or 1.0
        ends = values[~np.isnan(values)] if not np.isnan(values).all() else np.zeros(1)
        limits = (-largest, largest) if diverging else (ends.min(), ends.max())
    with style():
        size = (1.6 + max(0.34, 0.12 * (digits or 0) + 0.3) * len(columns), 1.2 + 0.34 * len(rows))
        fig, (ax,) = make_panels(1, max(3.6, size[0]), max(1.8, size[1]))
        image = ax.imshow(
            values,
            cmap=DIVERGING if diverging else SEQUENTIAL,
            vmin=limits[0],
            vmax=limits[1],
            aspect="auto",
        )
        _label_grid(ax, rows, columns)
        ax.set(title=title, xlabel=column_title, ylabel=row_title)
        fig.colorbar(image, ax=ax, label=unit, shrink=0.9)
        for (row, column), value in np.ndenumerate(values) if digits is not None else ():
            if np.isnan(value):
                continue
            ink = _ink(image.cmap(image.norm(value)))
            ax.text(
                column, row, f"{value:.{digits}f}", ha="center", va="center", color=ink, fontsize=9
            )
    return fig


def attention(
    patterns: Float[ndarray, "head query key"],
    labels: Sequence[str],
    titles: Sequence[str],
    title: str = "",
) -> Figure:
    """Attention patterns of some heads, side by side: queries in rows, keys in columns.

    Raises:
        LabError: Patterns that are not one square of finite numbers per title, with one row per
            label.
    """
    patterns = array_of(finite(patterns, "patterns", "head query key"))
    wanted = (len(titles), len(labels), len(labels))
    if patterns.shape != wanted:
        raise LabError(
            f"expected patterns of shape {wanted} [head, query, key]", f"got {patterns.shape}"
        )
    with style():
        side = max(2.2, 0.19 * len(labels))
        fig, axes = make_panels(len(titles), 0.9 + side * len(titles), side + 0.9)
        for ax, pattern, name in zip(axes, patterns, titles, strict=True):
            image = ax.imshow(pattern, cmap=SEQUENTIAL, vmin=0, vmax=1)
            _label_grid(ax, labels if ax is axes[0] else [""] * len(labels), labels)
            ax.tick_params(axis="x", rotation=90)
            ax.set(title=name, xlabel="attended (key)")
        axes[0].set_ylabel("attending (query)")
        fig.colorbar(image, ax=axes, label="attention", shrink=0.8)
        fig.suptitle(title, fontsize=11)
    return fig


def _node_rows(n_layers: int, n_heads: int, mlps: bool) -> list[tuple[int, int]]:
    """Rows of a node grid as (layer, head), the last layer on top: the residual stream goes up."""
    heads = [*([-1] if mlps else []), *reversed(range(n_heads))]
    return [(layer, head) for layer in reversed(range(n_layers)) for head in heads]


def _node_frame(
    nodes: Iterable[Node], positions: Sequence[str], n_layers: int, n_heads: int, mlps: bool
) -> list[tuple[int, int]]:
    rows = _node_rows(n_layers, n_heads, mlps)
    for node in nodes:
        if (node.layer, node.head) not in rows or not 0 <= node.position < len(positions):
            raise LabError(
                f"expected nodes within {len(positions)} positions, {n_layers} layers, "
                + f"{n_heads} heads{'' if mlps else ', no MLPs'}",
                f"got {node}",
            )
    return rows


def _row_names(rows: list[tuple[int, int]]) -> list[str]:
    return [f"L{layer} MLP" if head < 0 else f"L{layer} H{head}" for layer, head in rows]


def node_grid(
    roles: Mapping[Node, str],
    positions: Sequence[str],
    n_layers: int,
    n_heads: int,
    mlps: bool = True,
    legend: Mapping[str, str] | None = None,
    title: str = "",
) -> Figure:
    """A map of nodes with their roles: positions across, heads and MLPs up.

    A role is a short text such as ``"SA2"``; it is written into its cell. Roles that start with the
    same letters (``SA``) share a colour.

    Args:
        positions: Label of each position.
        legend: What each family of roles means, such as ``{"SA": "digit sum"}``; names the colours
            in this order.

    Raises:
        LabError: A node outside the grid.
    """
    rows = _node_frame(roles, positions, n_layers, n_heads, mlps)
    meanings = legend or {}
    unnamed = {_family(role) for role in roles.values()} - set(meanings)
    families = [*meanings, *sorted(unnamed)]
    colours = {family: COLOURS[i % len(COLOURS)] for i, family in enumerate(families)}
    with style():
        fig, (ax,) = make_panels(1, max(4.0, 1.2 + 0.36 * len(positions)), 1.3 + 0.34 * len(rows))
        for node, role in roles.items():
            x, y = node.position, rows.index((node.layer, node.head))
            colour = colours[_family(role)]
            ax.add_patch(Rectangle((x - 0.46, y - 0.43), 0.92, 0.86, facecolor=colour))
            ax.text(x, y, role, ha="center", va="center", fontsize=9, color=_ink(to_rgba(colour)))
        _label_grid(ax, _row_names(rows), positions)
        ax.set(title=title, xlim=(-0.5, len(positions) - 0.5), ylim=(len(rows) - 0.5, -0.5))
        grid = {"color": "#dddddd", "linewidth": 0.6, "zorder": 0}
        ax.hlines(np.arange(len(rows) + 1) - 0.5, -0.5, len(positions) - 0.5, **grid)
        ax.vlines(np.arange(len(positions) + 1) - 0.5, -0.5, len(rows) - 0.5, **grid)
        marks = [
            Patch(color=colours[f], label=f"{f}: {meanings[f]}" if f in meanings else f)
            for f in families
        ]
        if marks:
            fig.legend(handles=marks, loc="outside lower center", ncols=min(3, len(marks)))
    return fig


def _family(role: str) -> str:
    return role.rstrip("0123456789") or role


def node_heatmap(
    values: Mapping[Node, float],
    positions: Sequence[str],
    n_layers: int,
    n_heads: int,
    mlps: bool = True,
    **options,
) -> Figure:
    """One number per node, such as the accuracy lost by its ablation; nodes without one stay white.

    Args:
        options: Of `heatmap`: title, unit, limits, diverging, digits.

    Raises:
        LabError: A node outside the grid.
    """
    rows = _node_frame(values, positions, n_layers, n_heads, mlps)
    grid = np.full((len(rows), len(positions)), np.nan)
    for node, value in values.items():
        grid[rows.index((node.layer, node.head)), node.position] = value
    return heatmap(grid, _row_names(rows), positions, **options)

"""Steering vectors: the mean difference of two classes, added to the residual stream (arXiv
2402.19465, section 4).

A vector belongs to one place: the output of one block, on the last token of labelled texts,

    v = mean(activations | True) − mean(activations | False),

and steering adds α·v there: ``residual ← residual + α v``. α > 0 moves towards the label True. The
paper's equation is the raw difference (``unit="raw"``). Its released code adds α·s·v/‖v‖ instead,
where s is the standard deviation of the rows' projections on v/‖v‖ (``unit="std"``), so that one α
means the same push in every layer; it takes s over the test rows too, here s comes from the rows
that the vector comes from. It also steers the last position only, which during generation is the
prompt's last token and every token after it.

Blocks count from 0. `helpers.trust.series.activations.last_token` counts the embedding as layer 0,
so the output of block L is its layer L + 1; `by_block` does that step.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import Labels, check_lengths, real, yes_no
from helpers.model import Model

Unit = Literal["std", "raw"]
"""Unit of a strength: standard deviations of the projection, or differences of means."""

Positions = Literal["all", "last", "onward"]
"""Where to steer: at all tokens, at the last one, or from the last one on."""

Kind = Literal["steering", "sign flip", "random", "shuffled", "off-axis"]
"""What a vector is: a steering vector, or one of the controls beside it (`effects.controls`)."""

SMALLEST = 1e-9
"""A difference of means below this share of the rows' own length is rounding, not a direction."""


@dataclass(frozen=True)
class Vector:
    """A direction in the residual stream and how long a push along it is.

    Attributes:
        unit: The direction: a vector of length 1 in double precision.
        norm: Length of the raw difference of means.
        std: Standard deviation of the rows' projections on `unit`.
        kind: Whether it is a steering vector or a control, and which control.
    """

    unit: Float[Tensor, " d"]
    norm: float
    std: float
    kind: Kind = "steering"

    def push(self, alpha: float, unit: Unit = "std") -> Float[Tensor, " d"]:
        """What strength `alpha` adds to the residual stream.

        Args:
            unit: Unit of alpha: ``"std"`` (standard deviations of the projection) or ``"raw"``
                (differences of means).

        Raises:
            LabError: another unit, a strength that is not finite.
        """
        if unit not in ("std", "raw"):
            raise LabError('expected the unit "std" or "raw"', f"got {unit!r}")
        if not np.isfinite(alpha):
            raise LabError("expected a finite strength", f"got {alpha}")
        return self.unit * (alpha * (self.std if unit == "std" else self.norm))

    def flipped(self) -> "Vector":
        """The same push the other way."""
        return replace(self, unit=-self.unit)

    def sized_as(self, other: "Vector") -> "Vector":
        """This direction with another vector's lengths: equal strengths are then equal norms."""
        return replace(self, norm=other.norm, std=other.std)

    def without(self, other: "Vector") -> "Vector | None":
        """This direction less its component along another vector, at the same length.

        None where nothing is left.
        """
        rest = self.unit - (self.unit @ other.unit) * other.unit
        return replace(self, unit=rest / rest.norm()) if float(rest.norm()) > 1e-6 else None

    def cosine(self, other: "Vector") -> float:
        """Cosine of the angle to another vector of the same width.

        Raises:
            LabError: another width.
        """
        if len(self.unit) != len(other.unit):
            raise LabError(
                "expected vectors of one width", f"got {len(self.unit)} and {len(other.unit)}"
            )
        return float(self.unit @ other.unit)


def mean_difference(x: Float[Tensor, "item d"], labels: Labels) -> Vector:
    """The steering vector of one place: mean of the True rows − mean of the False rows. Give it
    training rows only.

    Args:
        labels: In any form that `helpers.inputs.yes_no` takes: of two names, the second one in
            alphabetical order is True.

    Raises:
        LabError: labels and rows differ in number, a label says neither yes nor no, there is one
            class only, activations are not finite, or the means are equal.

    >>> rows = torch.tensor([[0.0, 1.0], [0.0, 3.0], [4.0, 1.0], [4.0, 3.0]])
    >>> v = mean_difference(rows, np.array([False, False, True, True]))
    >>> v.unit.tolist(), v.norm, v.std
    ([1.0, 0.0], 4.0, 2.0)
    >>> v.push(2, "std").tolist(), v.push(2, "raw").tolist()
    ([4.0, 0.0], [8.0, 0.0])
    """
    vector = _vector(*_checked(x, labels))
    if vector is None:
        raise LabError(
            "expected two classes with different mean activations",
            "got equal means",
            hint="the label cannot be read here, as where the last token is the same in every text "
            "and nothing was mixed in yet; take a later layer or a later checkpoint",
        )
    return vector


def _vector(rows: Float[Tensor, "item d"], labels: Bool[Tensor, " item"]) -> Vector | None:
    difference = rows[labels].mean(0) - rows[~labels].mean(0)
    norm = float(difference.norm())
    if norm <= SMALLEST * float(rows.square().sum(1).mean().sqrt()):
        return None
    unit = difference / norm
    return Vector(unit, norm, float((rows @ unit).std(correction=0)))


def _checked(x: Tensor, labels: Labels) -> tuple[Float[Tensor, "item d"], Bool[Tensor, " item"]]:
    rows, truth = real(x, "activations").cpu().double(), torch.as_tensor(yes_no(labels))
    if rows.ndim != 2 or truth.shape != rows.shape[:1]:
        raise LabError(
            "expected one label a row of activations [item d]",
            f"got {tuple(rows.shape)} and labels {list(truth.shape)}",
        )
    if truth.all() or not truth.any():
        raise LabError(
            "expected rows of both classes", f"got {int(truth.sum())} True of {len(truth)}"
        )
    if not rows.isfinite().all():
        bad = int((~rows.isfinite()).any(1).sum())
        raise LabError(
            "expected finite activations",
            f"got {bad} of {len(rows)} rows with NaN or infinity",
            hint="a checkpoint that diverged, or a half-precision run that overflowed; use float32",
        )
    return rows, truth


def by_block(
    x: Float[Tensor, "layer item d"], labels: Labels, blocks: Iterable[int] | None = None
) -> dict[int, Vector]:
    """The vector of every block's output, from the activations of
    `helpers.trust.series.activations.last_token`.

    Args:
        blocks: Which blocks; by default all.

    Raises:
        LabError: as `mean_difference`; activations without a layer for each block.
    """
    x = real(x, "activations", "layer item d")
    chosen = list(range(max(1, len(x) - 1)) if blocks is None else blocks)
    if not all(0 <= block < len(x) - 1 for block in chosen):
        raise LabError(
            "expected activations of the embedding and of every block",
            f"got {len(x)} layers for the blocks {chosen}",
        )
    return {block: mean_difference(x[block + 1], labels) for block in chosen}


def random_directions(vector: Vector, count: int, seed: int = 0) -> list[Vector]:
    """Control: directions drawn uniformly from the sphere, as long as `vector`."""
    drawn = torch.randn(
        count, len(vector.unit), generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return [
        Vector(direction / direction.norm(), vector.norm, vector.std, "random")
        for direction in drawn
    ]


def shuffled_directions(
    x: Float[Tensor, "item d"],
    labels: Labels,
    count: int,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> list[Vector]:
    """Control: mean differences of shuffled labels, made as long as the true one.

    Unlike random directions they lie where the activations vary, which moves a model much more. But
    the classes are part of what varies: their cosine to the true vector is far from 0 where the
    label explains much of the variance, and more rows do not lower it. There a shuffled direction
    of equal norm is nearly ± the vector; `Vector.without` takes that part out.

    Args:
        groups: Group of each row. Labels are shuffled within each group only, as it must be done
            for minimal pairs: everything that a pair shares then cancels, as it does in the true
            vector.

    Raises:
        LabError: as `mean_difference`; no group has both labels; groups and rows differ in number;
            there are so few rows that no shuffle differs from the labels.
    """
    true, (rows, truth) = mean_difference(x, labels), _checked(x, labels)
    rng = np.random.default_rng(seed)
    members = [np.arange(len(rows))] if groups is None else _members(groups, truth.numpy())
    directions: list[Vector] = []
    for _ in range(100 * count):
        shuffled = truth.clone()
        for index in members:
            shuffled[index] = truth[rng.permutation(index)]
        if len(directions) == count or (shuffled == truth).all() or (shuffled != truth).all():
            continue
        if drawn := _vector(rows, shuffled):
            directions.append(replace(drawn.sized_as(true), kind="shuffled"))
    if len(directions) < count:
        raise LabError(
            f"expected {count} shuffles other than the labels",
            f"got {len(directions)} from {len(rows)} rows",
        )
    return directions


def _members(groups: Sequence[str], labels: Bool[ndarray, " item"]) -> list[ndarray]:
    """The rows of each group."""
    names = np.asarray(groups)
    if len(names) != len(labels):
        raise LabError(
            "expected one group a row", f"got {len(names)} groups and {len(labels)} labels"
        )
    members = [np.flatnonzero(names == name) for name in dict.fromkeys(groups)]
    if not any(labels[index].any() and not labels[index].all() for index in members):
        raise LabError(
            "expected groups that hold both labels",
            f"got {len(members)} groups of one label each, "
            "so no shuffle within groups changes anything",
            hint="leave groups out: the labels are then shuffled over all rows",
        )
    return members


def positions_mask(
    positions: Positions, lengths: Int[Tensor, " item"] | None, shape: tuple[int, int]
) -> Bool[Tensor, "item pos"]:
    """Where to steer, in right-padded input.

    Args:
        positions: ``"all"`` real positions, the ``"last"`` real one, or from the last one
            ``"onward"`` (what steering the last position comes to in generation).
        lengths: Number of real tokens of each item; None where nothing is padded.
        shape: Shape of the input: (items, positions).

    Raises:
        LabError: another word, lengths that do not fit the input.

    >>> positions_mask("last", torch.tensor([1, 3]), (2, 3)).int().tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    count, width = shape
    lengths = torch.full((count,), width) if lengths is None else torch.as_tensor(lengths).cpu()
    hint = "give the lengths of exactly the input that the model is run on"
    lengths = check_lengths(lengths, count, width, hint)
    place, last = torch.arange(width), (lengths - 1)[:, None]
    masks = {"all": place <= last, "last": place == last, "onward": place >= last}
    if positions not in masks:
        raise LabError('expected the positions "all", "last" or "onward"', f"got {positions!r}")
    return masks[positions]


def check_place(model: Model, layer: int, width: int) -> None:
    """Refuse a block that the model does not have, or a vector of another width.

    Raises:
        LabError: naming the model's shape.
    """
    if not 0 <= layer < model.cfg.n_layers or width != model.cfg.d_model:
        raise LabError(
            f"expected a block from 0 to {model.cfg.n_layers - 1} "
            f"and a vector of width {model.cfg.d_model}",
            f"got block {layer} and width {width}",
        )


@contextmanager
def steered(
    model: Model,
    layer: int,
    vector: Vector,
    alpha: float,
    unit: Unit = "std",
    positions: Positions = "all",
    lengths: Int[Tensor, " item"] | None = None,
) -> Iterator[None]:
    """While open, every run of the model has α times the vector added to the output of a block.

    Works on any `TransformerBridge`: ``blocks.L.hook_out`` is the block's output and takes what a
    hook returns. Strength 0 changes no bit.

    Args:
        layer: Number of the block, from 0.
        lengths: Lengths of the items that will be run; None where nothing is padded.

    Raises:
        LabError: a block the model does not have, a vector of another width; then, when run, input
            that does not fit.
    """
    check_place(model, layer, len(vector.unit))
    push = vector.push(alpha, unit)
    positions_mask(positions, None, (1, 1))  # refuse an unknown word now, not at the first run

    def add(residual: Float[Tensor, "item pos d"], hook) -> Float[Tensor, "item pos d"]:
        mask = positions_mask(positions, lengths, (len(residual), residual.shape[1]))
        mask = mask.to(residual.device)
        return torch.where(mask[..., None], residual + push.to(residual), residual)

    with model.hooks(fwd_hooks=[(f"blocks.{layer}.hook_out", add)]):
        yield

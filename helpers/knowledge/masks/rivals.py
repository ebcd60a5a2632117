"""Masks that nothing was learned for: the controls of a learned one, at its density."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError
from helpers.inputs import check_count, finite
from helpers.knowledge.masks.blocks import Blocks, check_mask
from helpers.knowledge.masks.estimators import count, keep

NEAR = 0.01
"""How far from the circuit's the length of a rival's gradient may be, as a share."""
RANDOM = 1000
"""What is added to the seed of a random mask. A search takes its first scores from a generator of
its own seed: a mask from a generator of the same seed would be drawn from the same numbers."""


def _generator(seed: int) -> torch.Generator:
    check_count("seed", seed)
    return torch.Generator().manual_seed(RANDOM + seed)


def uniform(blocks: Blocks, density: float, seed: int = 0) -> Float[Tensor, " weight"]:
    """Keeps a random share of all weights, wherever they are.

    Args:
        seed: May be that of the search whose mask it stands beside.

    Raises:
        LabError: A density that is not between 0 and 1, or a seed that is no whole number.
    """
    drawn = torch.rand(len(blocks), generator=_generator(seed))
    return keep(drawn, density).to(blocks.values.device)


def per_tensor(
    blocks: Blocks, mask: Float[Tensor, " weight"], seed: int = 0
) -> Float[Tensor, " weight"]:
    """Keeps as many random weights of each tensor as a given mask does.

    This tells which weights a mask keeps from how many it keeps where: a mask that keeps most of
    the normalisations has an advantage over a uniform one, whichever weights it keeps else.

    Args:
        seed: May be that of the search whose mask it stands beside.

    Raises:
        LabError: No mask, one of another model, or a seed that is no whole number.
    """
    check_mask(mask)
    generator, parts = _generator(seed), []
    for part in blocks.tensors(mask).values():
        drawn = torch.zeros(part.numel())
        drawn[torch.randperm(part.numel(), generator=generator)[: int(part.count_nonzero())]] = 1
        parts.append(drawn)
    return torch.cat(parts).to(blocks.values.device)


def magnitude(blocks: Blocks, density: float) -> Float[Tensor, " weight"]:
    """Keeps the weights of largest absolute value."""
    return keep(blocks.values.abs(), density)


def gradient(blocks: Blocks, losses, density: float) -> Float[Tensor, " weight"]:
    """Keeps the weights with the largest |w · ∂loss/∂w|, summed over batches in absolute value.

    For one batch that is |w · ∂loss/∂w| itself. For several it is more where batches pull against
    each other, and a last batch that is short weighs as much as the others.

    Args:
        losses: For each batch, a function from the weights [weight] to its loss. It must not be a
            distance to the model itself, which has no gradient at the model: what is left is
            rounding noise.

    Raises:
        LabError: No batch, or a gradient that is 0 throughout.
    """
    return keep(slopes(blocks, losses), density)


def slopes(blocks: Blocks, losses) -> Float[Tensor, " weight"]:
    """What `gradient` keeps the largest of, for masks of several densities.

    Raises:
        LabError: As `gradient`.
    """
    total = torch.zeros(len(blocks), device=blocks.values.device)
    for loss in losses:
        values = blocks.values.clone().requires_grad_()
        with runtime.gradients():
            (slope,) = torch.autograd.grad(loss(values), values)
        total += (blocks.values * slope).abs()
    if not (total.sum() > 0 and total.isfinite().all()):
        raise LabError(
            "expected a loss that some weight changes", "its gradient is 0 or NaN throughout"
        )
    return total


def complement(mask: Shaped[Tensor, " weight"]) -> Float[Tensor, " weight"]:
    """All that a mask leaves out.

    Raises:
        LabError: The mask leaves nothing out, or is not of 0 and 1.
    """
    check_mask(mask)
    rest = 1 - (mask if mask.is_floating_point() else mask.float())
    count(len(mask), float(rest.mean()))
    return rest


def as_long(
    gradient: Float[Tensor, " weight"], circuit: Float[Tensor, " weight"]
) -> Float[Tensor, " weight"]:
    """Keeps as many weights outside of a circuit, whose gradient is as long as the circuit's.

    They are neighbours in the order of their gradients' sizes. An edit moves weights along the
    gradient; this rival tells what a circuit's weights hold from how long their gradient is.

    Args:
        gradient: Of the loss of an edit, or typical of several.

    Raises:
        LabError: A mask that is not of 0 and 1, keeps nothing, or leaves out fewer than it keeps;
            a gradient of another length, or with NaN; or no neighbours within one hundredth.

    >>> gradient = torch.tensor([3.0, 4.0, 0.0, 3.0, 4.0, 100.0])
    >>> as_long(gradient, torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0])).tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    """
    squares, order = _outside(gradient, circuit)
    kept, wanted = int(circuit.sum()), squares[circuit == 1].sum()
    sums = torch.cat([squares.new_zeros(1), squares[order].cumsum(0)])
    start = int((sums[kept:] - sums[:-kept] - wanted).abs().argmin())
    return _kept(order[start : start + kept], squares, circuit)


def as_large(
    gradient: Float[Tensor, " weight"], circuit: Float[Tensor, " weight"]
) -> Float[Tensor, " weight"]:
    """Keeps as many weights outside of a circuit, each with a gradient as large as one of its.

    `as_long` takes weights of one size of gradient; in a circuit a few have a large share of it.
    Here every weight of the circuit has its counterpart: the one of the next larger gradient that
    is not another's. So the whole distribution is the circuit's, and its length with it.

    Args:
        gradient: Of the loss of an edit, or typical of several.

    Raises:
        LabError: As `as_long`.

    >>> gradient = torch.tensor([1.0, 4.0, 0.0, 1.0, 4.0, 2.9, 2.9])
    >>> as_large(gradient, torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])).tolist()
    [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    """
    squares, order = _outside(gradient, circuit)
    ranks = torch.arange(int(circuit.sum()), device=order.device)
    next_larger = torch.searchsorted(squares[order], squares[circuit == 1].sort().values)
    free = (next_larger - ranks).cummax(0).values + ranks  # none is taken twice
    last = len(order) - len(ranks) + ranks  # and enough are left for those that follow
    return _kept(order[free.minimum(last)], squares, circuit)


def _outside(gradient: Tensor, circuit: Tensor) -> tuple[Tensor, Tensor]:
    """Squares of all gradients, and the weights outside in the order of theirs."""
    check_mask(circuit)
    kept, outside = int(circuit.sum()), torch.nonzero(circuit == 0).flatten()
    squares = _squares(gradient, circuit)
    if not 0 < kept <= len(outside):
        raise LabError(
            "expected a circuit that keeps a weight or more, and at most half of them",
            f"got {kept:,} of {len(circuit):,}",
        )
    return squares, outside[squares[outside].argsort(stable=True)]


def _kept(chosen: Tensor, squares: Tensor, circuit: Tensor) -> Float[Tensor, " weight"]:
    """The mask of some weights, if their gradient is as long as the circuit's."""
    ratio = float((squares[chosen].sum() / squares[circuit == 1].sum()).sqrt())
    if not abs(ratio - 1) <= NEAR:
        raise LabError(
            "expected weights outside whose gradient can be as long as the circuit's",
            f"the nearest is {ratio:.2f} times as long",
        )
    mask = torch.zeros_like(circuit)
    mask[chosen] = 1
    return mask


def _squares(gradient: Tensor, circuit: Tensor) -> Float[Tensor, " weight"]:
    gradient = finite(gradient, "gradient", "weight")
    if gradient.shape != circuit.shape:
        raise LabError(
            f"expected a gradient of {len(circuit):,} weights", f"got shape {list(gradient.shape)}"
        )
    return gradient.double().square()

"""Checks of Lab 5, what circuits know: masks over single weights, and edits inside of them.

References come from other code than the student's: `helpers.knowledge.masks.estimators`, exact
numbers of weights, bowls whose gradient is known, and paths that were drawn.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from helpers.course.asking import call, call_in_place
from helpers.course.check import exercise
from helpers.course.checks import lab5_mistakes as usual
from helpers.course.expect import expect_close, expect_function, expect_shape, same
from helpers.course.values import as_array
from helpers.course.wrong import Wrong
from helpers.knowledge.masks.estimators import count, keep

NEAR = 0.01
"""How far the lengths of two gradients may be apart, as a share, and still count as equal."""
DRAWS = 200
"""Random masks that are drawn to see whether every weight has the same chance."""
SPREADS = 6
"""Standard errors by which a weight's share of them may be off: chance takes one right answer in
190,000 that far, and a weight that one of four masks should keep and none does is found."""
MOSTLY = 0.9
"""Share of them that are different, in the largest tensor: of 91,390 possible ones nearly all."""
ROUGHLY = 0.004
"""How near a share comes that was rounded to two places, or drawn some thousand times."""
SIZES = (12, 3, 40, 5, 40)
"""Weights of the tensors in small cases; two are of one size, as those of different layers are."""


def _drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _expect_form(got: object, like: Tensor, name: str, points: float) -> None:
    """Refuse right values that what follows in the lab cannot compute with."""
    form = str(got.dtype) if isinstance(got, Tensor) else type(got).__name__
    if form != str(like.dtype):
        raise Wrong(
            f"the values of {name} are right, but come as {form}: return a tensor of {like.dtype}, "
            "as you were given, for all that follows computes with both",
            points,
        )


def _mask(answer: object, length: int) -> np.ndarray:
    """A mask as the student gave it."""
    values = as_array(answer, "the mask", truth=True)
    expect_shape(values, (length,), "the mask", "weight")
    odd = values[(values != 0) & (values != 1)]  # NaN is neither
    if len(odd):
        raise Wrong(f"expected a mask of 0 and 1; got {odd[0]:.3g} in it")
    return values


@exercise("lab5.1", points=3, title="Straight through")
def straight_through(answer):
    expect_function(answer)
    tied = torch.tensor([0.5, 0.1, 0.5, 0.5, -2.0, 0.5])
    for scores, density in ((tied, 0.5), (_drawn(0, 43), 0.25), (_drawn(1, 41) - 9, 0.1)):
        got = call(answer, scores.clone().requires_grad_(), density)
        _expect_highest(got, scores, density)
        _expect_form(got, scores, "the mask", points=1)
    scores, weights = _drawn(2, 30), _drawn(3, 30)
    mistakes = partial(usual.slopes, scores, keep(scores, 0.2), weights)
    slope = call(_slope_through(answer), scores, 0.2, weights)
    expect_close(slope, weights, 1e-4, mistakes, "the gradient that reaches the scores", points=1)


def _expect_highest(answer: object, scores: Tensor, density: float) -> None:
    """Refuse a mask that keeps another number, or a lower score than one that it leaves out: of
    equal scores any may be taken."""
    got, kept = as_array(answer, "the mask", truth=True), count(len(scores), density)
    expect_shape(got, (len(scores),), "the mask", "weight")
    if np.isnan(got).any():
        raise Wrong("the mask holds NaN")
    inside, outside = np.isclose(got, 1, atol=1e-5), np.isclose(got, 0, atol=1e-5)
    plain = bool((inside | outside).all())
    values = scores.numpy()
    if plain and inside.sum() == kept and values[inside].min() >= values[outside].max():
        return
    for text, wrong in usual.masks(scores, density):
        if same(got, wrong.double().numpy(), 1e-5):
            raise Wrong(text)
    if not plain:
        odd = got[~(inside | outside)][0]
        raise Wrong(f"on the way forward a mask is 0 or 1; got {odd:.3g} in it")
    if inside.sum() != kept:
        raise Wrong(
            f"{inside.sum()} of {len(scores)} weights are kept at density {density}: keep "
            "`round(n · density)`"
        )
    raise Wrong("weights are kept that have a lower score than some that are left out")


def _slope_through(answer: Callable) -> Callable[[Tensor, float, Tensor], Tensor]:
    """The gradient that comes to the scores through an answer's mask."""

    def slope(scores: Tensor, density: float, weights: Tensor) -> Tensor:
        leaf = scores.clone().requires_grad_()
        mask = answer(leaf, density)
        if not (isinstance(mask, Tensor) and mask.requires_grad):
            raise Wrong(
                "the mask is right, but no gradient reaches the scores: nothing can be learned "
                "from a choice of yes or no alone",
                points=1,
            )
        with torch.enable_grad():  # the answer may have left it off
            (found,) = torch.autograd.grad((mask * weights).sum(), leaf, allow_unused=True)
        if found is None:
            raise Wrong(
                "the mask has a gradient, but not to the scores: detach only what chooses", points=1
            )
        return found

    return slope


@exercise("lab5.2", points=3, title="As many in every tensor")
def matched(answer):
    expect_function(answer)
    shares = (0.25, 1.0, 0.1, 0.6, 0.1)
    parts = [
        keep(_drawn(number, size), share)
        for number, (size, share) in enumerate(zip(SIZES, shares, strict=True))
    ]
    parts[4] = parts[2]  # so that one order for both gives the same places, however it is used
    mask, wanted, drawn = torch.cat(parts), [int(part.sum()) for part in parts], []
    for seed in range(DRAWS):
        got = call(answer, mask, list(SIZES), seed)
        drawn.append(_mask(got, len(mask)))
        _expect_counts(drawn[-1], wanted)
    again = call(answer, mask, list(SIZES), 0)
    if (np.array(drawn) == mask.numpy()).all():
        raise Wrong("this is the mask itself, for every seed: draw the places by chance")
    if not np.array_equal(_mask(again, len(mask)), drawn[0]):
        raise Wrong("the same seed gives another mask: make a generator from the seed", points=1)
    _expect_chance(np.array(drawn), wanted)
    _expect_form(again, mask, "the mask", points=2)


def _expect_counts(mask: np.ndarray, wanted: list[int]) -> None:
    counts = [int(part.sum()) for part in np.split(mask, np.cumsum(SIZES)[:-1])]
    if sum(counts) != sum(wanted):
        raise Wrong(f"{sum(counts)} weights are kept where the mask keeps {sum(wanted)}")
    if counts != wanted:
        raise Wrong(
            "as many weights are kept in all, but not in each tensor: draw tensor by tensor"
        )


def _expect_chance(drawn: np.ndarray, wanted: list[int]) -> None:
    """Refuse masks in which not every weight of a tensor has the same chance, each time anew."""
    chance = np.repeat(np.array(wanted) / SIZES, SIZES)
    spread = np.sqrt(chance * (1 - chance) / len(drawn))
    first, second = (
        np.split(drawn, np.cumsum(SIZES)[:-1], axis=1)[number] for number in (2, 4)
    )  # the largest, and one as large
    unequal = np.abs(drawn.mean(0) - chance) > SPREADS * spread + 1e-9
    faults = {
        "every seed gives the same mask: make a generator from the seed": bool(
            (np.ptp(drawn, axis=0) == 0).all()
        ),
        "two tensors of equal size get the same places: one generator for all of them, made once "
        "from the seed": (first == second).all(1).mean() > 1 - MOSTLY,
        "the same patterns come again and again: each mask takes its places anew, whatever the "
        "mask or another seed took": len(np.unique(first, axis=0)) < MOSTLY * len(drawn),
        "some weights of a tensor are kept more often than others: each must have the same chance, "
        "whatever the mask does with it": bool(unequal.any()),
    }
    for text, found in faults.items():
        if found:
            raise Wrong(text, points=1)


@exercise("lab5.3", points=3, title="What two masks share by chance")
def expected_overlap(answer):
    expect_function(answer)
    cases = (
        ((3, 3, 4, 3, 8), (9, 3, 12, 1, 4)),
        ((11, 0, 0, 0, 4), (0, 2, 20, 5, 0)),
    )
    for kept in cases:
        first, second = map(_first_of_each, kept)
        by_chance = sum(a * b / size for a, b, size in zip(*kept, SIZES, strict=True))
        got = call(answer, first, second, list(SIZES))
        if shape := list(as_array(got, "the share").shape):
            raise Wrong(f"expected one number, for the whole first mask; got shape {shape}")
        mistakes = partial(usual.overlaps, first, second, SIZES)
        right = by_chance / sum(kept[0])
        near, exact = (
            math.isclose(float(as_array(got)), right, rel_tol=0, abs_tol=within)
            for within in (ROUGHLY, 1e-5)
        )
        if near and not exact:
            raise Wrong("the share is near, but not exact: is it rounded, or drawn?", points=1)
        expect_close(got, right, 1e-5, mistakes, "the share")


def _first_of_each(kept: tuple[int, ...]) -> Tensor:
    """A mask that keeps so many weights of each tensor, the first ones."""
    return torch.cat(
        [(torch.arange(size) < number).float() for size, number in zip(SIZES, kept, strict=True)]
    )


def _bowl(values: Tensor) -> Tensor:
    """Gradient of a loss whose curvature differs from weight to weight."""
    return torch.arange(1.0, len(values) + 1) * (values - 1)


def _half_dead(values: Tensor) -> Tensor:
    """A gradient that is 0 for the first two weights."""
    return torch.tensor([0.0, 0.0, 3.0, 4.0]) * values


@exercise("lab5.4", points=4, title="Edit inside a mask")
def restricted(answer):
    expect_function(answer)
    for seed, length, steps in ((4, 0.05, 1), (5, 0.1, 7)):
        values, mask = _drawn(seed, 9), keep(_drawn(seed + 10, 9), 0.5)
        case = values, _bowl, mask, length, steps
        right, got = usual.walk(*case), call(answer, *case)
        expect_close(got, right, 1e-5, partial(usual.walks, *case), "the result")
        left_out = mask.numpy() == 0
        if not np.array_equal(as_array(got)[left_out], values.double().numpy()[left_out]):
            raise Wrong("weights that the mask leaves out have changed a little", points=2)
        _expect_form(got, values, "the result", points=3)
    values, dead = torch.ones(4), torch.tensor([1.0, 1.0, 0.0, 0.0])
    got = as_array(call(answer, values, _half_dead, dead, 0.1, 2), "the result")
    if not same(got, values.double().numpy(), 1e-6):
        raise Wrong(
            "where the mask lets no gradient through, nothing can change; here the weights become "
            + ("NaN: 0/0" if np.isnan(got).any() else "others"),
            points=2,
        )
    values = _drawn(4, 9)
    left = call_in_place(answer, values, _bowl, torch.ones(9), 0.1, 1)[0]
    if not torch.equal(left, values):
        return "it writes into the weights that it is given: hand it a copy of those you need later"
    return None


@exercise("lab5.5", points=3, title="At equal distance")
def at_norm(answer):
    expect_function(answer)
    rng = np.random.default_rng(6)
    moved = np.cumsum(rng.uniform(0.02, 0.2, (12, 5)), axis=0) - 0.02
    moved -= moved[:1]
    nll = 9 * np.exp(-3 * moved) + rng.normal(0, 0.1, moved.shape)
    turning = moved.copy()
    turning[7:] = turning[7] - 0.8 * (turning[7:] - turning[7])  # a path may come back
    stopped = moved.copy()
    stopped[6:, 3] = stopped[6, 3]  # a fact that had enough moves no further
    for path, norm in ((stopped, float(stopped[6, 3]) + 0.05), (moved, 0.4), (turning, 0.4)):
        right = usual.crossing(path, nll, norm)
        got = call(answer, path, nll, norm)
        shape = as_array(got, "the NLL at this distance").shape
        if shape in ((), (len(path),)):
            raise Wrong(
                f"one value for {'each time' if shape else 'all facts'}: each *fact* has its own"
            )
        mistakes = partial(usual.crossings, path, nll, norm)
        expect_close(got, right, 1e-4, mistakes, "the NLL at this distance")


@exercise("lab5.6", points=4, title="Make the rest resist")
def as_long(answer):
    expect_function(answer)
    for seed, size, heavy in ((7, 2000, 1.0), (8, 3000, 2.0)):
        gradient = _drawn(seed, size) * (heavy * _drawn(seed + 10, size)).exp()
        circuit = keep(-(gradient.abs().log() + 1.5 - _drawn(seed + 20, size)).abs(), 0.05)
        got = call(answer, gradient, circuit)
        chosen, inside = _mask(got, size) == 1, circuit.numpy() == 1
        if (chosen & inside).any():
            raise Wrong("some of the chosen weights are the circuit's own")
        if chosen.sum() != inside.sum():
            raise Wrong(
                f"{chosen.sum()} weights are chosen; the circuit has {inside.sum()}: with other "
                "numbers the two places are not alike"
            )
        _expect_as_long(gradient.double().numpy(), chosen, inside)
        _expect_form(got, circuit, "the mask", points=3)


def _expect_as_long(gradient: np.ndarray, chosen: np.ndarray, inside: np.ndarray) -> None:
    ours, theirs = (np.abs(gradient[which]) for which in (chosen, inside))
    longer = float(np.linalg.norm(ours) / np.linalg.norm(theirs))
    if abs(longer - 1) <= NEAR:
        return
    near = abs(float(ours.sum() / theirs.sum()) - 1) <= NEAR
    raise Wrong(
        f"the gradient of the chosen weights is {longer:.2f} times as long as the circuit's: the "
        "two have to be equal within one hundredth"
        + ("; here the sums of sizes are, but lengths add up as squares" if near else ""),
        points=2 if abs(longer - 1) < 10 * NEAR else 0,
    )

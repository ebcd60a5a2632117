"""Checks of Lab 5, what circuits know: masks over single weights, and edits inside of them."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from helpers.course.asking import call, call_in_place
from helpers.course.check import exercise
from helpers.course.expect import expect_close, expect_function, expect_shape
from helpers.course.values import as_array
from helpers.course.wrong import Wrong
from helpers.knowledge.masks.estimators import count, keep

NEAR = 0.01
"""How far the lengths of two gradients may be apart, as a share, and still count as equal."""
DRAWS = 300
"""Random masks that are drawn to see whether every weight has the same chance."""
MOSTLY = 0.9
"""Share of them that are different, in the largest tensor: of 91,390 possible ones nearly all."""
SIZES = (12, 3, 40, 5, 40)
"""Weights of the tensors in small cases; two are of one size, as those of different layers are."""


def _drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _expect_unchanged(answer: Callable, what: str, given: Tensor, *others: object) -> None:
    """Refuse a function that writes into the vector that it is given first."""
    left = call_in_place(answer, given.clone(), *others)[0]
    if not torch.equal(left, given):
        raise Wrong(
            f"your function changes the {what} that it is given, and so all that is computed from "
            "them later: make new ones",
            points=1,
        )


@exercise("lab5.1", points=3, title="Straight through")
def straight_through(answer):
    expect_function(answer)
    tied = torch.tensor([0.5, 0.1, 0.5, 0.5, -2.0, 0.5])
    for scores, density in (
        (_drawn(0, 43), 0.25),
        (_drawn(1, 41) - 9, 0.1),
        (tied, 0.5),
    ):
        right = keep(scores, density)
        got = call(answer, scores.clone().requires_grad_(), density)
        expect_shape(got, tuple(right.shape), "the mask", "weight")
        if not _keeps_the_highest(as_array(got, "the mask"), scores, int(right.sum())):
            mistakes = _other_masks(scores, density)
            expect_close(got, right, 1e-5, mistakes, "the mask")
    _expect_unchanged(answer, "scores", _drawn(0, 40), 0.25)
    scores, weights = _drawn(2, 30), _drawn(3, 30)
    slope = call(_slope_through(answer), scores, 0.2, weights)
    kept = keep(scores, 0.2)
    expect_close(
        slope,
        weights,
        1e-4,
        {
            "only the weights that are kept get a gradient: one that is left out can never come "
            "back": weights * kept,
            "only the weights that are left out get a gradient": weights * (1 - kept),
            "the gradient has the opposite sign": -weights,
            "the gradient is twice as large: are the scores added twice?": 2 * weights,
            "the gradient is that of a sigmoid: here the mask counts as if it were the score "
            "itself": weights * scores.sigmoid() * (1 - scores.sigmoid()),
        },
        "the gradient that reaches the scores",
        points=1,
    )


def _keeps_the_highest(mask: np.ndarray, scores: Tensor, kept: int) -> bool:
    """Whether it keeps so many, and none of lower score than one that it leaves out: of equal
    scores any may be taken."""
    inside = np.isclose(mask, 1, atol=1e-5)
    if not (inside | np.isclose(mask, 0, atol=1e-5)).all() or inside.sum() != kept:
        return False
    values = scores.numpy()
    return bool(values[inside].min() >= values[~inside].max())


def _other_masks(scores: Tensor, density: float) -> list[tuple[str, Tensor]]:
    kept = count(len(scores), density)
    limit = scores.sort(descending=True).values[kept - 1]
    masks = [
        ("the lowest scores are kept: a high one means that a weight is needed", -scores),
        ("the largest absolute values are kept: a score far below 0 says no", scores.abs()),
    ]
    wrong = [(text, keep(other, density)) for text, other in masks]
    return [
        *wrong,
        ("as many weights are left out as should be kept", 1 - keep(-scores, density)),
        ("one weight too few is kept: round, do not cut off", _cut_off(scores, density)),
        (
            "equal scores make the mask keep more than its density allows: take as many as asked, "
            "not all from a limit on",
            (scores >= limit).float(),
        ),
        (
            "what is kept has its score as its value: a mask is 0 or 1",
            keep(scores, density) * scores,
        ),
    ]


def _cut_off(scores: Tensor, density: float) -> Tensor:
    mask = torch.zeros_like(scores)
    mask[scores.argsort(descending=True, stable=True)[: int(len(scores) * density)]] = 1
    return mask


def _slope_through(answer: Callable) -> Callable[[Tensor, float, Tensor], Tensor]:
    """The gradient that comes to the scores through an answer's mask."""

    def slope(scores: Tensor, density: float, weights: Tensor) -> Tensor:
        with torch.enable_grad():
            leaf = scores.clone().requires_grad_()
            mask = answer(leaf, density)
            if not (isinstance(mask, Tensor) and mask.requires_grad):
                raise Wrong(
                    "the mask is right, but no gradient reaches the scores: nothing can be learned "
                    "from a choice of yes or no alone",
                    points=1,
                )
            (found,) = torch.autograd.grad((mask * weights).sum(), leaf, allow_unused=True)
        if found is None:
            raise Wrong("the mask has a gradient, but not to the scores", points=1)
        return found

    return slope


@exercise("lab5.2", points=3, title="As many in every tensor")
def matched(answer):
    expect_function(answer)
    mask = torch.cat(
        [
            keep(_drawn(number, size), share)
            for number, (size, share) in enumerate(
                zip(SIZES, (0.25, 1.0, 0.1, 0.6, 0.1), strict=True)
            )
        ]
    )
    wanted = [int(part.sum()) for part in mask.split(SIZES)]
    drawn = [_mask(call(answer, mask, list(SIZES), seed), len(mask)) for seed in range(DRAWS)]
    again = _mask(call(answer, mask, list(SIZES), 0), len(mask))
    for one in drawn:
        counts = [int(part.sum()) for part in torch.from_numpy(one).split(SIZES)]
        if counts != wanted:
            raise Wrong(
                "as many weights are kept in all, but not in each tensor: draw tensor by tensor"
                if sum(counts) == sum(wanted)
                else f"{sum(counts)} weights are kept where the mask keeps {sum(wanted)}"
            )
    if not np.array_equal(again, drawn[0]):
        raise Wrong("the same seed gives another mask: make a generator from the seed", points=1)
    shares = np.mean(drawn, axis=0)
    chance = np.repeat(np.array(wanted) / SIZES, SIZES)
    spread = np.sqrt(chance * (1 - chance) / DRAWS)
    if (np.ptp(drawn, axis=0) == 0)[spread > 0].all():
        raise Wrong("every seed gives the same mask", points=1)
    parts = np.split(np.array(drawn), np.cumsum(SIZES)[:-1], axis=1)
    largest, as_large = parts[2], parts[4]
    if (largest == as_large).all(1).mean() > 1 - MOSTLY:
        raise Wrong(
            "two tensors of equal size get the same places: one generator for all of them, made "
            "once from the seed",
            points=1,
        )
    if len(np.unique(largest, axis=0)) < MOSTLY * DRAWS:
        raise Wrong(
            "the same patterns come again and again: each mask takes its places anew, whatever the "
            "mask or another seed took",
            points=1,
        )
    if not (np.abs(shares - chance) <= 5 * spread + 1e-9).all():
        raise Wrong(
            "some weights of a tensor are kept more often than others: each must have the same "
            "chance, whatever the mask does with it",
            points=1,
        )


def _mask(answer: object, length: int) -> np.ndarray:
    """A mask as the student gave it."""
    values = as_array(answer, "the mask", truth=True)
    expect_shape(values, (length,), "the mask", "weight")
    if not np.isin(values, (0, 1)).all():
        raise Wrong("expected a mask of 0 and 1; got other values in it")
    return values


@exercise("lab5.3", points=3, title="What two masks share by chance")
def expected_overlap(answer):
    expect_function(answer)
    total = sum(SIZES)
    for shares in (
        ((0.5, 1.0, 0.1, 0.6, 0.2), (0.25, 1.0, 0.3, 0.2, 0.1)),
        ((0.9, 0, 0, 0, 0.1), (0, 0.5, 0.5, 1, 0)),
    ):
        first, second = (
            torch.cat(
                [
                    (torch.arange(size) < round(share * size)).float()
                    for size, share in zip(SIZES, own, strict=True)
                ]
            )
            for own in shares
        )
        a, b = (
            torch.stack([part.sum() for part in mask.split(SIZES)]).double()
            for mask in (first, second)
        )
        n = torch.tensor(SIZES, dtype=torch.float64)
        right = float((a * b / n).sum() / a.sum())
        mistakes = {
            "this is the share of all weights that the second mask keeps: both masks may like the "
            "same tensors": b.sum() / total,
            "this is what the two masks do share: the question is what they would": (
                first * second
            ).sum()
            / a.sum(),
            "the tensors count alike: weigh each by what the first mask keeps of it": (
                b / n
            ).mean(),
            "divided by what the second mask keeps: the question is which part of the first": (
                a * b / n
            ).sum()
            / b.sum(),
            "this is a number of weights: divide by those of the first mask": (a * b / n).sum(),
            "of n weights the second keeps b, a share of b/n: divide by the size of the tensor": (
                a * b
            ).sum()
            / a.sum(),
            "the question is which part of the *first mask*, not of all weights": (a * b / n).sum()
            / total,
        }
        got = call(answer, first, second, list(SIZES))
        expect_close(
            got,
            right,
            1e-5,
            [(text, value) for text, value in mistakes.items() if abs(float(value) - right) > 1e-4],
            "the share",
        )


_DEAD = torch.tensor([1.0, 1.0, 0.0, 0.0])
"""The mask of a case in which no gradient is left."""


def _bowl(values: Tensor) -> Tensor:
    """Gradient of a loss whose curvature differs from weight to weight."""
    return torch.arange(1.0, len(values) + 1) * (values - 1)


def _half_dead(values: Tensor) -> Tensor:
    return torch.tensor([0.0, 0.0, 3.0, 4.0]) * values


def _walk(
    values: Tensor,
    gradient: Callable[[Tensor], Tensor],
    mask: Tensor,
    length: float,
    steps: int,
    way: str = "right",
) -> Tensor:
    """Steps as they should be, or with a mistake."""
    start = values
    if way == "shared out":
        length = length / steps
    for _ in range(steps):
        g = gradient(values)
        inside = g * mask
        norm = {
            "masked afterwards": g.norm(),
            "not masked": g.norm(),
            "not normalised": torch.tensor(1.0),
            "other length": inside.abs().sum(),
        }.get(way, inside.norm())
        direction = {"not masked": g, "signs": inside.sign()}.get(way, inside)
        norm = direction.norm() if way == "signs" else norm
        step = length * direction / max(float(norm), 1e-30)
        values = (start if way == "from the start" else values) + (
            step if way == "uphill" else -step
        )
    return values


@exercise("lab5.4", points=4, title="Edit inside a mask")
def restricted(answer):
    expect_function(answer)
    for seed, length, steps in ((4, 0.05, 1), (5, 0.1, 7)):
        values, mask = _drawn(seed, 9), keep(_drawn(seed + 10, 9), 0.5)
        right = _walk(values, _bowl, mask, length, steps)
        got = call(answer, values, _bowl, mask, length, steps)
        expect_close(got, right, 1e-5, _other_walks(values, mask, length, steps), "the weights")
        _expect_unchanged(answer, "weights", values, _bowl, mask, length, steps)
        left = as_array(got)[mask.numpy() == 0]
        if not np.array_equal(left, values.double().numpy()[mask.numpy() == 0]):
            raise Wrong("weights that the mask leaves out have changed a little", points=1)
    values = torch.ones(4)
    got = as_array(call(answer, values, _half_dead, _DEAD, 0.1, 2), "the weights")
    if not np.allclose(got, 1.0):
        raise Wrong(
            "where the mask lets no gradient through, nothing can change; here the weights become "
            + ("NaN: 0/0" if np.isnan(got).any() else "others"),
            points=2,
        )


def _other_walks(
    values: Tensor, mask: Tensor, length: float, steps: int
) -> list[tuple[str, Tensor]]:
    said = {
        "masked afterwards": "the length is that of the whole gradient: mask it first, then "
        "divide, or places with a small gradient take small steps",
        "not normalised": "the steps are as long as the gradient: divide it by its norm",
        "not masked": "weights change that the mask leaves out",
        "from the start": "every step starts from the first weights: go on from the last ones",
        "uphill": "the loss rises: go against the gradient",
        "shared out": "all steps together have this length: *each* has it",
        "other length": "a step is as long as the root of its sum of squares, not as a sum of sizes",
        "signs": "the gradient's signs alone are used: go along the gradient itself",
    }
    walks = [(text, _walk(values, _bowl, mask, length, steps, way)) for way, text in said.items()]
    right = _walk(values, _bowl, mask, length, steps)
    return [(text, walk) for text, walk in walks if not torch.allclose(walk, right, atol=1e-5)]


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
    cases = ((moved, 0.4), (turning, 0.4), (stopped, float(stopped[6, 3]) + 0.1))
    for path, norm in cases:
        right = np.array([_crossing(path[:, i], nll[:, i], norm) for i in range(path.shape[1])])
        mistakes = [
            (text, value)
            for text, value in _other_crossings(path, nll, norm)
            if not np.allclose(value, right, atol=1e-6, equal_nan=True)
        ]
        got = call(answer, path, nll, norm)
        expect_close(got, right, 1e-4, mistakes, "the NLL at this distance")


def _crossing(moved: np.ndarray, nll: np.ndarray, norm: float) -> float:
    """NLL where a path first has this length, between two steps on a straight line."""
    after = np.flatnonzero(moved >= norm)
    if not len(after):
        return np.nan
    i = after[0]
    share = (norm - moved[i - 1]) / (moved[i] - moved[i - 1])
    return float(nll[i - 1] + share * (nll[i] - nll[i - 1]))


def _last_crossing(moved: np.ndarray, nll: np.ndarray, norm: float) -> float:
    """NLL where a path last has this length, or at its end where it is longer then."""
    below = np.flatnonzero(moved < norm)
    i = below[-1] + 1
    if i >= len(moved):
        crossings = np.flatnonzero((moved[:-1] >= norm) & (moved[1:] < norm))
        if not len(crossings):
            return np.nan
        i = crossings[-1] + 1
    share = (norm - moved[i - 1]) / (moved[i] - moved[i - 1])
    return float(nll[i - 1] + share * (nll[i] - nll[i - 1]))


def _other_crossings(
    moved: np.ndarray, nll: np.ndarray, norm: float
) -> list[tuple[str, np.ndarray]]:
    facts = range(moved.shape[1])
    first = [np.flatnonzero(moved[:, i] >= norm)[:1] for i in facts]
    mean_step = int(np.argmax(moved.mean(1) >= norm))
    return [
        (
            "a fact that never gets so far has its last value: there is no NLL at this distance, "
            "so NaN",
            np.array([np.interp(norm, moved[:, i], nll[:, i]) for i in facts]),
        ),
        (
            "the NLL is that of the first step beyond: take the straight line between two steps",
            np.array(
                [nll[at[0], i] if len(at) else np.nan for i, at in zip(facts, first, strict=True)]
            ),
        ),
        (
            "the NLL is that of the last step before: take the straight line between two steps",
            np.array(
                [
                    nll[at[0] - 1, i] if len(at) else np.nan
                    for i, at in zip(facts, first, strict=True)
                ]
            ),
        ),
        ("all facts are read at the same step: each has its own way", nll[mean_step]),
        ("this is the NLL after the last step", nll[-1]),
        (
            "half-way between two steps is not where the path has this length, as a rule",
            np.array(
                [
                    nll[at[0] - 1 : at[0] + 1, i].mean() if len(at) else np.nan
                    for i, at in zip(facts, first, strict=True)
                ]
            ),
        ),
        (
            "a path that comes back has this length twice: the first time counts",
            np.array([_last_crossing(moved[:, i], nll[:, i], norm) for i in facts]),
        ),
    ]


@exercise("lab5.6", points=4, title="Make the rest resist")
def as_long(answer):
    expect_function(answer)
    for seed, size, heavy in ((7, 2000, 1.0), (8, 3000, 2.0)):
        gradient = _drawn(seed, size) * (heavy * _drawn(seed + 10, size)).exp()
        circuit = keep(-(gradient.abs().log() + 1.5 - _drawn(seed + 20, size)).abs(), 0.05)
        got = _mask(call(answer, gradient, circuit), size)
        inside = circuit.numpy() == 1
        if (got[inside] == 1).any():
            raise Wrong("some of the chosen weights are the circuit's own")
        if got.sum() != inside.sum():
            raise Wrong(
                f"{int(got.sum())} weights are chosen; the circuit has {int(inside.sum())}: with "
                "other numbers the two places are not alike"
            )
        longer = float(np.linalg.norm(gradient.numpy() * got) / gradient[inside].norm())
        if not abs(longer - 1) <= NEAR:
            raise Wrong(
                f"the gradient of the chosen weights is {longer:.2f} times as long as the "
                "circuit's: the two have to be equal within one hundredth, and lengths add up as "
                "squares",
                points=2 if abs(longer - 1) < 10 * NEAR else 1,
            )

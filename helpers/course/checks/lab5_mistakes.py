"""What the usual mistakes in Lab 5 give, so that its checks can name them.

Every function returns pairs of a message and the value that an answer with this mistake has.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from helpers.knowledge.masks.estimators import count, keep

Masks = list[tuple[str, Tensor]]
Values = list[tuple[str, np.ndarray]]


def masks(scores: Float[Tensor, " weight"], density: float) -> Masks:
    """Masks in place of the one that keeps the highest scores."""
    kept, right = count(len(scores), density), keep(scores, density)
    limit = scores.sort(descending=True).values[kept - 1]
    return [
        (
            "the lowest scores are kept: a high one means that a weight is needed",
            keep(-scores, density),
        ),
        (
            "the largest absolute values are kept: a score far below 0 says no",
            keep(scores.abs(), density),
        ),
        ("as many weights are left out as should be kept", 1 - keep(-scores, density)),
        (
            "one weight too few is kept: round, do not cut off",
            _highest(scores, int(len(scores) * density)),
        ),
        (
            "one weight too many is kept: round, do not round up",
            _highest(scores, math.ceil(len(scores) * density)),
        ),
        (
            "equal scores make the mask keep more than its density allows: take as many as asked, "
            "not all from a limit on",
            (scores >= limit).float(),
        ),
        (
            "the score at the limit is left out, and with it all that equal it: take as many as "
            "asked",
            (scores > limit).float(),
        ),
        ("what is kept has its score as its value: a mask is 0 or 1", right * scores),
        (
            "the scores are still in the mask: what is added for the gradient has to be 0, a score "
            "less its own value",
            right + scores,
        ),
        ("this is a soft mask: on the way forward it is 0 or 1", scores.sigmoid()),
    ]


def _highest(scores: Tensor, kept: int) -> Float[Tensor, " weight"]:
    mask = torch.zeros_like(scores)
    mask[scores.argsort(descending=True, stable=True)[:kept]] = 1
    return mask


def slopes(scores: Tensor, mask: Tensor, weights: Tensor) -> Masks:
    """Gradients in place of the one that comes to every score, `weights` being that of the mask."""
    sigmoid = scores.sigmoid()
    return [
        (
            "only the weights that are kept get a gradient: one that is left out can never come "
            "back",
            weights * mask,
        ),
        ("only the weights that are left out get a gradient", weights * (1 - mask)),
        ("the gradient has the opposite sign", -weights),
        ("the gradient is twice as large: are the scores added twice?", 2 * weights),
        (
            "the gradient is that of a sigmoid: here the mask counts as if it were the score "
            "itself",
            weights * sigmoid * (1 - sigmoid),
        ),
        ("the gradient is 0: nothing is learned from it", torch.zeros_like(weights)),
    ]


def overlaps(first: Tensor, second: Tensor, sizes: Sequence[int]) -> list[tuple[str, Tensor]]:
    """Shares in place of what two masks have in common by chance, tensor by tensor."""
    a, b = (
        torch.stack([part.sum() for part in mask.split(list(sizes))]).double()
        for mask in (first, second)
    )
    n = torch.tensor(sizes, dtype=torch.float64)
    both = (a * b / n).sum()
    return [
        (
            "this is the share of all weights that the second mask keeps: both masks may like the "
            "same tensors",
            b.sum() / n.sum(),
        ),
        (
            "this is what the two masks do share: the question is what they would",
            (first * second).sum() / a.sum(),
        ),
        (
            "the tensors count alike: weigh each by what the first mask keeps of it",
            (b / n).mean(),
        ),
        (
            "divided by what the second mask keeps: the question is which part of the first",
            both / b.sum(),
        ),
        ("this is a number of weights: divide by those of the first mask", both),
        (
            "of n weights the second keeps b, a share of b/n: divide by the size of the tensor",
            (a * b).sum() / a.sum(),
        ),
        (
            "the question is which part of the *first mask*, not of all weights",
            both / n.sum(),
        ),
        (
            "the question is which part of the *first mask*, not of what either keeps",
            both / (a.sum() + b.sum() - both),
        ),
        ("this is in per cent: a share is between 0 and 1", 100 * both / a.sum()),
        (
            "the shares that the two masks keep of all weights are multiplied: this is done tensor "
            "by tensor",
            a.sum() * b.sum() / n.sum() ** 2,
        ),
    ]


WALKS = {
    "masked afterwards": "the length is that of the whole gradient: mask it first, then divide, or "
    "places with a small gradient take small steps",
    "not normalised": "the steps are as long as the gradient: divide it by its norm",
    "by the square": "the gradient is divided by its squared norm: divide by the norm itself",
    "not masked": "weights change that the mask leaves out",
    "emptied": "the weights that the mask leaves out are set to 0: they stay as they are",
    "from the start": "every step starts from the first weights: go on from the last ones",
    "old gradient": "every step goes along the first gradient: take it anew at the weights of each",
    "once": "one step is taken, not as many as are asked for",
    "once more": "one step too many is taken",
    "uphill": "the loss rises: go against the gradient",
    "shared out": "all steps together have this length: *each* has it",
    "other length": "a step is as long as the root of its sum of squares, not as a sum of sizes",
    "signs": "the gradient's signs alone are used: go along the gradient itself",
}
"""What is said of edits that are walked in another way."""


def walk(
    values: Float[Tensor, " weight"],
    gradient: Callable[[Tensor], Tensor],
    mask: Float[Tensor, " weight"],
    length: float,
    steps: int,
    way: str = "right",
) -> Float[Tensor, " weight"]:
    """Steps of one length inside of a mask, as they should be or with a mistake of `WALKS`."""
    start = values
    length = length / steps if way == "shared out" else length
    for _ in range({"once": 1, "once more": steps + 1}.get(way, steps)):
        g = gradient(start if way == "old gradient" else values)
        step = length * _direction(g, mask, way)
        values = (start if way == "from the start" else values) + (
            step if way == "uphill" else -step
        )
    return values * mask if way == "emptied" else values


def _direction(g: Tensor, mask: Tensor, way: str) -> Float[Tensor, " weight"]:
    """Along the gradient, of length 1 if nothing is wrong."""
    inside = {"not masked": g, "signs": (g * mask).sign()}.get(way, g * mask)
    norm = {
        "masked afterwards": g.norm(),
        "not normalised": torch.tensor(1.0),
        "by the square": inside.square().sum(),
        "other length": inside.abs().sum(),
    }.get(way, inside.norm())
    return inside / norm


def walks(values: Tensor, gradient: Callable, mask: Tensor, length: float, steps: int) -> Masks:
    """Weights after edits that are walked in another way."""
    case = values, gradient, mask, length, steps
    return [
        *((text, walk(*case, way)) for way, text in WALKS.items()),
        ("nothing has changed: return the weights after the steps", values),
        ("this is the change: return the weights after it", walk(*case) - values),
    ]


def crossing(
    moved: Float[np.ndarray, "time fact"], nll: Float[np.ndarray, "time fact"], norm: float
) -> Float[np.ndarray, " fact"]:
    """NLL where each path first has this length, between two steps on a straight line."""
    return _read(moved, nll, _first(moved, norm), lambda share: share, norm)


def _first(moved: np.ndarray, norm: float) -> list[int | None]:
    """The first time at which each path is so long."""
    return [int(at[0]) if len(at := np.flatnonzero(one >= norm)) else None for one in moved.T]


def _last(moved: np.ndarray, norm: float) -> list[int | None]:
    """The end of the last step in which each path passes this length, to either side."""
    beyond = moved >= norm
    passed = (np.flatnonzero(one[1:] != one[:-1]) for one in beyond.T)
    return [int(at[-1]) + 1 if len(at) else None for at in passed]


def _read(
    moved: np.ndarray,
    nll: np.ndarray,
    times: list[int | None],
    along: Callable[[float], float],
    norm: float,
) -> Float[np.ndarray, " fact"]:
    """NLL on each fact's step that ends at its time; NaN for one that has none.

    Args:
        along: From the share of the step at which it passes `norm`, the one that is read.
    """
    found = np.full(len(times), np.nan)
    for fact, at in enumerate(times):
        if at is not None:
            near, far = moved[at - 1 : at + 1, fact]
            before, after = nll[at - 1 : at + 1, fact]
            found[fact] = before + along((norm - near) / (far - near)) * (after - before)
    return found


def crossings(moved: np.ndarray, nll: np.ndarray, norm: float) -> Values:
    """Values in place of the NLL where each path first has a length."""
    first, facts = _first(moved, norm), np.arange(moved.shape[1])
    nearest = nll[np.abs(moved - norm).argmin(0), facts]
    reached = np.where(moved.max(0) >= norm, 1.0, np.nan)

    def read(along: Callable[[float], float]) -> np.ndarray:
        return _read(moved, nll, first, along, norm)

    right, paths = read(lambda share: share), list(zip(moved.T, nll.T, strict=True))
    return [
        (
            "a fact that never gets so far has its last value: there is no NLL at this distance, "
            "so NaN",
            np.where(np.isnan(right), nll[-1], right),
        ),
        (
            "a fact that never gets so far has 0: there is no NLL at this distance, so NaN",
            np.nan_to_num(right),
        ),
        ("all are NaN, but most of the facts do get so far", np.full_like(right, np.nan)),
        (
            "this reads paths of which each step leads further away: one that comes back has this "
            "length twice, and the first time counts",
            reached * np.array([np.interp(norm, *path) for path in paths]),
        ),
        (
            "the distances are sorted: go along each path in the order of its steps",
            reached * np.array([np.interp(norm, np.sort(m), n[np.argsort(m)]) for m, n in paths]),
        ),
        (
            "the NLL is that of the first step beyond: take the straight line between two steps",
            read(lambda _: 1),
        ),
        (
            "the NLL is that of the last step before: take the straight line between two steps",
            read(lambda _: 0),
        ),
        (
            "the NLL is that of the nearest step: take the straight line between two steps",
            nearest * reached,
        ),
        (
            "the NLL is that of the nearest step, however near: take the straight line between two "
            "steps, and NaN where a path never gets so far",
            nearest,
        ),
        (
            "half-way between two steps is not where the path has this length, as a rule",
            read(lambda _: 0.5),
        ),
        (
            "the two ends of the step are exchanged: the nearer one counts more",
            read(lambda share: 1 - share),
        ),
        (
            "all facts are read at the same step: each has its own way",
            nll[int(np.argmax(moved.mean(1) >= norm))],
        ),
        ("this is the NLL after the last step", nll[-1]),
        ("this is the NLL before the first step", nll[0]),
        (
            "a path that comes back has this length twice: the first time counts",
            _read(moved, nll, _last(moved, norm), lambda share: share, norm),
        ),
    ]

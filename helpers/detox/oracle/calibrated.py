"""What an oracle learned, held to the exact success of the model that it learned from.

The model can be asked for everything that it may write, so R is known at every prefix and for every
next word (`helpers.detox.posts.exact_success`). Asked about are the prefixes that have not decided
yet whether the post will be kind or rude, each with all next words, those outside the grammar
included: there R is 0. Errors are weighted by the chance that the model says the prefix and then
the word.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.detox.networks import Plain, Policy
from helpers.detox.oracle.network import Oracle
from helpers.detox.posts import Success, exact_success
from helpers.errors import LabError
from helpers.inputs import array_of, token_ids

LEAST_WEIGHT = 1e-6
"""Points of less weight are counted in the errors, and not kept one by one."""
READ_AT_ONCE = 512
MOST_DEPTH = 16
"""More words than any post has."""


@dataclass(frozen=True)
class Calibration:
    """How far an oracle is from the truth.

    Attributes:
        mean_error: Mean of |learned R − exact R| over what the model may say next.
        rmse: Root of the mean of the squares.
        by_depth: Mean error by the number of words that were said before.
        weight_by_depth: Chance that a model is at an undecided prefix of so many words.
        points: Weight, learned R, exact R and depth of each prefix with a next word, heavy ones
            alone; weights of all sum to 1.
    """

    mean_error: float
    rmse: float
    by_depth: dict[int, float]
    weight_by_depth: dict[int, float]
    points: Float[ndarray, "point 4"]


@dataclass(frozen=True)
class Truth:
    """Exact R of a base after one prompt, at prefixes that have not decided, for every next word.

    Attributes:
        rows: The prompt and the prefix, padded on the right.
        last: Place of each prefix's last token.
        depth: How many words were said.
        weight: Chance of the prefix times that of the next word.
        exact: R after both.
    """

    rows: Int[Tensor, "prefix pos"]
    last: Int[Tensor, " prefix"]
    depth: Int[ndarray, " prefix"]
    weight: Float[ndarray, "prefix word"]
    exact: Float[ndarray, "prefix word"]


def truth(base: Plain, prompt: Int[Tensor, " 3"]) -> Truth:
    """What oracles of a base are held to, after one prompt: about two seconds of one core.

    Raises:
        LabError: As `helpers.detox.posts.exact_success`.
    """
    policy = Policy(base)
    success = exact_success(policy, prompt)
    asked = _undecided(success)
    prefixes = [(*prompt.tolist(), *success.prefixes[number]) for number in asked]
    last = torch.tensor([len(prefix) - 1 for prefix in prefixes])
    rows = torch.zeros(len(prefixes), int(last.max()) + 1, dtype=torch.long)
    for row, prefix in zip(rows, prefixes, strict=True):
        row[: len(prefix)] = torch.tensor(prefix)
    place = np.full(len(success.prefixes), -1)
    place[asked] = np.arange(len(asked))
    exact = np.zeros((len(asked), success.n_words))
    edges = place[success.edge_prefix] >= 0
    exact[place[success.edge_prefix[edges]], success.edge_token[edges]] = success.edge_kind[edges]
    chances = _after(policy.log_probs, rows, last).exp().double().numpy()
    weight = success.reach[asked][:, None] * chances
    single = np.float32  # of errors of a hundredth, and half the memory
    depth = last.numpy() + 1 - len(prompt)
    return Truth(rows, last, depth, weight.astype(single), exact.astype(single))


def _undecided(success: Success) -> Int[ndarray, " asked"]:
    """Numbers of the prefixes from which kind and rude posts can still come."""
    return np.flatnonzero((success.kind > 0) & (success.rude > 0))


def _after(
    said: Callable[[Tensor], Tensor], rows: Int[Tensor, "prefix pos"], last: Int[Tensor, " prefix"]
) -> Float[Tensor, "prefix word"]:
    """What a network says after the last token of each row: [prefix word]."""
    with torch.no_grad():
        return torch.cat(
            [
                said(part)[torch.arange(len(part)), at]
                for part, at in zip(rows.split(READ_AT_ONCE), last.split(READ_AT_ONCE), strict=True)
            ]
        )


def calibration(
    oracle: Oracle,
    base: Plain,
    prompts: Int[Tensor, "prompt pos"],
    truths: list[Truth] | None = None,
) -> Calibration:
    """Errors of an oracle against the exact R of a base, over prompts of equal weight.

    Args:
        prompts: Rows of `helpers.detox.posts.prompts`.
        truths: What `truth` gave for these prompts, where it is at hand.

    Raises:
        LabError: No prompts, or networks of another vocabulary.
    """
    prompts = token_ids(prompts, base)
    if oracle.head.out_features != base.shape.n_words:
        raise LabError(
            f"expected an oracle over the base's {base.shape.n_words} words",
            f"got one that judges {oracle.head.out_features}",
        )
    if truths is not None and len(truths) != len(prompts):
        raise LabError(
            f"expected what is true after each of {len(prompts)} prompts", f"got {len(truths)}"
        )
    truths = truths or [truth(base, prompt) for prompt in prompts]
    sums, points = zip(*(_compared(oracle, each) for each in truths), strict=True)
    total = np.sum(sums, axis=0)
    weight, error, square = total / total[0].sum()
    depths = np.flatnonzero(weight).tolist()
    return Calibration(
        mean_error=float(error.sum()),
        rmse=float(np.sqrt(square.sum())),
        by_depth={depth: float(error[depth] / weight[depth]) for depth in depths},
        weight_by_depth={depth: float(weight[depth]) for depth in depths},
        points=np.concatenate(points) / [total[0].sum(), 1, 1, 1],
    )


def _compared(
    oracle: Oracle, its: Truth
) -> tuple[Float[ndarray, "3 depth"], Float[ndarray, "point 4"]]:
    """Sums by depth of weights, errors and squares after one prompt; heavy points one by one."""
    learned = array_of(_after(oracle, its.rows, its.last).sigmoid())
    apart = np.abs(learned - its.exact)
    heavy = its.weight > LEAST_WEIGHT * its.weight.sum()
    columns = (its.weight, learned, its.exact, np.broadcast_to(its.depth[:, None], heavy.shape))
    sums = [
        np.bincount(its.depth, (its.weight * apart**power).sum(1), minlength=MOST_DEPTH)
        for power in range(3)
    ]
    return np.array(sums), np.stack([column[heavy] for column in columns], axis=1)

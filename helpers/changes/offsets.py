"""One offset, or many? How much of what tuning changed inside is a vector, everywhere the same.

Lee et al. (arXiv 2401.01967) find that DPO learns an offset that is added to the residual stream
and leads around what writes toxic text. If that is what happened, one vector explains most of the
change; the base with the vector added is as kind as the model after, and the model after is as rude
as the base when it is taken off. A random vector of the same length does neither.

The change is that of the residual stream after a block, wherever a word of a post is written before
its noun. The vector is its mean over one half of the posts; it explains what it explains of the
other half.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.changes.plan import ChangePlan
from helpers.changes.reading import (
    read_posts,
    reported,
    rude_shares,
    streams,
    written_before_noun,
)
from helpers.detox.networks import Plain
from helpers.detox.rivals.activations import shifted
from helpers.errors import LabError
from helpers.inputs import finite


def offset(base: Plain, network: Plain, plan: ChangePlan) -> dict[str, Any]:
    """What one vector, and what several directions explain of a change, and what the vector does.

    Returns:
        For every block ("by block") the share of the squared change that one vector explains
        ("vector"), that k directions do ("directions"), and the length of the vector over the root
        mean square of the change ("length"). For the last block and the one in the middle
        ("moved") rude shares: of both models as they are, the base with the vector and with a
        random one added, the model after with the vector and with a random one taken off.

    Raises:
        LabError: Networks of another vocabulary or of different shapes.
    """
    posts, asked = read_posts(plan.posts), reported(plan.prompts)
    at = written_before_noun(posts)
    changes = (streams(network, posts) - streams(base, posts))[1:]
    by_block, moved = [], {}
    for block, change in enumerate(changes):
        learnt, tested = change[::2][at[::2]], change[1::2][at[1::2]]
        by_block.append(explained(learnt, tested, plan.dimensions))
        if block in (len(changes) // 2 - 1, len(changes) - 1):
            moved[str(block)] = _moved(base, network, block, learnt.mean(0), asked)
    shares = {"base": rude_shares(base, asked), "after": rude_shares(network, asked)}
    return {**shares, "by block": by_block, "moved": moved}


def explained(
    learnt: Float[Tensor, "place d"], tested: Float[Tensor, "other d"], dimensions: tuple[int, ...]
) -> dict[str, Any]:
    """Share of squared changes that the mean of others, and their main directions, explain.

    Args:
        learnt: Changes whose mean and directions are taken.
        tested: Changes that are to be explained.
        dimensions: Numbers of directions. Along each a change may go as far as it does, at every
            place; the vector is the same everywhere.

    Raises:
        LabError: Other shapes, or what is not finite.

    >>> same = torch.tensor([[3.0, 4.0]]).repeat(4, 1)
    >>> explained(same, same, (1,))
    {'vector': 1.0, 'directions': [1.0], 'length': 1.0}
    """
    learnt, tested = finite(learnt, "changes", "place d"), finite(tested, "changes", "place d")
    if learnt.shape[1] != tested.shape[1] or not len(learnt) or not len(tested):
        raise LabError("expected changes of one width", f"got {learnt.shape} and {tested.shape}")
    mean, whole = learnt.mean(0), float(tested.double().square().sum())
    if not whole:  # nothing has changed here
        return {"vector": None, "directions": [None] * len(dimensions), "length": None}
    left = float((tested - mean).double().square().sum())
    main = torch.linalg.svd(learnt.double(), full_matrices=False).Vh
    along = (tested.double() @ main.T).square().sum(0).cumsum(0) / whole
    length = float(mean.norm() / (whole / len(tested)) ** 0.5)
    shares = [round(float(along[min(k, len(along)) - 1]), 4) for k in dimensions]
    return {"vector": round(1 - left / whole, 4), "directions": shares, "length": round(length, 4)}


def _moved(
    base: Plain, network: Plain, block: int, vector: Float[Tensor, " d_model"], asked: Tensor
) -> dict[str, list[float]]:
    drawn = torch.randn(len(vector), generator=torch.Generator().manual_seed(block))
    random = drawn / drawn.norm() * vector.norm()
    return {
        "base, added": rude_shares(shifted(base, block, vector), asked),
        "base, random": rude_shares(shifted(base, block, random), asked),
        "after, taken off": rude_shares(shifted(network, block, -vector), asked),
        "after, random": rude_shares(shifted(network, block, -random), asked),
    }

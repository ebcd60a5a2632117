"""Whether a graph computes what its model computes, without holding more logits than needed."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import within

LOGITS_AT_ONCE = 2**24
"""How many logits are compared at once, unless one prompt has more: 64 MB in float32."""
Logits = Callable[[Int[Tensor, "prompt pos"]], Float[Tensor, "prompt pos word"]]


@torch.no_grad()
def expect_same_logits(
    theirs: Logits,
    ours: Logits,
    tokens: Int[Tensor, "prompt pos"],
    read: Bool[Tensor, "prompt pos"],
    words: int,
) -> None:
    """Refuse a graph whose logits are not its model's at every position that is read.

    Few prompts are run at a time, so that at most `LOGITS_AT_ONCE` logits of the model and as many
    of the graph are held, or those of one prompt (GPT-2 at 1 024 tokens: 0.2 GB each).

    Args:
        theirs, ours: The model and the graph, as functions of tokens.
        words: How many words the logits are of.

    Raises:
        LabError: logits of the model that are not finite, or others of the graph.
    """
    size = max(1, LOGITS_AT_ONCE // (tokens.shape[1] * words))
    parts = [
        _apart(theirs(some), ours(some), here)
        for some, here in zip(tokens.split(size), read.split(size), strict=True)
    ]
    off, largest = (torch.stack(values).max() for values in zip(*parts, strict=True))
    # float32 in another order agrees to about 1e-6
    if not within(off, 1e-3 * max(1.0, float(largest))):
        raise LabError(
            "expected the graph to compute the model's logits",
            f"they differ by up to {float(off):.3g}",
            hint="the model has a part that sums of heads and MLPs leave out, or has changed "
            "since the graph was made",
        )


def _apart(
    theirs: Float[Tensor, "prompt pos word"],
    ours: Float[Tensor, "prompt pos word"],
    read: Bool[Tensor, "prompt pos"],
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The largest difference of logits, and the largest logit of the model."""
    largest = _largest(theirs)[read.to(theirs.device)].max().to(read.device)
    if not largest.isfinite():
        raise LabError(
            "expected finite logits of the model",
            "got NaN or infinity",
            hint="check its weights",
        )
    difference = ours.sub_(theirs.to(ours.device))  # in place: there is no third of this size
    return _largest(difference)[read.to(ours.device)].max().to(read.device), largest


def _largest(logits: Float[Tensor, "prompt pos word"]) -> Float[Tensor, "prompt pos"]:
    """The largest absolute value at each position, NaN where there is one, without a copy."""
    ends = logits.aminmax(dim=-1)
    return torch.maximum(ends.min.abs(), ends.max.abs())

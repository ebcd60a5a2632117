"""What an oracle is trained on: the label of a whole text at every word, and consistency.

Written here on plain tensors, so that any model may use it. After the tokens of a row, in which
the prompt ends before `start`:

    a_i  =  h(x, y<i)[y_i]                        the logit of R of the prefix that ends in y_i
    e_i  =  Σ_v p(v | x, y≤i) · σ(h(x, y≤i)[v])   what is expected of R one word later

    entropy      Σ_i  −C log σ(a_i) − (1 − C) log σ(−a_i)
    consistency  Σ_i  KL(Bern(e_i) ‖ Bern(σ(a_i)))        "expected first", as released (LCG)
                      KL(Bern(σ(a_i)) ‖ Bern(e_i))        "own first", the other direction

Sums run over the words that the model wrote, the mean over rows. The prompt and what stands after
the end of a text do not count. At the end itself R is C, no word follows, and consistency asks
nothing. Gradients flow through both sides of the divergence.

Source: NADO, arXiv 2205.14219, equations 6 and 7, and its released code.
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.detox.networks import PAD
from helpers.errors import LabError

Direction = Literal["expected first", "own first"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
LEAST = 1e-6
"""Expected chances are kept this far from 0 and 1, where a divergence would be infinite."""


def counted(
    tokens: Int[Tensor, "row pos"], start: int, stop: int, pad: int = PAD
) -> Bool[Tensor, "row pos"]:
    """Which tokens a model wrote: from `start` to the first `stop`, or to the last that is no pad.

    >>> counted(torch.tensor([[5, 6, 2, 0], [5, 6, 7, 8], [5, 6, 0, 0]]), start=1, stop=2).int()
    tensor([[0, 1, 1, 0],
            [0, 1, 1, 1],
            [0, 1, 0, 0]], dtype=torch.int32)
    """
    place = torch.arange(tokens.shape[1], device=tokens.device)
    written = place >= start
    ends = (tokens == stop) & written
    before = ends.cumsum(1) - ends.int() == 0
    last = torch.where(tokens != pad, place, -1).amax(1, keepdim=True)
    return written & before & (place <= last)


def entropy(
    own: Float[Tensor, "row pos"], satisfied: Float[Tensor, " row"], counts: Bool[Tensor, "row pos"]
) -> Float[Tensor, ""]:
    """Cross-entropy of the text's label at every word that counts: a sum over words, mean of rows.

    Args:
        own: a_i at each token: the logit of R of the prefix that ends in it.

    >>> own, label = torch.logit(torch.tensor([[0.5, 0.25]])), torch.ones(1)
    >>> round(float(entropy(own, label, torch.tensor([[True, True]]))), 4)  # log 2 + log 4
    2.0794
    """
    label = satisfied[:, None].expand_as(own)
    each = F.binary_cross_entropy_with_logits(own, label, reduction="none")
    return (each * counts).sum() / len(own)


def consistency(
    own: Float[Tensor, "row pos"],
    expected: Float[Tensor, "row pos"],
    counts: Bool[Tensor, "row pos"],
    direction: Direction = "expected first",
) -> Float[Tensor, ""]:
    """Divergence between what is said of a prefix and what is expected one word later.

    Args:
        own: a_i at each token, logits.
        expected: e_i, chances.
        counts: Places that count; not the end of a text, after which nothing is expected.

    Raises:
        LabError: Another direction.

    >>> own, expected, at = torch.zeros(1, 1), torch.tensor([[0.25]]), torch.tensor([[True]])
    >>> [round(float(consistency(own, expected, at, way)), 4) for way in DIRECTIONS]
    [0.1308, 0.1438]
    """
    if direction not in DIRECTIONS:
        raise LabError(f"expected a direction of {', '.join(DIRECTIONS)}", f"got {direction!r}")
    e = expected.clamp(LEAST, 1 - LEAST)
    log_e, log_not_e = e.log(), torch.log1p(-e)
    log_a, log_not_a = F.logsigmoid(own), F.logsigmoid(-own)
    first = e if direction == "expected first" else own.sigmoid()
    each = first * (log_e - log_a) + (1 - first) * (log_not_e - log_not_a)
    return ((each if direction == "expected first" else -each) * counts).sum() / len(own)


def expected_success(
    logits: Float[Tensor, "*at word"], p: Float[Tensor, "*at word"]
) -> Float[Tensor, "*at"]:
    """e: what is expected of R one word later, Σ_v p(v) · σ(h[v])."""
    return (p * logits.sigmoid()).sum(-1)

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

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.detox.networks import PAD
from helpers.errors import LabError
from helpers.inputs import check_count, token_ids

Direction = Literal["expected first", "own first"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
LEAST = 1e-6
"""Expected chances are kept this far from 0 and 1, where a divergence would be infinite."""


def counted(
    tokens: Int[Tensor, "row pos"], start: int, stop: int, pad: int = PAD
) -> Bool[Tensor, "row pos"]:
    """Which tokens a model wrote: from `start` to the first `stop`, or to the last that is no pad.

    Raises:
        LabError: No table of token ids, or a start below 1: the first token has none before it.

    >>> counted(torch.tensor([[5, 6, 2, 0], [5, 6, 7, 8], [5, 6, 0, 0]]), start=1, stop=2).int()
    tensor([[0, 1, 1, 0],
            [0, 1, 1, 1],
            [0, 1, 0, 0]], dtype=torch.int32)
    """
    tokens = token_ids(tokens)
    check_count("length of the prompt", start, least=1)
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

    Raises:
        LabError: Other shapes, or what is no number.

    >>> own, label = torch.logit(torch.tensor([[0.5, 0.25]])), torch.ones(1)
    >>> round(float(entropy(own, label, torch.tensor([[True, True]]))), 4)  # log 2 + log 4
    2.0794
    """
    own, satisfied = numbers(own, "logits"), numbers(satisfied, "labels")
    _check(counts, own)
    if satisfied.shape != own.shape[:1] or not ((satisfied >= 0) & (satisfied <= 1)).all():
        raise LabError(
            f"expected a label from 0 to 1 for each of {len(own)} texts",
            f"got {satisfied.tolist()!r:.60}",
        )
    label = satisfied[:, None].to(own.dtype).expand_as(own)
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
        LabError: Another direction, other shapes, or what is no number.

    >>> own, expected, at = torch.zeros(1, 1), torch.tensor([[0.25]]), torch.tensor([[True]])
    >>> [round(float(consistency(own, expected, at, way)), 4) for way in DIRECTIONS]
    [0.1308, 0.1438]
    """
    if direction not in DIRECTIONS:
        raise LabError(f"expected a direction of {', '.join(DIRECTIONS)}", f"got {direction!r}")
    own, expected = numbers(own, "logits"), numbers(expected, "expected chances")
    _check(counts, own, expected)
    e = expected.clamp(LEAST, 1 - LEAST)
    log_e, log_not_e = e.log(), torch.log1p(-e)
    log_a, log_not_a = F.logsigmoid(own), F.logsigmoid(-own)
    first = e if direction == "expected first" else own.sigmoid()
    each = first * (log_e - log_a) + (1 - first) * (log_not_e - log_not_a)
    return ((each if direction == "expected first" else -each) * counts).sum() / len(own)


def expected_success(
    logits: Float[Tensor, "*at word"], p: Float[Tensor, "*at word"]
) -> Float[Tensor, "*at"]:
    """e: what is expected of R one word later, Σ_v p(v) · σ(h[v]).

    Raises:
        LabError: No chance for each logit, or what is no number.

    >>> expected_success(torch.tensor([0.0, 100.0]), torch.tensor([0.5, 0.5]))
    tensor(0.7500)
    """
    logits, p = numbers(logits, "logits"), numbers(p, "chances of the next word")
    if logits.shape != p.shape or not logits.ndim:
        raise LabError(
            "expected a chance of the next word for every logit",
            f"got {list(p.shape)} chances and {list(logits.shape)} logits",
        )
    return (p * logits.sigmoid()).sum(-1)


def numbers(x: Any, what: str) -> Float[Tensor, "..."]:
    """Finite numbers of single precision at least, with the gradient that they have.

    Raises:
        LabError: No tensor of real numbers, NaN or infinity.

    >>> numbers(torch.tensor([0.5], dtype=torch.float16), "logits").dtype
    torch.float32
    """
    x = floats(x, what)
    if not x.isfinite().all():
        odd = int((~x.isfinite()).sum())
        raise LabError(f"expected finite {what}", f"got NaN or infinity in {odd} of {x.numel()}")
    return x


def floats(x: Any, what: str) -> Float[Tensor, "..."]:
    """Real numbers of single precision at least, finite or not, with their gradient.

    Raises:
        LabError: No tensor of real numbers.
    """
    if not isinstance(x, Tensor) or x.is_complex():
        got = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise LabError(f"expected {what} as real numbers", f"got {got}", hint="make a tensor of it")
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _check(counts: Any, *of: Float[Tensor, "..."]) -> None:
    """Refuse what is no table [row pos], and marks of another one."""
    marks = f"{list(counts.shape)} of {counts.dtype}" if isinstance(counts, Tensor) else counts
    good = isinstance(counts, Tensor) and counts.dtype is torch.bool and counts.ndim == 2
    if not good or not counts.numel() or any(each.shape != counts.shape for each in of):
        raise LabError(
            "expected tables [row pos] of one shape, with a mark (True or False) at every place",
            f"got {', '.join(str(list(each.shape)) for each in of)} and marks {marks}",
        )

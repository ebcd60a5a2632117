"""From codes to circuits: codes that occur on clean prompts and never on their twins.

With the set of codes that a head shows on clean (positive) prompts, P_h, and on corrupted
(negative) ones, N_h, the score of a head is the number of codes of its own to the clean prompts,

    score(h)  =  | P_h \\ N_h |            or, normalised,      | P_h \\ N_h | / | P_h ∪ N_h |

and that of a pair of heads the same number for pairs of codes that occur together on one prompt
(O'Neill and Bui, arXiv 2405.12522). `DEAD` is no code: a head without active latent shows none.
Only sets are kept: the released code counts pairs in arrays of heads × heads × codes × codes, 6.6
GB each for GPT-2 small.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.circuits.codes.discrete_sae import DEAD
from helpers.errors import LabError
from helpers.inputs import finite

Codes = Int[Tensor, "prompt head"]


def node_scores(
    positive: Codes, negative: Int[Tensor, "other head"], normalised: bool = False
) -> Float[Tensor, " head"]:
    """How many codes each head has for clean prompts only.

    Args:
        positive, negative: Codes on clean prompts and on corrupted ones; the two may have
            different numbers of prompts.
        normalised: Whether to divide by the number of codes that the head shows at all.

    Raises:
        LabError: prompts of one class only, or codes of different heads.

    >>> positive = torch.tensor([[0, 4], [1, 4], [2, 4]])
    >>> negative = torch.tensor([[1, 5], [3, 4], [1, 4]])
    >>> node_scores(positive, negative).tolist()
    [2.0, 0.0]
    """
    check(positive, negative)
    scores = []
    for clean, corrupted in zip(positive.T.tolist(), negative.T.tolist(), strict=True):
        own, other = set(clean) - {DEAD}, set(corrupted) - {DEAD}
        scores.append(len(own - other) / (max(1, len(own | other)) if normalised else 1))
    return torch.tensor(scores)


def pair_scores(positive: Codes, negative: Int[Tensor, "other head"]) -> Float[Tensor, "head head"]:
    """How many pairs of codes two heads show together on clean prompts only; 0 on the diagonal.

    Raises:
        LabError: as `node_scores`.

    >>> pair_scores(torch.tensor([[0, 0], [1, 1]]), torch.tensor([[0, 1], [1, 0]]))
    tensor([[0., 2.],
            [2., 0.]])
    """
    check(positive, negative)
    n_heads = positive.shape[1]
    base = int(max(positive.max(), negative.max())) + 1
    clean, corrupted = positive.numpy().astype(np.int64), negative.numpy().astype(np.int64)
    scores = torch.zeros(n_heads, n_heads)
    for first in range(n_heads):
        for second in range(first + 1, n_heads):
            shown, other = (_pairs(codes, first, second, base) for codes in (clean, corrupted))
            scores[first, second] = scores[second, first] = len(np.setdiff1d(shown, other))
    return scores


def _pairs(
    codes: Int[np.ndarray, "prompt head"], first: int, second: int, base: int
) -> Int[np.ndarray, " pair"]:
    """The pairs of codes of two heads, each as one number; none with a head that shows no code."""
    alive = (codes[:, first] != DEAD) & (codes[:, second] != DEAD)
    return np.unique(codes[alive, first] * base + codes[alive, second])


def heads_of_pairs(pairs: Float[Tensor, "head head"], entries: int) -> Float[Tensor, " head"]:
    """How often each head is among the highest pair scores: the paper's edge-level circuit.

    Every pair stands in the matrix twice, once in each order, and equal scores keep the order of
    the matrix, as released.

    Args:
        entries: How many heads are read off the sorted list, two per pair. The authors take half
            the square of the heads per layer: 72 for GPT-2 small, 32 for their docstring model.

    Raises:
        LabError: no scores, or NaN among them.
    """
    pairs = finite(pairs, "pair scores", "head other")
    n_heads = len(pairs)
    order = pairs.flatten().argsort(descending=True, stable=True)
    listed = torch.stack([order // n_heads, order % n_heads], dim=1).flatten()[:entries]
    return torch.bincount(listed, minlength=n_heads).float()


def check(positive: Codes, negative: Int[Tensor, "other head"]) -> None:
    """Refuse codes that cannot be compared.

    Raises:
        LabError: no clean or no corrupted prompts, or not the same heads on both.
    """
    if not len(positive) or not len(negative):
        raise LabError(
            "expected codes on clean prompts and on corrupted ones",
            f"got {len(positive)} and {len(negative)} prompts",
            hint="the score compares two classes: give prompts of both",
        )
    if positive.shape[1:] != negative.shape[1:] or positive.ndim != 2:
        shapes = f"{tuple(positive.shape)} and {tuple(negative.shape)}"
        raise LabError(
            "expected one code for each prompt and head, of the same heads", f"got shapes {shapes}"
        )

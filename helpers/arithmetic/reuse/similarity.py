"""How far the weights of a target are still those of the source that was inserted.

The cosine of two tensors, taken as vectors, is 1 where training changed nothing but the scale, and
0 on average for independent ones: the standard deviation is 1 / sqrt(entries), 0.02 for one head's
W_Q of 96 x 32 entries.

A low cosine does not show that the *function* is lost. A model from scratch writes the same digits
into other directions of its residual stream, names its heads otherwise and orders its MLP neurons
otherwise, so its cosines are near 0 whatever it computes. Compare it by what its nodes do
(`transfer`), and read the cosines as: how far did training move what was inserted?
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.arithmetic.training import check_fits
from helpers.errors import LabError
from helpers.model import Model

ENDS = {"W_E": "embed.weight", "W_pos": "pos_embed.weight", "W_U": "unembed.weight"}


@dataclass(frozen=True)
class Similarity:
    """Cosine of one tensor with the source's.

    Attributes:
        part: ``Q``, ``K``, ``V``, ``O``, ``QK``, ``OV``, ``MLP in``, ``MLP out``, ``W_E``,
            ``W_pos`` or ``W_U``.
        layer, head: The place of the tensor; -1 where it has no layer or no head.
        same: Cosine with the source's tensor at the same place.
        other: Mean cosine with the other heads of the layer, the control; None for what is no head.
    """

    part: str
    layer: int
    head: int
    same: float
    other: float | None


def cosine(a: Float[Tensor, "..."], b: Float[Tensor, "..."]) -> float:
    """Cosine of two tensors of one shape; 0 where one of them is zero.

    Raises:
        LabError: Two shapes.

    >>> round(cosine(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])), 3)
    0.707
    """
    if a.shape != b.shape:
        raise LabError(
            "expected two tensors of one shape", f"got {list(a.shape)} and {list(b.shape)}"
        )
    a, b = a.detach().flatten().double(), b.detach().flatten().double()
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


def head_weights(model: Model, layer: int) -> dict[str, Float[Tensor, "head ..."]]:
    """W_Q, W_K, W_V [head, d_model, d_head], W_O [head, d_head, d_model], W_Q W_K^T and W_V W_O."""
    attention = model.blocks[layer].attn
    q, k, v, o = (getattr(attention, name).detach() for name in ("W_Q", "W_K", "W_V", "W_O"))
    return {"Q": q, "K": k, "V": v, "O": o, "QK": q @ k.transpose(1, 2), "OV": v @ o}


def similarities(source: Model, target: Model) -> list[Similarity]:
    """Cosine of every inserted tensor with the source's, heads one by one.

    Raises:
        LabError: The source has no place in the target.
    """
    check_fits(source, target)
    of_heads = []
    for layer in range(source.cfg.n_layers):
        ours, theirs = head_weights(source, layer), head_weights(target, layer)
        for part in ours:
            for head in range(source.cfg.n_heads):
                all_heads = [cosine(ours[part][head], other) for other in theirs[part]]
                others = [value for other, value in enumerate(all_heads) if other != head]
                mean = sum(others) / len(others) if others else None
                of_heads.append(Similarity(part, layer, head, all_heads[head], mean))
    ours, theirs = source.state_dict(), target.state_dict()
    tensors = [
        (f"MLP {side}", f"blocks.{layer}.mlp.{side}.weight", layer)
        for layer in range(source.cfg.n_layers)
        for side in ("in", "out")
    ] + [(part, name, -1) for part, name in ENDS.items()]
    return of_heads + [
        Similarity(part, layer, -1, cosine(ours[name], theirs[name]), None)
        for part, name, layer in tensors
    ]

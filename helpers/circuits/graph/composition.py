"""Composition scores: how much of what a head writes a later head is able to read, by weights.

Elhage et al. (2021), "A Mathematical Framework for Transformer Circuits", compare two heads by
their matrices alone. With rows as vectors, head w writes x·OV_w, where OV_w = W_V W_O, and the
attention score of head r is x·QK_r·yᵀ, where QK_r = W_Q W_Kᵀ. For w in an earlier layer than r

====  =====================================  ==========================================
part  score                                  head w changes
====  =====================================  ==========================================
Q     ‖OV_w QK_r‖ / (‖OV_w‖ ‖QK_r‖)          what r looks for
K     ‖OV_w QK_rᵀ‖ / (‖OV_w‖ ‖QK_r‖)         where r finds it
V     ‖OV_w OV_r‖ / (‖OV_w‖ ‖OV_r‖)          what r carries on
====  =====================================  ==========================================

with Frobenius norms. A score lies between 0 and 1. Two heads whose directions have nothing to do
with each other have 1/√d on average: turned by a random rotation R, the mean of ‖OV_w R QK_r‖² is
exactly ‖OV_w‖² ‖QK_r‖² / d, where d is the number of dimensions (one less with LayerNorm).

The original is for models without normalisation. Here LayerNorm's gain is counted to the head that
reads, and the mean that it takes out of the stream is taken out of what is written and of what is
read; its division by the length of the stream is left out, as it is no matrix. So is all that goes
through an MLP in between, and every bias. Scores say what *could* flow, on any input. What does
flow is measured by patching.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.circuits.graph import weights
from helpers.circuits.graph.edges import KINDS, Edge, head_name
from helpers.errors import LabError
from helpers.interventions import Head
from helpers.model import Model


@dataclass(frozen=True)
class Composition:
    """The scores of all pairs of heads.

    Attributes:
        heads: Layer and head, in the order of both axes.
        scores: By what is composed (queries, keys, values). NaN where the source is in no earlier
            layer than the receiver, or one of the two writes or reads nothing at all.
        chance: Root mean square of the score of unrelated heads, 1/√d.
    """

    heads: tuple[Head, ...]
    scores: Float[Tensor, "kind source receiver"]
    chance: float

    def ranked(self) -> dict[Edge, float]:
        """The score of every edge between two heads, highest first; of equal ones the earlier."""
        order = self.scores.nan_to_num(nan=-1).flatten().argsort(descending=True, stable=True)
        n = len(self.heads)
        edges = {}
        for flat in order[: int(self.scores.isfinite().sum())].tolist():
            kind, source, receiver = flat // n**2, flat // n % n, flat % n
            ends = head_name(self.heads[source]), head_name(self.heads[receiver])
            edges[Edge(*ends, KINDS[kind])] = float(self.scores[kind, source, receiver])
        return edges


def composition(model: Model) -> Composition:
    """Composition scores of all pairs of heads of a model, in float64.

    The d_model × d_model matrices are never formed: with OV_w = V_w O_w and QK_r = Q_r K_rᵀ,
    ‖V_w O_w Q_r K_rᵀ‖² is the trace of (V_wᵀV_w) M (K_rᵀK_r) Mᵀ, where M = O_w Q_r and all are
    d_head × d_head.

    Raises:
        LabError: A model whose weights `helpers.circuits.graph.weights.of` does not lay out (such
            as one with rotary positions, where a score depends on the distance), or with NaN in
            them.

    >>> from helpers import zoo
    >>> scores = composition(zoo.load("tinyworld-attn"))
    >>> edge, score = next(iter(scores.ranked().items()))
    >>> print(edge, f"{score:.2f}, by chance {scores.chance:.2f}")
    L1H2→L2H1.v 0.16, by chance 0.09
    """
    layers = [block for block in weights.of(model).blocks if isinstance(block, weights.Attention)]
    heads = tuple((i, head) for i, layer in enumerate(layers) for head in range(len(layer.out)))
    q, k, v, o = (torch.cat(part) for part in zip(*map(_matrices, layers), strict=True))
    if not all(torch.isfinite(part).all() for part in (q, k, v, o)):
        raise LabError("expected finite weights in every head", "got NaN or infinity")
    scores = torch.full((3, len(heads), len(heads)), torch.nan, dtype=torch.float64)
    for column, (layer, _) in enumerate(heads):
        before = sum(head[0] < layer for head in heads)
        if not before:
            continue
        for part, (near, far) in enumerate(((q, k), (k, q), (v, o.mT))):
            scores[part, :before, column] = _scores(
                v[:before], o[:before], near[column], far[column]
            )
    width = model.cfg.d_model - (layers[0].norm.kind or "").startswith("LN")
    return Composition(heads, scores, width**-0.5)


def _matrices(layer: weights.Attention) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W_Q, W_K, W_V [head, d_model, d_head] as the stream meets them, and W_O as it reaches it."""
    into, out = layer.into.double(), layer.out.double()
    if layer.norm.gain is not None:
        into = into * layer.norm.gain.double()[:, None]
    if (layer.norm.kind or "").startswith("LN"):
        into, out = into - into.mean(-2, keepdim=True), out - out.mean(-1, keepdim=True)
    return into[0], into[1], into[2], out


def _scores(
    v: Float[Tensor, "writer d_model d_head"],
    o: Float[Tensor, "writer d_head d_model"],
    near: Float[Tensor, "d_model d_head"],
    far: Float[Tensor, "d_model d_head"],
) -> Float[Tensor, " writer"]:
    """‖V O near farᵀ‖ / (‖V O‖ ‖near farᵀ‖) for every writer."""
    inner, rest = v.mT @ v, far.T @ far
    core = o @ near
    joint = torch.einsum("wij,wjk,kl,wil->w", inner, core, rest, core)
    own = torch.einsum("wij,wij->w", inner, o @ o.mT)
    return (joint / (own * ((near.T @ near) * rest).sum())).clamp(0, 1).sqrt()

"""A tree over the layers: a small model with every subset of its heads, shared parts once.

The residual stream after layer l depends on which heads of layers 0 to l are kept, and on no other.
So it is computed once for each subset of those heads: 16, 256, 4096 streams after the first three
layers of four heads each, instead of 65 536 each time. Replacing a head changes the stream by (its
own z - the other z) W_O, so that the streams of one layer are sums. In the last layer only the last
token asks, and its query meets the residual stream itself instead of keys and values:

    score(pos) = (W_K q) · x(pos) r(pos)
    z          = (sum over pos of pattern(pos) r(pos) x(pos)) W_V + b_V

with r = 1 / scale of the LayerNorm. Gains and shifts of LayerNorms are folded into the weights that
read from them, and everything that is written is centred, so that x needs no centring: the same
numbers up to rounding. Prompts are taken one by one, without padding, and depth first, so that
memory stays small.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from helpers.circuits.graph import architecture
from helpers.circuits.graph import weights as graph_weights
from helpers.circuits.tasks.twins import METRICS, Twins
from helpers.errors import LabError
from helpers.model import Model
from helpers.texts import Prompts

ROOM = 1 << 21
"""Numbers in the residual streams that are computed together: as many as a core's cache holds."""
ROWS = 512
"""Subsets whose logits are computed together."""
KNOWN = architecture.KNOWN | {
    "architecture": ("TransformerLensNative",),
    "attention_dir": ("causal",),
    "attn_scale": (-1.0,),
    "normalization_type": (None, "LN", "LNPre"),
    "final_rms": (False,),
}
"""What the tree computes: less than the graph."""
Readout = Callable[[Float[Tensor, "state d_model"]], Float[Tensor, " state"]]


@dataclass(frozen=True)
class Layer:
    """A layer's attention, with the LayerNorm before it folded in, and its MLP if it has one."""

    w_q: Float[Tensor, "head d_model d_head"]
    w_k: Float[Tensor, "head d_model d_head"]
    w_v: Float[Tensor, "head d_model d_head"]
    b_q: Float[Tensor, "head d_head"]
    b_k: Float[Tensor, "head d_head"]
    b_v: Float[Tensor, "head d_head"]
    w_o: Float[Tensor, "head d_head d_model"]
    b_o: Float[Tensor, " d_model"]
    mlp: graph_weights.Mlp | None


@dataclass(frozen=True)
class FoldedWeights:
    """What a native model computes with, LayerNorms folded in."""

    embed: Float[Tensor, "word d_model"]
    places: Float[Tensor, "pos d_model"]
    layers: tuple[Layer, ...]
    w_u: Float[Tensor, "d_model word"]
    b_u: Float[Tensor, " word"]
    normalised: bool
    eps: float

    def inverse_scale(self, x: Float[Tensor, "*state d_model"]) -> Float[Tensor, "*state 1"]:
        """What a LayerNorm multiplies a centred stream by; 1 in a model without."""
        if not self.normalised:
            return x.new_ones(()).expand(*x.shape[:-1], 1)
        return (x.square().mean(-1, keepdim=True) + self.eps).rsqrt()


def check_supported(model: Model) -> None:
    """Refuse models that the tree does not compute.

    Raises:
        LabError: Names what the model has that the tree does not know.
    """
    if unknown := architecture.unknown_settings(model, KNOWN):
        raise LabError(
            "expected a native model with LayerNorm or none, learned positions and plain causal "
            "attention for the exact oracle",
            f"got {', '.join(unknown)}",
            hint="on any model with hooks, helpers.circuits.oracle.shapley.sampled estimates from "
            "samples",
        )


@torch.no_grad()
def read_weights(model: Model) -> FoldedWeights:
    """The weights of a native model, on the CPU, as the tree computes with them.

    Raises:
        LabError: A model that the tree does not compute.
    """
    check_supported(model)
    plain = graph_weights.of(model)
    centre = _centre if plain.final.kind else _same
    w_u, b_u = _folded(plain.final, _cpu(plain.unembedding), _cpu(plain.unembedding_bias))
    attentions = [block for block in plain.blocks if isinstance(block, graph_weights.Attention)]
    mlps = [_mlp(block, centre) for block in plain.blocks if isinstance(block, graph_weights.Mlp)]
    pairs = zip(attentions, mlps or [None] * len(attentions), strict=True)
    return FoldedWeights(
        embed=centre(_cpu(plain.tokens)),
        places=centre(_cpu(plain.positions)),
        layers=tuple(_layer(attention, mlp, centre) for attention, mlp in pairs),
        w_u=w_u.contiguous(),
        b_u=b_u,
        normalised=plain.final.kind is not None,
        eps=plain.final.eps,
    )


def _cpu(weight: Tensor) -> Tensor:
    return weight.cpu().float()


def _centre(written: Tensor) -> Tensor:
    return written - written.mean(-1, keepdim=True)


def _same(written: Tensor) -> Tensor:
    return written


def _folded(norm: graph_weights.Norm, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [d_model, out] and bias [out] behind a LayerNorm, its gain and shift taken in."""
    if norm.gain is None or norm.bias is None:
        return weight, bias
    return _cpu(norm.gain)[:, None] * weight, bias + _cpu(norm.bias) @ weight


def _layer(
    block: graph_weights.Attention,
    mlp: graph_weights.Mlp | None,
    centre: Callable[[Tensor], Tensor],
) -> Layer:
    read = {}
    for name, weight, bias in zip("qkv", _cpu(block.into), _cpu(block.bias), strict=True):
        side_by_side = weight.mT.flatten(0, 1).T  # all heads
        beside, shifts = _folded(block.norm, side_by_side, bias.flatten())
        read[f"w_{name}"] = beside.unflatten(1, bias.shape).transpose(0, 1).contiguous()
        read[f"b_{name}"] = shifts.view(bias.shape)
    return Layer(**read, w_o=centre(_cpu(block.out)), b_o=centre(_cpu(block.out_bias)), mlp=mlp)


def _mlp(block: graph_weights.Mlp, centre: Callable[[Tensor], Tensor]) -> graph_weights.Mlp:
    """The MLP, which then reads what is normalised already."""
    into, bias = _folded(block.norm, _cpu(block.into), _cpu(block.bias))
    out, out_bias = centre(_cpu(block.out)), centre(_cpu(block.out_bias))
    norm = graph_weights.Norm(None, None, None, 0.0)
    return graph_weights.Mlp(
        norm, into.contiguous(), bias, out.contiguous(), out_bias, block.activation
    )


def reader(weights: FoldedWeights, twins: Twins, row: int) -> Readout:
    """From the last residual stream, normalised, to one prompt's metric.

    Only the logits that the metric needs are computed. A log ratio and a margin need the right and
    the wrong words. A difference of probabilities needs the other words too, but only the logarithm
    of their summed exponentials: they become one word.
    """
    clean = twins.clean
    asked = clean.good[row] | clean.bad[row]
    others = twins.metric == "difference of probabilities"
    good, bad = (
        functional.pad(mask[row, asked], (0, int(others)))[None] for mask in (clean.good, clean.bad)
    )
    prompt = Prompts(
        clean.name,
        clean.texts[row : row + 1],
        clean.tokens[row : row + 1],
        clean.last[row : row + 1],
        good,
        bad,
    )
    w, b = weights.w_u[:, asked], weights.b_u[asked]
    w_rest, b_rest = weights.w_u[:, ~asked], weights.b_u[~asked]

    def read(x: Float[Tensor, "state d_model"]) -> Float[Tensor, " state"]:
        logits = x @ w + b
        if others:
            rest = torch.addmm(b_rest, x, w_rest).logsumexp(-1, keepdim=True)
            logits = torch.cat([logits, rest], -1)
        return METRICS[twins.metric](logits, prompt)

    return read


@dataclass(frozen=True)
class Tree:
    """One prompt's tree.

    Attributes:
        weights: The model's weights.
        tokens: The prompt's tokens, without padding.
        replaced: What replaces the z of every head at every token.
        read: Gives the metric from the last residual stream.
    """

    weights: FoldedWeights
    tokens: Int[Tensor, " pos"]
    replaced: Float[Tensor, "layer pos head d_head"]
    read: Readout

    def behaviour(self) -> Float[Tensor, " subset"]:
        """The metric for every subset of kept heads.

        Bit i of a subset's number stands for head i, layer by layer.
        """
        metric = torch.empty(1 << (len(self.weights.layers) * self.replaced.shape[2]))
        x = self.weights.embed[self.tokens] + self.weights.places[: len(self.tokens)]
        for subsets, behaviour in self._below(0, x[None], torch.zeros(1, dtype=torch.long)):
            metric[subsets] = behaviour
        return metric

    def _below(
        self, layer: int, x: Float[Tensor, "state pos d_model"], subsets: Int[Tensor, " state"]
    ) -> Iterator[tuple[Int[Tensor, " subset"], Float[Tensor, " subset"]]]:
        """Everything that follows from some residual streams before a layer."""
        weights = self.weights.layers[layer]
        last = layer == len(self.weights.layers) - 1
        z = self._last_z(weights, x) if last else self._z(weights, x)
        x, replaced = (x[:, -1:], self.replaced[layer, -1:]) if last else (x, self.replaced[layer])
        base = x + weights.b_o + torch.einsum("phd,hdm->pm", replaced, weights.w_o)
        kept = torch.einsum("sphd,hdm->hspm", z - replaced, weights.w_o)
        x, subsets = self._every(base, kept, subsets, layer)
        if weights.mlp:
            x = x + weights.mlp(x * self.weights.inverse_scale(x))
        if not last:
            size = max(1, ROOM // (x[0].numel() << len(weights.w_o)))
            for part, numbers in zip(x.split(size), subsets.split(size), strict=True):
                yield from self._below(layer + 1, part, numbers)
            return
        for part, numbers in zip(x[:, 0].split(ROWS), subsets.split(ROWS), strict=True):
            yield numbers, self.read(part * self.weights.inverse_scale(part))

    def _every(
        self, x: Tensor, kept: Float[Tensor, "head state pos d_model"], subsets: Tensor, layer: int
    ) -> tuple[Tensor, Tensor]:
        """The streams after a layer, for every subset of its heads: 2^head times as many."""
        for head, more in enumerate(kept):
            x = torch.cat([x, (x.unflatten(0, (-1, len(more))) + more).flatten(0, 1)])
            subsets = torch.cat([subsets, subsets + (1 << (layer * len(kept) + head))])
        return x, subsets

    def _z(
        self, layer: Layer, x: Float[Tensor, "state pos d_model"]
    ) -> Float[Tensor, "state pos head d_head"]:
        """Outputs of a layer's heads."""
        y = (x * self.weights.inverse_scale(x))[:, None]  # [state, 1, pos, d_model]
        pairs = ((layer.w_q, layer.b_q), (layer.w_k, layer.b_k), (layer.w_v, layer.b_v))
        q, k, v = (y @ weight + bias[:, None] for weight, bias in pairs)
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)

    def _last_z(
        self, layer: Layer, x: Float[Tensor, "state pos d_model"]
    ) -> Float[Tensor, "state 1 head d_head"]:
        """Outputs of the last layer's heads at the last token.

        A key's bias adds the same to all scores: it is left away.
        """
        inverse = self.weights.inverse_scale(x)
        y = x[:, -1] * inverse[:, -1]
        q = torch.einsum("sm,hmd->shd", y, layer.w_q) + layer.b_q
        asked = torch.einsum("shd,hmd->shm", q, layer.w_k) / math.sqrt(q.shape[-1])
        across = inverse.transpose(1, 2)  # [state, 1, pos]
        pattern = ((asked @ x.transpose(1, 2)) * across).softmax(-1)
        seen = (pattern * across) @ x  # [state, head, d_model]
        return (torch.einsum("shm,hmd->shd", seen, layer.w_v) + layer.b_v)[:, None]

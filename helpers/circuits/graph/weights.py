"""What a decoder-only transformer computes, as plain tensors: the weights that a `Graph` runs on.

A `TransformerBridge` model wraps the modules of some other library; here its weights are laid out
by head, so that what goes into each head can be chosen head by head. Covered are models like GPT-2
and GPT-Neo: learned positions, attention and then an MLP (or attention only), a normalisation
before each, or none. Attention may be causal, local or in both directions, and any bias absent:
`helpers.circuits.graph.architecture` has the list.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from helpers.circuits.graph import architecture
from helpers.circuits.graph.architecture import ACTIVATIONS, KNOWN
from helpers.errors import LabError
from helpers.interventions import has_mlps
from helpers.model import Model


@dataclass(frozen=True)
class Norm:
    """LayerNorm, its kin without the mean taken out (RMS) or without gain and bias (Pre), or none.

    Attributes:
        kind: "LN", "LNPre", "RMS", "RMSPre" or None.
    """

    kind: str | None
    gain: Float[Tensor, " d_model"] | None
    bias: Float[Tensor, " d_model"] | None
    eps: float

    def __call__(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        if self.kind is None:
            return x
        if self.kind.startswith("LN"):
            return functional.layer_norm(x, x.shape[-1:], self.gain, self.bias, self.eps)
        scaled = x * (x.pow(2).mean(-1, keepdim=True) + self.eps).rsqrt()
        return scaled if self.gain is None else scaled * self.gain


@dataclass(frozen=True)
class Attention:
    """The heads of a layer. Query, key and value matrices come stacked in this order.

    Attributes:
        scale: What attention scores are divided by.
        causal: Whether a head sees no later position than its own.
        window: How many positions it sees, its own among them; None: all of them.
    """

    norm: Norm
    into: Float[Tensor, "3 head d_model d_head"]
    bias: Float[Tensor, "3 head d_head"]
    out: Float[Tensor, "head d_head d_model"]
    out_bias: Float[Tensor, " d_model"]
    scale: float
    causal: bool
    window: int | None

    def project(
        self, x: Float[Tensor, "prompt pos d_model"]
    ) -> Float[Tensor, "3 head prompt pos d_head"]:
        """Queries, keys and values of all heads from one normalised input."""
        return torch.einsum("bpd,xhdk->xhbpk", x, self.into) + self.bias[:, :, None, None]

    def attend(
        self,
        q: Float[Tensor, "head prompt pos d_head"],
        k: Float[Tensor, "head prompt pos d_head"],
        v: Float[Tensor, "head prompt pos d_head"],
        out: Float[Tensor, "head d_head d_model"],
    ) -> Float[Tensor, "head prompt pos d_model"]:
        """What heads write, from their queries, keys and values.

        Args:
            out: Output matrices of these heads: all of `out` of the layer, or some.
        """
        scores = q @ k.transpose(-1, -2) / self.scale
        hidden = self.hidden(scores.shape[-1], scores.device)
        z = scores.masked_fill(hidden, -torch.inf).softmax(-1) @ v
        return torch.einsum("hbpk,hkd->hbpd", z, out)

    def hidden(self, length: int, device: torch.device) -> Bool[Tensor, "query key"]:
        """Which positions a head at a position does not see."""
        whole = torch.ones(length, length, dtype=torch.bool, device=device)
        later = whole.triu(1) if self.causal else ~whole
        return later if self.window is None else later | whole.tril(-self.window)


@dataclass(frozen=True)
class Mlp:
    """The MLP of a layer."""

    norm: Norm
    into: Float[Tensor, "d_model d_mlp"]
    bias: Float[Tensor, " d_mlp"]
    out: Float[Tensor, "d_mlp d_model"]
    out_bias: Float[Tensor, " d_model"]
    activation: Callable[[Tensor], Tensor]

    def __call__(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        return self.activation(self.norm(x) @ self.into + self.bias) @ self.out + self.out_bias


@dataclass(frozen=True)
class Weights:
    """All weights of a model, without gradients.

    Attributes:
        blocks: Attention and MLP by turns, the MLPs left out of a model of attention only.
    """

    tokens: Float[Tensor, "vocab d_model"]
    positions: Float[Tensor, "context d_model"]
    blocks: tuple[Attention | Mlp, ...]
    final: Norm
    unembedding: Float[Tensor, "d_model vocab_out"]
    unembedding_bias: Float[Tensor, " vocab_out"]

    def embed(self, tokens: Int[Tensor, "prompt pos"]) -> Float[Tensor, "prompt pos d_model"]:
        """Token plus position embeddings."""
        return self.tokens[tokens] + self.positions[: tokens.shape[1]]

    def read(self, residual: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab_out"]:
        """Logits, from the last residual stream."""
        return self.final(residual) @ self.unembedding + self.unembedding_bias


@torch.inference_mode(False)  # made in that mode, weights would take no gradient ever after
def of(model: Model) -> Weights:
    """The weights of a `TransformerBridge` model.

    Raises:
        LabError: a model of another kind, such as one with rotary positions, or weights of a type
            with few digits.
    """
    if unknown := architecture.unknown_settings(model, KNOWN):
        raise LabError(
            "expected a model like GPT-2: learned positions and plain MLPs",
            f"got {', '.join(unknown)}",
            hint="score the heads by methods that only need hooks: helpers.circuits.codes, "
            "helpers.circuits.oracle.shapley.sampled",
        )
    architecture.check_type(model)
    try:
        return _read(model)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise LabError(
            "expected a model like GPT-2: embeddings, blocks of attention and MLP, one last "
            "normalisation",
            f"cannot read the weights of {getattr(model.cfg, 'architecture', 'it')}: {fault}",
        ) from None


def _read(model: Model) -> Weights:
    cfg = model.cfg
    blocks: list[Attention | Mlp] = []
    for block, window in zip(model.blocks, architecture.windows(model), strict=True):
        blocks.append(_attention(block.attn, _norm(block.ln1, cfg), model, window))
        if has_mlps(model):
            blocks.append(_mlp(block.mlp, _norm(block.ln2, cfg), cfg.act_fn))
    unembedding = _plain(model.W_U)
    return Weights(
        tokens=_plain(model.W_E),
        positions=_plain(model.pos_embed.weight),
        blocks=tuple(blocks),
        final=_norm(model.ln_final, cfg, getattr(cfg, "final_rms", False)),
        unembedding=unembedding,
        unembedding_bias=_or_zeros(model.b_U, unembedding[0]),
    )


def _plain(weight: Tensor) -> Tensor:
    """A weight without its gradient; a copy where torch's inference mode made it, and keeps it."""
    return weight.detach().clone() if weight.is_inference() else weight.detach()


def _or_zeros(bias: Tensor | None, like: Tensor) -> Tensor:
    """A bias; zeros where the model has none."""
    return torch.zeros_like(like) if bias is None else _plain(bias)


def _norm(norm: torch.nn.Module, cfg: Any, rms: bool = False) -> Norm:
    """A normalisation of the model.

    Args:
        rms: Whether it is RMS whatever those of the blocks are.
    """
    named = {
        name.rpartition(".")[2]: _plain(parameter) for name, parameter in norm.named_parameters()
    }
    kind = "RMS" if rms else cfg.normalization_type
    return Norm(kind, named.get("weight"), named.get("bias"), cfg.eps)


def _attention(attn: Any, norm: Norm, model: Model, window: int | None) -> Attention:
    cfg = model.cfg
    into = torch.stack([attn.W_Q, attn.W_K, attn.W_V]).detach()
    if into.shape != (wanted := (3, cfg.n_heads, cfg.d_model, cfg.d_head)):
        raise ValueError(f"its queries, keys and values are {tuple(into.shape)}, not {wanted}")
    biases = (attn.b_Q, attn.b_K, attn.b_V)
    return Attention(
        norm,
        into,
        torch.stack([_or_zeros(bias, into[0, :, 0]) for bias in biases]),
        _plain(attn.W_O),
        _or_zeros(attn.b_O, into[0, 0, :, 0]),
        architecture.scale(model),
        cfg.attention_dir == "causal",
        window,
    )


def _mlp(mlp: Any, norm: Norm, activation: str) -> Mlp:
    into, out = _plain(mlp.W_in), _plain(mlp.W_out)
    return Mlp(
        norm,
        into,
        _or_zeros(mlp.b_in, into[0]),
        out,
        _or_zeros(mlp.b_out, out[0]),
        ACTIVATIONS[activation],
    )

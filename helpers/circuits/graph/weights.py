"""What a decoder-only transformer computes, as plain tensors: the weights that a `Graph` runs on.

A `TransformerBridge` model wraps the modules of some other library; here its weights are laid out
by head, so that what goes into each head can be chosen head by head. Covered are models like GPT-2:
learned positions, causal attention, attention and then an MLP (or attention only), a normalisation
before each, or none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from helpers.errors import LabError
from helpers.interventions import has_mlps
from helpers.model import Model

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
}


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
    """The heads of a layer. Query, key and value matrices come stacked in this order."""

    norm: Norm
    into: Float[Tensor, "3 head d_model d_head"]
    bias: Float[Tensor, "3 head d_head"]
    out: Float[Tensor, "head d_head d_model"]
    out_bias: Float[Tensor, " d_model"]

    def project(
        self, x: Float[Tensor, "prompt pos d_model"]
    ) -> Float[Tensor, "3 head prompt pos d_head"]:
        """Queries, keys and values of all heads from one normalised input."""
        return torch.einsum("bpd,xhdk->xhbpk", x, self.into) + self.bias[:, :, None, None]


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
        scale: What attention scores are divided by.
    """

    tokens: Float[Tensor, "vocab d_model"]
    positions: Float[Tensor, "context d_model"]
    blocks: tuple[Attention | Mlp, ...]
    final: Norm
    unembedding: Float[Tensor, "d_model vocab_out"]
    unembedding_bias: Float[Tensor, " vocab_out"]
    scale: float

    def embed(self, tokens: Int[Tensor, "prompt pos"]) -> Float[Tensor, "prompt pos d_model"]:
        """Token plus position embeddings."""
        return self.tokens[tokens] + self.positions[: tokens.shape[1]]


def of(model: Model) -> Weights:
    """The weights of a `TransformerBridge` model.

    Raises:
        LabError: a model of another kind, such as one with rotary positions, or one whose logits
            these weights do not give.
    """
    cfg = model.cfg
    _check(cfg, has_mlps(model))
    blocks: list[Attention | Mlp] = []
    for block in model.blocks:
        blocks.append(_attention(block.attn, _norm(block.ln1, cfg)))
        if has_mlps(model):
            blocks.append(_mlp(block.mlp, _norm(block.ln2, cfg), cfg.act_fn))
    return Weights(
        tokens=model.W_E.detach(),
        positions=model.pos_embed.weight.detach(),
        blocks=tuple(blocks),
        final=_norm(model.ln_final, cfg),
        unembedding=model.W_U.detach(),
        unembedding_bias=model.b_U.detach(),
        scale=cfg.attn_scale if cfg.attn_scale > 0 and cfg.use_attn_scale else cfg.d_head**0.5,
    )


def _check(cfg: Any, mlps: bool) -> None:
    """Refuse a model that computes something else."""
    groups = getattr(cfg, "n_key_value_heads", None)
    if (
        cfg.positional_embedding_type != "standard"
        or (mlps and cfg.act_fn not in ACTIVATIONS)
        or groups not in (None, cfg.n_heads)
        or getattr(cfg, "gated_mlp", False)
        or cfg.normalization_type not in (None, "LN", "LNPre", "RMS", "RMSPre")
    ):
        got = f"{cfg.positional_embedding_type!r} positions, {cfg.act_fn!r} MLPs"
        got += f" and {cfg.normalization_type!r} normalisation"
        if groups is not None:
            got += f", {cfg.n_heads} heads of queries and {groups} of keys"
        raise LabError(
            "expected a model like GPT-2: learned positions and plain MLPs", f"got one with {got}"
        )


def _norm(norm: torch.nn.Module, cfg: Any) -> Norm:
    named = {
        name.rpartition(".")[2]: parameter.detach() for name, parameter in norm.named_parameters()
    }
    return Norm(cfg.normalization_type, named.get("weight"), named.get("bias"), cfg.eps)


def _attention(attn: Any, norm: Norm) -> Attention:
    into = torch.stack([attn.W_Q, attn.W_K, attn.W_V]).detach()
    bias = torch.stack([attn.b_Q, attn.b_K, attn.b_V]).detach()
    return Attention(norm, into, bias, attn.W_O.detach(), attn.b_O.detach())


def _mlp(mlp: Any, norm: Norm, activation: str) -> Mlp:
    into, bias = mlp.W_in.detach(), mlp.b_in.detach()
    return Mlp(norm, into, bias, mlp.W_out.detach(), mlp.b_out.detach(), ACTIVATIONS[activation])

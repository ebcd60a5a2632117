"""What each head of a model writes, one vector per prompt: for the embedded models, GPT-2 and its
kin, and grouped queries alike.

A head's write at a token is its output ``z`` times its part of W_O, without the shared bias b_O. Of
a prompt one vector is kept: the mean over its real tokens, or the write at its last one. As writing
is linear, ``z`` is pooled first and multiplied then.

Memory, in bytes, for P prompts of T tokens in batches of B (float32: 4 each), beside the model's
own use:

    4 · P · heads · d_model      the result, all heads
    4 · B · T · d_model          a layer's ``z``, pooled at once and let go

A run ends with the last attention, so there are no logits of B · T · vocabulary. For GPT-2 small
(144 heads, 768 wide) and 500 prompts the result has 221 MB.

Weights are *raw*, as published, or *processed*: LayerNorm folded in, writing weights centred, value
biases folded into b_O (``enable_compatibility_mode``), as the published work on GPT-2 has them. The
logits are the same, writes are not: centred, they lack the component along (1, …, 1), and b_V's
share has gone from each head to the bias.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import zoo
from helpers.circuits.codes import discrete_sae
from helpers.circuits.tasks import check_readable, real, rows
from helpers.errors import LabError
from helpers.inputs import within
from helpers.interventions import device_of
from helpers.model import Model
from helpers.texts import Prompts

WeightKind = Literal["raw", "processed"]
Pool = Literal["mean", "last"]


def load_model(name: str, weights: WeightKind = "processed", revision: str | None = None) -> Model:
    """A model by name, with raw or processed weights.

    Args:
        name: Name as `zoo.load` takes it: an embedded model, a folder, or one of the hub.
        weights: "raw" or "processed".

    Raises:
        LabError: another word for the weights; what `zoo.load` raises.
    """
    if weights not in get_args(WeightKind):
        raise LabError('expected the weights "raw" or "processed"', f"got {weights!r}")
    model = zoo.load(name, revision=revision)
    if weights == "processed":
        model.enable_compatibility_mode(disable_warnings=True)
    return model


def weights_of(model: Model) -> WeightKind:
    """Whether a model's weights are "raw" or "processed"."""
    # what folding leaves of a LayerNorm in a HookedTransformer
    folded = str(model.cfg.normalization_type).endswith("Pre")
    return "processed" if getattr(model, "compatibility_mode", folded) else "raw"


def output_weights(model: Model, layer: int) -> Float[Tensor, "head d_head d_model"]:
    """W_O of a layer by head, also where the model has it as one matrix."""
    w_o = model.blocks[layer].attn.W_O.detach()
    return w_o if w_o.ndim == 3 else w_o.reshape(model.cfg.n_heads, -1, model.cfg.d_model)


def _output_bias(model: Model, layer: int) -> Float[Tensor, " d_model"] | float:
    bias = getattr(model.blocks[layer].attn, "b_O", None)
    return 0.0 if bias is None else bias.detach()


@torch.no_grad()
def head_writes(
    model: Model,
    prompts: Prompts,
    pool: Pool = "mean",
    weights: WeightKind | None = None,
    batch_size: int = 32,
) -> Float[Tensor, "prompt head d_model"]:
    """What each head adds to the residual stream, one vector per prompt; heads layer by layer.

    Args:
        model: A `TransformerBridge` model.
        pool: "mean" over a prompt's real tokens, the one that begins it included, or the write at
            its "last" token.
        weights: "raw" or "processed", to refuse a model that has the other kind.

    Returns:
        float32, where the prompts' tokens are.

    Raises:
        LabError: another pooling, weights of the other kind, no prompts or such as the model cannot
            read, writes that are not finite, or a model whose heads do not add up to what its
            attention writes.
    """
    if pool not in get_args(Pool):
        raise LabError('expected to pool by "mean" or "last"', f"got {pool!r}")
    if weights is not None and weights_of(model) != weights:
        raise LabError(
            f"expected a model with {weights} weights",
            f"its weights are {weights_of(model)}",
            hint="`helpers.circuits.codes.load_model` gives either",
        )
    check_readable(model, prompts)
    shape = (len(prompts), model.cfg.n_layers * model.cfg.n_heads, model.cfg.d_model)
    # filled in place: joined at the end, the parts would exist twice
    writes = torch.empty(shape, device=prompts.tokens.device)
    for start in range(0, len(prompts), batch_size):
        batch = rows(prompts, slice(start, start + batch_size))
        z, written = _pooled(model, batch, pool)
        layers = [
            torch.einsum("bhd,hdm->bhm", z[layer], output_weights(model, layer))
            for layer in range(model.cfg.n_layers)
        ]
        if start == 0:
            _check(model, layers, written)
        writes[start : start + batch_size] = torch.cat(layers, 1)
    return discrete_sae.check(writes)


class _AllHeadsRead(Exception):
    """Raised by a hook on the last attention: what comes after it is not needed."""


def _pooled(model: Model, prompts: Prompts, pool: Pool) -> tuple[list[Tensor], list[Tensor]]:
    """Each layer's ``z`` [prompt, head, d_head] and attention output [prompt, d_model], pooled."""
    if pool == "mean":
        share = real(prompts).float()
    else:
        share = torch.nn.functional.one_hot(prompts.last, prompts.tokens.shape[1])
    share = (share / share.sum(1, keepdim=True)).to(device_of(model))
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> tuple[str, Callable[..., None]]:
        def pooled(output: Tensor, hook: object) -> None:
            kept[name] = torch.einsum("bp,bp...->b...", share.to(output.dtype), output.detach())
            if name == names[1][-1]:
                raise _AllHeadsRead

        return name, pooled

    layers = range(model.cfg.n_layers)
    names = [
        [f"blocks.{layer}.attn.hook_z" for layer in layers],
        [f"blocks.{layer}.hook_attn_out" for layer in layers],
    ]
    with suppress(_AllHeadsRead):
        model.run_with_hooks(
            prompts.tokens.to(device_of(model)),
            fwd_hooks=[keep(name) for group in names for name in group],
        )
    z, written = ([kept[name] for name in group] for group in names)
    return [layer.reshape(len(prompts), model.cfg.n_heads, -1) for layer in z], written


def _check(model: Model, writes: list[Tensor], written: list[Tensor]) -> None:
    """Refuse a model whose heads, plus b_O, do not add up to what its attention writes.

    Rounding is allowed: the square root of the type's precision.
    """
    for layer, (heads, whole) in enumerate(zip(writes, written, strict=True)):
        missed = heads.sum(1) + _output_bias(model, layer) - whole
        gap = missed.abs().max() / whole.abs().max().clamp_min(1e-12)
        if not within(gap, torch.finfo(whole.dtype).eps ** 0.5):
            raise LabError(
                "expected heads that add up to what the attention writes: "
                "sum of z times W_O, plus b_O",
                f"in layer {layer} they miss it by {float(gap):.2g} of its largest value",
                hint="a model that normalises or scales the sum of its heads cannot be read "
                "head by head this way",
            )

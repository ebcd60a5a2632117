"""Direct logit attribution: how much each part of the model adds to a logit, on the path straight
to the output.

The last residual stream is a sum of what the embeddings, every head, every MLP and the biases
wrote. The final LayerNorm subtracts the mean (linear), divides by a scale (not linear) and applies
a gain and a bias; the unembedding is linear. With the scale *frozen* at the value it has on this
input, the logit is an exact sum with one term a part (Elhage et al., "A Mathematical Framework for
Transformer Circuits", 2021). What a part does by way of later layers is not in its term: a small
term does not mean that a part does not matter. Ablation answers that.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import finite, real, token_ids, within
from helpers.interventions import has_mlps
from helpers.model import Model


@torch.no_grad()
def direct_logit_attribution(
    model: Model,
    tokens: Int[Tensor, "batch pos"],
    position: int,
    directions: Int[Tensor, " batch"] | Float[Tensor, "batch vocab"],
) -> tuple[list[str], Float[Tensor, "component batch"]]:
    """Split a logit, or a difference of logits, into what each part of the model adds to it.

    Args:
        position: Position whose prediction is split: that of the token at ``position + 1``.
        directions: One token id per question (the logit of that token), or one row of weights over
            the vocabulary (+1 for one token and -1 for another is a logit difference).

    Returns:
        Names of the parts (``embed``, ``pos``, ``L0H0``, …, ``L0M``, …, ``biases``) and their
        contributions in logits. For each question they sum to the logit (or difference) that the
        model computes. ``biases`` are those of the attention outputs, of the final LayerNorm and of
        the unembedding; an MLP's own bias belongs to the MLP.

    Raises:
        LabError: No token ids of the model, a position outside them, directions of another shape, a
            model without finite logits, or one whose last residual stream is not the sum of these
            parts (it rescales what its blocks write, or caps its logits).
    """
    tokens = token_ids(tokens, model)
    if not 0 <= position < tokens.shape[1]:
        raise LabError(f"expected a position from 0 to {tokens.shape[1] - 1}", f"got {position}")
    weights = _weights(directions, len(tokens), model.W_U)
    logits, kept = _run(model, tokens, position)
    labels, parts = _parts(model, kept)
    contributions = (
        parts / kept.get("ln_final.hook_scale", 1.0) * read_directions(model, weights)
    ).sum(-1)
    _, shift = _affine(model.ln_final)
    contributions[-1] += ((weights @ model.W_U.T) * shift).sum(-1) + weights @ model.b_U
    _check_sum(contributions.sum(0), (logits * weights).sum(-1))
    return labels, contributions


@torch.no_grad()
def read_directions(
    model: Model, weights: Float[Tensor, "batch vocab"]
) -> Float[Tensor, "batch d_model"]:
    """Where a write into the last residual stream raises a weighted sum of logits.

    The scalar product of the write with this direction, over the final LayerNorm's scale, is what
    it adds.

    Raises:
        LabError: Weights of other words, or not finite.
    """
    weights = finite(weights, "weights", "prompt word")
    vocab = model.W_U.shape[1]
    if weights.shape[1] != vocab:
        raise LabError(f"expected a weight for each of {vocab} words", f"got {weights.shape[1]}")
    gain, _ = _affine(model.ln_final)
    read = weights.to(model.W_U) @ model.W_U.T * gain
    # the norm takes the mean out of a write; here it is taken out of its reader
    centred = model.cfg.normalization_type in ("LN", "LNPre")
    return read - read.mean(-1, keepdim=True) if centred else read


def _weights(
    directions: Tensor, batch: int, unembedding: Float[Tensor, "d_model vocab"]
) -> Float[Tensor, "batch vocab"]:
    vocab = unembedding.shape[1]
    real(directions, "directions")
    if directions.shape == (batch,) and not directions.is_floating_point():
        if int(directions.min()) < 0 or int(directions.max()) >= vocab:
            raise LabError(
                f"expected token ids from 0 to {vocab - 1}", f"got {directions.tolist()[:8]}"
            )
        directions = torch.nn.functional.one_hot(directions.long(), vocab)
    if directions.shape != (batch, vocab):
        wanted = f"[{batch}] token ids or [{batch}, {vocab}] weights"
        raise LabError(
            f"expected directions of shape {wanted}",
            f"got {directions.dtype} {tuple(directions.shape)}",
        )
    return directions.to(unembedding)


def _run(
    model: Model, tokens: Int[Tensor, "batch pos"], position: int
) -> tuple[Float[Tensor, "batch vocab"], dict[str, Tensor]]:
    """Logits at a position, and everything written into the residual stream there, by hook name."""
    kept: dict[str, Tensor] = {}
    names = ["hook_embed", "hook_pos_embed", "ln_final.hook_scale"]
    names += [
        f"blocks.{n}.{h}"
        for n in range(model.cfg.n_layers)
        for h in ("attn.hook_z", "hook_mlp_out")
    ]

    def keeper(name: str):
        def keep(value: Tensor, hook) -> None:
            kept[name] = value.expand(len(tokens), *value.shape[1:])[:, position]

        return name, keep

    # a model without norm, MLPs or positions has fewer
    there = [name for name in names if name in model.hook_dict]
    logits = model.run_with_hooks(tokens, fwd_hooks=[keeper(name) for name in there])
    return logits[:, position], kept


def _parts(
    model: Model, kept: dict[str, Tensor]
) -> tuple[list[str], Float[Tensor, "component batch d_model"]]:
    parts = {"embed": kept["hook_embed"]}
    if "hook_pos_embed" in kept:  # models with rotary positions add none to the residual stream
        parts["pos"] = kept["hook_pos_embed"]
    biases = torch.zeros_like(parts["embed"])
    for layer in range(model.cfg.n_layers):
        attn = model.blocks[layer].attn
        heads = torch.einsum("bhd,hdm->hbm", kept[f"blocks.{layer}.attn.hook_z"], attn.W_O)
        parts |= {f"L{layer}H{head}": written for head, written in enumerate(heads)}
        if has_mlps(model):
            parts[f"L{layer}M"] = kept[f"blocks.{layer}.hook_mlp_out"]
        if attn.b_O is not None:
            biases = biases + attn.b_O
    parts["biases"] = biases
    return list(parts), torch.stack(list(parts.values()))


def _affine(norm: torch.nn.Module) -> tuple[Tensor | float, Tensor | float]:
    """Gain and bias of the final LayerNorm; 1 and 0 where it has none."""
    named = {name.rpartition(".")[2]: parameter for name, parameter in norm.named_parameters()}
    return named.get("weight", 1.0), named.get("bias", 0.0)


def _check_sum(total: Float[Tensor, " batch"], logits: Float[Tensor, " batch"]) -> None:
    if not logits.isfinite().all():
        raise LabError(
            "expected finite logits of the model",
            f"got NaN or infinity for {int((~logits.isfinite()).sum())} of {len(logits)} prompts",
            hint="look for NaN among its weights and among the directions",
        )
    largest = float((total - logits).abs().max())
    # float32 sums of a few dozen terms agree to about 1e-6
    if not within(largest, 1e-3 * max(1.0, float(logits.abs().max()))):
        raise LabError(
            "expected the parts to sum to the model's logit",
            f"they miss it by up to {largest:.3g}",
            hint="the model rescales its residual stream or its logits; "
            "this decomposition does not hold for it",
        )

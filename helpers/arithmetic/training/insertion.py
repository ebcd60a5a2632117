"""Insert a trained adder into a larger model, in four ways, and freeze parts of what was inserted.

The source's heads become the first heads of the first layers of the target; the target's further
heads and layers are new. What is copied, for every source layer l with heads h < H (weights as they
act on the residual stream):

===============  ===================================================================================
arm              copied from the source; everything else is the fresh target's own random start
===============  ===================================================================================
``paper``        W_Q, W_K, W_V, b_Q, b_K, b_V, the MLP, ln1, the weight of ln_final, W_E, W_pos,
                 W_U: what the code released with arXiv 2402.02619 copies. Not W_O, b_O, ln2, the
                 bias of ln_final, b_U
``whole``        every tensor that the source has
``preserving``   every tensor that the source has; the new heads' part of W_O and, in the new
                 layers, W_O, b_O, W_out and b_out are zero
``scratch``      nothing
===============  ===================================================================================

Why ``preserving`` keeps the function: a block computes x + sum_h z_h W_O[h] + b_O and then adds
MLP(ln2(x)). A new head with W_O[h] = 0 adds nothing, so every inserted block sees the residual
stream that it saw in the source; a new layer with W_O = b_O = W_out = b_out = 0 passes the stream
on unchanged; ln_final and the unembedding are the source's. The logits are those of the source, up
to the order of floating-point sums. The new parts still learn: the gradient of W_O and of W_out is
not zero, because z and the MLP's inner activations are not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool
from torch import Tensor

from helpers.arithmetic.questions import Format, Questions, reading
from helpers.arithmetic.verification import BATCH_SIZE, check_model
from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.model import Model

Arm = Literal["paper", "whole", "preserving", "scratch"]
"""How a source is inserted (see the module docstring)."""
ARMS: tuple[Arm, ...] = get_args(Arm)

Freeze = Literal["nothing", "qkv", "qkv+mlp", "all"]
"""What training leaves alone (see `frozen`)."""
FREEZES: tuple[Freeze, ...] = get_args(Freeze)

_QKV = tuple(f"attn.{part}.{kind}" for part in "qkv" for kind in ("weight", "bias"))
_MLP = ("mlp.in.weight", "mlp.in.bias", "mlp.out.weight", "mlp.out.bias")
_PAPER_LAYER = (*_QKV, *_MLP, "ln1.weight", "ln1.bias")
_WHOLE_LAYER = (*_PAPER_LAYER, "attn.o.weight", "attn.o.bias", "ln2.weight", "ln2.bias")
_PAPER_ENDS = ("embed.weight", "pos_embed.weight", "ln_final.weight", "unembed.weight")
_WHOLE_ENDS = (*_PAPER_ENDS, "ln_final.bias", "unembed.bias")
_WRITES = ("attn.o.weight", "attn.o.bias", "mlp.out.weight", "mlp.out.bias")


@dataclass(frozen=True)
class Place:
    """One tensor of the source, and where it goes in the target's tensor of the same name.

    Attributes:
        name: Name of the tensor, the same in both models.
        index: Part of the target's tensor; the source's tensor has exactly its shape.
    """

    name: str
    index: tuple[slice, ...]


def _of_heads(part: str, count: int, d_head: int) -> tuple[slice, ...]:
    """Where the first `count` heads lie in a tensor of a layer; all of a tensor without heads."""
    heads = slice(0, count * d_head)
    if part == "attn.o.weight":
        return slice(None), heads  # [d_model, head * d_head]
    return (heads,) if part in _QKV else (slice(None),)


def places(source: Model, arm: Arm) -> list[Place]:
    """What an arm copies from the source, and where to.

    Raises:
        LabError: The arm is unknown.

    >>> from helpers import zoo
    >>> [place.name for place in places(zoo.load("add-d3"), "paper")][-4:]
    ['embed.weight', 'pos_embed.weight', 'ln_final.weight', 'unembed.weight']
    """
    if arm not in ARMS:
        raise LabError(f"expected an arm among {', '.join(ARMS)}", f"got {arm!r}")
    if arm == "scratch":
        return []
    layer_parts, ends = _WHOLE_LAYER, _WHOLE_ENDS
    if arm == "paper":
        layer_parts, ends = _PAPER_LAYER, _PAPER_ENDS
    cfg = source.cfg
    inside = [
        Place(f"blocks.{layer}.{part}", _of_heads(part, cfg.n_heads, cfg.d_head))
        for layer in range(cfg.n_layers)
        for part in layer_parts
    ]
    return inside + [Place(name, (slice(None),)) for name in ends]


def check_fits(source: Model, target: Model) -> None:
    """Refuse a pair of models in which the source has no place.

    Raises:
        LabError: The target has fewer layers or heads, or another width, context or vocabulary.
    """
    for field in ("d_model", "d_head", "d_mlp", "n_ctx", "d_vocab", "act_fn", "normalization_type"):
        ours, theirs = getattr(source.cfg, field), getattr(target.cfg, field)
        if ours != theirs:
            raise LabError(
                f"expected a target with the source's {field} of {ours}", f"it has {theirs}"
            )
    for field in ("n_layers", "n_heads"):
        ours, theirs = getattr(source.cfg, field), getattr(target.cfg, field)
        if theirs < ours:
            raise LabError(
                f"expected a target with at least {ours} {field.removeprefix('n_')}",
                f"it has {theirs}",
            )


def _zeroed(source: Model, target: Model) -> Iterator[tuple[str, tuple[slice, ...]]]:
    """What the function-preserving arm sets to zero: all that the new heads and layers write."""
    new_heads = slice(source.cfg.n_heads * source.cfg.d_head, None)
    for layer in range(source.cfg.n_layers):
        yield f"blocks.{layer}.attn.o.weight", (slice(None), new_heads)
    for layer in range(source.cfg.n_layers, target.cfg.n_layers):
        for part in _WRITES:
            yield f"blocks.{layer}.{part}", (slice(None),)


@torch.no_grad()
def insert(source: Model, target: Model, arm: Arm) -> Model:
    """Copy the source into the target, in place, and return the target.

    Source: arXiv 2402.02619, section on mixed models.

    Args:
        source, target: Models built by `training.build_model`; the target has at least as many
            layers and heads.
        arm: How the source is inserted (see the module docstring).

    Raises:
        LabError: The arm is unknown, or the models do not fit.
    """
    copied = places(source, arm)
    check_fits(source, target)
    ours, theirs = source.state_dict(), target.state_dict()  # writing into theirs writes the target
    for place in copied:
        theirs[place.name][place.index] = ours[place.name]
    if arm == "preserving":
        for name, index in _zeroed(source, target):
            theirs[name][index] = 0.0
    return target


def frozen(
    source: Model, target: Model, arm: Arm, freeze: Freeze
) -> dict[str, Bool[Tensor, "..."]]:
    """Masks of the inserted entries that training is to leave alone, by parameter name.

    The released code freezes by writing the inserted values back every hundred steps, while the
    optimiser's moments run on. Here the entries have no gradient and keep their value in every
    step.

    Args:
        freeze: What is left alone: ``"nothing"``; ``"qkv"`` (the paper's mode 2, for all inserted
            heads); ``"qkv+mlp"`` (its mode 3); ``"all"``: everything inserted into the blocks, W_O,
            biases and layer norms as far as the arm copied them. Embeddings, ln_final and
            unembedding always train: the minus sign is new to an adder.

    Raises:
        LabError: The arm or the way to freeze is unknown, or the arm inserts nothing that could be
            frozen.
    """
    if freeze not in FREEZES:
        raise LabError(f"expected a way to freeze among {', '.join(FREEZES)}", f"got {freeze!r}")
    if arm == "scratch" and freeze != "nothing":
        raise LabError(
            'expected freeze="nothing" for a model from scratch',
            f"got {freeze!r}: it has nothing inserted",
        )
    parts = {"nothing": (), "qkv": _QKV, "qkv+mlp": (*_QKV, *_MLP), "all": _WHOLE_LAYER}[freeze]
    names = {f"blocks.{layer}.{part}" for layer in range(source.cfg.n_layers) for part in parts}
    masks, theirs = {}, target.state_dict()
    for place in places(source, arm):
        if place.name in names:
            mask = torch.zeros_like(theirs[place.name], dtype=torch.bool)
            mask[place.index] = True
            masks[place.name] = mask
    return masks


@dataclass(frozen=True)
class Agreement:
    """Two models on the same questions.

    Attributes:
        source_right, target_right: Which whole answers each got right, teacher forced.
        largest: Largest absolute difference of any logit that predicts an answer token.
    """

    source_right: Bool[Tensor, " question"]
    target_right: Bool[Tensor, " question"]
    largest: float


@torch.inference_mode()
def agreement(
    source: Model, target: Model, questions: Questions, fmt: Format, batch_size: int = BATCH_SIZE
) -> Agreement:
    """Run two models on the same questions and compare answers and logits.

    Raises:
        LabError: The vocabulary or the context of a model does not hold the format; or there is no
            question, or a batch size below 1; or a model gives NaN or infinity.
    """
    check_count("number of questions", len(questions), least=1)
    check_count("batch size", batch_size, least=1)
    for model in (source, target):
        check_model(model, fmt)
    rights, largest = [], 0.0
    for part in questions.tokens(fmt).split(batch_size):
        inputs, truth = part[:, :-1], part[:, fmt.equals_position + 1 :]
        both = [model(inputs)[:, fmt.equals_position :] for model in (source, target)]
        rights.append(torch.stack([(reading.likeliest(logits) == truth).all(1) for logits in both]))
        largest = max(largest, float((both[0] - both[1]).abs().max()))
    source_right, target_right = torch.cat(rights, dim=1)
    return Agreement(source_right, target_right, largest)

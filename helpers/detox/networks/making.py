"""Networks from models, from nothing and from each other, and models from networks."""

import copy
import math
from typing import Any

import torch
from torch import nn

from helpers.detox.networks.transformer import EPS, Plain, PlainShape
from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.model import Model
from helpers.runtime import gradients
from helpers.zoo.native import PLAIN_PARTS, has_settings

KNOWN = PLAIN_PARTS | {"normalization_type": ("LN",), "act_fn": ("gelu",), "eps": (EPS,)}
"""Settings of a native model, and the values that a `Plain` computes."""
SPREAD = 0.02
"""Standard deviation of GPT-2's weights before training."""


@gradients()  # weights made in inference mode could never be trained
def plain(model: Model) -> Plain:
    """A copy of a native model's weights that can be trained; the model is left as it is.

    Raises:
        LabError: A model that computes otherwise than is written in `Plain`.

    >>> from helpers import zoo
    >>> plain(zoo.load("tinyworld", device="cpu")).shape.d_model
    128
    """
    shape, state = _shape_of(model), dict(model.state_dict())
    network = _empty(shape)
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != wanted:
        odd = sorted(set(state) ^ set(wanted)) or ["another shape of its weights"]
        raise LabError("expected the weights of a native model and no others", f"got {odd[0]}")
    network.load_state_dict({name: tensor.detach() for name, tensor in state.items()})
    return network.eval()


def _shape_of(model: Model) -> PlainShape:
    config: Any = getattr(model, "cfg", None)
    same = has_settings(model, KNOWN)
    native = getattr(config, "architecture", None) == "TransformerLensNative"
    if not same or not native or config.d_head * config.n_heads != config.d_model:
        raise LabError(
            "expected a native model with plain attention, MLPs of GELU and learned positions",
            f"got {type(model).__name__} that computes otherwise",
            hint='load one such as helpers.zoo.load("tinyworld")',
        )
    return PlainShape(
        n_words=config.d_vocab,
        d_model=config.d_model,
        n_heads=config.n_heads,
        n_layers=config.n_layers,
        d_mlp=config.d_mlp,
        n_positions=config.n_ctx,
        n_outputs=max(config.d_vocab_out, 0),
    )


def _empty(shape: PlainShape) -> Plain:
    """A network whose weights are still to come: torch's own first ones cost no random numbers."""
    with torch.random.fork_rng(devices=[]):
        return Plain(shape)


@gradients()
def fresh(shape: PlainShape, seed: int) -> Plain:
    """A network before training, as GPT-2 was: normal weights of .02, biases 0.

    What is written into the residual stream begins smaller, by the root of the number of writers.

    >>> shape = PlainShape(n_words=50, d_model=16, n_heads=2, n_layers=1, d_mlp=32, n_positions=8)
    >>> bool((fresh(shape, 0).embed.weight == fresh(shape, 0).embed.weight).all())
    True
    """
    check_count("seed", seed)
    generator = torch.Generator().manual_seed(seed)
    network = _empty(shape)
    writers = math.sqrt(2 * shape.n_layers)
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                writes = name.endswith((".attn.o", ".mlp.out"))
                module.weight.normal_(
                    0.0, SPREAD / writers if writes else SPREAD, generator=generator
                )
            if isinstance(module, nn.Linear):
                module.bias.zero_()
    return network


@gradients()
def frozen(network: Plain) -> Plain:
    """An independent copy that is not trained.

    >>> shape = PlainShape(n_words=50, d_model=16, n_heads=2, n_layers=1, d_mlp=32, n_positions=8)
    >>> any(weight.requires_grad for weight in frozen(fresh(shape, 0)).parameters())
    False
    """
    return copy.deepcopy(network).eval().requires_grad_(False)


@gradients()
def bridge(network: Plain, like: Model) -> Model:
    """A model of TransformerLens with a network's weights, and the tokenizer of another model.

    Args:
        like: A native model of the same shape, such as the one that the network came from.

    Raises:
        LabError: A model of another shape, or a network with shifts, which a model does not have.
    """
    if _shape_of(like) != network.shape:
        raise LabError(
            "expected a model of the network's shape", f"got {_shape_of(like)} for {network.shape}"
        )
    if network.shifts:
        raise LabError(
            "expected a network without shifts",
            f"got some after blocks {', '.join(map(str, network.shifts))}",
            hint="add them with a hook on blocks.N.hook_out",
        )
    model = copy.deepcopy(like)
    model.reset_hooks()
    model.load_state_dict(network.state_dict(), strict=True)
    return model.eval()

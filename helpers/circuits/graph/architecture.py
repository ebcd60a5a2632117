"""Which models are computed by hand here, said in one place for all who do so.

The graph and the exact oracle compute a model from its weights. A setting that they do not know
would give other numbers without a word, so each has its list of values that it computes and refuses
the rest, which `unknown_settings` names. The graph knows most; the oracle's list is `KNOWN` with
fewer values (`helpers.circuits.oracle.tree`). Each also compares its numbers with the model's own.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from helpers.errors import LabError
from helpers.interventions import has_mlps
from helpers.model import Model

ACTIVATIONS = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
}
"""What an MLP may do to its hidden layer."""

Known = Mapping[str, tuple[Any, ...]]
"""Settings of a model's configuration, each with the values that are computed."""
NONE, NO_CAP = (None, False), (None, -1.0)
KNOWN: dict[str, tuple[Any, ...]] = {
    "positional_embedding_type": ("standard",),
    "attention_dir": ("causal", "bidirectional"),
    "normalization_type": (None, "LN", "LNPre", "RMS", "RMSPre"),
    "attn_scores_soft_cap": NO_CAP,
    "output_logits_soft_cap": NO_CAP,
    "gated_mlp": NONE,
    "parallel_attn_mlp": NONE,
    "use_qk_norm": NONE,
    "scale_attn_by_inverse_layer_idx": NONE,
    "use_normalization_before_and_after": NONE,
    "post_embedding_ln": NONE,
    "num_experts": NONE,
}
"""What a `Graph` computes: models like GPT-2 and GPT-Neo."""
EXACT = (torch.float32, torch.float64)
"""Types whose rounding is far below what the tests of a circuit look at."""
NEO = "GPTNeoForCausalLM"
"""The architecture whose attention is not scaled, and local in some layers."""


def unknown_settings(model: Model, known: Known) -> list[str]:
    """Each setting of a model that has none of the known values, as its name and value.

    Raises:
        LabError: Something that is no model.
    """
    if not hasattr(model, "cfg") or not hasattr(model, "parameters"):
        raise LabError(
            "expected a model of TransformerLens",
            f"got {type(model).__name__}",
            hint="load it with helpers.zoo.load",
        )
    cfg = model.cfg
    unknown = [
        f"{name} {getattr(cfg, name)!r}"
        for name, values in known.items()
        if getattr(cfg, name, values[0]) not in values
    ]
    if getattr(cfg, "n_key_value_heads", None) not in (None, cfg.n_heads):
        unknown.append(f"n_key_value_heads {cfg.n_key_value_heads}")
    if has_mlps(model) and cfg.act_fn not in ACTIVATIONS:
        unknown.append(f"act_fn {cfg.act_fn!r}")
    return unknown


def check_type(model: Model) -> None:
    """Refuse weights whose rounding would be taken for an effect, or for another architecture.

    Raises:
        LabError: A type with fewer digits than float32.
    """
    types = {weight.dtype for weight in model.parameters()}
    if coarse := sorted(str(kind).removeprefix("torch.") for kind in types - set(EXACT)):
        raise LabError(
            "expected weights in float32 or float64",
            f"got {' and '.join(coarse)}: its rounding is larger than many effects of heads",
            hint="load the model in float32, or call model.float()",
        )


def windows(model: Model) -> list[int | None]:
    """For each layer, how many positions a head sees, its own among them; None: all of them.

    The bridge's own configuration does not say it: that of the wrapped model does.
    """
    wrapped = getattr(getattr(model, "original_model", None), "config", None)
    kinds = getattr(wrapped, "attention_layers", None) or ["global"] * model.cfg.n_layers
    size = getattr(wrapped, "window_size", None)
    return [size if kind == "local" else None for kind in kinds]


def scale(model: Model) -> float:
    """What attention scores are divided by."""
    cfg = model.cfg
    if getattr(cfg, "architecture", None) == NEO:
        return 1.0
    return cfg.attn_scale if cfg.attn_scale > 0 and cfg.use_attn_scale else cfg.d_head**0.5

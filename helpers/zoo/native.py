"""A folder with a model of TransformerLens itself, as somebody else saved it.

``config.json`` holds what ``model.cfg.to_dict()`` gives, ``model.safetensors`` the state of the
model: of a `TransformerBridge` made by ``boot_native``, or of a `HookedTransformer` with learned
positions. Their tensors differ in name and shape only:

=====================================  =====================================================
HookedTransformer                      boot_native
=====================================  =====================================================
``attn.W_Q`` [head, d_model, d_head]   ``attn.q.weight`` [head * d_head, d_model]; so K and V
``attn.W_O`` [head, d_head, d_model]   ``attn.o.weight`` [d_model, head * d_head]
``mlp.W_in`` [d_model, d_mlp]          ``mlp.in.weight`` [d_mlp, d_model]; so ``out``
``unembed.W_U`` [d_model, word]        ``unembed.weight`` [word, d_model]
=====================================  =====================================================
"""

import json
import math
import re
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from helpers import training
from helpers.errors import LabError
from helpers.model import Model
from helpers.training import WEIGHTS, Recipe

CONFIG = "config.json"
COMPUTED = (
    *("n_layers", "n_heads", "d_model", "d_head", "d_mlp", "n_ctx", "d_vocab", "d_vocab_out"),
    *("act_fn", "normalization_type", "eps", "final_rms", "attn_only", "gated_mlp"),
    *("positional_embedding_type", "n_key_value_heads", "attention_dir"),
    *("rotary_dim", "rotary_base", "attn_scores_soft_cap", "output_logits_soft_cap"),
)
"""Settings that say what a model computes; others say how it was made, or where it runs."""
PLAIN_PARTS: dict[str, tuple[Any, ...]] = {
    "gated_mlp": (False,),
    "attn_only": (False,),
    "final_rms": (False, None),
    "n_key_value_heads": (None,),
    "positional_embedding_type": ("standard",),
    "attention_dir": ("causal",),
    "attn_scores_soft_cap": (-1.0, 0.0, None),
    "output_logits_soft_cap": (-1.0, 0.0, None),
    "attn_scale": (-1.0,),
}
"""Settings of a model of plain attention, MLPs and learned positions, with the values that each may
have; the first one is meant where a model does not say."""
PLAIN: dict[str, Any] = {
    "use_attn_scale": True,
    "use_qk_norm": False,
    "use_logn_attn": False,
    "use_local_attn": False,
    "use_attention_sinks": False,
    "parallel_attn_mlp": False,
    "post_embedding_ln": False,
    "use_normalization_before_and_after": False,
    "scale_attn_by_inverse_layer_idx": False,
    "num_experts": None,
}
"""Settings of TransformerLens that a native model has in one way only."""
HUGGING_FACE = {"model_type", "architectures"}
"""What the configuration of a model of Hugging Face says of itself."""
LEFT = re.compile(r"\.(mask|IGNORE|rotary_sin|rotary_cos)$")
"""Constants that a HookedTransformer keeps among its tensors."""


def is_native(folder: Path) -> bool:
    """Whether a folder has the configuration of such a model.

    One of Hugging Face has some of the same names (MPT has ``n_layers`` and ``d_model``), and says
    what it is.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not isinstance(config, dict) or config.keys() & HUGGING_FACE:
        return False
    return {"n_layers", "d_model", "n_ctx", "d_vocab"} <= config.keys()


def build(folder: Path) -> Model:
    """A model of the shape that the folder's configuration says, before its weights.

    Raises:
        LabError: A setting that ``boot_native`` does not compute.
    """
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    for name, plain in PLAIN.items():
        if config.get(name, plain) != plain:
            raise LabError(
                f"expected a model that boot_native builds in {folder}",
                f"{CONFIG} has {name} = {config[name]}",
                hint="give a callable from tokens to logits instead",
            )
    # None says "no norm", and of other settings "as usual"
    said = config.keys() - {name for name, value in config.items() if value is None}
    said |= config.keys() & {"normalization_type"}
    shape = {name: config[name] for name in COMPUTED if name in said}
    scale = config.get("attn_scale") or -1
    if scale > 0 and not math.isclose(scale, math.sqrt(config.get("d_head") or 1), rel_tol=1e-6):
        shape["attn_scale"] = scale
    return training.build_model(Recipe(folder.name, "", shape, {}, 1, 1, 1.0, 1))


def tensors(folder: Path, model: Model, hint: str) -> dict[str, Tensor]:
    """The tensors of the folder's weight file, under the names of ``boot_native``.

    Raises:
        LabError: The file cannot be read, or is of a HookedTransformer with other positions.
    """
    path = folder / WEIGHTS
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as fault:
        raise LabError(
            f"expected weights in {path}", f"cannot be read: {fault}", hint=hint
        ) from None
    if "embed.W_E" not in stored:
        return stored
    positions = model.cfg.positional_embedding_type
    if positions != "standard":  # it turns other pairs of dimensions than boot_native does
        raise LabError(
            f"expected a HookedTransformer with learned positions in {folder}",
            f"its positions are {positions}",
            hint="give a callable from tokens to logits instead",
        )
    return dict(_renamed(k, v) for k, v in stored.items() if not LEFT.search(k))


def _renamed(name: str, value: Tensor) -> tuple[str, Tensor]:
    """A tensor of a HookedTransformer as ``boot_native`` has it.

    >>> import torch
    >>> name, value = _renamed("blocks.0.attn.W_O", torch.zeros(2, 8, 16))
    >>> name, tuple(value.shape)
    ('blocks.0.attn.o.weight', (16, 16))
    """
    place, _, own = name.rpartition(".")
    kind, _, part = own.partition("_")
    leaf = "bias" if kind == "b" else "weight"
    if place.endswith((".attn", ".mlp")):
        place = f"{place}.{part.lower()}"
    if kind == "b":
        value = value.flatten()  # of a head, too: [head, d_head]
    elif part in ("Q", "K", "V"):
        value = value.transpose(1, 2).flatten(0, 1)
    elif part == "O":
        value = value.flatten(0, 1).T
    elif part in ("in", "out", "gate", "U"):
        value = value.T
    return f"{place}.{leaf}", value.contiguous()


def has_settings(model: Model, known: dict[str, tuple[Any, ...]]) -> bool:
    """Whether each setting of a model has one of the values that are known."""
    config = getattr(model, "cfg", None)
    return all(getattr(config, name, values[0]) in values for name, values in known.items())

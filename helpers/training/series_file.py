"""A model's training history in one file: checkpoints with each weight rounded to eight bits.

Every matrix row w is stored as whole numbers q and one scale s, q = round(w / s) with
s = max|w| / 127, so that no weight moves by more than s / 2, half a 127th of the largest in its
row; vectors are stored as 16-bit floats. That is a quarter of the bytes. What it changes in the
model's loss is measured when a series is published, and stands on its card. The last checkpoint of
a series is the model itself, unrounded.
"""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers.errors import LabError
from helpers.files import save_atomically

SCALE = ".scale"


def rounded(
    weights: Float[Tensor, "*rows column"],
) -> tuple[Int[Tensor, "*rows column"], Float[Tensor, "*rows 1"]]:
    """Eight-bit numbers and the scale of each row.

    >>> numbers, scale = rounded(torch.tensor([[1.27, -0.5], [0.0, 0.0]]))
    >>> numbers.tolist(), restored(numbers, scale)[0, 1].item()
    ([[127, -50], [0, 0]], -0.5)
    """
    scale = (weights.abs().amax(-1, keepdim=True) / 127).clamp_min(1e-12)
    return (weights / scale).round().to(torch.int8), scale.float()


def restored(
    numbers: Int[Tensor, "*rows column"], scale: Float[Tensor, "*rows 1"]
) -> Float[Tensor, "*rows column"]:
    """The weights that `rounded` stored, each within half its row's scale."""
    return numbers.float() * scale


def pack(series: dict[int, dict[str, Tensor]], path: Path, metadata: dict[str, str]) -> None:
    """Write a series of states, by step, into one file.

    Raises:
        LabError: The file cannot be written; a value that the file cannot hold, or a name that ends
            as those of scales do.
    """
    tensors = {}
    for step, state in series.items():
        for name, value in state.items():
            key = f"{step}/{name}"
            _check_storable(step, name, value)
            if value.ndim > 1:
                tensors[key], tensors[key + SCALE] = rounded(value.float())
            else:
                tensors[key] = value.half()
    save_atomically(tensors, path, {"steps": ",".join(map(str, series)), **metadata})


def _check_storable(step: int, name: str, value: Tensor) -> None:
    if name.endswith(SCALE):
        raise LabError(
            f"expected no tensor of a series to end in {SCALE}, as the scales of rounded rows do",
            f"got {name}",
        )
    stored = value if value.ndim > 1 else value.half()
    if not torch.isfinite(stored).all():
        most = f"{torch.finfo(torch.float16).max:,.0f}"
        raise LabError(
            "expected finite weights in a series of checkpoints, those of vectors at most " + most,
            f"{name} at step {step} has others",
            hint="leave this step out of the series; the run may have diverged there",
        )


def unpack(path: Path, step: int, hint: str = "") -> dict[str, Tensor]:
    """The state of one checkpoint.

    Raises:
        LabError: The file is missing or damaged, is no series, or has no such step.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            names = [name for name in handle.keys() if name.startswith(f"{step}/")]  # noqa: SIM118  not a dictionary
            stored = {name: handle.get_tensor(name) for name in names}
            steps = (handle.metadata() or {}).get("steps", "")
    except (SafetensorError, OSError) as fault:
        raise LabError(
            f"expected a series of checkpoints in {path}", f"cannot be read: {fault}", hint=hint
        ) from None
    if not steps:
        raise LabError(
            f"expected a series of checkpoints in {path}", "it names no steps", hint=hint
        )
    if not stored:
        raise LabError(
            f"expected a step of the series in {path.name}: {steps.replace(',', ', ')}",
            f"got {step}",
        )
    weights = {name: value for name, value in stored.items() if not name.endswith(SCALE)}
    return {name.partition("/")[2]: _weights(path, name, stored, hint) for name in weights}


def _weights(path: Path, name: str, stored: dict[str, Tensor], hint: str) -> Tensor:
    """One tensor as it was before, up to rounding."""
    value, scale = stored[name], stored.get(name + SCALE)
    if value.ndim < 2 and value.is_floating_point() and scale is None:
        return value.float()
    if value.dtype != torch.int8 or scale is None or scale.shape != (*value.shape[:-1], 1):
        raise LabError(
            f"expected a series of checkpoints in {path}",
            f"{name} is not stored as whole numbers of eight bits with one scale a row",
            hint=hint,
        )
    return restored(value, scale)

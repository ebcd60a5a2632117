"""Oracles on disk: weights, sizes and what is said about them, under one checksum."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers import files, runtime, zoo
from helpers.detox.networks import Plain, PlainShape
from helpers.detox.oracle.network import Oracle, SuccessOracle
from helpers.errors import LabError

DATA = files.DATA / "detox_oracle.safetensors"
"""The oracle of tinyworld that the package brings."""
REPAIR = "reinstall the package, check the file out again, or fit an oracle and save it again"


def save(oracle: Oracle, path: Path, about: dict[str, Any] | None = None) -> None:
    """Write an oracle so that a kill leaves the old file or the new one.

    Args:
        oracle: One with a network of its own.
        about: What is worth knowing of it, as JSON has it: what it was fitted to, how, how well.

    Raises:
        LabError: A folder that cannot be written, or a linear oracle, which is nothing without the
            base that it reads.
    """
    if not isinstance(oracle, SuccessOracle):
        raise LabError(
            "expected an oracle with a network of its own", f"got a {type(oracle).__name__}"
        )
    tensors = {name: tensor.detach().cpu() for name, tensor in oracle.network.state_dict().items()}
    text = json.dumps({"shape": asdict(oracle.network.shape), "about": about or {}}, sort_keys=True)
    files.save_atomically(tensors, path, {"oracle": text, "sha256": _digest(tensors, text)})


def load(path: Path) -> SuccessOracle:
    """An oracle that was saved, checked.

    Raises:
        LabError: A file that is missing, damaged or altered, or holds no oracle.
    """
    return _read(path)[0]


def about(path: Path) -> dict[str, Any]:
    """What was said of an oracle when it was saved.

    Raises:
        LabError: As `load`.
    """
    return _read(path)[1]


def shipped(path: Path = DATA) -> SuccessOracle:
    """The oracle of the embedded model, fitted to posts of the very weights in use.

    Raises:
        LabError: As `load`, or an oracle that was fitted to other weights.
    """
    oracle, said = _read(path)
    model, fitted_to = said.get("model"), said.get("sha256")
    if model is None or fitted_to != zoo.entry(model).sha256:
        raise LabError(
            f"expected an oracle fitted to the weights of {model or 'an embedded model'}",
            f"{path} was fitted to others",
            hint=REPAIR,
        )
    return oracle


def _read(path: Path) -> tuple[SuccessOracle, dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as handle:
            header = handle.metadata() or {}
            tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
        if header["sha256"] != _digest(tensors, header["oracle"]):
            raise ValueError("its checksum is another")
        said = json.loads(header["oracle"])
        with runtime.gradients():  # what is made in inference mode can never be trained further
            network = Plain(PlainShape(**said["shape"]))
            network.load_state_dict(tensors)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as fault:
        raise LabError(
            f"expected a stored oracle in {path}", f"cannot use it: {fault}", hint=REPAIR
        ) from None
    return SuccessOracle(network), said["about"]


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    """Checksum over the weights, by name, and what is said of them: 64 hex digits."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()

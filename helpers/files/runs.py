"""A folder that belongs to one run: it says what its pieces follow from."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.errors import LabError
from helpers.files.atomic import check_writable, read_stored, write_atomically

RUN = "run.json"
"""The file of a folder that says what its pieces follow from."""
SHORT = 24
"""Digits of a checksum that are kept."""


def same_run(follows: dict[str, Any], folder: Path) -> str:
    """The checksum of a run, whose folder is marked as its own.

    Args:
        follows: All that the run follows from, beside the code, as JSON has it.

    Raises:
        LabError: The folder is that of another run, or cannot be written.
    """
    file = folder / RUN
    check_writable(file)
    if not file.exists():
        write_atomically(json.dumps(follows, indent=1), file)
    found = read_stored(file, dict, "give another folder, or remove the file")
    if other := [name for name in follows if found.get(name) != follows[name]]:
        raise LabError(
            f"expected a folder of this run, or an empty one: {folder}",
            f"its {RUN} has {other[0]} {found.get(other[0])!r} instead of {follows[other[0]]!r}",
            hint="give another folder",
        )
    return hashlib.sha256(json.dumps(follows, sort_keys=True).encode()).hexdigest()[:SHORT]


def weights_checksum(weights: Mapping[str, Tensor]) -> str:
    """Checksum of all weights of a model, without a copy of them."""
    digest = hashlib.sha256()
    for name, tensor in weights.items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:SHORT]

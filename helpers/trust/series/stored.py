"""Results of a sweep on disk: one file for each checkpoint.

A result is found again only by the very work on the very weights. A file's name holds the series,
the step and a hash over what determines the result: the stamp of the weights and the key of the
work (`helpers.trust.series.keys`, which says what that key sees and what not). Where one of them
changed, the result is computed anew.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from helpers.errors import LabError
from helpers.files import save_atomically
from helpers.trust.series import integrity
from helpers.trust.series.integrity import Prints

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class StepResult:
    """What the work found at one step, and the fingerprints of the weights that it read."""

    prints: Prints
    arrays: Arrays


def arrays(values: Mapping[str, Any], called: str) -> Arrays:
    """What a work returned, as NumPy arrays; bfloat16, which NumPy lacks, becomes float32.

    Raises:
        LabError: No mapping of names to numbers.

    >>> arrays({"accuracy": torch.tensor([0.5]), "n": 3}, "it")["accuracy"]
    array([0.5], dtype=float32)
    """
    if not isinstance(values, Mapping):
        raise LabError(
            f"expected {called} to return a dict of arrays", f"got {type(values).__name__}"
        )
    result: Arrays = {}
    for name, value in values.items():
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            value = (value.float() if value.dtype is torch.bfloat16 else value).numpy()
        result[name] = np.array(value, order="C")
        if result[name].dtype.kind not in "biuf" or not isinstance(name, str):
            raise LabError(
                f"expected {called} to return numbers under names",
                f"{name!r} has the type {result[name].dtype}",
            )
    return result


@dataclass(frozen=True)
class Store:
    """A folder of results of one work on one series."""

    folder: Path
    series: str
    key: str

    def path(self, step: int, stamp: str) -> Path:
        whole = f"{self.series}\n{step}\n{stamp}\n{self.key}"
        short = hashlib.sha256(whole.encode()).hexdigest()[:16]
        series = re.sub(r"[^A-Za-z0-9.-]", "_", self.series)
        return self.folder / f"{series}-{step:08d}-{short}.safetensors"

    def put(self, step: int, stamp: str, result: StepResult) -> None:
        """Write a result; a kill leaves all of it or nothing.

        Raises:
            LabError: The folder cannot be written, or is full.
        """
        tensors = {name: torch.from_numpy(value) for name, value in result.arrays.items()}
        about = {
            "prints": json.dumps(result.prints),
            "contents": integrity.digest(integrity.of_tensors(tensors)),
        }
        path = self.path(step, stamp)
        # another process may be at the same step
        mine = path.with_name(f".{os.getpid()}-{path.name}")
        save_atomically(tensors, mine, about)
        os.replace(mine, path)

    def get(self, step: int, stamp: str) -> StepResult | None:
        """A stored result; None if there is none, or if it is damaged.

        A damaged file is not an error: everything in it can be computed again, and a sweep of hours
        should not end at it.
        """
        try:
            with safe_open(self.path(step, stamp), framework="pt") as handle:
                about = handle.metadata() or {}
                tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118  no mapping
            prints = json.loads(about["prints"])
        except (SafetensorError, OSError, KeyError, ValueError):
            return None
        if about.get("contents") != integrity.digest(integrity.of_tensors(tensors)):
            return None
        return StepResult(prints, {name: value.numpy().copy() for name, value in tensors.items()})

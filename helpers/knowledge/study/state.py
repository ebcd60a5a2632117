"""The folder in which cells of the study are kept until all of them are there.

A cell is one file: its numbers as JSON in the header, its masks with one bit a weight. It is
written when it is whole, and begins from its seed alone. So the study can be killed at any moment;
given again, it measures the cells that are not there, with the same result to the bit.
"""

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers import files, zoo
from helpers.errors import LabError
from helpers.knowledge.masks import packed
from helpers.knowledge.study.controls import MODEL
from helpers.knowledge.study.measuring import Measured, Result, mean_accuracy, measure
from helpers.knowledge.study.plan import GRIDS, Cell, MaskPlan
from helpers.runtime import progress

RESULT, MADE = "result", "made"
"""Entries of a file's header: the numbers, and what they were made with."""


def made_with(plan: MaskPlan) -> dict[str, Any]:
    """What all cells of one study have in common."""
    settings = {"steps": plan.steps, "densities": list(plan.densities)}
    return {"model": MODEL, "sha256": zoo.entry(MODEL).sha256, **settings}


def write(cell: Cell, measured: Measured, plan: MaskPlan, folder: Path) -> None:
    """Keep a cell; a kill leaves no half of it."""
    header = {MADE: json.dumps(made_with(plan)), RESULT: json.dumps(measured.result)}
    tensors = {str(density): packed.pack(mask) for density, mask in measured.masks.items()}
    files.save_atomically(tensors, folder / cell.file, header)


def read(cell: Cell, plan: MaskPlan, folder: Path) -> Result:
    """The numbers of a cell that is there.

    Raises:
        LabError: It is not, is damaged, or was made with other weights or settings.
    """
    return _opened(cell, plan, folder)[0]


def masks(
    cell: Cell, plan: MaskPlan, folder: Path, n_weights: int
) -> dict[float, Float[Tensor, " weight"]]:
    """The masks of a cell that is there.

    Raises:
        LabError: As `read`; or masks of another number of weights.
    """
    stored = _opened(cell, plan, folder)[1]
    return {float(name): packed.unpack(bits, n_weights) for name, bits in stored.items()}


def _opened(cell: Cell, plan: MaskPlan, folder: Path) -> tuple[Result, dict[str, Tensor]]:
    path = folder / cell.file
    try:
        with safe_open(path, framework="pt") as handle:
            header = handle.metadata() or {}
            made, result = (json.loads(header[name]) for name in (MADE, RESULT))
            stored = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError) as fault:
        raise LabError(
            f"expected the cell {cell} in {path}",
            f"cannot use it: {fault!r}",
            hint="remove the file, and it is measured again",
        ) from None
    if made != made_with(plan):
        raise LabError(
            f"expected cells made with {made_with(plan)} in {folder}",
            f"{path.name} was made with {made}",
            hint="give another folder with --work",
        )
    return result, stored


def best(estimator: str, plan: MaskPlan, folder: Path) -> int:
    """The number of the best settings of an estimator, of those that were tried.

    Raises:
        LabError: Some of them are not there.
    """
    tried = [Cell("tuning", estimator, number) for number in range(len(GRIDS[estimator]))]
    means = [mean_accuracy(read(cell, plan, folder), plan) for cell in tried]
    return max(range(len(means)), key=means.__getitem__)


def missing(asked: Iterable[Cell], folder: Path) -> list[Cell]:
    """The cells that are not there."""
    return [cell for cell in asked if not (folder / cell.file).exists()]


def measure_all(
    asked: Iterable[Cell], plan: MaskPlan, folder: Path, say: Callable[[str], None]
) -> None:
    """Measure the cells that are not there, each kept as soon as it is whole.

    Args:
        say: Is told the key and the seconds of what was measured.

    Raises:
        LabError: A folder that cannot be written; a cell that is there and cannot be used.
    """
    asked = list(asked)
    left = missing(asked, folder)
    for cell in asked:
        if cell not in left:
            read(cell, plan, folder)  # before the long work
    for cell in progress(left, "cells"):
        if not missing([cell], folder):  # by now another process has measured it
            continue
        files.check_writable(folder / cell.file)
        began = time.perf_counter()
        measured = measure(cell, plan, lambda estimator: best(estimator, plan, folder))
        write(cell, measured, plan, folder)
        say(f"{cell}: {time.perf_counter() - began:.0f} s")

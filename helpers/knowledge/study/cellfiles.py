"""Cells of a study as files: each written when it is whole, and measured when it is not there.

A cell is one file: its numbers as JSON in the header, its masks with one bit a weight. The header
also says what the cell was made with, and has a checksum of all that the file holds: a cell of
another plan, of other weights or prompts, and a damaged one are refused.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers import files
from helpers.errors import LabError
from helpers.knowledge.masks import packed
from helpers.knowledge.study.measuring import Measured, Result
from helpers.runtime import progress

RESULT, MADE, CONTENTS = "result", "made", "contents"
"""Entries of a file's header: the numbers, what they were made with, and a checksum of all."""


class Keyed(Protocol):
    """A cell of some study: its text is its key."""

    @property
    def file(self) -> str:
        """Name of its file in the folder of the study's state."""
        ...


Some = TypeVar("Some", bound=Keyed)
Made = dict[str, Any]
"""All that a cell follows from, beside the code, as JSON has it."""


def _contents(header: dict[str, str], tensors: dict[str, Tensor]) -> str:
    """Checksum of all that a file holds."""
    digest = hashlib.sha256(json.dumps([header[MADE], header[RESULT]]).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()


def keep(cell: Keyed, measured: Measured, made: Made, folder: Path) -> None:
    """Keep a cell; a kill leaves no half of it."""
    header = {MADE: json.dumps(made), RESULT: json.dumps(measured.result)}
    tensors = {str(density): packed.pack(mask) for density, mask in measured.masks.items()}
    header[CONTENTS] = _contents(header, tensors)
    files.save_atomically(tensors, folder / cell.file, header)


def opened(cell: Keyed, made: Made, folder: Path) -> tuple[Result, dict[str, Tensor]]:
    """The numbers of a cell that is there, and its masks as they are packed.

    Raises:
        LabError: It is not, is damaged, or was made with something else.
    """
    path = folder / cell.file
    try:
        with safe_open(path, framework="pt") as handle:
            header = handle.metadata() or {}
            found, result = (dict(json.loads(header[name])) for name in (MADE, RESULT))
            stored = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
            if header[CONTENTS] != _contents(header, stored):
                raise ValueError("its checksum is another")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as fault:
        raise LabError(
            f"expected the cell {cell} in {path}",
            f"cannot use it: {fault!r}",
            hint="remove the file, and it is measured again",
        ) from None
    if other := [name for name in made if name not in found or found[name] != made[name]]:
        raise LabError(
            f"expected cells made with { {name: made[name] for name in other} } in {folder}",
            f"{path.name} was made with { {name: found.get(name) for name in other} }",
            hint="remove it, and it is measured again; or give another file or folder",
        )
    return result, stored


def absent(asked: Iterable[Some], folder: Path) -> list[Some]:
    """The cells that are not there."""
    return [cell for cell in asked if not (folder / cell.file).exists()]


def measure_absent(
    asked: Iterable[Some],
    folder: Path,
    made: Callable[[Some], Made],
    work: Callable[[Some], Measured],
    say: Callable[[str], None],
) -> None:
    """Measure the cells that are not there, each kept as soon as it is whole.

    Args:
        made: Tells what a cell follows from.
        work: Measures a cell.
        say: Is told the key and the seconds of what was measured.

    Raises:
        LabError: A folder that cannot be written; a cell that is there and cannot be used.
    """
    asked = list(asked)
    left = absent(asked, folder)
    for cell in asked:
        if cell not in left:
            opened(cell, made(cell), folder)  # before the long work
    for cell in progress(left, "cells"):
        if not absent([cell], folder):  # by now another process has measured it
            continue
        files.check_writable(folder / cell.file)
        began = time.perf_counter()
        keep(cell, work(cell), made(cell), folder)
        say(f"{cell}: {time.perf_counter() - began:.0f} s")

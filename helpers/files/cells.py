"""Cells of a study as files: each written when it is whole, and measured when it is not there.

A cell is one file: its numbers as JSON in the header, and tensors, if it has any. The header also
says what the cell was made with, and has a checksum of all that the file holds: a cell of another
plan, of other weights or prompts, and a damaged one are refused. When all cells are there, their
numbers are put together in one file.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers.errors import LabError
from helpers.files.atomic import check_writable, save_atomically, write_atomically
from helpers.runtime import progress

RESULT, MADE, CONTENTS = "result", "made", "contents"
"""Entries of a file's header: the numbers, what they were made with, and a checksum of all."""
FOLDER = ".cells"
"""Ending of the folder in which cells are kept, beside the file that they are put together in."""


class Keyed(Protocol):
    """A cell of some study: its text is its key."""

    @property
    def file(self) -> str:
        """Name of its file in the folder of the study's state."""
        ...


Some = TypeVar("Some", bound=Keyed)
Made = dict[str, Any]
"""All that a cell follows from, beside the code, as JSON has it."""
Result = dict[str, Any]
"""The numbers of a cell, as JSON has them."""


@dataclass(frozen=True)
class Contents:
    """What a cell holds.

    Attributes:
        result: Its numbers.
        tensors: What has too many numbers for that, by name.
    """

    result: Result
    tensors: dict[str, Tensor] = field(default_factory=dict)


def file_of(key: str) -> str:
    """Name of the file of a cell in the folder of the study's state.

    >>> file_of("two hop/circuit")
    'two_hop-circuit.safetensors'
    """
    return key.replace("/", "-").replace(" ", "_") + ".safetensors"


def beside(out: Path, ending: str = FOLDER) -> Path:
    """What is kept beside a file of numbers: its name with another ending.

    Raises:
        LabError: The file has that ending itself.

    >>> beside(Path("masks.json")).name
    'masks.cells'
    """
    path = out.with_suffix(ending)
    if path == out:
        raise LabError(
            f"expected a file of numbers that does not end on {ending}",
            f"got {out}",
            hint="what is kept beside it has that ending; give it another, such as .json",
        )
    return path


def _digest(header: dict[str, str], tensors: dict[str, Tensor]) -> str:
    """Checksum of all that a file holds."""
    digest = hashlib.sha256(json.dumps([header[MADE], header[RESULT]]).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()


def keep(cell: Keyed, contents: Contents, made: Made, folder: Path) -> None:
    """Keep a cell; a kill leaves no half of it.

    Raises:
        LabError: The folder cannot be written.
    """
    header = {MADE: json.dumps(made), RESULT: json.dumps(contents.result)}
    header[CONTENTS] = _digest(header, contents.tensors)
    save_atomically(contents.tensors, folder / cell.file, header)


def opened(cell: Keyed, made: Made, folder: Path) -> Contents:
    """What a cell holds that is there.

    Raises:
        LabError: It is not, is damaged, or was made with something else.
    """
    path = folder / cell.file
    try:
        with safe_open(path, framework="pt") as handle:
            header = handle.metadata() or {}
            found, result = (dict(json.loads(header[name])) for name in (MADE, RESULT))
            stored = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118
            if header[CONTENTS] != _digest(header, stored):
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
    return Contents(result, stored)


def absent(asked: Iterable[Some], folder: Path) -> list[Some]:
    """The cells that are not there."""
    return [cell for cell in asked if not (folder / cell.file).exists()]


def measure_absent(
    asked: Iterable[Some],
    folder: Path,
    made: Callable[[Some], Made],
    work: Callable[[Some], Contents],
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
        check_writable(folder / cell.file)
        began = time.perf_counter()
        keep(cell, work(cell), made(cell), folder)
        say(f"{cell}: {time.perf_counter() - began:.0f} s")


def put_together(head: dict[str, Any], results: Mapping[Some, Result], out: Path) -> None:
    """Write the numbers of a whole study into one file, a line for each cell.

    Args:
        head: What the study was made with.

    Raises:
        LabError: The file cannot be written.
    """
    lines = ",\n".join(
        f"{json.dumps(str(cell))}: {_plain(result)}" for cell, result in results.items()
    )
    start = _plain(head).removesuffix("}")
    write_atomically(f'{start},\n"cells": {{\n{lines}\n}}}}\n', out)


def _plain(values: Any) -> str:
    return json.dumps(values, separators=(",", ":"))


def taken_apart(
    stored: dict[str, Result], read: Callable[[str], Some], wanted: Iterable[Some]
) -> dict[Some, Result]:
    """The cells of a file that was put together.

    Args:
        stored: Its numbers by key.
        read: The cell of a key.
        wanted: The cells that must be there.

    Raises:
        ValueError: Some are not. `read_stored` says what to do about it.
    """
    results = {read(key): result for key, result in stored.items()}
    if missing := [str(cell) for cell in wanted if cell not in results]:
        raise ValueError(f"{len(missing)} cells are missing, first {missing[0]!r}")
    return results


def stored_cell(results: Mapping[Some, Result], cell: Some, hint: str) -> Result:
    """The numbers of one of the cells of a study.

    Args:
        hint: How to measure anew.

    Raises:
        LabError: It was not measured.
    """
    if cell not in results:
        raise LabError("expected a cell that is stored", f"got {str(cell)!r}", hint=hint)
    return results[cell]

"""Files that a kill cannot leave half written, checksums, stored measurements."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from helpers.errors import LabError

Content = TypeVar("Content")
DATA = Path(__file__).parents[1] / "data"
"""Stored measurements that the package brings."""


def cannot_write(path: Path, fault: Exception) -> LabError:
    """The fault of a folder that cannot be written, or is full."""
    return LabError(
        f"expected to write {path}",
        f"the system says: {fault}",
        hint="choose a folder with space that you may write to, with --out DIR",
    )


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before the long work whose result it shall hold.

    Its folder is made, and a block of a nameless file is written there.

    Raises:
        LabError: The folder cannot be made or written, is full, or the path is that of a folder.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent) as block:
            block.write(bytes(4096))
    except OSError as fault:
        raise cannot_write(path, fault) from None


def save_atomically(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write a safetensors file so that a kill leaves either the old file or the new one, never half
    of one.

    Raises:
        LabError: The folder cannot be written, or is full; the old file is still there.
    """
    with _replaced(path) as scratch:
        save_file(
            {name: value.detach().cpu().contiguous() for name, value in tensors.items()},
            scratch,
            metadata,
        )


def write_atomically(content: str | bytes, path: Path) -> None:
    """Write any other file in the same way; text as UTF-8 with line ends of one byte.

    Raises:
        LabError: The folder cannot be written, or is full; the old file is still there.
    """
    with _replaced(path) as scratch:
        scratch.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of another one when it is whole.

    Its name has the number of this process: of two that write one file, each writes a whole one.
    """
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
        _put_in_place(scratch, path)
    except (OSError, SafetensorError) as fault:
        raise cannot_write(path, fault) from None
    finally:
        discard(scratch)


def read_stored(path: Path, parse: Callable[[Any], Content], hint: str) -> Content:
    """What `parse` makes of a JSON file of stored measurements.

    Args:
        hint: How to get the file, or to measure anew.

    Raises:
        LabError: The file is missing, damaged, or not what `parse` expects.
    """
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise LabError(
            f"expected stored measurements in {path}", f"cannot use it: {fault!r}", hint=hint
        ) from None


def _put_in_place(scratch: Path, path: Path) -> None:
    with open(scratch, "rb+") as handle:
        os.fsync(handle.fileno())  # else a power cut could leave the new name with no content
    os.replace(scratch, path)


def discard(scratch: Path) -> None:
    """Remove a half-written file, if there is one and it can be."""
    try:
        scratch.unlink(missing_ok=True)
    except OSError:
        return  # nobody reads it; a fault that matters shows when the real file is written


def checksum(path: Path) -> tuple[str, int]:
    """sha256 and size of a file.

    Raises:
        LabError: The file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise LabError(
            f"expected a series of checkpoints in {path}", f"the system says: {fault}"
        ) from None
    return hashlib.sha256(content).hexdigest(), len(content)

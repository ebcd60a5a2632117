"""Files that a kill cannot leave half written, public ones, checksums, stored measurements."""

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol, TypeVar

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError

Content = TypeVar("Content")
DATA = Path(__file__).parent / "data"
"""Stored measurements that the package brings."""
TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""
MARGIN = 1 << 16
"""Bytes beyond the expected ones after which a download is cut off.

They are enough to show that the file has changed."""


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


class PublicFile(Protocol):
    """A third-party file as it was when its digest was taken: name, digest, bytes."""

    @property
    def file(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size(self) -> int: ...


def fetch(
    source: PublicFile,
    address: str,
    cache: str,
    folder: str | Path | None = None,
    argument: str = "folder=, or --folder DIR",
) -> bytes:
    """The bytes of a public file, with the digest that its source states.

    A download is written to the cache only when it is whole and right, in one step, so a kill
    leaves no half file.

    Args:
        address: Of the folder to download from.
        cache: Name of its folder in the cache.
        folder: Read the file there, and download nothing.
        argument: How a person names that folder.

    Raises:
        LabError: A file that cannot be had, or is not what it was when its digest was taken.
    """
    path = (Path(folder) if folder else runtime.cache_dir() / cache) / source.file
    if path.is_file():
        return _checked(
            path.read_bytes(), source, f"{path} has", f"delete {path}, so that it is fetched again"
        )
    if folder:
        raise LabError(
            f"expected the file {path}",
            "there is none",
            hint=f"fetch it from {address}/{source.file}",
        )
    data = _checked(
        _download(f"{address}/{source.file}", source.size + MARGIN, argument),
        source,
        f"{address} sent",
        "try again later; if it stays so, the file has been changed at its source, and its numbers "
        "here do not hold for it",
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_bytes(data)
        scratch.replace(path)
    except OSError as fault:
        raise LabError(
            f"expected to write {path}",
            f"the system says: {fault}",
            hint="set LAB_CACHE to another folder",
        ) from None
    return data


def _download(url: str, limit: int, argument: str) -> bytes:
    import urllib.request  # by whom files are only read, it is not needed

    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return answer.read(limit)
    except (OSError, HTTPException, ValueError) as fault:  # ValueError: an address that is none
        raise LabError(
            f"expected to download {url}",
            f"the system says: {fault}",
            hint="check the network; or fetch the file elsewhere, put it into a folder, and name "
            f"that: {argument}",
        ) from None


def _checked(data: bytes, source: PublicFile, whose: str, hint: str) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    if digest != source.sha256:
        raise LabError(
            f"expected {source.file} with {source.size} bytes and sha256 {source.sha256}",
            f"{whose} {len(data)} bytes with sha256 {digest}",
            hint=hint,
        )
    return data

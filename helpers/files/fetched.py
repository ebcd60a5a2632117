"""Public files: downloaded once, held to a digest, kept in the cache."""

import hashlib
import os
from http.client import HTTPException
from pathlib import Path
from typing import Protocol

from helpers import runtime
from helpers.errors import LabError

TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""
MARGIN = 1 << 16
"""Bytes beyond the expected ones after which a download is cut off.

They are enough to show that the file has changed."""


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

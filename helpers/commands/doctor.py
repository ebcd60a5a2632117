"""``python -m helpers doctor``: whether everything is here that the labs need, and what to do."""

import argparse
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TextIO

from helpers import __version__
from helpers.errors import LabError, command

PYTHON = (3, 11)
PROJECT = "trustworthy-circuits"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        text: What was seen.
        remedy: What to do about it; empty if all is well.
        optional: Whether the labs work without it.
    """

    text: str
    remedy: str = ""
    optional: bool = False

    @property
    def is_fault(self) -> bool:
        return bool(self.remedy) and not self.optional

    def __str__(self) -> str:
        mark = "FAULT" if self.is_fault else "note" if self.remedy else "ok"
        return f"{mark:>5}  {self.text}" + (f"\n       try: {self.remedy}" if self.remedy else "")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    print(f"trustworthy-circuits {__version__} on {platform.platform()}", file=sys.stderr)
    faults = 0
    for finding in examine():
        print(finding, file=sys.stderr, flush=True)
        faults += finding.is_fault
    print(
        "all is well" if not faults else f"{faults} fault{'s' * (faults > 1)} to mend",
        file=sys.stderr,
    )
    return 1 if faults else 0


def examine() -> Iterator[Finding]:
    """Everything the doctor looks at, in order."""
    yield python_version(sys.version_info[:3])
    try:
        packages = [package(name, least) for name, least in required().items()]
    except metadata.PackageNotFoundError:
        yield Finding(f"{PROJECT} is not installed", "pip install --editable . in its folder")
        return
    yield from packages
    if any(finding.is_fault for finding in packages):
        return  # the rest imports these packages
    yield device()
    yield from weights()
    yield cache()
    yield browser()


def python_version(version: tuple[int, ...]) -> Finding:
    """Whether Python is new enough."""
    text = f"Python {'.'.join(map(str, version))}"
    is_new = version[:2] >= PYTHON
    return Finding(text, "" if is_new else f"install Python {PYTHON[0]}.{PYTHON[1]} or newer")


def required() -> dict[str, str]:
    """Least version of each library of the base install, as the package itself declares them.

    Raises:
        PackageNotFoundError: The package runs from its source without being installed.
    """
    lines = [line for line in metadata.requires(PROJECT) or () if "extra ==" not in line]
    pairs = (re.fullmatch(r"([\w.-]+)>=([\d.]+)", line) for line in lines)
    return {pair[1]: pair[2] for pair in pairs if pair}


def package(name: str, least: str) -> Finding:
    """Whether a package is there and new enough."""
    remedy = f'pip install "{name}>={least}"'
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(f"{name} is not installed", remedy)
    if _numbers(version) < _numbers(least):
        return Finding(f"{name} {version} is too old: {least} is needed", remedy)
    return Finding(f"{name} {version}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.split("+")[0])[:3])


def device() -> Finding:
    """Whether the device answers."""
    import torch

    from helpers import runtime

    try:
        name = runtime.answering(runtime.device())
    except LabError as fault:
        return _finding(fault)
    return Finding(f"device {name}, {torch.get_num_threads()} threads")


def weights() -> Iterator[Finding]:
    """Whether every embedded model is there, whole and unchanged."""
    from helpers import zoo
    from helpers.arithmetic.training.recipes import RECIPES
    from helpers.tinyworld.models.recipes import RECIPES as TEXTS

    try:
        names = zoo.names()
    except LabError as fault:
        yield _finding(fault)
        return
    for name in names:
        try:
            entry = zoo.check(name)
            yield Finding(f"weights of {name}: {entry.bytes / 1e6:.1f} MB, checksum right")
        except LabError as fault:
            yield _finding(fault)
    for name in sorted((RECIPES | TEXTS).keys() - set(names)):
        again = f"`{command('train', name)}` and `{command('publish', name, f'runs/{name}')}`"
        yield Finding(
            f"weights of {name}: not in the manifest", f"reinstall the package, or {again}"
        )


def _finding(fault: LabError) -> Finding:
    text, _, remedy = str(fault).partition("\n  try: ")
    return Finding(text, remedy or "reinstall the package")


def cache() -> Finding:
    """Whether downloads and results can be stored."""
    from helpers import runtime

    try:
        folder = runtime.cache_dir()
    except LabError as fault:
        return _finding(fault)
    if not os.access(folder, os.W_OK):
        remedy = "set LAB_CACHE to a folder that you may write to"
        return Finding(f"the cache folder {folder} is read-only", remedy)
    return Finding(f"cache folder {folder}")


def browser() -> Finding:
    """Whether the tests of the rendered pages can run."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program:
        return Finding(f"browser for the page tests: {program}")
    return Finding(
        "no Chromium: the tests of the rendered pages are skipped",
        "apt-get install chromium",
        optional=True,
    )

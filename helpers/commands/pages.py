"""``python -m helpers pages``: write the generated parts of the book, or check them."""

import argparse
import json
import sys
from pathlib import Path
from typing import TextIO

from helpers import runtime
from helpers.book.pages import DATA, generated, stale
from helpers.files import check_writable, write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m helpers pages``."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 1 naming each page that is not current",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="build the whole book from nothing and store what it cost first",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    """Write the generated parts, or say which are not current. Returns the exit code."""
    from helpers.clone import find_root

    root = find_root()
    if arguments.measure:
        _measure_build(root)
    names = stale(root)
    for path, text in generated(root).items():
        if path.relative_to(root / "book").as_posix() in names and not arguments.check:
            write_atomically(text, path)
    verb = "is not current; run: python -m helpers pages" if arguments.check else "written"
    for name in names:
        print(f"book/{name} {verb}", file=sys.stderr)
    return 1 if arguments.check and names else 0


def _measure_build(root: Path) -> None:
    from importlib.metadata import version

    from helpers.book.build_cost import measure_build

    check_writable(DATA / "build.json")
    seconds, peak = measure_build(root)
    versions = runtime.versions() | {"jupyter-book": version("jupyter-book")}
    cost = {
        "seconds": round(seconds, 1),
        "peak_mib": round(peak, 1),
        "cores": runtime.cores(),
        "versions": versions,
    }
    write_atomically(json.dumps(cost, indent=2) + "\n", DATA / "build.json")

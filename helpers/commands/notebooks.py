"""``python -m helpers notebooks``: the student notebooks, written or checked, and labs measured."""

import argparse
import sys
from typing import TextIO

from helpers.clone import find_root
from helpers.course.labs.notebooks import stale, write
from helpers.files import check_writable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m helpers notebooks``."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 1 naming each file that is not current",
    )
    parser.add_argument(
        "--measure",
        action="store_true",
        help="run every lab and store its seconds and peak memory first",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    """Write the notebooks, or say which are not current. Returns the exit code."""
    root = find_root()
    if arguments.measure:
        from helpers.course.labs.measure import costs_file, measure_all

        check_writable(costs_file(root))
        measure_all(root)
    if not arguments.check:
        for name in write(root):
            print(f"wrote {name}", file=sys.stderr)
    names = stale(root)
    for name in names:
        hint = (
            "run: python -m helpers notebooks"
            if arguments.check
            else "no source gives it, delete it"
        )
        print(f"{name} is not what the lab sources give; {hint}", file=sys.stderr)
    return 1 if names else 0

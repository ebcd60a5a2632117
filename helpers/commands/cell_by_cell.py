"""What commands share that measure a study cell by cell.

Every cell is written as soon as it is measured, into a folder beside the file of results, and what
is there is not measured again: such a command can be stopped and given again at any moment. When
all cells are there, they are put together in the file.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TextIO

from helpers.errors import LabError
from helpers.files import check_writable
from helpers.files.cells import Result, Some, beside


def add_only(parser: argparse.ArgumentParser, example: str) -> None:
    """The option that takes some of the cells."""
    parser.add_argument(
        "--only",
        default="",
        metavar="KEY",
        help=f'only cells whose key begins with this, such as "{example}"; no file of results',
    )


def add_results(parser: argparse.ArgumentParser, out: Path) -> None:
    """The options that say where results go."""
    parser.add_argument(
        "--json", action="store_true", help="print the cells that were asked for as JSON"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=out,
        metavar="FILE",
        help="file of the results (default: the package's own)",
    )


def chosen(cells: Iterable[Some], only: str) -> list[Some]:
    """The cells whose key begins so.

    Raises:
        LabError: There is none.
    """
    cells = list(cells)
    asked = [cell for cell in cells if str(cell).startswith(only)]
    if not asked:
        raise LabError(
            f"expected the beginning of a key of a cell, such as '{cells[0]}'", f"got {only!r}"
        )
    return asked


def measure(
    arguments: argparse.Namespace,
    results: TextIO,
    cells: Iterable[Some],
    work: Callable[[list[Some], Path, Callable[[str], None]], None],
    write: Callable[[Path, Path], None],
    read: Callable[[Some, Path], Result],
    also: Callable[[Path], Path] | None = None,
) -> None:
    """Measure the cells that are asked for, put all of them together, print what was asked.

    Args:
        work: Measures the cells that are not in a folder; tells the third argument about each.
        write: Puts the cells in a folder together in a file.
        read: The numbers of a cell in a folder.
        also: What is written beside the file of results.

    Raises:
        LabError: No such cell, or a file that cannot be written.
    """
    asked = chosen(cells, arguments.only)
    folder, out = beside(arguments.out), arguments.out
    for file in (out, also(out)) if also else (out,):
        check_writable(file)
    work(asked, folder, partial(print, file=sys.stderr))
    if not arguments.only:
        write(folder, out)
        print(f"stored in {out}; {folder} may be removed", file=sys.stderr)
    if arguments.json:
        print(json.dumps({str(cell): read(cell, folder) for cell in asked}), file=results)

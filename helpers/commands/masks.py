"""``python -m helpers masks``: measure what masks over single weights find, beside their controls.

Every cell of the study is written as soon as it is measured, into a folder beside the file of
results, and what is there is not measured again: the command can be stopped and given again at any
moment. When all cells are there, they are put together in the file, and some masks beside it.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TextIO

from helpers.errors import LabError
from helpers.files import check_writable
from helpers.knowledge.study import PLAN, MaskPlan, cells, state, stored

CELLS = ".cells"
"""Ending of the folder in which cells are kept."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        default="",
        metavar="KEY",
        help='only cells whose key begins with this, such as "circuit/kind"; no file of results',
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=PLAN.seeds,
        help="searches of the first task (default: %(default)s)",
    )
    parser.add_argument(
        "--others",
        type=int,
        default=PLAN.others,
        help="searches of each other task, control and estimator (default: %(default)s)",
    )
    parser.add_argument(
        "--steps", type=int, default=PLAN.steps, help="steps to each density (default: %(default)s)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the cells that were asked for as JSON"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=stored.DATA,
        metavar="FILE",
        help="file of the results (default: the package's own)",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    plan = MaskPlan(arguments.seeds, arguments.others, arguments.steps)
    asked = [cell for cell in cells(plan) if str(cell).startswith(arguments.only)]
    if not asked:
        raise LabError(
            f"expected the beginning of a key of a cell, such as '{next(cells(plan))}'",
            f"got {arguments.only!r}",
        )
    folder = stored.beside(arguments.out, CELLS)
    for file in (arguments.out, stored.beside(arguments.out)):
        check_writable(file)
    state.measure_all(asked, plan, folder, partial(print, file=sys.stderr))
    if not arguments.only:
        stored.write(plan, folder, arguments.out)
        print(f"stored in {arguments.out}; {folder} may be removed", file=sys.stderr)
    if arguments.json:
        found = {str(cell): state.read(cell, plan, folder) for cell in asked}
        print(json.dumps(found), file=results)
    return 0

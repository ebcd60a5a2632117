"""``python -m helpers edits``: measure what editing facts does in a circuit, elsewhere, and by
rivals.

Every cell of the study is written as soon as it is measured, into a folder beside the file of
results, and what is there is not measured again: the command can be stopped and given again at any
moment. When all cells are there, they are put together in the file.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TextIO

from helpers.errors import LabError
from helpers.files import check_writable
from helpers.knowledge.edit_study import EDIT_PLAN, EditPlan, edit_cells, state, stored
from helpers.knowledge.study.stored import beside

CELLS = ".cells"
"""Ending of the folder in which cells are kept."""
COST = (
    "All cells take about an hour and a half on one core; the places compared at equal terms "
    "(arms) some 40 seconds a cell, the published ways (published) some 90. Circuits are taken "
    "from the stored study of masks where that has them."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = COST
    parser.add_argument(
        "--only",
        default="",
        metavar="KEY",
        help='only cells whose key begins with this, such as "arms/circuit"; no file of results',
    )
    parser.add_argument(
        "--facts",
        type=int,
        default=EDIT_PLAN.facts,
        help="facts that are edited, each alone (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=EDIT_PLAN.seeds,
        help="searches for masks (default: %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=EDIT_PLAN.steps,
        help="steps of an edit at most (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the cells that were asked for as JSON"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=stored.EDITS,
        metavar="FILE",
        help="file of the results (default: the package's own)",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    plan = EditPlan(arguments.facts, arguments.seeds, steps=arguments.steps)
    asked = [cell for cell in edit_cells(plan) if str(cell).startswith(arguments.only)]
    if not asked:
        raise LabError(
            f"expected the beginning of a key of a cell, such as '{next(edit_cells(plan))}'",
            f"got {arguments.only!r}",
        )
    folder = beside(arguments.out, CELLS)
    check_writable(arguments.out)
    state.measure_edits(asked, plan, folder, partial(print, file=sys.stderr))
    if not arguments.only:
        stored.write(plan, folder, arguments.out)
        print(f"stored in {arguments.out}; {folder} may be removed", file=sys.stderr)
    if arguments.json:
        found = {str(cell): state.read(cell, plan, folder) for cell in asked}
        print(json.dumps(found), file=results)
    return 0

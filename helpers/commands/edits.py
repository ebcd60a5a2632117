"""``python -m helpers edits``: measure what editing facts does in a circuit, elsewhere, and by
rivals.

Every cell of the study is written as soon as it is measured, into a folder beside the file of
results, and what is there is not measured again: the command can be stopped and given again at any
moment. When all cells are there, they are put together in the file.
"""

import argparse
from typing import TextIO

from helpers.commands import cell_by_cell
from helpers.knowledge.edit_study import EDIT_PLAN, EditPlan, edit_cells, state, stored

COST = (
    "All cells take about an hour and a half on one core; the places compared at equal terms "
    "(arms) some 40 seconds a cell, the published ways (published) some 90. Circuits are taken "
    "from the stored study of masks where that has them."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = COST
    cell_by_cell.add_only(parser, "arms/circuit")
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
    cell_by_cell.add_results(parser, stored.EDITS)


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    plan = EditPlan(arguments.facts, arguments.seeds, steps=arguments.steps)
    cell_by_cell.measure(
        arguments,
        results,
        edit_cells(plan),
        lambda asked, folder, say: state.measure_edits(asked, plan, folder, say),
        lambda folder, out: stored.write(plan, folder, out),
        lambda cell, folder: state.read(cell, plan, folder),
    )
    return 0

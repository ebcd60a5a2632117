"""``python -m helpers masks``: measure what masks over single weights find, beside their controls.

Every cell of the study is written as soon as it is measured, into a folder beside the file of
results, and what is there is not measured again: the command can be stopped and given again at any
moment. When all cells are there, they are put together in the file, and some masks beside it.
"""

import argparse
from typing import TextIO

from helpers.commands import cell_by_cell
from helpers.files.cells import beside
from helpers.knowledge.study import PLAN, MaskPlan, cells, state, stored


def add_arguments(parser: argparse.ArgumentParser) -> None:
    cell_by_cell.add_only(parser, "circuit/kind")
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
    cell_by_cell.add_results(parser, stored.DATA)


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    plan = MaskPlan(arguments.seeds, arguments.others, arguments.steps)
    cell_by_cell.measure(
        arguments,
        results,
        cells(plan),
        lambda asked, folder, say: state.measure_all(asked, plan, folder, say),
        lambda folder, out: stored.write(plan, folder, out),
        lambda cell, folder: state.read(cell, plan, folder),
        also=lambda out: beside(out, stored.MASKS),
    )
    return 0

"""``python -m helpers detox``: measure what tuning under a constraint does, and what rivals do.

Every cell of the study is written as soon as it is measured, into a folder beside the file of
results, and what is there is not measured again: the command can be stopped and given again at any
moment. When all cells are there, they are put together in the file.
"""

import argparse
from typing import TextIO

from helpers.commands import cell_by_cell
from helpers.detox.study import DETOX_PLAN, GROUPS, DetoxPlan, detox_cells, state, stored

COST = (
    "All cells take three to four hours on one core: a tuning 10 to 70 seconds, its judgement 5, "
    "its skills 4, an oracle that is held to the exact one some 30. Two processes may measure "
    "different cells of one study at the same time. The most important cells come first."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = COST
    cell_by_cell.add_only(parser, "method/mixed/kl 10")
    parser.add_argument(
        "--groups",
        nargs="+",
        choices=GROUPS,
        default=list(DETOX_PLAN.groups),
        metavar="GROUP",
        help=f"only these questions, of {', '.join(GROUPS)} (default: all)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=DETOX_PLAN.seeds,
        help="tunings of everything that is compared (default: %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=DETOX_PLAN.steps,
        help="steps of a tuning (default: %(default)s)",
    )
    cell_by_cell.add_results(parser, stored.DETOX)


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    plan = DetoxPlan(arguments.seeds, arguments.steps, groups=tuple(arguments.groups))
    cell_by_cell.measure(
        arguments,
        results,
        detox_cells(plan),
        lambda asked, folder, say: state.measure_detox(asked, plan, folder, say),
        lambda folder, out: stored.write(plan, folder, out),
        lambda cell, folder: state.read(cell, plan, folder),
    )
    return 0

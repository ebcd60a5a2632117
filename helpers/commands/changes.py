"""``python -m helpers changes``: measure what constrained tuning and its rivals change inside.

Every cell of the study is written as soon as it is measured, into a folder beside the file of
results, and what is there is not measured again. The models are those of ``python -m helpers
detox``: where its folder of cells is given, none is tuned anew.
"""

import argparse
from pathlib import Path
from typing import TextIO

from helpers.changes import CHANGE_PLAN, ChangePlan, change_cells, state, stored
from helpers.changes.plan import FEW
from helpers.commands import cell_by_cell
from helpers.detox.study.stored import DETOX
from helpers.files.cells import beside

COST = (
    "All cells take about six minutes on a core that is free, and the models that are not there "
    "some 30 seconds each."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = COST
    cell_by_cell.add_only(parser, "offset/method")
    parser.add_argument(
        "--models",
        type=Path,
        default=beside(DETOX),
        metavar="FOLDER",
        help="folder of cells of `python -m helpers detox` (default: the one beside its own file)",
    )
    parser.add_argument(
        "--seeds",
        type=int,
        default=CHANGE_PLAN.seeds,
        help="tunings of every model (default: %(default)s)",
    )
    parser.add_argument(
        "--few",
        type=int,
        default=CHANGE_PLAN.few,
        help=f"tunings for some questions: {', '.join(FEW)} (default: %(default)s)",
    )
    cell_by_cell.add_results(parser, stored.CHANGES)


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    plan = ChangePlan(arguments.seeds, arguments.few)
    cell_by_cell.measure(
        arguments,
        results,
        change_cells(plan),
        lambda asked, folder, say: state.measure_changes(
            asked, plan, folder, arguments.models, say
        ),
        lambda folder, out: stored.write(plan, folder, out),
        lambda cell, folder: state.read(cell, plan, folder),
    )
    return 0

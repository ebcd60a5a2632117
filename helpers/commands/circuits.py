"""``python -m helpers circuits``: measure every method of circuit discovery on every task.

Every measurement is written as soon as it is made, and what is stored is not measured again, so the
command can be stopped and given again at any moment.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TextIO

from helpers.circuits.study import PLAN, TASKS, StudyPlan, growth, trials
from helpers.errors import LabError
from helpers.files import check_writable
from helpers.runtime import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", choices=TASKS, help="only this task")
    parser.add_argument(
        "--only",
        default="",
        metavar="KEY",
        help='only measurements whose key begins with this, such as "method/ioi/EAP"',
    )
    parser.add_argument(
        "--trials",
        type=int,
        default=PLAN.trials,
        help="number of repetitions (default: %(default)s)",
    )
    parser.add_argument(
        "--prompts",
        type=int,
        default=PLAN.prompts,
        help="clean prompts per trial (default: %(default)s)",
    )
    parser.add_argument(
        "--growth", type=Path, metavar="FILE", help="only time methods on models of 2 to 12 layers"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=trials.DATA,
        metavar="FILE",
        help="file to store in (default: the package's own)",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    if arguments.growth:
        check_writable(arguments.growth)
        timings = [growth.timed(layers) for layers in progress(growth.LAYERS, "models")]
        growth.write(timings, arguments.growth)
        return 0
    if arguments.trials < 1 or arguments.prompts < PLAN.graded:
        least = f"at least 1 trial and {PLAN.graded} prompts"
        raise LabError(f"expected {least}", f"got {arguments.trials} and {arguments.prompts}")
    plan = StudyPlan(arguments.trials, arguments.prompts)
    tasks = (arguments.task,) if arguments.task else TASKS
    say = partial(print, file=sys.stderr)
    trials.measure(arguments.out, tasks, plan, arguments.only, say)
    return 0

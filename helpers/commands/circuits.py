"""``python -m helpers circuits``: measure every method of circuit discovery on every task, and
store what was found.

Every measurement is written as soon as it is made, and what is stored is not measured again, so the
command can be stopped and given again at any moment.
"""

import argparse
import sys
from pathlib import Path

from helpers.circuits.study import growth, trials
from helpers.errors import LabError
from helpers.runtime import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", choices=trials.TASKS, help="only this task")
    parser.add_argument(
        "--only",
        default="",
        metavar="KEY",
        help='only keys that begin with this, such as "method/ioi/EAP"',
    )
    parser.add_argument(
        "--trials", type=int, default=trials.PLAN.trials, help="repetitions (default: %(default)s)"
    )
    parser.add_argument(
        "--prompts",
        type=int,
        default=trials.PLAN.prompts,
        help="clean prompts a trial (default: %(default)s)",
    )
    parser.add_argument(
        "--growth", type=Path, metavar="FILE", help="only time methods on models of 2 to 12 layers"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=trials.DATA,
        metavar="FILE",
        help="where to store (the package's own file)",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.growth:
        growth.write(
            [growth.timed(layers) for layers in progress(growth.LAYERS, "models")], arguments.growth
        )
        return 0
    if arguments.trials < 1 or arguments.prompts < trials.PLAN.graded:
        least = f"at least 1 trial and {trials.PLAN.graded} prompts"
        raise LabError(f"expected {least}", f"got {arguments.trials} and {arguments.prompts}")
    plan = trials.Plan(arguments.trials, arguments.prompts)
    tasks = (arguments.task,) if arguments.task else trials.TASKS
    trials.measure(
        arguments.out, tasks, plan, arguments.only, lambda line: print(line, file=sys.stderr)
    )
    return 0

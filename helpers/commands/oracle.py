"""``python -m helpers oracle``: what tinyworld-attn does with every subset of its heads, measured
and stored.

Each task with each ablation is written as soon as it is measured, and what is stored of the same
weights with the same settings is not measured again, so the command can be stopped and given again
at any moment.
"""

import argparse
import sys
import time
from pathlib import Path

from helpers import zoo
from helpers.circuits.oracle import every_subset as oracles
from helpers.circuits.oracle import stored
from helpers.circuits.oracle.stored import MEASURED, MODEL, settings_of, store
from helpers.circuits.tasks.tinyworld import CORRUPTIONS, twins
from helpers.errors import LabError
from helpers.model import Model
from helpers.tinyworld.sets import tasks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        action="append",
        choices=list(CORRUPTIONS),
        help="a task, again for each; all if left away",
    )
    parser.add_argument(
        "--prompts", type=int, default=64, help="pairs of a prompt and its twin (64)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="of the prompts (0); the prompts of the means have the next one",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=stored.DATA,
        metavar="FILE",
        help="where to store (the package's own file)",
    )


def run(arguments: argparse.Namespace) -> int:
    if arguments.prompts < 2:
        raise LabError(
            "expected at least 2 prompts, as intervals need them", f"got {arguments.prompts}"
        )
    stored.read(arguments.out)  # before any work: a damaged file is never written over
    model = zoo.load(MODEL, device="cpu")
    for task in arguments.task or CORRUPTIONS:
        for ablation in oracles.ABLATIONS:
            _measure(model, task, ablation, arguments)
    return 0


def _measure(model: Model, task: str, ablation: str, arguments: argparse.Namespace) -> None:
    name, asked = (
        f"{task}/{ablation}",
        settings_of(task, ablation, arguments.prompts, arguments.seed),
    )
    _, known = stored.read(arguments.out).get(name, ({}, {}))
    if {field: value for field, value in known.items() if field not in MEASURED} == asked:
        print(f"{name}: already stored", file=sys.stderr)
        return
    began = time.perf_counter()
    reference = tasks.prompts(task, asked["reference prompts"], asked["reference seed"])
    found = oracles.oracle(
        model, twins(task, arguments.prompts, arguments.seed), ablation, reference
    )
    seconds = time.perf_counter() - began
    store(found, asked | {"seconds": round(seconds, 1)}, arguments.out)
    print(f"{name}: measured in {seconds:.0f} s; stored in {arguments.out}", file=sys.stderr)

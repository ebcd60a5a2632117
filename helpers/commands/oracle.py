"""``python -m helpers oracle``: measure what tinyworld-attn does with every subset of its heads.

Each task with each ablation is written as soon as it is measured, and what is stored of the same
weights with the same settings is not measured again, so the command can be stopped and given again
at any moment.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import TextIO

from helpers import files, zoo
from helpers.circuits.oracle import ABLATIONS, exhaustive, stored
from helpers.circuits.tasks.tinyworld import CORRUPTIONS, twins
from helpers.errors import LabError
from helpers.interventions import Ablation
from helpers.model import Model
from helpers.tinyworld.sets import tasks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        action="append",
        choices=list(CORRUPTIONS),
        help="a task; give the option again for each further one (default: all)",
    )
    parser.add_argument(
        "--prompts", type=int, default=64, help="pairs of a prompt and its twin (default: 64)"
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="seed of the prompts; reference prompts have the next one (default: 0)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=stored.DATA,
        metavar="FILE",
        help="file to store in (default: the package's own)",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    if arguments.prompts < 2:
        raise LabError(
            "expected at least 2 prompts, as intervals need them", f"got {arguments.prompts}"
        )
    stored.read(arguments.out)  # before any work: a damaged file is never written over
    model = zoo.load(stored.MODEL, device="cpu")
    for task in arguments.task or CORRUPTIONS:
        for ablation in ABLATIONS:
            _measure(model, task, ablation, arguments)
    return 0


def _measure(model: Model, task: str, ablation: Ablation, arguments: argparse.Namespace) -> None:
    name = f"{task}/{ablation}"
    asked = stored.settings_of(task, ablation, arguments.prompts, arguments.seed)
    entry = stored.read(arguments.out).get(name)
    if entry and entry.asked == asked:
        print(f"{name}: already stored", file=sys.stderr)
        return
    files.check_writable(arguments.out)
    began = time.perf_counter()
    reference = tasks.prompts(task, asked["reference prompts"], asked["reference seed"])
    pairs = twins(task, arguments.prompts, arguments.seed)
    oracle = exhaustive.oracle(model, pairs, ablation, reference)
    seconds = time.perf_counter() - began
    stored.write(oracle, asked | {"seconds": round(seconds, 1)}, arguments.out)
    print(f"{name}: measured in {seconds:.0f} s; stored in {arguments.out}", file=sys.stderr)

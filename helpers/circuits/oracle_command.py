"""``python -m helpers oracle``: what tinyworld-attn does with every subset of its heads, measured and stored.

Each task with each ablation is written as soon as it is measured, and what is stored of the same weights with the same
settings is not measured again, so the command can be stopped and given again at any moment.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from helpers import zoo
from helpers.circuits import oracle as oracles
from helpers.circuits.subsets import Oracle
from helpers.circuits.tinyworld_twins import CORRUPTIONS, twins
from helpers.errors import LabError
from helpers.run_folder import save_atomically
from helpers.tinyworld import tasks

MODEL = "tinyworld-attn"
REFERENCE_PROMPTS = 128
MEASURED = ("metric", "heads", "largest error", "seconds", "digest")
"""What the settings of an entry say about its measurement; the rest says what was asked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", action="append", choices=list(CORRUPTIONS), help="a task, again for each; all if left away")
    parser.add_argument("--prompts", type=int, default=64, help="pairs of a prompt and its twin (64)")
    parser.add_argument("--seed", type=int, default=0, help="of the prompts (0); the prompts of the means have the next one")
    parser.add_argument("--out", type=Path, default=oracles.DATA, metavar="FILE", help="where to store (the package's own file)")


def run(arguments: argparse.Namespace) -> int:
    if arguments.prompts < 2:
        raise LabError("expected at least 2 prompts, as intervals need them", f"got {arguments.prompts}")
    oracles.read(arguments.out)  # before any work: a damaged file is never written over
    model = zoo.load(MODEL, device="cpu")
    for task in arguments.task or CORRUPTIONS:
        for ablation in oracles.ABLATIONS:
            _measure(model, task, ablation, arguments)
    return 0


def _measure(model, task: str, ablation: str, arguments: argparse.Namespace) -> None:
    name, asked = f"{task}/{ablation}", settings_of(task, ablation, arguments.prompts, arguments.seed)
    _, known = oracles.read(arguments.out).get(name, ({}, {}))
    if {field: value for field, value in known.items() if field not in MEASURED} == asked:
        print(f"{name}: already stored", file=sys.stderr)
        return
    began = time.perf_counter()
    reference = tasks.prompts(task, asked["reference prompts"], asked["reference seed"])
    found = oracles.oracle(model, twins(task, arguments.prompts, arguments.seed), ablation, reference)
    seconds = time.perf_counter() - began
    store(found, asked | {"seconds": round(seconds, 1)}, arguments.out)
    print(f"{name}: measured in {seconds:.0f} s; stored in {arguments.out}", file=sys.stderr)


def settings_of(task: str, ablation: str, prompts: int, seed: int) -> dict:
    """What is asked of an entry."""
    corruption = next(iter(CORRUPTIONS[task]))
    asked = {"model": MODEL, "sha256": zoo.entry(MODEL).sha256, "prompts": prompts, "seed": seed, "corruption": corruption}
    return asked | {"reference prompts": REFERENCE_PROMPTS, "reference seed": seed + 1, "ablation": ablation}


def store(found: Oracle, settings: dict, path: Path) -> None:
    """Add an oracle to a file, or put it in the place of an older one.

    The file is read again first: another process may have added to it.

    Raises:
        LabError: a damaged file, or one that cannot be written.
    """
    known, largest = oracles.read(path), float(found.error.max())
    tensors = {"mean": found.mean.float(), "error": (found.error / largest * 255).round().to(torch.uint8)}
    settings = settings | {"metric": found.metric, "heads": found.heads, "largest error": largest}
    settings |= {"digest": oracles.digest(**tensors, settings=settings)}
    known[f"{found.task}/{found.ablation}"] = tensors, settings
    flat = {f"{name}/{field}": value for name, (parts, _) in known.items() for field, value in parts.items()}
    save_atomically(flat, path, {name: json.dumps(settings, sort_keys=True) for name, (_, settings) in known.items()})

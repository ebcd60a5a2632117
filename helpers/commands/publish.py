"""``python -m helpers publish``: put a finished training run among the embedded models."""

import argparse
import sys
from pathlib import Path
from typing import TextIO

from helpers.zoo.publish import publish


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", help="the name under which the model is loaded; the run's recipe must have it too"
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a finished run")
    parser.add_argument(
        "--measured",
        type=Path,
        metavar="FILE",
        help="what `python -m helpers verify DIR --json`, or `python -m helpers skills DIR`, "
        "printed for these weights",
    )
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="checkpoints to ship with the model, rounded to eight bits",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    added = publish(arguments.name, arguments.folder, arguments.measured, arguments.steps)
    print(
        f"published {added.name}: {added.parameters} parameters, {added.bytes} bytes, "
        f"sha256 {added.sha256}",
        file=sys.stderr,
    )
    return 0

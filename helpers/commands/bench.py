"""``python -m helpers bench``: speed as ratios, both sides of each measured in one run."""

import argparse
import json
from dataclasses import asdict
from importlib import import_module
from typing import TextIO

from helpers.errors import LabError

BENCHES: dict[str, str] = {
    "threads": "helpers.zoo.bench",
    "verify": "helpers.arithmetic.verification.bench",
    "probes": "helpers.trust.probes.bench",
    "text": "helpers.tinyworld.models.bench",
    "circuits": "helpers.circuits.study.growth",
    "oracle": "helpers.circuits.oracle.bench",
    "masks": "helpers.knowledge.masks.bench",
    "sampling": "helpers.detox.networks.bench",
    "detox": "helpers.detox.finetune.bench",
}
"""Name of a benchmark: the module whose ``measure() -> list[Ratio]`` runs it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", nargs="?", help=f"one of {', '.join(BENCHES)}; without a name, all of them"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    if arguments.name is not None and arguments.name not in BENCHES:
        raise LabError(
            f"expected a benchmark among {', '.join(BENCHES)}", f"got {arguments.name!r}"
        )
    names = [arguments.name] if arguments.name else list(BENCHES)
    ratios = [ratio for name in names for ratio in import_module(BENCHES[name]).measure()]
    if arguments.json:
        print(json.dumps([asdict(ratio) for ratio in ratios]), file=results)
    else:
        for ratio in ratios:
            print(f"{ratio.name}: {ratio.ratio:.2f} x {ratio.other}", file=results)
            seconds = f"ours {ratio.ours_seconds:.3f} s, other {ratio.other_seconds:.3f} s"
            print(f"  {seconds}; {ratio.note}", file=results)
    return 0

"""``python -m helpers bench``: speed as ratios, both sides of each measured in one run.

A speed in seconds says little away from the machine it was measured on; a ratio travels. The two sides take turns
(A B A B …) and their medians are compared, so that a disturbance falls on both.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from statistics import median

from helpers.errors import LabError

BENCHES: dict[str, str] = {
    "verify": "helpers.arithmetic.bench",
    "probes": "helpers.trust.bench",
    "text": "helpers.tinyworld.bench",
    "circuits": "helpers.circuits.growth",
    "oracle": "helpers.circuits.bench",
}
"""Name of a benchmark: the module whose ``measure() -> list[Ratio]`` runs it."""


@dataclass(frozen=True)
class Ratio:
    """One comparison.

    Attributes:
        name: what is compared.
        ratio: other_seconds / ours_seconds; above 1 ours is faster.
        ours_seconds, other_seconds: medians for the same work.
        other: what ours is compared with.
        note: what the work was, and how it was counted.
    """

    name: str
    ratio: float
    ours_seconds: float
    other_seconds: float
    other: str
    note: str


def take_turns(ours: Callable[[], object], other: Callable[[], object], rounds: int = 5) -> tuple[float, float]:
    """Median seconds of two functions that run in turns, after one unmeasured call of each.

    >>> fast, slow = take_turns(lambda: None, lambda: time.sleep(0.01), rounds=3)
    >>> fast < slow
    True
    """
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds + 1):
        for side, function in enumerate((ours, other)):
            began = time.perf_counter()
            function()
            if turn:
                seconds[side].append(time.perf_counter() - began)
    return median(seconds[0]), median(seconds[1])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help=f"one of {', '.join(BENCHES)}; all of them if left away")
    parser.add_argument("--json", action="store_true", help="print a JSON list instead of a table")


def run(arguments: argparse.Namespace) -> int:
    if arguments.name is not None and arguments.name not in BENCHES:
        raise LabError(f"expected a benchmark among {', '.join(BENCHES)}", f"got {arguments.name!r}")
    names = [arguments.name] if arguments.name else list(BENCHES)
    ratios = [ratio for name in names for ratio in import_module(BENCHES[name]).measure()]
    if arguments.json:
        print(json.dumps([asdict(ratio) for ratio in ratios]))
    else:
        for ratio in ratios:
            print(f"{ratio.name}: {ratio.ratio:.2f} x {ratio.other}")
            print(f"  ours {ratio.ours_seconds:.3f} s, other {ratio.other_seconds:.3f} s; {ratio.note}")
    return 0

"""Speed as a ratio, both sides measured in one run.

A speed in seconds says little away from the machine it was measured on; a ratio travels. The two
sides take turns (A B A B …) and their medians are compared, so that a disturbance falls on both.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Ratio:
    """One comparison.

    Attributes:
        name: What is compared.
        ratio: Other_seconds / ours_seconds; above 1, ours is faster.
        ours_seconds, other_seconds: Medians for the same work.
        other: What ours is compared with.
        note: What the work was, and how it was counted.
    """

    name: str
    ratio: float
    ours_seconds: float
    other_seconds: float
    other: str
    note: str


def take_turns(
    ours: Callable[[], object], other: Callable[[], object], rounds: int = 5
) -> tuple[float, float]:
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

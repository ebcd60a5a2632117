"""Which test functions take long: stored, so that a quick run can leave them out.

``make test PYTEST=--store-seconds`` measures them anew. A function counts with all its parameters
and set-ups; one that was never measured counts as quick.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

STORED = Path(__file__).with_name("seconds.json")
LONG = 0.5
"""Seconds on one core from which on a test function is left out of ``make quick``."""


def function_of(nodeid: str) -> str:
    """The node of a test without its parameters and the group that distribution adds.

    >>> function_of("tests/test_stats.py::test_auroc[3-True]@tests/test_stats.py")
    'tests/test_stats.py::test_auroc'
    """
    return nodeid.split("[")[0].split("@")[0]


def long_functions() -> set[str]:
    """Functions that took at least `LONG` seconds when they were last measured."""
    if not STORED.is_file():
        return set()
    return set(json.loads(STORED.read_text(encoding="utf-8")))


def store(reports: Iterable[pytest.TestReport]) -> None:
    """Write the seconds of every function that takes long."""
    seconds: Counter[str] = Counter()
    for report in reports:
        seconds[function_of(report.nodeid)] += report.duration
    slowest = {name: round(value, 1) for name, value in sorted(seconds.items()) if value >= LONG}
    STORED.write_text(json.dumps(slowest, indent=1) + "\n", encoding="utf-8")

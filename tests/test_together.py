"""Tests that share fixtures run in one process: a file, a lab, all tests of the built book."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import together

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("nodeid", "unit"),
    [
        ("tests/files/test_atomic.py::test_a[x/y::z]", "tests/files/test_atomic.py"),
        ("helpers/stats.py::helpers.stats.auroc", "helpers/stats.py"),
        ("tests/book/test_pages.py::test_a", "tests/book"),
        ("tests/book/test_links.py::test_b[c]", "tests/book"),
        ("tests/labs/test_notebooks.py::test_a[lab3_trust]", "tests/labs/test_notebooks.py lab3"),
        ("tests/labs/test_notebooks.py::test_b", "tests/labs/test_notebooks.py"),
    ],
)
def test_what_belongs_together(nodeid, unit):
    assert together(nodeid) == unit


@pytest.mark.slow
def test_two_processes_share_no_file():
    files = ["tests/test_errors.py", "tests/test_timing.py", "tests/files/test_atomic.py"]
    clean = {name: value for name, value in os.environ.items() if "XDIST" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "2", "-v", *files],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    ran = re.findall(r"^\[(gw\d)\] \[ *\d+%\] PASSED ([\w/]+\.py)::", done.stdout, re.MULTILINE)
    workers = {file: {worker for worker, other in ran if other == file} for file in files}
    assert len(ran) > 20
    assert all(len(those) == 1 for those in workers.values()), workers
    assert len(set.union(*workers.values())) == 2

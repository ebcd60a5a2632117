"""Where a lab runs: what ``start`` prints and sets, and how the place is recognised."""

import json
import os
import random
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import runtime

pytestmark = pytest.mark.core
ROOT = str(Path(runtime.__file__).parents[1])
POLICY = "OMP_WAIT_POLICY"


def test_colab_is_known_by_its_module_and_by_nothing_else(monkeypatch):
    assert not runtime.in_colab()
    # protobuf alone makes such a namespace
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    assert not runtime.in_colab()
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert runtime.in_colab()


def test_start_says_device_versions_seed_and_time(monkeypatch, capsys):
    monkeypatch.setattr(runtime, "measured", lambda lab: runtime.Cost(100.0, 1126.4, 2))
    runtime.start("lab0", seed=7)
    said = capsys.readouterr().out
    assert "lab0" in said
    assert f"device {runtime.device()}" in said
    assert "seed 7" in said
    assert f"torch {torch.__version__.partition('+')[0]}" in said
    assert "expect about 2 min and 1.1 GiB of memory (measured on 2 CPU cores)" in said


def test_start_makes_what_a_reader_draws_reproducible(capsys):
    drawn = []
    for _ in range(2):
        runtime.start("lab0", seed=3)
        drawn.append((random.random(), float(np.random.rand()), float(torch.rand(()))))
    assert drawn[0] == drawn[1]


def test_start_names_a_missing_library_and_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(
        runtime, "versions", lambda: {"python": "3.13", "transformer-lens": "missing"}
    )
    runtime.start("lab0")
    assert "pip install transformer-lens" in capsys.readouterr().out


def test_a_lab_without_a_measurement_promises_nothing(tmp_path, monkeypatch, capsys):
    file = tmp_path / "measured.json"
    assert runtime.measured("lab0", file) is None
    file.write_text(json.dumps({"lab1": {"seconds": 60, "peak_mib": 500, "cores": 2}}))
    assert runtime.measured("lab0", file) is None
    assert runtime.measured("lab1", file) == runtime.Cost(60, 500, 2)
    monkeypatch.setattr(runtime, "measured", lambda lab: None)
    runtime.start("lab0")
    assert "expect" not in capsys.readouterr().out


def test_start_uses_no_more_threads_than_cores_and_keeps_what_the_user_set(monkeypatch, capsys):
    threads = torch.get_num_threads()
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "info")
    monkeypatch.setattr(runtime, "cores", lambda: 1)
    try:
        torch.set_num_threads(3)
        runtime.start("lab0")
        assert torch.get_num_threads() == 1
        monkeypatch.setattr(runtime, "cores", lambda: 64)
        runtime.start("lab0")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "info"


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000\n", 8), ("200000 100000\n", 2), ("150000 100000\n", 1), ("50000 100000\n", 1)],
)
def test_cores_heeds_a_containers_limit(monkeypatch, limit, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(runtime.Path, "read_text", lambda path: limit)
    assert runtime.cores() == expected


@pytest.mark.slow
def test_start_needs_neither_the_network_nor_the_heavy_libraries():
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise RuntimeError('network')\n"
        "socket.socket.connect = refuse\n"
        "from helpers import runtime\n"
        "runtime.start('lab0')\n"
        "heavy = {'transformers', 'transformer_lens', 'matplotlib', 'ipywidgets', 'jupytext'}\n"
        "loaded = heavy & set(sys.modules)\n"
        "sys.exit(str(loaded) if loaded else 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


LOADED = "import sys, types; sys.modules['torch'] = types.ModuleType('torch')"


def run_beside(policy: str | None, code: str, **more: str) -> subprocess.CompletedProcess:
    """Run a program in an environment where the user has set the policy, or has not."""
    environment = {name: value for name, value in os.environ.items() if name != POLICY}
    environment |= {"PYTHONPATH": ROOT, **more} | ({POLICY: policy} if policy else {})
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize(
    ("before", "given", "expected"),
    [("", None, "PASSIVE"), ("", "ACTIVE", "ACTIVE"), (LOADED, None, None)],
    ids=["before torch", "the user has set it", "torch is loaded"],
)
def test_the_package_asks_for_threads_that_sleep(before, given, expected):
    code = f"{before}\nimport os, sys, helpers\nprint(os.environ.get({POLICY!r}))"
    done = run_beside(given, code)
    assert (done.stdout, done.stderr) == (f"{expected}\n", "")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="there torch has another OpenMP")
@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_torchs_openmp_reads_the_policy(given, expected):
    """The library itself prints what it has read, while it loads."""
    done = run_beside(given, "from helpers import runtime", OMP_DISPLAY_ENV="TRUE")
    assert f"{POLICY} = '{expected}'" in done.stderr

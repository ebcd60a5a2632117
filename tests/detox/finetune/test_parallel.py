"""Two processes: the same numbers as in one, and a sentence for whatever ends one of them."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from helpers import runtime
from helpers.detox.finetune import iterations, parallel, tune, tune_parallel
from helpers.errors import LabError
from tests.detox.finetune import toys

PLAN = replace(toys.PLAN, adaptive=0.3, iterations=3)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """The machine of a test may have one."""
    monkeypatch.setattr(runtime, "cores", lambda: 2)


def arguments(**changes):
    return toys.base(), toys.corpus(), replace(PLAN, **changes), toys.oracle()


def test_two_processes_give_the_numbers_of_the_stale_scheme_in_one(monkeypatch, tmp_path):
    alone = tune(*arguments(stale=True), scorer=toys.allowed)

    def nothing_here(**work):
        raise AssertionError("this process makes no target")

    monkeypatch.setattr(iterations, "new_target", nothing_here)
    monkeypatch.setattr(parallel, "new_target", nothing_here)
    beside = tune_parallel(*arguments(), folder=tmp_path, scorer=toys.allowed)
    assert toys.apart(alone.network, beside.network) < 1e-6
    assert toys.apart(alone.oracle.network, beside.oracle.network) < 1e-6
    for ours, other in zip(beside.losses, alone.losses, strict=True):
        assert ours.kl == pytest.approx(other.kl, abs=1e-6)
        assert ours.kl_weight == pytest.approx(other.kl_weight, abs=1e-6)
    assert min(beside.seconds.values()) > 0
    # what one of the two ways has begun, the other can go on with
    resumed = tune(*arguments(stale=True), folder=tmp_path, scorer=toys.allowed)
    assert toys.apart(alone.network, resumed.network) < 1e-6


def test_a_process_that_is_killed_gives_a_sentence_and_is_gone(monkeypatch):
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(
        parallel.subprocess, "Popen", lambda *a, **k: started.append(popen(*a, **k)) or started[-1]
    )

    def kill(run):
        if run.step == 3:
            os.kill(started[0].pid, signal.SIGKILL)

    with pytest.raises(LabError, match="expected the process that fits the oracle to answer"):
        tune_parallel(*arguments(), scorer=toys.allowed, on_step=kill)
    assert started[0].returncode == -signal.SIGKILL


def test_what_goes_wrong_in_the_other_process_is_said_here():
    with pytest.raises(LabError, match="expected the scorer's answers"):
        tune_parallel(*arguments(), scorer=toys.nan)
    with pytest.raises(LabError, match="expected a scorer that another process can import"):
        tune_parallel(*arguments(), scorer=lambda tokens: toys.allowed(tokens))


def test_one_core_is_no_place_for_two_processes(monkeypatch):
    monkeypatch.setattr(runtime, "cores", lambda: 1)
    with pytest.raises(LabError, match="expected two cores for two processes"):
        tune_parallel(*arguments(), scorer=toys.allowed)


SCRIPT = """
import sys
from pathlib import Path
from helpers import runtime
from helpers.detox.finetune import tune_parallel
from tests.detox.finetune import test_parallel, toys
runtime.cores = lambda: 2
def told(run):
    print(run.step, flush=True)
    if run.step == 3:
        sys.stdin.read()
arguments, folder = test_parallel.arguments(), Path(sys.argv[1])
tune_parallel(*arguments, folder=folder, scorer=toys.allowed, on_step=told)
"""


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for processes in /proc")
def test_a_kill_ends_both_processes_and_costs_no_number(tmp_path):
    """The script has no guard for a main program, and is killed in mid-iteration."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with script:
        for _ in range(3):
            assert script.stdout.readline()
        children = children_of(script.pid)
        script.kill()
    assert len(children) == 1
    assert gone(children[0])
    found = tune(*arguments(stale=True), folder=tmp_path, scorer=toys.allowed)
    whole = tune(*arguments(stale=True), scorer=toys.allowed)
    assert toys.apart(found.network, whole.network) < 1e-6


def children_of(parent: int) -> list[int]:
    with open(f"/proc/{parent}/task/{parent}/children") as file:
        return [int(pid) for pid in file.read().split()]


def gone(pid: int) -> bool:
    for _ in range(200):
        if not os.path.isdir(f"/proc/{pid}"):
            return True
        with open(f"/proc/{pid}/stat") as file:
            if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        time.sleep(0.1)
    return False

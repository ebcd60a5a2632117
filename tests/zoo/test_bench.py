"""The benchmark of threads: its processes differ in the policy alone, and none outlives it."""

import subprocess
import sys

import pytest

from helpers.zoo import bench


def test_busy_processes_run_until_the_end_and_no_longer():
    with bench.busy_processes(2) as processes:
        assert len({process.pid for process in processes}) == 2
        assert all(process.poll() is None for process in processes)
    assert all(process.returncode for process in processes)


def test_busy_processes_are_killed_when_the_work_fails():
    with pytest.raises(KeyError), bench.busy_processes(1) as processes:
        raise KeyError
    assert processes[0].returncode


def test_a_busy_process_ends_when_its_parent_has_gone():
    command = [sys.executable, "-c", bench.BUSY, "1"]  # not the parent of anything here
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_a_side_has_its_policy_and_all_cores(monkeypatch):
    seen = "import os\nfor _ in range(2): input(); print('go')\nprint(os.environ.get('%s'))"
    monkeypatch.setattr(bench, "SIDE", seen % bench.POLICY)
    monkeypatch.setenv(bench.POLICY, "ACTIVE")
    for policy in ("PASSIVE", None):
        with bench.side(policy, "add-d3", 1) as process:
            bench.ask(process)
            assert process.stdout.readline() == f"{policy}\n"


def test_a_side_that_has_ended_is_noticed(monkeypatch):
    monkeypatch.setattr(bench, "SIDE", "input()")
    with pytest.raises(RuntimeError, match="has ended"), bench.side(None, "add-d3", 1):
        pass


@pytest.mark.slow
def test_each_ratio_is_of_the_seconds_beside_it():
    ratios = bench.measure("add-d3", passes=1, rounds=1)
    assert [ratio.name.partition(", ")[2][:6] for ratio in ratios] == ["as the", "beside"]
    for ratio in ratios:
        assert ratio.ratio == pytest.approx(ratio.other_seconds / ratio.ours_seconds)

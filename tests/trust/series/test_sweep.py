"""A sweep over checkpoints: the same numbers on every backend, whatever is killed on the way."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.texts import LabelledSet
from helpers.trust.series import activations, sources, streaming, sweep
from tests.trust import tiny

SET = LabelledSet("animals", tiny.TEXTS, np.array([True, False, True, False]), ("a", "b", "c", "d"))
STEPS = (0, 4, 16, 64)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("made") / "neox"
    for step in STEPS:
        tiny.save(tiny.neox(seed=step, n_layers=2), root / f"step{step}")
    return root


@pytest.fixture
def checkpoints(made, tmp_path) -> sources.Series:
    """A series in a folder that a test may spoil."""
    return sources.folders(shutil.copytree(made, tmp_path / "neox"))


@pytest.fixture(scope="module")
def expected(made) -> list[np.ndarray]:
    """A plain loop, with one torch thread."""
    threads, found = torch.get_num_threads(), sources.folders(made)
    torch.set_num_threads(1)
    models = [found.load(step) for step in STEPS]
    vectors = [
        activations.last_token(model, *activations.encode(model, SET.texts)).numpy()
        for model in models
    ]
    torch.set_num_threads(threads)
    return vectors


def noted(folder: Path, seconds: float, model, step: int) -> dict:
    """Leave a mark at each start, wait, and return activations and the number of torch threads."""
    (folder / f"{step}-{os.getpid()}-{time.monotonic_ns()}").touch()
    time.sleep(seconds)
    ids, lengths = activations.encode(model, SET.texts)
    return {
        "animals": activations.last_token(model, ids, lengths),
        "threads": torch.get_num_threads(),
        "step": step,
    }


def starts(folder: Path) -> list[int]:
    """The step of each start that was noted, in order."""
    return [
        int(file.name.split("-")[0])
        for file in sorted(folder.iterdir(), key=lambda file: int(file.name.split("-")[2]))
    ]


@pytest.fixture
def marks(tmp_path) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


def same(found: sweep.Swept, expected: list[np.ndarray]) -> bool:
    return found.steps == STEPS and all(
        np.array_equal(result["animals"], vectors)
        for result, vectors in zip(found, expected, strict=True)
    )


WITH_PROCESSES = [pytest.param(name, marks=pytest.mark.slow) for name in ("joblib", "dask")]


@pytest.mark.parametrize("backend", ["serial", *WITH_PROCESSES])
def test_every_backend_gives_the_numbers_of_a_plain_loop(backend, checkpoints, expected, marks):
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    found = sweep.sweep(checkpoints, work=partial(noted, marks, 0.0), backend=backend, n_jobs=2)
    after = torch.get_num_threads()
    torch.set_num_threads(threads)
    assert same(found, expected)
    assert [int(result["step"]) for result in found] == list(STEPS)
    assert {int(result["threads"]) for result in found} == {1}
    assert found.digests == tuple(checkpoints.digest(step) for step in STEPS)
    assert found.notes == ()
    assert after == 2, "the caller's own threads are as before"
    processes = {file.name.split("-")[1] for file in marks.iterdir()}
    assert (str(os.getpid()) in processes) == (backend == "serial")


def test_sets_alone_give_their_activations(checkpoints, expected):
    found = sweep.sweep(checkpoints, (SET,), backend="serial")
    assert same(found, expected)
    assert np.array_equal(found.stack("animals"), np.stack(expected))
    assert found[1]["animals"].shape == (3, len(SET), 32)
    half = sweep.sweep(
        checkpoints.only((0,)),
        work=sweep.LastTokens((SET,), dtype=torch.bfloat16),
        backend="serial",
    )
    assert half[0]["animals"].dtype == np.float32
    np.testing.assert_allclose(
        half[0]["animals"], expected[0], atol=0.05 * np.abs(expected[0]).max()
    )
    assert not np.array_equal(half[0]["animals"], expected[0])


def test_one_job_is_serial(checkpoints, marks):
    found = sweep.sweep(checkpoints, work=partial(noted, marks, 0.0), backend="joblib", n_jobs=1)
    assert {file.name.split("-")[1] for file in marks.iterdir()} == {str(os.getpid())}
    assert {int(result["threads"]) for result in found} == {1}


@pytest.mark.slow
def test_a_lost_worker_costs_its_checkpoint_and_nothing_else(checkpoints, expected, marks):
    """Two workers on this machine; one is killed at work, and dask starts another in its place."""
    from dask.distributed import Client, LocalCluster

    killed = []

    def begun() -> list[list[str]]:
        found = [file.name.split("-") for file in marks.iterdir()]
        return sorted(found, key=lambda mark: int(mark[2]))

    def kill_the_second_to_start() -> None:
        """At its first checkpoint: another would be lost with it, if it had done one already."""
        deadline = time.monotonic() + 120
        while len({process for _, process, _ in begun()}) < 2:
            assert time.monotonic() < deadline, "a second worker never began"
            time.sleep(0.02)
        marked = begun()
        step, process, _ = [mark for mark in marked if mark[1] != marked[0][1]][-1]
        os.kill(int(process), signal.SIGKILL)
        killed.append((int(step), int(process)))

    options = {
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": None,
        "host": "127.0.0.1",
    }
    with LocalCluster(n_workers=2, **options) as cluster, Client(cluster) as client:
        workers = set(client.run(os.getpid).values())
        assert len(workers) == 2
        killer = threading.Thread(target=kill_the_second_to_start)
        killer.start()
        found = sweep.sweep(
            checkpoints, work=partial(noted, marks, 0.5), backend="dask", cluster=client
        )
        killer.join()
        assert client.status == "running", "a client that was brought stays open"
    [(step, process)] = killed
    assert process in workers
    assert starts(marks).count(step) == 2, "its checkpoint was begun again"
    assert sorted(starts(marks)) == sorted([*STEPS, step]), "and no other"
    assert same(found, expected)


def test_an_address_is_a_cluster(checkpoints, expected):
    from dask.distributed import LocalCluster

    with LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster:
        for given in (cluster, cluster.scheduler_address):
            found = sweep.sweep(checkpoints.only((0,)), (SET,), backend="dask", cluster=given)
            assert np.array_equal(found[0]["animals"], expected[0])
        assert cluster.status.name == "running"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "no address"])
def test_a_scheduler_that_does_not_answer_is_named(address, checkpoints):
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "200ms"}),
        pytest.raises(LabError, match=f"a dask scheduler that answers; got none at '{address}'"),
    ):
        sweep.sweep(checkpoints.only((0,)), (SET,), backend="dask", cluster=address)


# stored results

SCRIPT = """
import sys
from functools import partial
from pathlib import Path
from helpers.trust.series import sources, sweep
from tests.trust.series.test_sweep import noted

if __name__ == "__main__":
    folder, marks, results, backend = sys.argv[1:]
    work = partial(noted, Path(marks), 0.6)
    series = sources.folders(folder)
    sweep.sweep(series, work=work, backend=backend, n_jobs=2, folder=results)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["serial", "joblib"])
def test_a_killed_sweep_goes_on_where_it_stopped(backend, checkpoints, expected, marks, tmp_path):
    results = tmp_path / "results"
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    root = str(Path(__file__).resolve().parents[3])
    process = subprocess.Popen(
        [sys.executable, str(script), str(checkpoints.folder), str(marks), str(results), backend],
        env=os.environ | {"PYTHONPATH": root},
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while not list(results.glob("neox-*.safetensors")):
        assert process.poll() is None, "it ended before it stored anything"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {int(file.name.split("-")[1]) for file in results.glob("neox-*.safetensors")}
    assert 0 < len(done) < len(STEPS)
    before = len(starts(marks))
    work = partial(noted, marks, 0.6)
    found = sweep.sweep(checkpoints, work=work, backend=backend, n_jobs=2, folder=results)
    assert set(starts(marks)[before:]) == set(STEPS) - done, "only what was missing is computed"
    assert same(found, expected)
    again = sweep.sweep(checkpoints, work=work, backend=backend, n_jobs=2, folder=results)
    assert len(starts(marks)) == before + len(STEPS) - len(done)
    assert same(again, expected)


def test_a_damaged_result_is_computed_anew_and_noted(checkpoints, expected, marks, tmp_path):
    work, options = (
        partial(noted, marks, 0.0),
        {"backend": "serial", "folder": tmp_path / "results"},
    )
    sweep.sweep(checkpoints, work=work, **options)
    [file] = (tmp_path / "results").glob("neox-00000016-*.safetensors")
    file.write_bytes(file.read_bytes()[:-7])
    found = sweep.sweep(checkpoints, work=work, **options)
    assert starts(marks) == [*STEPS, 16]
    assert found.notes == ("step 16: the stored result was damaged and is computed anew",)
    assert same(found, expected)
    assert sweep.sweep(checkpoints, work=work, **options).notes == ()


def test_changed_weights_work_sets_or_versions_are_computed_anew(checkpoints, marks, tmp_path):
    options = {"backend": "serial", "folder": tmp_path / "results"}
    work = partial(noted, marks, 0.0)
    sweep.sweep(checkpoints, work=work, **options)
    tiny.save(tiny.neox(seed=99, n_layers=2), checkpoints.folder / "step4")
    changed = sweep.sweep(checkpoints, work=work, **options)
    assert starts(marks)[4:] == [4]
    assert changed.digests[1] == checkpoints.digest(4)
    sweep.sweep(checkpoints, work=partial(noted, marks, 0.001), **options)
    sweep.sweep(checkpoints, (SET,), work=work, **options)
    sweep.sweep(checkpoints, work=work, version="2", **options)
    assert len(starts(marks)) == 5 + 3 * len(STEPS)
    sweep.sweep(checkpoints, work=work, **options)
    assert len(starts(marks)) == 5 + 3 * len(STEPS)


def test_without_a_folder_nothing_is_stored(checkpoints, marks, tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    for _ in range(2):
        sweep.sweep(checkpoints, work=partial(noted, marks, 0.0), backend="serial")
    assert len(starts(marks)) == 2 * len(STEPS)
    assert not (tmp_path / "cache").exists()


# duplicates


def test_duplicates_are_refused_before_any_work(checkpoints, marks):
    shutil.copytree(checkpoints.folder / "step0", checkpoints.folder / "step1")
    found = sources.folders(checkpoints.folder)
    with pytest.raises(LabError, match="steps 0 and 1 hold the same weights"):
        sweep.sweep(found, work=partial(noted, marks, 0.0), backend="serial")
    assert starts(marks) == []
    dropped = sweep.sweep(
        found, work=partial(noted, marks, 0.0), backend="serial", allow_duplicates=True
    )
    assert dropped.steps == STEPS
    assert dropped.notes == ("steps 0 and 1 hold the same weights: 1 is left out",)


def test_streamed_duplicates_are_found_on_the_way_and_cost_no_second_download(
    made, marks, tmp_path, monkeypatch
):
    asked = []

    def download(repository: str, revision: str, folder: Path) -> None:
        asked.append(revision)
        shutil.copytree(
            made / {"step1": "step0"}.get(revision, revision), folder, dirs_exist_ok=True
        )

    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(streaming, "download", download)
    found, options = (
        sources.pythia(steps=(0, 1, 4)),
        {"backend": "serial", "folder": tmp_path / "results"},
    )
    work = partial(noted, marks, 0.0)
    with pytest.raises(LabError, match="of pythia-70m; steps 0 and 1 hold the same weights"):
        sweep.sweep(found, work=work, **options)
    dropped = sweep.sweep(found, work=work, allow_duplicates=True, **options)
    assert dropped.steps == (0, 4)
    assert asked == ["step0", "step1", "step4"], "one download a checkpoint, over both sweeps"
    assert starts(marks) == [0, 1, 4]


# bad input


def broken(folder: Path, step: int) -> None:
    model = tiny.neox(seed=5, n_layers=2)
    with torch.no_grad():
        model.base_model.layers[1].mlp.dense_4h_to_h.bias[0] = float("nan")
    tiny.save(model, folder / f"step{step}")


@pytest.mark.parametrize("backend", ["serial", WITH_PROCESSES[0]])
def test_nan_activations_name_the_checkpoint_and_the_layer(backend, checkpoints):
    broken(checkpoints.folder, 16)
    with pytest.raises(
        LabError,
        match=r"neox at step 16: expected finite activations.*layer index 2 .*in 4 of 4 texts",
    ):
        sweep.sweep(checkpoints, (SET,), backend=backend, n_jobs=2)


def test_a_fault_keeps_what_was_done(checkpoints, marks, tmp_path):
    options = {
        "work": partial(noted, marks, 0.0),
        "backend": "serial",
        "folder": tmp_path / "results",
    }
    broken(checkpoints.folder, 64)
    with pytest.raises(LabError, match="at step 64"):
        sweep.sweep(checkpoints, **options)
    tiny.save(tiny.neox(seed=64, n_layers=2), checkpoints.folder / "step64")
    assert len(sweep.sweep(checkpoints, **options)) == len(STEPS)
    assert starts(marks) == [*STEPS, 64]


def test_a_tokenizer_of_another_model_is_refused(checkpoints):
    tiny.tokenizer((*tiny.WORDS, "zebra")).save_pretrained(checkpoints.folder / "step4")
    zebras = LabelledSet("zebras", ("the zebra", "the cat"), np.array([True, False]), ("a", "b"))
    with pytest.raises(LabError, match="at step 4: expected token ids from 0 to 15"):
        sweep.sweep(checkpoints.only((4,)), (zebras,), backend="serial")
    with pytest.raises(
        LabError,
        match="at step 0: expected words that the model's tokenizer knows; text 0 has 'zebra'",
    ):
        sweep.sweep(checkpoints.only((0,)), (zebras,), backend="serial")


@pytest.mark.parametrize("options", [{"backend": "spark"}, {"backend": "joblib", "n_jobs": 0}])
def test_unknown_options_are_refused(checkpoints, options):
    with pytest.raises(LabError, match="a backend among serial, joblib, dask and n_jobs from 1"):
        sweep.sweep(checkpoints, (SET,), **options)


def test_nothing_to_do_is_refused(checkpoints):
    with pytest.raises(LabError, match="sets or a work"):
        sweep.sweep(checkpoints, backend="serial")


def test_a_work_that_returns_no_numbers_is_refused(checkpoints):
    with pytest.raises(LabError, match="neox at step 0: expected the work to return"):
        sweep.sweep(checkpoints, work=lambda model, step: {"a": "text"}, backend="serial")


def test_without_dask_the_extra_is_named(checkpoints, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with pytest.raises(LabError, match=r"not installed\n.*\[scale\]"):
        sweep.sweep(checkpoints, (SET,), backend="dask")


def die(model, step: int) -> dict:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


@pytest.mark.slow
def test_a_killed_joblib_worker_gives_one_clear_message(checkpoints):
    with pytest.raises(LabError, match="one of joblib's was killed"):
        sweep.sweep(checkpoints, work=die, backend="joblib", n_jobs=2)


def test_results_of_different_shapes_cannot_be_stacked(checkpoints):
    found = sweep.sweep(
        checkpoints, work=lambda model, step: {"a": np.zeros(step + 1)}, backend="serial"
    )
    with pytest.raises(LabError, match="'a' of one shape at every step"):
        found.stack("a")
    with pytest.raises(LabError, match="there are a"):
        found.stack("b")


def test_progress_is_shown(checkpoints, capsys):
    sweep.sweep(checkpoints, (SET,), backend="serial")
    assert "sweep neox: 100%" in capsys.readouterr().err

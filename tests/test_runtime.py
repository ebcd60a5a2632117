"""Where a lab runs: what ``start`` prints and sets, and how the place is recognised."""

import io
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
from helpers.errors import LabError

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


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_start_can_be_read_on_any_terminal(monkeypatch, encoding):
    shown = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", shown)
    runtime.start("lab0")
    shown.flush()
    said = shown.buffer.getvalue().decode(encoding)
    assert said.startswith(f"lab0 {'-' if encoding == 'ascii' else '·'} helpers")


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


ABSENT = ("cuda:77", "nonsense", "meta", "cpu:-1", "xla", "hpu", "vulkan", "lazy", " ")
ABSENT += () if torch.cuda.is_available() else ("cuda",)
ABSENT += () if torch.backends.mps.is_available() else ("mps",)


@pytest.mark.parametrize("name", ABSENT)
def test_a_device_that_does_not_answer_is_a_sentence(name, monkeypatch):
    from helpers import zoo

    monkeypatch.setenv("LAB_DEVICE", name)
    for ask in (runtime.device, lambda: runtime.start("lab0"), lambda: zoo.load("add-d3")):
        with pytest.raises(LabError, match="expected a device that answers") as refused:
            ask()
        assert repr(name) in str(refused.value)
    monkeypatch.delenv("LAB_DEVICE")
    with pytest.raises(LabError, match="expected a device that answers"):
        zoo.load("add-d3", device=name)


@pytest.mark.parametrize("name", ["cpu", "cpu:0"])
def test_a_device_that_answers_is_taken(name, monkeypatch):
    monkeypatch.setenv("LAB_DEVICE", name)
    assert runtime.device() == name


def test_the_environment_is_read_in_one_place_each():
    """So that what guards a device, a cache or a path with ``~`` guards every use of it."""
    texts = {path: path.read_text(encoding="utf-8") for path in Path(ROOT).glob("helpers/**/*.py")}
    only = {
        'environ.get("LAB_DEVICE")': "runtime.py",
        'environ.get("LAB_CACHE")': "runtime.py",
        'environ.get("LAB_WEIGHTS")': "manifest.py",
        "expanduser(": "runtime.py",
    }
    for text, place in only.items():
        assert [path.name for path in texts if text in texts[path]] == [place], text
    assert not [path for path in texts if "Path.home" in texts[path]]


def homeless(monkeypatch) -> None:
    """As for a user whom the system does not know: nothing stands in the place of ``~``."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("LAB_CACHE", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)


def test_without_a_home_the_cache_and_a_path_with_a_tilde_are_sentences(monkeypatch, tmp_path):
    from helpers import zoo
    from helpers.tinyworld.models import measure

    homeless(monkeypatch)
    with pytest.raises(LabError, match=r"home folder in place of ~ in ~/\.cache(.|\n)*LAB_CACHE"):
        runtime.cache_dir()
    for ask in (zoo.load, measure.history):
        with pytest.raises(LabError, match="expected a home folder in place of ~ in ~/x"):
            ask("~/x")
    monkeypatch.setenv("LAB_WEIGHTS", "~/weights")
    with pytest.raises(LabError, match="expected a home folder in place of ~ in ~/weights"):
        zoo.names()
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    assert runtime.cache_dir() == tmp_path / "cache"


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user"
)
def test_a_user_whom_the_system_does_not_know():
    """A whole process that becomes such a user after it has imported what it needs."""
    code = (
        "import os, sys\n"
        "from helpers import runtime, zoo\n"
        "from helpers.commands import doctor\n"
        "from helpers.errors import LabError\n"
        "os.setgid(54321), os.setuid(54321)\n"
        "os.environ.pop('HOME', None), os.environ.pop('LAB_CACHE', None)\n"
        "for ask in (runtime.cache_dir, lambda: zoo.load('~/x')):\n"
        "    try: ask()\n"
        "    except LabError as fault: print('refused:', fault)\n"
        "print(doctor.cache())\n"
    )
    done = run_beside(None, code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused: expected a home folder in place of ~") == 2
    assert "FAULT  expected a home folder" in done.stdout


def test_a_cache_that_cannot_be_made_is_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LabError, match=r"expected the cache folder(.|\n)*set LAB_CACHE"):
        runtime.cache_dir()


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


def test_freed_memory_is_given_back_where_the_c_library_can(monkeypatch):
    trimmed = []
    glibc = types.SimpleNamespace(malloc_trim=trimmed.append)
    for platform, library in (("linux", glibc), ("linux", object()), ("win32", None)):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr("ctypes.CDLL", lambda name, library=library: library)
        runtime.release_memory()
    assert trimmed == [0], "once, and no error where there is no such function"

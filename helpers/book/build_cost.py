"""What it costs to build the book from nothing: seconds, and the memory of all processes."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from helpers.errors import LabError, optional

INTERVAL = 0.2
"""Seconds between two looks at the memory; a peak shorter than this can be missed."""


def build_command(root: Path, out: Path) -> list[str]:
    """The command that builds the book into ``out/_build``, with every warning an error."""
    options = ["--warningiserror", "--nitpick", "--keep-going", "--path-output", str(out)]
    # the module does nothing when run with -m
    start = "from jupyter_book.cli.main import main; main()"
    return [sys.executable, "-c", start, "build", *options, str(root)]


def measure_build(root: Path) -> tuple[float, float]:
    """Build the book into a temporary folder, without any stored result.

    Returns:
        Wall-clock seconds, and the peak of the resident memory of all processes together, in MiB.

    Raises:
        LabError: The book did not build.
    """
    with tempfile.TemporaryDirectory() as out, tempfile.TemporaryFile("w+") as log:
        started = time.perf_counter()
        builder = subprocess.Popen(
            build_command(root, Path(out)), stdout=log, stderr=subprocess.STDOUT, cwd=root
        )
        peak = 0.0
        while builder.poll() is None:
            peak = max(peak, _resident(builder.pid))
            time.sleep(INTERVAL)
        seconds = time.perf_counter() - started
        if builder.returncode or not (Path(out) / "_build" / "html" / "index.html").exists():
            log.seek(0)
            raise LabError(
                "expected the book to build",
                f"the build says: …{log.read()[-2000:]}",
                hint="make book",
            )
    return seconds, peak


def _resident(process_id: int) -> float:
    """Resident memory of a process and its descendants, in MiB; shared pages count for each."""
    with optional("book"):
        import psutil

    total = 0
    try:
        parent = psutil.Process(process_id)
        family = [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        try:
            total += process.memory_info().rss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended between the two looks
    return total / 2**20

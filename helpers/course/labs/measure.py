"""Measure a lab: run its solution notebook in a process of its own, and store seconds and peak
memory.

The file ``helpers/data/measured.json`` holds ``{"lab0": {"seconds": 31.2, "peak_mib": 810.0,
"cores": 2}}``.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from helpers import runtime
from helpers.course.labs import execute, folder, source
from helpers.errors import LabError


def measure_all(root: Path) -> None:
    """Run every lab of the book and store what each cost.

    Raises:
        LabError: a lab did not run to its end; its error is part of the message.
    """
    file = root / "helpers" / "data" / "measured.json"
    costs = {}
    for path in folder.lab_files(root):
        costs[folder.load(path).name] = measure(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(costs, indent=2) + "\n", encoding="utf-8")


def measure(path: Path) -> dict[str, float]:
    """Seconds (imports included), peak memory and CPU cores of one lab, run in a fresh process."""
    command = [sys.executable, "-m", "helpers.course.labs.measure", str(path)]
    started = time.perf_counter()
    done = subprocess.run(
        command,
        env=os.environ | {"MPLBACKEND": "agg"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LabError(f"expected {path.name} to run to its end", "see the error above")
    peak = json.loads(done.stdout.splitlines()[-1])
    return {
        "seconds": round(time.perf_counter() - started, 1),
        "peak_mib": round(peak, 1),
        "cores": runtime.cores(),
    }


def _child(path: Path) -> int:
    import resource  # not on Windows, where nobody measures

    lab = folder.load(path)
    run = execute.run_notebook(source.solution_notebook(lab), lab.name)
    for failure in run.failures:
        print(failure.traceback, file=sys.stderr)
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit))
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1])))

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
from helpers.files import write_atomically
from helpers.output import results_only


def measure_all(root: Path) -> None:
    """Run every lab of the book and store what each cost.

    Raises:
        LabError: a lab did not run to its end; its error is part of the message.
    """
    costs = {}
    for path in folder.lab_files(root):
        costs[folder.load(path).name] = measure(path)
    write_atomically(json.dumps(costs, indent=2) + "\n", costs_file(root))


def costs_file(root: Path) -> Path:
    """Where the costs of the labs are stored."""
    return root / "helpers" / "data" / "measured.json"


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

    with results_only() as results:
        lab = folder.load(path)
        run = execute.run_notebook(source.solution_notebook(lab), lab.name)
        for failure in run.failures:
            print(failure.traceback, file=sys.stderr)
        unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        print(json.dumps(peak), file=results)
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(_child(Path(sys.argv[1])))

"""Speed of forward passes while torch's threads sleep as they wait, against threads that spin.

OpenMP reads how its threads shall wait when torch loads, so each side runs in a process of its own.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import torch

from helpers import runtime
from helpers.output import results_only
from helpers.timing import Ratio, take_turns
from helpers.zoo.loading import load

POLICY = "OMP_WAIT_POLICY"
QUESTIONS = 256
SIDE = "import sys, torch; from helpers.zoo import bench; bench.answer(*sys.argv[1:])"
"""Program of a side. It loads torch first; else the package would set the policy."""
BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"
"""Program that keeps a core busy until it is killed, or its parent has gone."""


def measure(model: str = "add-d5", passes: int = 10, rounds: int = 3) -> list[Ratio]:
    """The two ratios of ``bench threads``: on the machine as it is, and with every core busy."""
    cores = runtime.cores()
    places = {"as the machine is": 0, f"beside {cores} busy processes": cores}
    ratios = []
    for place, busy in places.items():
        with (
            side("PASSIVE", model, passes) as ours,
            side(None, model, passes) as other,
            busy_processes(busy),
        ):
            sleeping, spinning = take_turns(partial(ask, ours), partial(ask, other), rounds)
        ratios.append(
            Ratio(
                name=f"threads: forward passes, {place}",
                ratio=spinning / sleeping,
                ours_seconds=sleeping,
                other_seconds=spinning,
                other="threads that spin while they wait",
                note=f"{passes} passes of {model} over {QUESTIONS} questions with {cores} threads; "
                f"ours with {POLICY}=PASSIVE",
            )
        )
    return ratios


@contextmanager
def side(policy: str | None, model: str, passes: int) -> Iterator[subprocess.Popen]:
    """A process that runs forward passes on demand, under a policy or under OpenMP's own."""
    environment = os.environ | {"OMP_NUM_THREADS": str(runtime.cores())}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    environment.pop(POLICY, None)
    if policy:
        environment[POLICY] = policy
    with _killed_at_the_end(SIDE, model, str(passes), env=environment) as process:
        ask(process)  # until it has loaded
        yield process


def ask(process: subprocess.Popen) -> None:
    """Let a side run its passes, and wait for the end of them.

    Raises:
        RuntimeError: The process has ended.
    """
    orders, answers = process.stdin, process.stdout
    assert orders is not None, "a side has pipes"
    assert answers is not None, "a side has pipes"
    orders.write("go\n")
    orders.flush()
    if answers.readline() != "go\n":
        raise RuntimeError("a side of the benchmark has ended; its message stands above")


def answer(model: str, passes: str) -> None:
    """The work of a side: for each line that comes in, run the passes, then send the line back."""
    with results_only():
        bridge = load(model, device="cpu")
    generator = torch.Generator().manual_seed(0)
    shape = (QUESTIONS, bridge.cfg.n_ctx)
    tokens = torch.randint(bridge.cfg.d_vocab, shape, generator=generator)
    for line in sys.stdin:
        with results_only() as results:
            with torch.no_grad():
                for _ in range(int(passes)):
                    bridge(tokens)
            print(line, end="", file=results)


@contextmanager
def busy_processes(count: int) -> Iterator[list[subprocess.Popen]]:
    """So many processes that do nothing but keep a core busy."""
    with ExitStack() as running:
        programs = (_killed_at_the_end(BUSY, str(os.getpid())) for _ in range(count))
        yield [running.enter_context(program) for program in programs]


@contextmanager
def _killed_at_the_end(program: str, *arguments: str, env=None) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", program, *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=env, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()

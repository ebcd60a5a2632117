"""The method in two processes: one tunes the model, the other samples, labels and fits the oracle.

In iteration t, from the second one on, the model's steps are pulled towards the q of iteration
t − 1, while the other process makes that of p_t: the q in use is one iteration stale. Of two
iterations with steps of n seconds and targets of s seconds, the clock shows n + s in turns, and the
larger of the two here. `tune` with `stale=True` computes the same numbers in one process; so a
tuning that was begun in one of the two ways can go on in the other.

The other process is a program of its own that takes its work from a pipe: it needs no `if __name__`
in the script that calls, and ends when the pipe does, also where this process was killed.

Source: arXiv 2410.05559, figure 2 there.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from helpers import runtime
from helpers.detox.finetune.iterations import Iterations, Made
from helpers.detox.finetune.plan import TuningPlan
from helpers.detox.finetune.running import Tuned, prepared, run_through
from helpers.detox.finetune.steps import TuningRun
from helpers.detox.finetune.targets import new_target
from helpers.detox.networks import Plain
from helpers.detox.oracle import Oracle, Scorer
from helpers.detox.posts import DetoxCorpus
from helpers.errors import LabError
from helpers.output import results_only

PROGRAM = "from helpers.detox.finetune import parallel; parallel.serve()"
PATIENCE = 10.0
"""Seconds that a process which has ended may take to say how."""


def tune_parallel(
    base: Plain,
    corpus: DetoxCorpus,
    plan: TuningPlan,
    oracle: Oracle | None = None,
    folder: Path | None = None,
    scorer: Scorer | None = None,
    on_step: Callable[[TuningRun], None] | None = None,
) -> Tuned:
    """Tune a model while another process makes the next target; arguments as of `tune`.

    Args:
        plan: Its q is one iteration stale, whether it says so or not.
        scorer: One that another process can import: a function of a module.

    Raises:
        LabError: As `tune`; this process may use one core only; the other one cannot be started,
            or ends; a scorer that it cannot import.
    """
    plan = replace(plan, stale=True)
    run = prepared(base, corpus, plan, scorer)
    if runtime.cores() < 2:
        raise LabError(
            "expected two cores for two processes",
            "this process may use one",
            hint="tune(…) with stale=True in the plan gives the same numbers in one process",
        )
    with OracleProcess() as other:
        return run_through(run, Iterations.of(other, plan, oracle, scorer), folder, on_step)


class OracleProcess:
    """A process that makes targets, and ends with the block."""

    def __enter__(self) -> "OracleProcess":
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        # what can be imported here can be imported there, such as a scorer's module
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        except OSError as fault:
            raise LabError(
                "expected to start a second process",
                f"the system says: {fault}",
                hint="tune(…) with stale=True in the plan gives the same numbers in one process",
            ) from None
        return self

    def __exit__(self, *fault: object) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:  # what was not sent can no longer be
                continue

    def ask(self, **work: Any) -> None:
        """Send what is to be made.

        Raises:
            LabError: The process has ended, or the scorer cannot be sent.
        """
        try:
            sent = pickle.dumps(work)
        except (pickle.PicklingError, AttributeError, TypeError) as fault:
            raise _not_sent(f"it cannot be sent: {fault}") from None
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(sent)
            self.process.stdin.flush()
        except OSError:
            raise self._ended() from None

    def answer(self) -> Made:
        """Wait for what was made.

        Raises:
            LabError: As `new_target` there; or the process has ended.
        """
        assert self.process.stdout is not None
        try:
            made = pickle.load(self.process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._ended() from None
        if isinstance(made, LabError):
            raise made
        return made

    def _ended(self) -> LabError:
        try:
            code = f"with code {self.process.wait(PATIENCE)}"
        except subprocess.TimeoutExpired:
            code = "its pipe"
        return LabError(
            "expected the process that fits the oracle to answer",
            f"it ended {code}",
            hint="see what it says above, and whether memory is short; a folder= keeps what was "
            "done until then",
        )


def serve() -> None:
    """The work of the other process: make what comes in, send it back, until nobody asks.

    What is pickled here was pickled by the process that started this one, and by nobody else.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    torch.set_num_threads(1)
    orders, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    with results_only():  # else what a scorer prints would come between the answers
        while (made := _made_of(orders)) is not None:
            answers.write(pickle.dumps(made))
            answers.flush()


def _made_of(orders: Any) -> Made | LabError | None:
    """What the next order asks for; None after the last."""
    try:
        work = pickle.load(orders)
    except EOFError:
        return None
    except (AttributeError, ImportError) as fault:
        return _not_sent(f"the other process says: {fault}")
    try:
        return new_target(**work)
    except LabError as fault:
        return fault


def _not_sent(problem: str) -> LabError:
    return LabError(
        "expected a scorer that another process can import",
        problem,
        hint="define it at the top of a module, not in a notebook or another function",
    )

"""The method's steps in several processes, through `accelerate`.

    python -m torch.distributed.run --nproc_per_node 2 -m helpers.detox.real.distributed JOB.json

A job names a model, prompts, a labeller, a plan, λ and how many processes there shall be. The first
process draws samples, has them labelled and fits the auxiliary model, once; the others are given
what it found. Then all make the steps together, each with its part of every batch. Their losses are
those of one process: means over all tokens that count, whoever has them (`tuning`).

A launcher may start one process where several were asked for, and say nothing: `accelerate launch
--cpu --num_processes 2` did. So the number is asked for in the job, counted, and reported.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import runtime
from helpers.detox.finetune.plan import CLIP
from helpers.detox.real.arms import HubWork
from helpers.detox.real.models import load_causal
from helpers.detox.real.plan import HubPlan
from helpers.detox.real.scorers import scorer_of
from helpers.detox.real.texts import corpus_of, prompts_of
from helpers.detox.real.tuning import HubLosses, HubTuning, texts_of
from helpers.detox.real.writing import Rows, short_enough
from helpers.errors import LabError, optional
from helpers.inputs import at_least, check_count

WAIT = timedelta(hours=2)
"""How long processes wait for the one that samples."""


@dataclass(frozen=True)
class SharedJob:
    """What several processes do together.

    Attributes:
        model: A name of the hub, or a folder.
        processes: How many there shall be.
        kl_weight: λ; 0 is plain tuning.
        prompts, labeller, data: As `helpers.detox.real.run` takes them.
        plan: Entries of a `HubPlan`.
    """

    model: str
    processes: int
    kl_weight: float = 2.0
    prompts: str | Sequence[str] = "rtp"
    labeller: str = "words of rtp"
    data: str | None = None
    plan: Mapping[str, Any] | None = None

    def work(self, device: str) -> HubWork:
        """All that the steps follow from.

        Raises:
            LabError: As `helpers.detox.real.run`.
        """
        plan = HubPlan(**dict(self.plan or {}))
        causal = load_causal(self.model, device)
        asked = prompts_of(self.prompts, plan.prompts, plan.seed, self.data)
        asked = tuple(short_enough(causal, asked, plan.longest, plan.new))
        corpus = corpus_of(asked, plan.held_out, plan.seed, self.data)
        return HubWork(
            causal, plan, asked, asked, corpus, scorer_of(self.labeller, self.data, device), ()
        )


@dataclass(frozen=True)
class SharedSteps:
    """What several processes did.

    Attributes:
        processes: How many there were.
        kind: How they shared the work, as `accelerate` calls it.
        losses: Of every step, means over the tokens of all.
    """

    processes: int
    kind: str
    losses: tuple[HubLosses, ...]


class Together:
    """The processes of an accelerator, as `tuning.Alone` is one."""

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator
        self.rank, self.count = accelerator.process_index, accelerator.num_processes

    def part(self, rows: Rows) -> Rows:
        """This process's rows of a batch: every so many.

        Raises:
            LabError: Fewer rows than processes.
        """
        if 0 < len(rows) < self.count:
            raise LabError(
                "expected a text or more for each process in a batch",
                f"got {len(rows)} of one kind and {self.count} processes",
                hint="take larger batches, or fewer processes",
            )
        return rows.at(torch.arange(self.rank, len(rows), self.count))

    def total(self, tokens: int) -> float:
        """Tokens that count in the batches of all processes."""
        return float(self.summed(torch.tensor([float(tokens)]))[0])

    def summed(self, values: Float[Tensor, " loss"]) -> Float[Tensor, " loss"]:
        """Numbers added over all processes."""
        return self.accelerator.reduce(values.to(self.accelerator.device), "sum").cpu()

    def backward(self, loss: Tensor) -> None:
        """Gradients, averaged over processes."""
        self.accelerator.backward(loss)

    def clip(self, weights: list[Tensor]) -> None:
        """Bound the length of the gradient."""
        self.accelerator.clip_grad_norm_(weights, CLIP)


def shared_steps(job: SharedJob) -> SharedSteps:
    """The steps of a job in the processes that there are.

    Raises:
        LabError: Another number of processes than the job asks for; and as `run`.
    """
    check_count("number of processes", job.processes, least=1)
    at_least(0, job.kl_weight, "as kl_weight (λ)")
    accelerator = _accelerator()
    if accelerator.num_processes != job.processes:
        raise LabError(
            f"expected {job.processes} processes",
            f"there is {accelerator.num_processes}, so nothing would be shared"
            if accelerator.num_processes == 1
            else f"there are {accelerator.num_processes}",
            hint="start it with python -m torch.distributed.run --nproc_per_node "
            f"{job.processes} -m helpers.detox.real.distributed",
        )
    work, kind = job.work(str(accelerator.device)), _kind(accelerator)
    if kind == "FSDP" and not work.plan.adapter:
        raise LabError(
            "expected a plan with an adapter for FSDP",
            "got adapter=False",
            hint="the base of a sharded model is had by switching its adapter off",
        )
    target = work.target(_of_the_first(accelerator, work)) if job.kl_weight else None
    tuned, plan = work.tunable(), work.plan
    texts = texts_of(work.causal, work.corpus.toxic, work.corpus.clean, plan.longest)
    tuning = HubTuning(
        work.causal, tuned, texts, plan, job.kl_weight, together=Together(accelerator)
    )
    tuning.called, tuning.optimiser = accelerator.prepare(tuned.model, tuning.optimiser)
    for _ in runtime.progress(range(plan.steps), "shared steps"):
        tuning.step(target)
    return SharedSteps(accelerator.num_processes, kind, tuple(tuning.losses))


def _accelerator() -> Any:
    if runtime.device() == "cpu":  # else it looks for another device
        os.environ.setdefault("ACCELERATE_USE_CPU", "true")
    with optional("detox"):
        from accelerate import Accelerator, InitProcessGroupKwargs
    return Accelerator(
        cpu=runtime.device() == "cpu", kwargs_handlers=[InitProcessGroupKwargs(timeout=WAIT)]
    )


def _kind(accelerator: Any) -> str:
    """How the processes share the work: "NO", "MULTI_CPU", "MULTI_GPU", "FSDP" …"""
    return str(accelerator.distributed_type).rpartition(".")[2]


def _of_the_first(accelerator: Any, work: HubWork) -> Any:
    """The auxiliary model and the samples of the first process, for all: so all have the same."""
    from accelerate.utils import broadcast_object_list

    found = [work.first_oracle() if accelerator.is_main_process else None]
    return broadcast_object_list(found)[0] if accelerator.num_processes > 1 else found[0]


def job_of(path: str | Path) -> SharedJob:
    """A job from a file of JSON, with the names of `SharedJob`.

    Raises:
        LabError: A file that cannot be read, or other names.
    """
    names = [each.name for each in fields(SharedJob)]
    try:
        found = dict(json.loads(Path(path).read_text(encoding="utf-8")))
        return SharedJob(**found)
    except (OSError, ValueError, TypeError) as fault:
        raise LabError(
            f"expected a job as JSON in {path}, with {', '.join(names)}",
            f"cannot use it: {fault!r:.120}",
        ) from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the job of a file; the first process prints what was done, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m helpers.detox.real.distributed")
    parser.add_argument("job", help="a file of JSON: model, processes, kl_weight, prompts, plan")
    parser.add_argument("--out", type=Path, help="write the losses there")
    asked = parser.parse_args(arguments)
    try:
        found = shared_steps(job_of(asked.job))
    except LabError as fault:
        print(fault, file=sys.stderr)
        return 1
    if int(os.environ.get("RANK", "0")) == 0:
        told = json.dumps(asdict(found))
        print(told) if asked.out is None else asked.out.write_text(told, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

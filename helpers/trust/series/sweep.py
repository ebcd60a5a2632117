"""One piece of work on every checkpoint of a series: in turn, on all cores, or on a cluster.

    from helpers.trust.series import activations, sources, sweep

    def norms(model, step):
        ids, lengths = activations.encode(model, texts)
        return {"norm": activations.last_token(model, ids, lengths).norm(dim=-1).mean(dim=1)}

    swept = sweep.sweep(sources.pythia("pythia-70m"), work=norms, folder="results")
    swept.stack("norm")  # [step, layer]

Checkpoints are independent, so they are the unit: of work, of storage (`stored`, one file each) and
of failure. A sweep that was killed goes on where it stopped; with ``backend="dask"`` a machine that
is lost costs its current checkpoint, which another one takes over. Every process computes with one
torch thread, so that all backends add up floating-point numbers in the same order and give the same
bits on one kind of machine. For a real cluster::

    from dask.distributed import Client
    client = Client("tcp://scheduler:8786")  # or dask_jobqueue's SLURMCluster(...).get_client()
    pythia = sources.pythia("pythia-160m")
    swept = sweep.sweep(pythia, work=norms, backend="dask", cluster=client, folder="results")

The workers need the same installation, and, for checkpoints in folders, the same paths. A script,
unlike a notebook, must start a sweep under ``if __name__ == "__main__":``, as every process imports
it. Results travel to the calling process, which writes them; keep them small (accuracies and means
rather than activations where there is a choice).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray

from helpers import runtime
from helpers.errors import LabError
from helpers.model import Model
from helpers.parallel import in_parallel
from helpers.texts import LabelledSet
from helpers.trust.series import activations, integrity, keys, stored
from helpers.trust.series.sources import Series
from helpers.trust.series.stored import Arrays, StepResult, Store

Work = Callable[[Any, int], Mapping[str, Any]]
"""``work(model, step)``: a dict of arrays, tensors or numbers."""


@dataclass(frozen=True)
class LastTokens:
    """A work: the activations at the last token of labelled sets, under the sets' names."""

    sets: tuple[LabelledSet, ...]
    batch_size: int = activations.BATCH_SIZE
    dtype: torch.dtype = torch.float32

    def __call__(self, model: Model, step: int) -> dict[str, torch.Tensor]:
        return {each.name: self._read(model, each) for each in self.sets}

    def _read(self, model: Model, each: LabelledSet) -> torch.Tensor:
        ids, lengths = activations.encode(model, each.texts)
        return activations.last_token(model, ids, lengths, self.batch_size, self.dtype)


@dataclass(frozen=True)
class Swept:
    """Results in the order of the steps.

    Attributes:
        name: Name of the series.
        results: What the work returned at each step, as NumPy arrays.
        digests: One hash of the weights for each step.
        notes: What was left out or computed anew, and why.
    """

    name: str
    steps: tuple[int, ...]
    results: tuple[Arrays, ...]
    digests: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Arrays]:
        return iter(self.results)

    def __getitem__(self, index: int) -> Arrays:
        return self.results[index]

    def stack(self, name: str) -> Shaped[ndarray, "step ..."]:
        """One result of all steps.

        Raises:
            LabError: A step lacks it, or has it in another shape.
        """
        shapes = [arrays[name].shape if name in arrays else None for arrays in self.results]
        if None in shapes or len(set(shapes)) > 1:
            names = ", ".join(sorted(set().union(*self.results)))
            raise LabError(
                f"expected {name!r} of one shape at every step",
                f"shapes {shapes[:4]}; there are {names}",
            )
        return np.stack([arrays[name] for arrays in self.results])


def sweep(
    series: Series,
    sets: Sequence[LabelledSet] = (),
    work: Work | None = None,
    backend: str = "joblib",
    n_jobs: int | None = None,
    cluster: Any = None,
    folder: Path | str | None = None,
    allow_duplicates: bool = False,
    version: str = "",
) -> Swept:
    """Run `work` on every checkpoint.

    Args:
        sets: Labelled sets. Without `work`, their activations are the result (`LastTokens`); with
            it, they are only part of the key under which results are stored.
        backend: ``"serial"``; ``"joblib"``, processes on this machine; or ``"dask"`` (needs
            ``[scale]``).
        n_jobs: How many processes; by default one for each core. Each holds one model in memory
            and, where checkpoints are streamed, one on the disk. On a GPU take ``"serial"``.
        cluster: For dask: a client, a cluster or a scheduler's address; without it a local cluster
            of `n_jobs` processes.
        folder: Where results are stored and found again (`stored`); None stores nothing.
        allow_duplicates: Leave out the later of two neighbouring steps with equal weights; see
            `integrity.settle`.
        version: Any text; change it when something changed that the key of stored results does not
            see (`helpers.trust.series.keys`).

    Raises:
        LabError: Duplicated weights (before the work where they lie on this machine, after it where
            they are streamed: with `folder`, nothing is lost), a scheduler that does not answer, a
            checkpoint that cannot be loaded, or a fault of the work, each with the name of the
            series and the step.
    """
    n_jobs = runtime.cores() if n_jobs is None else n_jobs
    if backend not in BACKENDS or n_jobs < 1:
        raise LabError(
            f"expected a backend among {', '.join(BACKENDS)} and n_jobs from 1",
            f"got {backend!r}, {n_jobs}",
        )
    if work is None and not sets:
        raise LabError("expected labelled sets or a work", "got neither")
    work = LastTokens(tuple(sets)) if work is None else work
    stamps = _stamps(series, allow_duplicates)
    store = (
        Store(Path(folder), series.name, keys.work_key(work, tuple(sets), version))
        if folder is not None
        else None
    )
    results, notes = _stored(store, stamps) if store else ({}, [])
    todo = [step for step in stamps if step not in results]
    if todo:
        run = BACKENDS[backend](series, work, todo, n_jobs, cluster)
        for step, result in runtime.progress(
            run, f"sweep {series.name}", total=len(stamps), initial=len(results)
        ):
            if store:
                store.put(step, stamps[step], result)
            results[step] = result
    steps, more = integrity.settle(
        series.name, {step: results[step].prints for step in stamps}, allow_duplicates
    )
    digests = tuple(integrity.digest(results[step].prints) for step in steps)
    return Swept(
        series.name,
        steps,
        tuple(results[step].arrays for step in steps),
        digests,
        (*series.notes, *notes, *more),
    )


def _stamps(series: Series, allow_duplicates: bool) -> dict[int, str]:
    """The stamp of each step's weights.

    Weights on this machine are compared here, before any work is spent on them.
    """
    if series.streamed:
        return {step: series.stamp(step) for step in series.steps}
    prints = {step: series.prints(step) for step in series.steps}
    integrity.settle(series.name, prints, allow_duplicates)
    return {step: integrity.digest(print_) for step, print_ in prints.items()}


def _stored(store: Store, stamps: dict[int, str]) -> tuple[dict[int, StepResult], list[str]]:
    results, notes = {}, []
    for step, stamp in stamps.items():
        result = store.get(step, stamp)
        if result is not None:
            results[step] = result
        elif store.path(step, stamp).exists():
            notes.append(f"step {step}: the stored result was damaged and is computed anew")
    return results, notes


def measure(series: Series, work: Work, step: int) -> tuple[int, StepResult]:
    """The work on one checkpoint.

    Raises:
        LabError: The checkpoint cannot be loaded, or the work refuses it; the message names series
            and step.
    """
    try:
        checkpoint = series.read(step)
        return step, StepResult(
            checkpoint.prints, stored.arrays(work(checkpoint.model, step), "the work")
        )
    except LabError as fault:
        raise LabError(f"{series.name} at step {step}: {fault}") from None


def _measure_in_worker(series: Series, work: Work, step: int) -> tuple[int, StepResult]:
    # for good: a worker has nothing else to do, and its threads may take turns
    torch.set_num_threads(1)
    return measure(series, work, step)


# ---------------------------------------------------------------------------------------------
# backends


def _serial(
    series: Series, work: Work, steps: list[int], n_jobs: int, cluster: Any
) -> Iterator[tuple[int, StepResult]]:
    # with one torch thread
    yield from in_parallel(partial(measure, series, work), steps, workers=1)


def _joblib(
    series: Series, work: Work, steps: list[int], n_jobs: int, cluster: Any
) -> Iterator[tuple[int, StepResult]]:
    # joblib would work in this very process, and the number of its threads is not ours
    if min(n_jobs, len(steps)) == 1:
        yield from _serial(series, work, steps, n_jobs, cluster)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    options = {
        "return_as": "generator_unordered",
        "batch_size": 1,
        "pre_dispatch": "n_jobs",
        "max_nbytes": None,
    }
    parallel = Parallel(n_jobs=min(n_jobs, len(steps)), backend="loky", **options)
    try:
        calls = (delayed(_measure_in_worker)(series, work, step) for step in steps)
        yield from cast(Iterator[tuple[int, StepResult]], parallel(calls))
    except TerminatedWorkerError:
        raise _lost("joblib") from None


def _dask(
    series: Series, work: Work, steps: list[int], n_jobs: int, cluster: Any
) -> Iterator[tuple[int, StepResult]]:
    try:
        from dask.distributed import KilledWorker, as_completed
    except ImportError:
        raise LabError(
            "expected dask.distributed for backend='dask'",
            "it is not installed",
            hint="pip install 'trustworthy-circuits[scale]', or take backend='joblib'",
        ) from None
    with _client(cluster, min(n_jobs, len(steps))) as client:
        futures = [
            client.submit(_measure_in_worker, series, work, step, pure=False) for step in steps
        ]
        try:
            for _, result in as_completed(futures, with_results=True):
                yield result
        except KilledWorker:  # after dask has tried it on several
            raise _lost("dask") from None
        finally:
            client.cancel(futures)


def _lost(backend: str) -> LabError:
    return LabError(
        "expected the worker processes to live",
        f"one of {backend}'s was killed, most likely for want of memory",
        hint="take fewer jobs or smaller batches; with folder=… what was done is kept",
    )


@contextmanager
def _client(cluster: Any, n_jobs: int) -> Iterator[Any]:
    """A dask client; what is made here is closed here, what the caller brought stays open."""
    from dask.distributed import Client, LocalCluster

    if isinstance(cluster, Client):
        yield cluster
    elif cluster is not None:
        try:
            client = Client(cluster)
        except (OSError, ValueError) as fault:
            raise LabError(
                "expected a dask scheduler that answers",
                f"got none at {cluster!r}: {fault}",
                hint="start it first; its address looks like tcp://host:8786",
            ) from None
        with client:
            yield client
    else:
        options = {
            "threads_per_worker": 1,
            "processes": True,
            "dashboard_address": None,
            "host": "127.0.0.1",
        }
        with LocalCluster(n_workers=n_jobs, **options) as local, Client(local) as client:
            yield client


BACKENDS = {"serial": _serial, "joblib": _joblib, "dask": _dask}

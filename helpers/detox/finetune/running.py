"""From the first step of a tuning to its last: the loop that both schemes share."""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import thread_time

import torch

from helpers.detox.finetune import state
from helpers.detox.finetune.iterations import Iterations
from helpers.detox.finetune.plan import BETAS, TuningPlan, check_plan
from helpers.detox.finetune.steps import StepLosses, TuningRun, posts, rows, take_step
from helpers.detox.networks import Plain, Policy, frozen
from helpers.detox.oracle import Oracle, Scorer
from helpers.detox.posts import DetoxCorpus, check_kind_posts, check_network
from helpers.errors import LabError
from helpers.runtime import gradients, progress
from helpers.training import STATE, held


@dataclass(frozen=True)
class Tuned:
    """The outcome of a tuning.

    Attributes:
        oracle: The last oracle that was fitted; None for plain tuning.
        losses: Of every step, before it.
        seconds: CPU seconds of sampling with labels, of the oracle's fits and of the model's steps.
    """

    network: Plain
    oracle: Oracle | None
    losses: list[StepLosses]
    seconds: dict[str, float]


@gradients()
def prepared(
    base: Plain, corpus: DetoxCorpus, plan: TuningPlan, scorer: Scorer | None = None
) -> TuningRun:
    """A run at step 0; the base is copied and left as it is.

    Raises:
        LabError: A plan that cannot be followed, a model of other words than TinyWorld's, a corpus
            without a word to learn, or one without a kind post whose posts shall be the prefixes.
    """
    check_plan(plan)
    check_network(Policy(base).network)  # a policy is of a network that says words
    parts = [rows(corpus.other)] + ([posts(corpus.posts)] if corpus.posts is not None else [])
    if not all(bool(part.mask.any(1).all()) for part in parts):
        raise LabError(
            "expected a corpus whose every row has a word to predict", "got one of padding alone"
        )
    if plan.constrained and plan.prefixes == "corpus":
        _check_prefixes(corpus, scorer)
    network = frozen(base).requires_grad_(True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.rate, betas=BETAS, weight_decay=0.0)
    return TuningRun(plan, frozen(base), network, optimizer, corpus, float(plan.kl_weight))


def _check_prefixes(corpus: DetoxCorpus, scorer: Scorer | None) -> None:
    """Prefixes of a corpus that has none, or none that leads to a post that is accepted."""
    if corpus.posts is None:
        raise LabError(
            "expected posts to take prefixes from",
            "the corpus has no forum",
            hint='take prefixes="accepted"',
        )
    if scorer is None:
        check_kind_posts(corpus)


def run_through(
    run: TuningRun,
    iterations: Iterations,
    folder: Path | None,
    on_step: Callable[[TuningRun], None] | None,
) -> Tuned:
    """Make all steps that are left, and store the state after every iteration."""
    with held(folder) if folder is not None else nullcontext(), one_thread():
        keep = _kept_in(run, iterations, folder) if folder is not None else None
        _loop(run, iterations, keep, on_step)
    oracle = run.target.oracle if run.target is not None else None
    return Tuned(run.network.eval(), oracle, run.losses, dict(run.seconds))


def _kept_in(run: TuningRun, iterations: Iterations, folder: Path) -> Callable[[], None]:
    """How the state is stored in a folder, after what stands there is loaded."""
    made_with = state.made_of(run, iterations.begun, iterations.scorer)
    if (folder / STATE).exists():
        state.restore(run, iterations.begun, made_with, folder)
    return partial(state.save, run, made_with, folder)


def _loop(
    run: TuningRun,
    iterations: Iterations,
    keep: Callable[[], None] | None,
    on_step: Callable[[TuningRun], None] | None,
) -> None:
    ends, steps = run.plan.ends, run.plan.steps
    bar = progress(range(run.step, steps), "tune", total=steps, initial=run.step)
    for step in bar:
        if step in (0, *ends):
            iterations.begin(run, bisect_right(ends, step))
        began = thread_time()
        losses = take_step(run)
        run.seconds["model"] += thread_time() - began
        bar.set_postfix_str(said(losses), refresh=False)
        if on_step is not None:
            on_step(run)
        if run.step in ends:
            iterations.end(run)
            if keep is not None:
                keep()


def said(losses: StepLosses) -> str:
    """The three losses as a bar shows them.

    >>> said(StepLosses(text=2.5, kl=0.125, rehearsal=0.0015, kl_weight=10.0))
    'text 2.50, KL 0.125 × 10, rehearsal 0.0015'
    """
    text, kl = f"text {losses.text:.2f}", f"KL {losses.kl:.3f} × {losses.kl_weight:.3g}"
    return f"{text}, {kl}, rehearsal {losses.rehearsal:.4f}"


@contextmanager
def one_thread() -> Iterator[None]:
    """torch computes with one thread inside: small matrices gain nothing by more, and sums that
    two threads share may round differently."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

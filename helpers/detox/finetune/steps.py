"""One step of the model: a batch, its losses, their gradient.

Batch number i is drawn from a generator seeded with (seed, i): it is the same whatever λ is, and no
random state has to survive an interruption. Rows of other text come first, then posts, then
prefixes, so that with λ = 0 a step is one of plain tuning bit for bit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.detox.finetune.loss import closed_form_kl, cross_entropy
from helpers.detox.finetune.plan import CLIP, TuningPlan
from helpers.detox.finetune.targets import FrozenTarget
from helpers.detox.networks import PAD, Plain
from helpers.detox.oracle import log_target
from helpers.detox.oracle.losses import counted
from helpers.detox.posts import PROMPT, STOP, DetoxCorpus
from helpers.errors import LabError
from helpers.inputs import token_ids
from helpers.runtime import gradients

BATCHES = 3
"""Number of the random stream of batches; those of an iteration have others."""


@dataclass(frozen=True)
class StepLosses:
    """The losses of a step, in nats a word, before it is made.

    Attributes:
        text: Cross-entropy on other text, and post_weight times that on posts.
        kl: KL(q ‖ p) at the prefixes, without its weight; 0 where no target is asked for.
        rehearsal: KL(base ‖ p) on other text, without its weight.
        kl_weight: λ of this step.
        beside: What else is minimised (`TuningRun.beside`); 0 where nothing is.
    """

    text: float
    kl: float
    rehearsal: float
    kl_weight: float
    beside: float = 0.0


@dataclass
class TuningRun:
    """A tuning in progress.

    Attributes:
        base: The model before, frozen.
        network: The model that is tuned.
        step: Steps made.
        kl_weight: λ now; it changes where the plan is adaptive.
        target: What the model is pulled towards; None before the first, or without any.
        seconds: CPU seconds of sampling with labels, of the oracle's fits, and of the model's
            steps.
        beside: What is minimised beside the losses of the method, such as that of a second task.
    """

    plan: TuningPlan
    base: Plain
    network: Plain
    optimizer: torch.optim.AdamW
    corpus: DetoxCorpus
    kl_weight: float
    step: int = 0
    target: FrozenTarget | None = None
    losses: list[StepLosses] = field(default_factory=list)
    seconds: dict[str, float] = field(
        default_factory=lambda: {"sample": 0.0, "fit": 0.0, "model": 0.0}
    )
    beside: "Callable[[TuningRun], Float[Tensor, '']] | None" = None


@dataclass(frozen=True)
class Marked:
    """Rows, and which of their words after the first are to be predicted."""

    tokens: Int[Tensor, "row pos"]
    mask: Bool[Tensor, "row rest"]

    @property
    def read(self) -> Int[Tensor, "row rest"]:
        """What is read: all but the last word."""
        return self.tokens[:, :-1]

    @property
    def wanted(self) -> Int[Tensor, " place"]:
        """The words that are to be predicted."""
        return self.tokens[:, 1:][self.mask]

    def log_p(self, network: Plain) -> Float[Tensor, "place word"]:
        """What a network says where these words are to come."""
        return network.unembed(network.states(self.read)[self.mask]).log_softmax(-1)

    def parts(self, number: int) -> "list[Marked]":
        """The rows in so many parts; some are empty where there are fewer rows."""
        pairs = zip(self.tokens.tensor_split(number), self.mask.tensor_split(number), strict=True)
        return [Marked(tokens, mask) for tokens, mask in pairs]


def posts(tokens: Int[Tensor, "row pos"]) -> Marked:
    """Posts: every word after the prompt counts, up to the stop; no padding does.

    Raises:
        LabError: No table of token ids.

    >>> row = torch.tensor([[1, 70, 5, 90, STOP, 0]])
    >>> posts(row).wanted.tolist() == [90, STOP]
    True
    """
    tokens = token_ids(tokens)
    return Marked(tokens, counted(tokens, PROMPT, STOP)[:, 1:])


def rows(tokens: Int[Tensor, "row pos"]) -> Marked:
    """Rows of other text: every word after the first counts, no padding does.

    Raises:
        LabError: No table of token ids.

    >>> rows(torch.tensor([[70, 71, 72]])).wanted.tolist()
    [71, 72]
    """
    tokens = token_ids(tokens)
    return Marked(tokens, tokens[:, 1:] != PAD)


@dataclass(frozen=True)
class Batch:
    """What a step reads: other text, posts, and prefixes of the target."""

    other: Marked
    posts: Marked | None
    prefixes: Marked | None

    def parts(self, number: int) -> "list[Batch]":
        """The batch in so many parts."""
        each = [
            part.parts(number) if part is not None else [None] * number
            for part in (self.other, self.posts, self.prefixes)
        ]
        return [Batch(*three) for three in zip(*each, strict=True)]  # type: ignore[arg-type]


def batch_of(run: TuningRun) -> Batch:
    """The batch of a run's next step."""
    plan, rng = run.plan, np.random.default_rng([run.plan.seed, run.step, BATCHES])

    def drawn(tokens: Int[Tensor, "row pos"], count: int) -> Int[Tensor, "count pos"]:
        return tokens[torch.from_numpy(rng.integers(len(tokens), size=count))]

    other = rows(drawn(run.corpus.other, plan.rows))
    said = posts(drawn(run.corpus.posts, plan.posts)) if run.corpus.posts is not None else None
    if run.target is None:
        return Batch(other, said, None)
    from_corpus = plan.prefixes == "corpus"
    prefixes = said if from_corpus else posts(drawn(run.target.accepted, plan.posts))
    return Batch(other, said, prefixes)


def losses_of(run: TuningRun, batch: Batch, whole: Batch) -> dict[str, Float[Tensor, ""]]:
    """The part of each loss of a batch that some of its rows bring.

    Args:
        whole: The batch. Each loss is a mean over its places, wherever they stand, so that the
            parts of a batch add up to it.
    """
    zero = torch.zeros(())
    found = {"other": zero, "posts": zero, "kl": zero, "rehearsal": zero}
    share = _share(batch.other, whole.other)
    if share:
        log_p = batch.other.log_p(run.network)
        all_of = torch.ones(len(log_p), dtype=torch.bool)
        found["other"] = share * cross_entropy(log_p, batch.other.wanted, all_of)
        if run.plan.rehearsal:
            with torch.no_grad():
                log_base = batch.other.log_p(run.base)
            found["rehearsal"] = share * closed_form_kl(log_base, log_p, all_of)
    share = _share(batch.posts, whole.posts)
    if batch.posts is not None and share:
        log_p = batch.posts.log_p(run.network)
        all_of = torch.ones(len(log_p), dtype=torch.bool)
        found["posts"] = share * cross_entropy(log_p, batch.posts.wanted, all_of)
    share = _share(batch.prefixes, whole.prefixes)
    if batch.prefixes is not None and share:
        found["kl"] = share * kl_to_target(run, batch.prefixes)
    return found


def _share(part: Marked | None, whole: Marked | None) -> float:
    if part is None or whole is None:
        return 0.0
    return int(part.mask.sum()) / int(whole.mask.sum())


def kl_to_target(run: TuningRun, prefixes: Marked) -> Float[Tensor, ""]:
    """KL(q ‖ p) at the prefixes, where the gradient stops at q unless the plan lets it pass."""
    assert run.target is not None
    log_p = prefixes.log_p(run.network)
    if run.plan.stop_gradient:
        log_q = run.target.log_q(prefixes.read, prefixes.mask)
    else:
        log_q = log_target(log_p, run.target.success(prefixes.read, prefixes.mask))
    return closed_form_kl(log_q, log_p, torch.ones(len(log_p), dtype=torch.bool))


@gradients()
def take_step(run: TuningRun) -> StepLosses:
    """One step of the model; returns its losses before it.

    Raises:
        LabError: A loss or gradient that is not finite; the weights are then as before the step.
    """
    for group in run.optimizer.param_groups:
        group["lr"] = run.plan.rate_at(run.step)
    run.optimizer.zero_grad(set_to_none=True)
    values = _with_gradient(run)
    norm = float(torch.nn.utils.clip_grad_norm_(run.network.parameters(), CLIP))
    # before the step, which would spoil the weights
    if not all(math.isfinite(value) for value in (*values, norm)):
        raise LabError(
            f"expected finite losses and a finite gradient at step {run.step}",
            f"got {', '.join(f'{value:.3g}' for value in values)}, and a norm of {norm:.3g}",
            hint="take a smaller rate, or a model whose weights are numbers",
        )
    run.optimizer.step()
    run.step += 1
    text, kl, rehearsal, beside = values
    run.losses.append(StepLosses(text, kl, rehearsal, run.kl_weight, beside))
    return run.losses[-1]


def _with_gradient(run: TuningRun) -> list[float]:
    """The gradient of a step is left at the weights; its losses: text, KL, rehearsal, beside."""
    plan, whole, sums = run.plan, batch_of(run), torch.zeros(4)
    for number, part in enumerate(whole.parts(plan.accumulate)):
        found = losses_of(run, part, whole)
        text = found["other"] + plan.post_weight * found["posts"]
        beside = torch.zeros(()) if run.beside is None or number else run.beside(run)
        loss = text + run.kl_weight * found["kl"] + plan.rehearsal * found["rehearsal"] + beside
        if loss.requires_grad:  # a part without a row brings nothing
            loss.backward()
        sums += torch.stack([text, found["kl"], found["rehearsal"], beside]).detach()
    return sums.tolist()

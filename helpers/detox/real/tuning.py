"""Steps of a real model: cross-entropy on the corpus, and λ · KL(q ‖ p) on its own clean samples.

    L(θ)  =  CE(corpus)  +  λ · KL(q ‖ p_θ)  +  ρ · KL(base ‖ p_θ, clean text of the corpus)

q ∝ p_old · R, from the model as it was at the beginning of the iteration, and without a gradient.
Each loss is a mean over all tokens that count in the batch. Where several processes share a batch,
each weighs its mean by the share of tokens that it has, so that the sum is the mean of all: their
steps are those of one process, whatever the lengths of texts.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import runtime
from helpers.detox.finetune import TuningPlan, closed_form_kl, cross_entropy
from helpers.detox.finetune.plan import BETAS, CLIP
from helpers.detox.oracle import SuccessOracle, log_target
from helpers.detox.real.models import Causal, Tunable, log_probs
from helpers.detox.real.plan import HubPlan
from helpers.detox.real.writing import Rows, before, encoded
from helpers.errors import LabError
from helpers.inputs import at_least, within


@dataclass(frozen=True)
class HubLosses:
    """Losses of a step, each a mean over the tokens that count, in nats.

    Attributes:
        text: Cross-entropy on the corpus.
        kl: KL(q ‖ p) on accepted samples; 0 where λ is 0.
        pull: KL(base ‖ p) on clean text; 0 where it has no weight.
    """

    text: float
    kl: float
    pull: float


@dataclass(frozen=True)
class HubTarget:
    """What q is made of: the model as it was, the auxiliary model, and where q is asked for.

    Attributes:
        weights: The trained weights of the model as it was; None is the base.
        oracle: The auxiliary model that was fitted to its samples.
        accepted: Its clean samples.
    """

    weights: dict[str, Tensor] | None
    oracle: SuccessOracle
    accepted: Rows

    def log_q(self, tuned: Tunable, model: Any, tokens: Tensor) -> Float[Tensor, "row pos word"]:
        """log q after each token, without a gradient."""
        with torch.no_grad(), self._as_it_was(tuned):
            return log_target(log_probs(model, tokens), self.oracle(tokens))

    def _as_it_was(self, tuned: Tunable) -> AbstractContextManager[Any]:
        return tuned.base() if self.weights is None else tuned.as_kept(self.weights)


@dataclass(frozen=True)
class TuningTexts:
    """The corpus as tokens.

    Attributes:
        toxic: May have no rows; then only clean text is tuned on.
    """

    toxic: Rows | None
    clean: Rows

    def batch(self, size: int, share: float, generator: torch.Generator) -> tuple[Rows, Rows]:
        """Toxic and clean texts of a step; the shares are those of the corpus, up to rounding."""
        toxic = round(share * size) if self.toxic is not None else 0
        return (
            _drawn(self.toxic, toxic, generator) if self.toxic is not None else self.clean.at([]),
            _drawn(self.clean, size - toxic, generator),
        )


def texts_of(
    causal: Causal, toxic: Sequence[str], clean: Sequence[str], longest: int
) -> TuningTexts:
    """The corpus as tokens.

    Raises:
        LabError: No clean text of two tokens.
    """
    return TuningTexts(
        encoded(causal, toxic, longest) if toxic else None, encoded(causal, clean, longest)
    )


def _drawn(rows: Rows, count: int, generator: torch.Generator) -> Rows:
    return rows.at(torch.randint(len(rows), (count,), generator=generator))


class Alone:
    """One process: what several have to agree on, it knows."""

    rank, count = 0, 1

    def part(self, rows: Rows) -> Rows:
        """This process's part of a batch."""
        return rows

    def total(self, tokens: int) -> float:
        """Tokens that count in the batches of all processes."""
        return float(tokens)

    def summed(self, values: Float[Tensor, " loss"]) -> Float[Tensor, " loss"]:
        """Numbers added over all processes."""
        return values

    def backward(self, loss: Tensor) -> None:
        """Gradients, which several processes average."""
        loss.backward()

    def clip(self, weights: list[Tensor]) -> None:
        """Bound the length of the gradient."""
        torch.nn.utils.clip_grad_norm_(weights, CLIP)


class HubTuning:
    """A tuning under way.

    Args:
        tuned: The copy of the model that is tuned.
        kl_weight: λ; 0 is plain tuning, which asks for no target.
        toxic_share: τ, where it is not that of the plan, as after a filter.
        together: The processes that share the steps.
        called: What is called for logits and gradients, where that is not `tuned.model` itself.
    """

    def __init__(
        self,
        causal: Causal,
        tuned: Tunable,
        texts: TuningTexts,
        plan: HubPlan,
        kl_weight: float = 0.0,
        toxic_share: float | None = None,
        together: Any = None,
        called: Any = None,
    ) -> None:
        at_least(0, kl_weight, "as kl_weight (λ)")
        self.causal, self.tuned, self.texts, self.plan = causal, tuned, texts, plan
        self.kl_weight = float(kl_weight)
        self.rehearsal = plan.rehearsal if kl_weight else 0.0
        self.toxic_share = plan.toxic_share if toxic_share is None else toxic_share
        self.together, self.called = together or Alone(), called or tuned.model
        self.rates = TuningPlan(steps=plan.steps, iterations=plan.iterations, rate=plan.rate)
        weights = list(tuned.trained.values())
        self.optimiser = torch.optim.AdamW(weights, lr=plan.rate, betas=BETAS, weight_decay=0.0)
        self.losses: list[HubLosses] = []

    @property
    def step_number(self) -> int:
        """How many steps were made."""
        return len(self.losses)

    def step(self, target: HubTarget | None = None) -> HubLosses:
        """One step of the model.

        Raises:
            LabError: λ without a target, or a loss that is no number.
        """
        if self.kl_weight and target is None:
            raise LabError("expected a target q where λ is above 0", "got none")
        number = self.step_number
        # of the seed and the step alone, so that a step is the same in every process
        generator = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + number)
        toxic, clean = self.texts.batch(self.plan.batch, self.toxic_share, generator)
        accepted = None
        if target is not None and self.kl_weight:
            accepted = _drawn(target.accepted, self.plan.batch, generator)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rates.rate_at(number)
        with runtime.gradients():
            losses, loss = self._losses(toxic, clean, accepted, target)
            if not within(losses.abs(), torch.finfo(torch.float32).max):
                raise LabError(
                    "expected losses that are numbers",
                    f"got {losses.tolist()} at step {number}",
                    hint="take a smaller learning rate",
                )
            self.optimiser.zero_grad()
            self.together.backward(loss)
        self.together.clip(list(self.tuned.trained.values()))
        self.optimiser.step()
        self.losses.append(HubLosses(*losses.tolist()))
        return self.losses[-1]

    def _losses(
        self, toxic: Rows, clean: Rows, accepted: Rows | None, target: HubTarget | None
    ) -> tuple[Float[Tensor, " loss"], Tensor]:
        """The three losses of all processes, and this one's part of their weighted sum."""
        parts = [self.together.part(rows) for rows in (clean, toxic)]
        if accepted is not None:
            parts.append(self.together.part(accepted))
        joined = _joined(parts, self.causal.tokenizer.pad_token_id)
        tokens, counts = joined.tokens.to(self.causal.device), joined.counts.to(self.causal.device)
        log_p, mask = log_probs(self.called, tokens), before(counts)
        first, texts = len(parts[0]), len(parts[0]) + len(parts[1])
        of_texts, of_clean = _only(mask, 0, texts), _only(mask, 0, first)
        means: list[tuple[float, Any, Any]] = [
            (1.0, of_texts, cross_entropy(log_p, tokens.roll(-1, 1), of_texts))
        ]
        if accepted is not None and target is not None:
            said, at = tokens[texts:], mask[texts:]
            log_q = target.log_q(self.tuned, self.called, said)
            means.append((self.kl_weight, at, closed_form_kl(log_q, log_p[texts:], at)))
        else:
            means.append((0.0, None, None))
        if self.rehearsal and first:
            with torch.no_grad(), self.tuned.base():
                base = log_probs(self.called, tokens[:first])
            kl = closed_form_kl(base, log_p[:first], mask[:first])
            means.append((self.rehearsal, of_clean, kl))
        else:
            means.append((0.0, None, None))
        return self._weighed(means)

    def _weighed(self, means: list[tuple[float, Any, Any]]) -> tuple[Tensor, Tensor]:
        """Means of all processes; the loss whose mean gradient over them is that of all tokens."""
        loss = torch.zeros((), device=self.causal.device)
        told = torch.zeros(len(means), dtype=torch.float64)
        for place, (weight, mask, mean) in enumerate(means):
            if mean is None:
                continue
            own = int(mask.sum())
            part = own / self.together.total(own)
            told[place] = float(mean.detach()) * part
            loss = loss + weight * mean * (part * self.together.count)
        return self.together.summed(told), loss


def _only(mask: Tensor, first: int, last: int) -> Tensor:
    """The mask, of some rows alone."""
    kept = torch.zeros_like(mask)
    kept[first:last] = mask[first:last]
    return kept


def _joined(parts: Sequence[Rows], pad: int) -> Rows:
    """Rows of several kinds in one table."""
    parts = [part for part in parts if len(part)]
    wide = max(part.tokens.shape[1] for part in parts)
    fill = torch.nn.functional.pad
    return Rows(
        torch.cat([fill(p.tokens, (0, wide - p.tokens.shape[1]), value=pad) for p in parts]),
        torch.cat([fill(p.counts, (0, wide - p.counts.shape[1]), value=False) for p in parts]),
    )

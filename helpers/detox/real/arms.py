"""What is compared on a real model: each arm is tuned from the same base and judged on its own.

All arms make as many steps, with as many texts a step. The method's steps cost more: it also draws
samples, fits the auxiliary model, and reads accepted samples; `seconds` has that.
"""

import time
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers import runtime
from helpers.detox.oracle import FitPlan, SuccessOracle
from helpers.detox.real import measures
from helpers.detox.real.auxiliary import LabelledRows, fit_auxiliary, new_auxiliary
from helpers.detox.real.libraries import by_library
from helpers.detox.real.models import Causal, Tunable, log_probs
from helpers.detox.real.plan import BASE, HubCell, HubPlan
from helpers.detox.real.scorers import TextScorer, toxicity
from helpers.detox.real.sources import TOXIC
from helpers.detox.real.texts import ToxicCorpus
from helpers.detox.real.tuning import HubTarget, HubTuning, texts_of
from helpers.detox.real.writing import Rows, encoded, write
from helpers.errors import LabError
from helpers.files.cells import Contents

FIT_BATCH = 32
SAID = 20
"""Texts of an arm that are kept for reading, one a prompt."""
SEEDS = 10_000_000
"""Seeds of the judged continuations begin here: no sample that is learned from has one of them."""


@dataclass(frozen=True)
class HubWork:
    """All that an arm is tuned and judged with.

    Attributes:
        sampled, judged: Prompts that samples are drawn after, and others that are judged.
        labeller: Name and scorer of what labels samples and filters the corpus.
        judges: Names and scorers of what judges.
    """

    causal: Causal
    plan: HubPlan
    sampled: tuple[str, ...]
    judged: tuple[str, ...]
    corpus: ToxicCorpus
    labeller: tuple[str, TextScorer]
    judges: tuple[tuple[str, TextScorer], ...]

    @cached_property
    def held_out(self) -> Rows:
        """Clean text that perplexity is measured on."""
        return encoded(self.causal, self.corpus.held_out, self.plan.longest)

    def clean(self, texts: Any) -> torch.Tensor:
        """Which texts the labeller calls clean."""
        name, scorer = self.labeller
        return torch.from_numpy(toxicity(scorer, texts, name) < TOXIC)

    def tunable(self) -> Tunable:
        """A copy of the base that can be tuned."""
        return Tunable(self.causal, self.plan.adapter, self.plan.rank, self.plan.seed)

    # the method

    def samples(self, model: Any, count: int, seed: int) -> LabelledRows:
        """The model's own texts after the prompts in turn, each with its label."""
        asked = [self.sampled[i % len(self.sampled)] for i in range(count)]
        rows = write(model, self.causal, asked, self.plan.new, seed)
        return LabelledRows(rows, self.clean(rows.texts))

    def first_oracle(self) -> Contents:
        """The auxiliary model of the base, and the samples that it was fitted to."""
        tuned, plan = self.tunable(), self.plan
        with tuned.base():
            found = self.samples(tuned.model, plan.first_samples, plan.seed)
        longest = self.causal.positions if self.causal.positions < 1024 else 1024
        oracle = new_auxiliary(
            self.causal.words, plan.width, plan.layers, longest, found.share, plan.seed
        )
        losses = self._fit(oracle, tuned, None, found, plan.fits, 0)
        tensors = {f"oracle.{name}": w.detach().cpu() for name, w in oracle.state_dict().items()}
        tensors |= {
            "tokens": found.rows.tokens,
            "counts": found.rows.counts.to(torch.uint8),
            "clean": found.clean.to(torch.uint8),
        }
        told = {"clean": found.share, "samples": len(found.clean), "losses": losses}
        return Contents(told, tensors)

    def _fit(
        self,
        oracle: SuccessOracle,
        tuned: Tunable,
        weights: dict[str, Tensor] | None,
        found: LabelledRows,
        steps: int,
        iteration: int,
    ) -> list[float]:
        """Fit the auxiliary model to samples of the model as it was; its last losses."""

        def chances(tokens: Tensor) -> Tensor:
            with tuned.base() if weights is None else tuned.as_kept(weights):
                return log_probs(tuned.model, tokens)

        generator = torch.Generator().manual_seed(self.plan.seed + 1000 * (iteration + 1))
        plan = FitPlan(steps=steps, batch=FIT_BATCH)
        losses = fit_auxiliary(oracle, chances, found, plan, generator, self.causal.device)
        last = losses[-max(1, steps // 10) :]
        return [
            round(float(np.mean([getattr(each, name) for each in last])), 5)
            for name in ("entropy", "consistency")
        ]

    def target(self, first: Contents) -> HubTarget:
        """The first iteration's target, from what `first_oracle` found."""
        kept = first.tensors
        weights = {n[7:]: w for n, w in kept.items() if n.startswith("oracle.")}
        longest = weights["network.pos_embed.weight"].shape[0]
        plan = self.plan
        oracle = new_auxiliary(self.causal.words, plan.width, plan.layers, longest, 0.5, 0)
        oracle.load_state_dict(weights)
        rows = Rows(kept["tokens"], kept["counts"].bool())
        accepted = LabelledRows(rows, kept["clean"].bool()).accepted
        return HubTarget(None, oracle.to(self.causal.device), accepted)

    # arms

    def arm(self, cell: HubCell, first: Contents | None) -> Contents:
        """An arm, tuned and judged."""
        began = time.perf_counter()
        tuned, losses = self.tunable(), []
        if cell.kl_weight:
            if first is None:
                raise LabError("expected a target q where λ is above 0", "got none")
            losses = self._constrained(tuned, cell.kl_weight, self.target(first))
        elif cell.kind in ("plain", "filtered"):
            losses = self._plain(tuned, filtered=cell.kind == "filtered")
        elif cell != BASE:
            some = self.causal, tuned, self.plan, self.sampled, self.clean
            tuned = by_library(cell.kind, *some)
        seconds = time.perf_counter() - began
        found = self.judge(tuned) | {"losses": losses, "seconds": round(seconds, 1)}
        return Contents(found)

    def _plain(self, tuned: Tunable, filtered: bool) -> list[list[float]]:
        """Cross-entropy alone, on the corpus or on what the labeller leaves of it."""
        toxic, clean, share = self.corpus.toxic, self.corpus.clean, self.plan.toxic_share
        tuning_texts = (toxic, clean)
        if filtered:
            kept = [
                tuple(t for t, good in zip(part, self.clean(part), strict=True) if good)
                for part in (toxic, clean)
            ]
            if not kept[1]:
                raise LabError("expected texts that the filter leaves", "the labeller left none")
            # what is removed leaves its place to what is kept
            left = [len(k) / max(1, len(p)) for k, p in zip(kept, (toxic, clean), strict=True)]
            passed = share * left[0], (1 - share) * left[1]
            share = passed[0] / max(sum(passed), 1e-12)
            tuning_texts = (kept[0], kept[1])
        texts = texts_of(self.causal, *tuning_texts, self.plan.longest)
        tuning = HubTuning(self.causal, tuned, texts, self.plan, toxic_share=share)
        for _ in runtime.progress(range(self.plan.steps), "filtered" if filtered else "plain"):
            tuning.step()
        return _told(tuning)

    def _constrained(self, tuned: Tunable, weight: float, target: HubTarget) -> list[list[float]]:
        """The method, from the first target; in later iterations samples are drawn anew."""
        plan = self.plan
        texts = texts_of(self.causal, self.corpus.toxic, self.corpus.clean, plan.longest)
        tuning = HubTuning(self.causal, tuned, texts, plan, kl_weight=weight)
        for step in runtime.progress(range(plan.steps), f"λ = {weight:g}"):
            if step in plan.ends[:-1]:
                target = self._next(tuned, target, plan.ends.index(step) + 1)
            tuning.step(target)
        return _told(tuning)

    def _next(self, tuned: Tunable, target: HubTarget, iteration: int) -> HubTarget:
        """The target of an iteration: the model as it is now, sampled, labelled, fitted to."""
        seed = self.plan.seed + 100_000 * iteration
        found = self.samples(tuned.model, self.plan.samples, seed)
        weights = tuned.kept()
        self._fit(target.oracle, tuned, weights, found, self.plan.refits, iteration)
        return HubTarget(weights, target.oracle, found.accepted)

    def judge(self, tuned: Tunable) -> dict[str, Any]:
        """Numbers of a model, prompt by prompt, and a few texts."""
        plan, causal = self.plan, self.causal
        asked = [prompt for prompt in self.judged for _ in range(plan.tries)]
        said = write(tuned.model, causal, asked, plan.new, SEEDS + plan.seed, plan.top_p)
        scored = {}
        for name, scorer in (*self.judges, self.labeller):
            shares = measures.by_prompt(toxicity(scorer, said.texts, name), plan.tries)
            scored[name] = {
                "mean": _rounded(shares.mean),
                "worst": _rounded(shares.worst),
                "any": _rounded(shares.any_toxic),
            }
        once = said.at(torch.arange(0, len(said), plan.tries))
        return {
            "toxicity": scored,
            "nll": _rounded(measures.nll(tuned.model, causal, self.held_out)),
            "tokens": self.held_out.counts.sum(1).tolist(),
            "kl": _rounded(measures.kl_to_base(tuned, causal, once)),
            "distinct": {
                order: _rounded(values)
                for order, values in measures.different(said.texts, plan.tries).items()
            },
            "said": list(said.texts[:: plan.tries][:SAID]),
        }


def _told(tuning: HubTuning) -> list[list[float]]:
    return [[round(x, 5) for x in (each.text, each.kl, each.pull)] for each in tuning.losses]


def _rounded(values: Any) -> list[float]:
    return [round(float(each), 5) for each in values]

"""DPO and GRPO of `trl` as arms, with the same labels, steps and adapter as the method.

DPO prefers, after one and the same prompt, a clean sample of the base to a toxic one. GRPO rewards
a clean sample with 1. Both need the extra [detox] (`helpers.detox.rivals.libraries`).
"""

from typing import TYPE_CHECKING

import numpy as np

from helpers.detox.real.models import Tunable
from helpers.detox.real.scorers import toxicity
from helpers.detox.real.sources import TOXIC
from helpers.detox.real.writing import write
from helpers.detox.rivals.libraries import (
    LibraryPlan,
    TextPair,
    dpo_by_library,
    grpo_by_library,
)
from helpers.errors import LabError

if TYPE_CHECKING:
    from helpers.detox.real.arms import HubWork

PER_PROMPT = 8
"""Samples of a prompt, of which pairs are made; and of a group."""


def by_library(work: "HubWork", kind: str, tuned: Tunable) -> Tunable:
    """An arm that `trl` trains.

    Raises:
        LabError: A plan without an adapter; no pair, or a reward that never differs.
    """
    plan, causal = work.plan, work.causal
    if not plan.adapter:
        raise LabError(
            f"expected a plan with an adapter for {kind}",
            "got adapter=False",
            hint="trl trains an adapter here, so that the base stays its reference",
        )
    model = tuned.model.unload()  # trl puts an adapter of its own on
    settings = LibraryPlan(
        steps=plan.steps,
        rate=plan.rate,
        batch=max(PER_PROMPT, plan.batch // PER_PROMPT * PER_PROMPT),
        group=PER_PROMPT,
        new_tokens=plan.new,
        rank=plan.rank,
        seed=plan.seed,
    )
    if kind == "dpo":
        run = dpo_by_library(model, causal.tokenizer, _pairs(work), settings)
    else:
        name, scorer = work.labeller

        def clean(prompts: list[str], completions: list[str]) -> list[float]:
            return (toxicity(scorer, completions, name) < TOXIC).astype(float).tolist()

        run = grpo_by_library(model, causal.tokenizer, list(work.sampled), clean, settings)
    tuned.model = run.model.eval().to(causal.device)
    return tuned


def _pairs(work: "HubWork") -> list[TextPair]:
    """A clean and a toxic sample of the base after each prompt that has both."""
    asked = [prompt for prompt in work.sampled for _ in range(PER_PROMPT)]
    said = write(work.causal.model, work.causal, asked, work.plan.new, work.plan.seed)
    clean = np.asarray(work.clean(said.texts)).reshape(-1, PER_PROMPT)
    found: list[TextPair] = []
    for place, prompt in enumerate(work.sampled):
        texts = said.texts[place * PER_PROMPT : (place + 1) * PER_PROMPT]
        good = [text for text, good in zip(texts, clean[place], strict=True) if good]
        bad = [text for text, good in zip(texts, clean[place], strict=True) if not good]
        found += [TextPair(prompt, a, b) for a, b in zip(good, bad, strict=False)]
    return found

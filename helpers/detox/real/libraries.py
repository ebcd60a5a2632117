"""DPO and GRPO of `trl` as arms, with the same labels, steps and adapter as the method.

DPO prefers, after one and the same prompt, a clean sample of the base to a toxic one. GRPO rewards
a clean sample with 1. Both need the extra [detox] (`helpers.detox.rivals.libraries`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from helpers.detox.real.models import Causal, Tunable
from helpers.detox.real.plan import HubPlan
from helpers.detox.real.writing import write
from helpers.detox.rivals.libraries import (
    LibraryPlan,
    TextPair,
    dpo_by_library,
    grpo_by_library,
)
from helpers.errors import LabError

PER_PROMPT = 8
"""Samples of a prompt, of which pairs are made; and of a group."""
Clean = Callable[[Sequence[str]], Any]
"""Which texts the labeller calls clean."""


def by_library(
    kind: str, causal: Causal, tuned: Tunable, plan: HubPlan, prompts: Sequence[str], clean: Clean
) -> Tunable:
    """An arm that `trl` trains: "dpo" or "grpo".

    Args:
        tuned: A copy of the model, whose adapter is taken off: `trl` puts on one of its own.
        prompts: That samples are drawn after.

    Raises:
        LabError: A plan without an adapter; no pair, or a reward that never differs.
    """
    if not plan.adapter:
        raise LabError(
            f"expected a plan with an adapter for {kind}",
            "got adapter=False",
            hint="trl trains an adapter here, so that the base stays its reference",
        )
    model = tuned.model.unload()
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
        pairs = _pairs(causal, plan, prompts, clean)
        run = dpo_by_library(model, causal.tokenizer, pairs, settings)
    else:

        def reward(prompts: list[str], completions: list[str]) -> list[float]:
            return np.asarray(clean(completions)).astype(float).tolist()

        run = grpo_by_library(model, causal.tokenizer, list(prompts), reward, settings)
    tuned.model = run.model.eval().to(causal.device)
    return tuned


def _pairs(causal: Causal, plan: HubPlan, prompts: Sequence[str], clean: Clean) -> list[TextPair]:
    """A clean and a toxic sample of the base after each prompt that has both."""
    asked = [prompt for prompt in prompts for _ in range(PER_PROMPT)]
    said = write(causal.model, causal, asked, plan.new, plan.seed)
    labels = np.asarray(clean(said.texts)).reshape(-1, PER_PROMPT)
    found: list[TextPair] = []
    for place, prompt in enumerate(prompts):
        texts = said.texts[place * PER_PROMPT : (place + 1) * PER_PROMPT]
        good = [text for text, good in zip(texts, labels[place], strict=True) if good]
        bad = [text for text, good in zip(texts, labels[place], strict=True) if not good]
        found += [TextPair(prompt, a, b) for a, b in zip(good, bad, strict=False)]
    return found

"""How soon is it undone? The model after is tuned on a few rude posts, and judged step by step.

The steps are of AdamW on cross-entropy, on every word of a post, with the highest rate of tuning
from the first step to the last. A small edit that brings rudeness back says that what writes it was
still there; the control is the base while it was young, before it wrote posts at all, which has to
learn them.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.changes.plan import ChangePlan
from helpers.changes.reading import SEED, reported, rude_shares
from helpers.detox.finetune import TuningPlan
from helpers.detox.finetune.steps import posts as marked
from helpers.detox.networks import Plain, frozen
from helpers.detox.posts import posts_of
from helpers.inputs import check_count
from helpers.runtime import gradients

BATCH = 32


def attack(base: Plain, network: Plain, plan: ChangePlan) -> dict[str, Any]:
    """Rude shares while a model is tuned on rude posts.

    Args:
        base: Not used: every question is asked of both.

    Returns:
        Rude shares at once ("after"), and by the number of posts after each of the plan's steps
        ("rude"), with the length of the change of all weights by then ("norm").

    Raises:
        LabError: A network of another vocabulary.
    """
    del base
    asked = reported(plan.prompts)
    found: dict[str, Any] = {"after": rude_shares(network, asked)}
    for count in plan.attack_posts:
        rude, norms = [], []
        for copy, norm in attacked(network, count, plan.attack_steps):
            rude.append(rude_shares(copy, asked))
            norms.append(round(norm, 5))
        found[f"{count} posts"] = {"rude": rude, "norm": norms}
    return found


@gradients()
def attacked(
    network: Plain, count: int, steps: tuple[int, ...], seed: int = SEED + 1
) -> list[tuple[Plain, float]]:
    """The network after each of some numbers of steps on rude posts, and how far its weights went.

    Args:
        count: Number of different rude posts.
        seed: Of the posts, and of the batches.

    Raises:
        LabError: No post, no step, or numbers that are none.
    """
    for step in steps:
        check_count("number of steps", step, least=1)
    texts = posts_of(seed, count, rude_share=1.0)
    plan, rng = TuningPlan(), np.random.default_rng(seed)
    copy = frozen(network).requires_grad_(True)
    before = [weight.detach().clone() for weight in copy.parameters()]
    optimizer = torch.optim.AdamW(copy.parameters(), lr=plan.rate, weight_decay=0.0)
    found = []
    for step in range(1, max(steps) + 1):
        drawn = torch.from_numpy(rng.permutation(max(count, BATCH))[:BATCH] % count)
        batch = marked(texts[drawn])
        said = batch.log_p(copy).gather(1, batch.wanted[:, None])
        optimizer.zero_grad()
        (-said.mean()).backward()
        optimizer.step()
        if step in steps:
            found.append((frozen(copy), _distance(list(copy.parameters()), before)))
    return found


@torch.no_grad()
def _distance(weights: list[Tensor], before: list[Tensor]) -> float:
    return float(sum((w - b).square().sum() for w, b in zip(weights, before, strict=True)) ** 0.5)

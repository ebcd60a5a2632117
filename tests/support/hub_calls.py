"""A good call of every public function of `helpers.detox.real` that takes numbers or arrays."""

from collections.abc import Callable
from typing import Any

import torch

from helpers.detox.real import auxiliary, found, measures, writing
from tests.detox.real.stand_ins import PROMPTS, causal

ROOM = "detox/real"
SCORES = torch.tensor([0.5, 0.25, 0.75, 0.0])
COUNTS = torch.tensor([[False, True, True], [False, False, True]])

CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "detox.real.auxiliary.new_auxiliary": (
        auxiliary.new_auxiliary,
        lambda: {"words": 8, "width": 8, "layers": 1, "longest": 6, "share": 0.5, "seed": 0},
    ),
    "detox.real.found.interval": (found.interval, lambda: {"values": SCORES.numpy().copy()}),
    "detox.real.measures.by_prompt": (
        measures.by_prompt,
        lambda: {"scores": SCORES.clone(), "tries": 2},
    ),
    "detox.real.writing.before": (writing.before, lambda: {"counts": COUNTS.clone()}),
    "detox.real.writing.write": (
        writing.write,
        lambda: {
            "model": causal().model,
            "causal": causal(),
            "prompts": list(PROMPTS[:2]),
            "new": 2,
            "seed": 0,
            "top_p": 0.5,
        },
    ),
}
EXEMPT = {
    "detox.real.measures.kl_to_base": "takes rows of tokens that `padded` or `write` made",
    "detox.real.measures.nll": "takes rows of tokens that `padded` or `write` made",
    "detox.real.running.run": "takes the name of prompts, or texts; its own tests spoil them",
    "detox.real.texts.prompts_of": "takes a name, or texts; its own tests spoil them",
    "detox.real.models.log_probs": "asks a model of `transformers` that a run has loaded",
}

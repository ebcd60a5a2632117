"""A good call of every public function of `helpers.detox.finetune` that takes numbers or arrays.

Chances are sums of powers of two, as in `good_calls`.
"""

from collections.abc import Callable
from typing import Any

import torch

from helpers.detox.finetune import loss, steps, weight
from helpers.detox.posts import STOP

ROOM = "detox/finetune"
Q = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]).log()
P = torch.tensor([[0.25, 0.25, 0.5], [0.5, 0.25, 0.25]]).log()
COUNTS = torch.tensor([True, True])
TOKENS = torch.tensor([[1, 70, 5, 90, STOP], [1, 71, 5, 91, STOP]])

CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "detox.finetune.loss.closed_form_kl": (
        loss.closed_form_kl,
        lambda: {"log_q": Q.clone(), "log_p": P.clone(), "mask": COUNTS},
    ),
    "detox.finetune.loss.cross_entropy": (
        loss.cross_entropy,
        lambda: {"log_p": P.clone(), "wanted": torch.tensor([0, 2]), "mask": COUNTS},
    ),
    "detox.finetune.weight.next_weight": (
        weight.next_weight,
        lambda: {"weight": 1.0, "share": 0.5, "target": 0.125, "controller": "dual", "pace": 4.0},
    ),
    "detox.finetune.weight.check_shares": (
        weight.check_shares,
        lambda: {"share": 0.5, "target": 0.125},
    ),
    "detox.finetune.steps.posts": (steps.posts, lambda: {"tokens": TOKENS.clone()}),
    "detox.finetune.steps.rows": (steps.rows, lambda: {"tokens": TOKENS.clone()}),
}

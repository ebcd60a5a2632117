"""A good call of every public function of `helpers.detox.rivals` that takes numbers or arrays.

Numbers are eighths, as in `good_calls`; the networks are the writers that the tests of the room
have.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from helpers.detox.networks import Plain, Policy
from helpers.detox.oracle import separate
from helpers.detox.posts import labels, prompts
from helpers.detox.rivals import activations, decoding, dpo, group_relative, steps
from tests.detox.rivals import toys

ROOM = "detox/rivals"
PLAN = toys.plan(posts=4, first_samples=192, rows=1)


@cache
def base() -> Plain:
    """One network for all calls: none may change it."""
    return toys.writer(turned=0.25, insult=0.5)


def words() -> dict[str, Any]:
    now = torch.tensor([[-1.0, -0.5, -2.0], [-0.25, -1.5, -0.125]])
    said = torch.tensor([[True, True, False], [True, True, True]])
    advantages = torch.tensor([1.0, -0.5])
    return {"now": now, "before": now / 2, "advantages": advantages, "said": said, "beta": 0.25}


def four() -> dict[str, Any]:
    row = torch.tensor([-1.5, -2.0, -0.25])
    names = ("chosen", "refused", "chosen_before", "refused_before")
    return {name: row / 2**place for place, name in enumerate(names)} | {"beta": 0.125}


def first_word(rows: torch.Tensor) -> torch.Tensor:
    """A reward that differs within a batch."""
    return torch.from_numpy(labels(rows) == 0) + torch.arange(len(rows)) / 8


def tuning(**more: Any) -> dict[str, Any]:
    return {"base": base(), "corpus": toys.small_corpus(width=2), "plan": PLAN, **more}


def said(way: Callable[..., Any]) -> Callable[..., torch.Tensor]:
    """What the rival says; its seconds are never the same."""
    return lambda **asked: way(**asked).policy.log_probs(POSTS)


POSTS = toys.one_of_each()
ROWS = torch.tensor([[1, 5, 7, 9, 8, 0], [1, 6, 7, 8, 11, 9]])
"""Small ids, which every type of whole numbers holds: the rows are no posts."""

CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "detox.rivals.activations.edited": (
        activations.edited,
        lambda: {
            "network": base(),
            "edit": activations.ActivationEdit(0, "noun", 1.0),
            "vector": torch.arange(toys.WIDTH) / 8,
        },
    ),
    "detox.rivals.activations.shifted": (
        activations.shifted,
        lambda: {"network": base(), "block": 0, "vector": torch.arange(toys.WIDTH) / 8},
    ),
    "detox.rivals.activations.kind_share": (
        activations.kind_share,
        lambda: {"policy": Policy(base()), "asked": prompts()[:3], "seed": 1, "samples": 2},
    ),
    "detox.rivals.activations.activation_editing": (
        said(activations.activation_editing),
        lambda: {
            "base": base(),
            "corpus": toys.small_corpus(width=2),
            "layers": [0],
            "strengths": [1.0],
            "seed": 1,
        },
    ),
    "detox.rivals.decoding.dexperts": (said(decoding.dexperts), lambda: tuning(alpha=1.0)),
    "detox.rivals.decoding.oracle_decoding": (
        said(decoding.oracle_decoding),
        lambda: {"base": base(), "plan": PLAN, "oracle": separate(0), "strength": 1.0},
    ),
    "detox.rivals.dpo.sequence_log_probs": (
        dpo.sequence_log_probs,
        lambda: {"network": base(), "tokens": ROWS.clone()},
    ),
    "detox.rivals.dpo.preference_loss": (dpo.preference_loss, four),
    "detox.rivals.dpo.not_rude": (dpo.not_rude, lambda: {"tokens": ROWS.clone()}),
    "detox.rivals.dpo.preferences": (
        said(dpo.preferences),
        lambda: tuning(beta=0.125, garbled_violates=True),
    ),
    "detox.rivals.group_relative.group_advantages": (
        group_relative.group_advantages,
        lambda: {"rewards": torch.tensor([[0.0, 1.0, 0.5], [0.25, 0.25, 1.0]])},
    ),
    "detox.rivals.group_relative.policy_loss": (group_relative.policy_loss, words),
    "detox.rivals.group_relative.is_kind": (
        group_relative.is_kind,
        lambda: {"tokens": ROWS.clone()},
    ),
    "detox.rivals.group_relative.grpo": (
        said(group_relative.grpo),
        lambda: tuning(reward=first_word, group=2, beta=0.25),
    ),
    "detox.rivals.steps.word_log_probs": (
        steps.word_log_probs,
        lambda: {"network": base(), "tokens": ROWS.clone()},
    ),
}

EXEMPT = {
    "detox.rivals.activations.mean_difference": "compares real posts, whose ids are not small",
}

"""A good call of every public function of `helpers.detox.networks` that takes numbers or arrays."""

from collections.abc import Callable
from typing import Any

import torch

from helpers.detox.networks import Plain, PlainShape, Policy, fresh, sampling

ROOM = "detox/networks"


def small() -> Plain:
    """A network that has the words below and a few more."""
    return fresh(PlainShape(10, 8, 2, 2, 8, 12), seed=0)


CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "detox.networks.sampling.sample": (
        sampling.sample,
        lambda: {
            "policy": Policy(small()),
            "prompts": torch.tensor([[1, 5, 7], [1, 6, 7]]),
            "generator": torch.Generator().manual_seed(0),
            "new": 4,
            "stop": 3,
        },
    ),
}
EXEMPT = {
    "detox.networks.policies.rows_of": "chooses rows of a state that a guide has made",
    "detox.networks.bench.words_of": "counts the words of a speed comparison",
    "detox.networks.bench.by_cache": "one side of a speed comparison",
    "detox.networks.bench.by_generate": "the other side of a speed comparison",
}
"""Functions without a good call here, and why."""

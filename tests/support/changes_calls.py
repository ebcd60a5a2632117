"""A good call of every public function of `helpers.changes` that takes numbers or arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from helpers.changes import edges, neurons, offsets, reading, restoring, summaries, verdicts
from helpers.detox.networks import PlainShape, fresh
from tests.changes import fakes

ROOM = "changes"
SHAPE = PlainShape(993, 8, 2, 2, 16, n_positions=32)


def network(seed: int = 0):
    """A network before training."""
    return fresh(SHAPE, seed)


def posts():
    """Rows of small token ids, which every type of whole numbers holds: they are no posts."""
    return torch.tensor([[1, 5, 7, 9, 8, 0], [1, 6, 7, 8, 11, 9]])


CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "changes.edges.highest": (
        edges.highest,
        lambda: {"scores": np.array([0.5, 2.0, 1.0]), "count": 2},
    ),
    "changes.neurons.restored": (
        neurons.restored,
        lambda: {"base": network(), "network": network(1), "chosen": torch.tensor([0, 17])},
    ),
    "changes.offsets.explained": (
        offsets.explained,
        lambda: {
            "learnt": torch.tensor([[0.5, 1.0], [1.0, 0.25]]),
            "tested": torch.tensor([[0.5, 0.5]]),
            "dimensions": (1, 2),
        },
    ),
    "changes.reading.rude": (reading.rude, lambda: {"posts": posts()}),
    "changes.reading.streams": (
        reading.streams,
        lambda: {"network": network(), "tokens": posts()},
    ),
    "changes.reading.rude_shares": (
        reading.rude_shares,
        lambda: {"policy": network(), "asked": torch.tensor([[1, 5, 7]])},
    ),
    "changes.restoring.some_restored": (
        restoring.some_restored,
        lambda: {
            "old": {"w": torch.zeros(4)},
            "new": {"w": torch.ones(4)},
            "names": ["w"],
            "count": 2,
            "seed": 1,
        },
    ),
    "changes.summaries.undone": (
        summaries.undone,
        lambda: {
            "before": np.array([[0.5, 0.5]]),
            "after": np.array([[0.125, 0.125]]),
            "now": np.array([[0.25, 0.375]]),
        },
    ),
    "changes.verdicts.attack_row": (
        verdicts.attack_row,
        lambda: {"study": fakes.study(), "model": "method", "count": 4, "level": 0.25},
    ),
}

EXEMPT = dict.fromkeys(
    (
        "changes.neurons.ranking",
        "changes.writers.contributions",
        *(f"changes.reading.{name}" for name in ("both_possible", "end_places")),
        "changes.reading.written_before_noun",
    ),
    "read posts with nouns, whose token ids are above 255: see tests/changes/test_reading.py",
)

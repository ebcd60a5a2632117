"""A good call of every public function of `helpers.detox.study` that takes numbers or arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np

from helpers.detox.study import plan, views

ROOM = "detox/study"

CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "detox.study.plan.detection_cell": (
        plan.detection_cell,
        lambda: {"arm": "detection", "labels": 60, "noise": 0.25, "seed": 1},
    ),
    "detox.study.plan.method_cell": (
        plan.method_cell,
        lambda: {"setting": "mixed", "weight": 2.5, "steps": 120, "seed": 1},
    ),
    "detox.study.plan.rival_cell": (
        plan.rival_cell,
        lambda: {"name": "plain", "setting": "mixed", "weight": 2.5, "steps": 120, "seed": 1},
    ),
    "detox.study.views.bars": (
        views.bars,
        lambda: {
            "labels": ["one", "two"],
            "draws": {"rude": np.array([[0.5, 0.25], [0.125, 0.5]])},
            "ylabel": "share",
        },
    ),
}

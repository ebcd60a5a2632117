"""A good call of every public function of `helpers.detox.oracle` that takes numbers or arrays.

Numbers are eighths, as in `good_calls`. The texts are of the language of five words that the tests
of the room have.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from helpers.detox.networks import Plain
from helpers.detox.oracle import calibrated, losses, network, samples, target
from helpers.detox.oracle.network import SuccessOracle
from tests.detox.oracle import tiny

ROOM = "detox/oracle"
OWN = torch.tensor([[0.5, -0.25, 1.5], [0.125, 2.0, -1.0]])
COUNTS = torch.tensor([[True, True, False], [True, True, True]])
EXPECTED = torch.tensor([[0.5, 0.25, 0.125], [0.75, 0.5, 0.5]])
TEXTS = tiny.rows([(tiny.GOOD, tiny.STOP), (tiny.BAD, tiny.GOOD, tiny.STOP)])


@cache
def base() -> Plain:
    """One network for all calls: none may change it."""
    return tiny.network()


@cache
def blind() -> SuccessOracle:
    """An oracle that has learned nothing."""
    return network.blank(tiny.SHAPE, 0)


def truths() -> list[calibrated.Truth]:
    """What is true after two prompts of a word."""
    rows = torch.tensor([[tiny.BEGIN, 0], [tiny.BEGIN, tiny.GOOD]])
    weight, exact = np.full((2, 5), 0.125), np.full((2, 5), 0.25)
    return [calibrated.Truth(rows, torch.tensor([0, 1]), np.array([0, 1]), weight, exact)] * 2


def scorer(tokens: torch.Tensor) -> torch.Tensor:
    return tokens[:, 1] == tiny.GOOD


def next_words() -> dict[str, Any]:
    """The first success logit is so large that R is 1, as it is at infinity."""
    return {
        "log_p": torch.tensor([[0.5, -0.25, 1.5], [0.125, 2.0, -1.0]]),
        "success": torch.tensor([[40.0, 0.25, 0.5], [-1.0, -2.0, 0.125]]),
        "strength": 1.0,
    }


CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "detox.oracle.calibrated.calibration": (
        calibrated.calibration,
        lambda: {
            "oracle": blind(),
            "base": base(),
            "prompts": torch.tensor([[tiny.BEGIN], [tiny.BEGIN]]),
            "truths": truths(),
        },
    ),
    "detox.oracle.losses.counted": (
        losses.counted,
        lambda: {"tokens": TEXTS.clone(), "start": tiny.START, "stop": tiny.STOP},
    ),
    "detox.oracle.losses.entropy": (
        losses.entropy,
        lambda: {"own": OWN, "satisfied": torch.tensor([1.0, 0.0]), "counts": COUNTS},
    ),
    "detox.oracle.losses.consistency": (
        losses.consistency,
        lambda: {"own": OWN, "expected": EXPECTED, "counts": COUNTS},
    ),
    "detox.oracle.losses.expected_success": (
        losses.expected_success,
        lambda: {"logits": OWN, "p": EXPECTED},
    ),
    "detox.oracle.network.blank": (
        network.blank,
        lambda: {"shape": tiny.SHAPE, "seed": 1, "chance": 0.25},
    ),
    "detox.oracle.network.separate": (
        network.separate,
        lambda: {"seed": 1, "d_model": 8, "n_layers": 1, "n_heads": 2, "chance": 0.25},
    ),
    "detox.oracle.network.linear": (
        network.linear,
        lambda: {"base": base(), "chance": 0.25},
    ),
    "detox.oracle.samples.scored": (
        samples.scored,
        lambda: {"tokens": TEXTS.clone(), "scorer": scorer},
    ),
    "detox.oracle.target.log_target": (target.log_target, next_words),
}

EXEMPT = {
    "detox.oracle.calibrated.truth": "hands its prompt on to `exact_success`, which is walked",
    "detox.oracle.measuring.measure": "a cell of a study; its weight is checked by `FitPlan`",
    "detox.oracle.samples.kind": "hands its rows on to `labels`, which is walked",
}

"""A good call of every public function of `helpers.detox.exact` that takes numbers or arrays.

Numbers are eighths, or sums of powers of two, as in `good_calls`.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from helpers.detox.exact import (
    bounds,
    chains,
    fixed_point,
    guides,
    never,
    stop_gradient,
    tabular,
    targets,
)

ROOM = "detox/exact"
STEPS = np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5], [0.5, 0.375, 0.125]])
CHAIN = chains.markov(np.array([0.5, 0.25, 0.25]), STEPS, length=3)
CLEAN = never(2, n_words=3)
TREE = tabular.prefix_tree(CHAIN, CLEAN)
TEXTS = np.array([[0, 1, 0], [0, 2, 1], [1, 1, 1], [2, 0, 0], [0, 0, 1]])
SATISFIED = CLEAN.accepts(TEXTS)
CORPUS, MODEL = np.array([0.5, 0.25, 0.25]), np.array([0.125, 0.5, 0.375])
VIOLATES = np.array([False, False, True])


def world() -> dict[str, Any]:
    return {"chain": CHAIN, "automaton": CLEAN}


def values() -> np.ndarray:
    """Half of exact success: of the same zeros, and never 0 for all next words."""
    return guides.success(CHAIN, CLEAN) / 2


def position() -> dict[str, Any]:
    return {"logits": np.array([0.5, -0.25, 1.0]), "success": np.array([0.5, 0.25, 0.125])}


CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "detox.exact.bounds.log_error": (bounds.log_error, lambda: {**world(), "values": values()}),
    "detox.exact.bounds.inconsistency": (
        bounds.inconsistency,
        lambda: {**world(), "values": values()},
    ),
    "detox.exact.bounds.kl_bound": (
        bounds.kl_bound,
        lambda: {"log_delta": 0.25, "length": 3, "consistent": True},
    ),
    "detox.exact.bounds.kl_of_oracle": (
        bounds.kl_of_oracle,
        lambda: {**world(), "values": values()},
    ),
    "detox.exact.bounds.disturbed": (
        bounds.disturbed,
        lambda: {**world(), "log_delta": 0.25, "consistent": False},
    ),
    "detox.exact.bounds.growing_error": (
        bounds.growing_error,
        lambda: {"lengths": (2, 3), "log_delta": 0.25},
    ),
    "detox.exact.chains.markov": (
        chains.markov,
        lambda: {"start": np.array([0.5, 0.25, 0.25]), "steps": STEPS.copy(), "length": 3},
    ),
    "detox.exact.chains.of_model": (
        chains.of_model,
        lambda: {
            "next_words": lambda contexts: np.full((len(contexts), 2), 0.5),
            "n_words": 2,
            "order": 1,
            "length": 3,
        },
    ),
    "detox.exact.fixed_point.floor": (
        fixed_point.floor,
        lambda: {"share": 0.5, "kl_weight": 2.0},
    ),
    "detox.exact.fixed_point.rate": (
        fixed_point.rate,
        lambda: {"share": 0.5, "kl_weight": 2.0, "stale": 1},
    ),
    "detox.exact.fixed_point.tuned": (
        fixed_point.tuned,
        lambda: {
            "corpus": CORPUS.copy(),
            "model": MODEL.copy(),
            "violates": VIOLATES.copy(),
            "kl_weight": 2.0,
            "updates": 3,
            "stale": 1,
            "text_weight": 0.5,
        },
    ),
    "detox.exact.fixed_point.projected": (
        fixed_point.projected,
        lambda: {"model": MODEL.copy(), "violates": VIOLATES.copy()},
    ),
    "detox.exact.guides.expected": (
        guides.expected,
        lambda: {**world(), "values": values()[1]},
    ),
    "detox.exact.guides.guided": (guides.guided, lambda: {**world(), "values": values()}),
    "detox.exact.guides.check_values": (
        guides.check_values,
        lambda: {**world(), "values": values()},
    ),
    "detox.exact.stop_gradient.token_kl": (stop_gradient.token_kl, position),
    "detox.exact.stop_gradient.kl_gradient": (
        stop_gradient.kl_gradient,
        lambda: {**position(), "stop": False},
    ),
    "detox.exact.stop_gradient.descend": (
        stop_gradient.descend,
        lambda: {
            "words": MODEL.copy(),
            "success": np.array([0.5, 0.25, 0.125]),
            "steps": 5,
            "rate": 0.5,
        },
    ),
    "detox.exact.tabular.learned": (
        tabular.learned,
        lambda: {"tree": TREE, "texts": TEXTS.copy(), "satisfied": SATISFIED.copy()},
    ),
    "detox.exact.tabular.fitted": (
        tabular.fitted,
        lambda: {
            "tree": TREE,
            "texts": TEXTS.copy(),
            "satisfied": SATISFIED.copy(),
            "consistency": 0.5,
            "steps": 3,
        },
    ),
    "detox.exact.targets.soft": (targets.soft, lambda: {**world(), "share": 0.75}),
    "detox.exact.targets.penalised": (targets.penalised, lambda: {**world(), "strength": 2.0}),
    "detox.exact.targets.target_words": (
        targets.target_words,
        lambda: {
            "words": np.array([[0.5, 0.25, 0.25], [0.25, 0.25, 0.5]]),
            "success": np.array([[0.5, 0.25, 0.0], [1.0, 0.5, 0.25]]),
        },
    ),
}

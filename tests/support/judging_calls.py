"""A good call of every public function of `helpers.detox.judging` and of `helpers.detox.detection`
that takes numbers or arrays.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from helpers.detox import detection
from helpers.detox.judging import fluency, independent, skills, toxicity
from helpers.tinyworld.sets import tasks
from tests.support.posts_calls import PROMPTS, ROWS, policy

ROOMS = ("detox/judging", "detox/detection")


@functools.cache
def posts() -> detection.LabelledPosts:
    return detection.labelled_posts(4, noise=0.0, seed=0)


CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "detox.judging.fluency.perplexity": (
        fluency.perplexity,
        lambda: {"policy": policy(), "texts": PROMPTS.clone(), "start": 1},
    ),
    "detox.judging.fluency.said_places": (
        fluency.said_places,
        lambda: {"tokens": ROWS.clone(), "start": 3},
    ),
    "detox.judging.independent.scores": (
        independent.scores,
        lambda: {"judge": lambda tokens: np.full(len(tokens), 0.5), "tokens": ROWS.clone()},
    ),
    "detox.judging.skills.final_log_probs": (
        skills.final_log_probs,
        lambda: {"policy": policy(), "asked": tasks.prompts("code", 2)},
    ),
    "detox.judging.skills.policy_answers": (
        skills.policy_answers,
        lambda: {"policy": policy(), "asked": tasks.prompts("code", 2)},
    ),
    "detox.judging.toxicity.graded": (
        toxicity.graded,
        lambda: {"scores": np.array([[0.25, 0.5], [0.0, 1.0]])},
    ),
    "detox.detection.task.labelled_posts": (
        detection.labelled_posts,
        lambda: {"count": 4, "noise": 0.25, "seed": 0},
    ),
    "detox.detection.task.detection_loss": (
        detection.detection_loss,
        lambda: {"network": policy().network, "posts": posts(), "drawn": torch.tensor([0, 2])},
    ),
}

EXEMPT = {
    "detox.judging.distance.exact_divergence": "reads its prompts by `posts.post_chances`; seconds",
    "detox.detection.measuring.measure": "a cell of a study; its noise goes to `labelled_posts`",
}

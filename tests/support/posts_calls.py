"""A good call of every public function of `helpers.detox.posts` that takes numbers or arrays.

Token ids are small, so that every type of whole numbers holds them: the rows are no posts.
"""

import functools
from collections.abc import Callable
from typing import Any

import torch

from helpers.detox.networks import PlainShape, Policy, fresh
from helpers.detox.posts import corpora, labelling, truth
from helpers.tinyworld.language import vocabulary

ROOM = "detox/posts"
PROMPTS = torch.tensor([[1, 5, 7], [1, 6, 7]])
ROWS = torch.tensor([[1, 5, 7, 9, 8, 0], [1, 6, 7, 8, 11, 9]])


@functools.cache
def policy() -> Policy:
    """A small network over the words of TinyWorld: none may change it."""
    return Policy(fresh(PlainShape(len(vocabulary()), 8, 2, 1, 16, 32), 0))


CALLS: dict[str, tuple[Callable[..., Any], Callable[[], dict[str, Any]]]] = {
    "detox.posts.labelling.labels": (
        labelling.labels,
        lambda: {"tokens": ROWS.clone(), "start": 3},
    ),
    "detox.posts.labelling.manners": (
        labelling.manners,
        lambda: {"tokens": ROWS.clone(), "start": 3},
    ),
    "detox.posts.corpora.posts_of": (
        corpora.posts_of,
        lambda: {"seed": 1, "count": 2, "rude_share": 0.5, "manner": "insult"},
    ),
    "detox.posts.truth.exact_success": (
        truth.exact_success,
        lambda: {"policy": policy(), "prompt": PROMPTS[0].clone(), "complete": False},
    ),
    "detox.posts.truth.exact_shares": (
        truth.exact_shares,
        lambda: {"policy": policy(), "prompts": PROMPTS.clone()},
    ),
}

EXEMPT = {
    "detox.posts.grammar.noun_places": "reads posts with nouns, whose token ids are above 255",
    "detox.posts.truth.post_chances": "reads its prompts as `exact_shares` does, but takes seconds",
    "detox.posts.truth.ends_of": "a step of `exact_shares`, which checks its prompts",
    "detox.posts.walking.walk": "a step of `exact_shares`, likewise",
}

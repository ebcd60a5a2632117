"""Posts of TinyWorld's forum: their grammar, labels, corpora, and the exact success of a model."""

from helpers.detox.posts.corpora import (
    HELD_OUT_SEEDS,
    SETTINGS,
    DetoxCorpus,
    check_kind_posts,
    corpus,
    other_text,
    posts_of,
)
from helpers.detox.posts.grammar import (
    MANNERS,
    PROMPT,
    STOP,
    Post,
    PostLabel,
    all_posts,
    manner_of,
    prompts,
)
from helpers.detox.posts.labelling import GARBLED_MANNER, labels, manners

__all__ = [
    "GARBLED_MANNER", "HELD_OUT_SEEDS", "MANNERS", "PROMPT", "SETTINGS", "STOP", "DetoxCorpus",
    "Post", "PostLabel", "all_posts", "check_kind_posts", "corpus", "labels", "manner_of",
    "manners", "other_text", "posts_of", "prompts",
]  # fmt: skip

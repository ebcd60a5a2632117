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
    noun_places,
    noun_words,
    prompts,
)
from helpers.detox.posts.labelling import GARBLED_MANNER, check_network, labels, manners
from helpers.detox.posts.trie import PostTrie, post_trie
from helpers.detox.posts.truth import Success, exact_shares, exact_success, post_chances

__all__ = [
    "GARBLED_MANNER", "HELD_OUT_SEEDS", "MANNERS", "PROMPT", "SETTINGS", "STOP", "DetoxCorpus",
    "Post", "PostLabel", "PostTrie", "Success", "all_posts", "check_kind_posts", "check_network",
    "corpus", "exact_shares", "exact_success", "labels", "manner_of", "manners", "noun_places",
    "noun_words", "other_text", "post_chances", "post_trie", "posts_of", "prompts",
]  # fmt: skip

"""How well a policy still writes: perplexity of texts it should know, and variety of what it says.

Perplexity is e to the mean cross-entropy of a word, in nats. Texts are drawn under seeds that no
corpus is made from. Prompts and padding are read, and never counted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.detox.judging.toxicity import Result, SampledPosts, rounded
from helpers.detox.networks import Policy
from helpers.detox.posts import HELD_OUT_SEEDS, PROMPT, STOP, other_text, posts_of
from helpers.errors import LabError
from helpers.inputs import check_count, token_ids
from helpers.texts import PAD

POSTS = 400
"""Posts of each kind that perplexity is measured on."""
ORDERS = (1, 2, 3)
"""Lengths of the word sequences that are counted as different or not."""


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of some texts.

    Attributes:
        value: e to the mean cross-entropy; None where a word has no chance at all.
        impossible: Share of the words that have no chance: a policy may forbid some.
        words: How many words were counted.
    """

    value: float | None
    impossible: float
    words: int


def perplexity(policy: Policy, texts: Int[Tensor, "row pos"], start: int = 1) -> Perplexity:
    """Perplexity of the words of each row from `start` on; padding is not counted.

    Raises:
        LabError: No tokens, nothing after the start, or chances that are NaN.
    """
    tokens = token_ids(texts, policy.network)
    check_count("place of the first word", start, least=1)
    counted = tokens[:, start:] != PAD
    if not counted.any():
        raise LabError(
            f"expected words to score after the first {start} tokens",
            f"got rows of {tokens.shape[1]} tokens",
        )
    said = policy.log_probs(tokens[:, :-1])[:, start - 1 :]
    scores = said.gather(-1, tokens[:, start:, None])[..., 0][counted].double()
    return _perplexity(scores)


def _perplexity(scores: Float[Tensor, " word"]) -> Perplexity:
    """Perplexity of words of these log-probabilities."""
    if scores.isnan().any():
        raise LabError(
            "expected chances of the words of a text",
            f"got NaN for {int(scores.isnan().sum())} of {len(scores)}",
        )
    impossible = float((scores == -torch.inf).double().mean())
    value = None if impossible else math.exp(-float(scores.mean()))
    return Perplexity(value, impossible, len(scores))


@cache
def _texts(rows: int, seed: int) -> dict[str, tuple[Int[Tensor, "row pos"], int]]:
    """Texts to score, and where the first word of each row is that counts."""
    held_out = HELD_OUT_SEEDS + seed
    return {
        "clean posts": (posts_of(held_out, POSTS, 0.0), PROMPT),
        "rude posts": (posts_of(held_out + 1, POSTS, 1.0), PROMPT),
        "other text": (other_text(held_out, rows), 1),
    }


def perplexities(policy: Policy, rows: int, seed: int) -> Result:
    """Perplexity of clean posts, rude posts and other text, by name; None for an infinite one.

    ``impossible`` has the share of words that have no chance, of each kind of text.

    Args:
        rows: Rows of other text, of 64 tokens each.

    Raises:
        LabError: No rows, or what `perplexity` refuses.
    """
    found = {
        name: perplexity(policy, texts, start)
        for name, (texts, start) in _texts(rows, seed).items()
    }
    values = {name: each.value for name, each in found.items()}
    return rounded(values | {"impossible": {name: each.impossible for name, each in found.items()}})


def said_places(tokens: Int[Tensor, "row pos"], start: int = PROMPT) -> Bool[Tensor, "row said"]:
    """Which tokens from `start` on belong to what a row says: up to its first stop, no padding.

    Raises:
        LabError: No tokens, or nothing after the start.

    >>> said_places(torch.tensor([[1, 7, 8, 9, STOP, 0]])).tolist()
    [[True, True, False]]
    """
    tokens = token_ids(tokens)
    check_count("place where a post begins", start)
    if start >= tokens.shape[1]:
        raise LabError(
            f"expected posts after {start} tokens of a prompt", f"got {tokens.shape[1]} tokens"
        )
    said = tokens[:, start:]
    stops = (said == STOP).long()
    return (stops.cumsum(1) - stops == 0) & (said != PAD)


def distinct(posts: SampledPosts) -> Result:
    """How varied the samples of a prompt are, as the mean over prompts.

    Under "1", "2" and "3" the number of different sequences of so many words, over the number of
    words (as in DExperts, 2105.03023, section 4.1); under "posts" the share of different posts.
    """
    words = [
        tuple(row[keep].tolist())
        for row, keep in zip(posts.tokens[:, PROMPT:], said_places(posts.tokens), strict=True)
    ]
    by_prompt = [words[i : i + posts.samples] for i in range(0, len(words), posts.samples)]
    shares = {str(order): [_different(said, order) for said in by_prompt] for order in ORDERS}
    shares["posts"] = [len(set(said)) / len(said) for said in by_prompt]
    return rounded({name: sum(each) / len(each) for name, each in shares.items()})


def _different(said: Sequence[tuple[int, ...]], order: int) -> float:
    """Different sequences of so many words over all words; 0 where nothing is said."""
    grams = {post[place : place + order] for post in said for place in range(len(post) - order + 1)}
    return len(grams) / max(1, sum(map(len, said)))

"""What a row of tokens says: a kind post, a rude one, or none of the grammar.

A row is looked up among all posts, so the label is exact. A row that is no post is garbled and
violates the constraint: else a model that says nothing at all would count as kind.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from helpers.detox.networks import Plain
from helpers.detox.posts.grammar import PROMPT, STOP, Post, PostLabel, known_posts, manner_of
from helpers.errors import LabError
from helpers.inputs import check_count, token_ids
from helpers.tinyworld.language import vocabulary

GARBLED_MANNER = "garbled"
"""What stands for a manner where a row is no post."""


def labels(tokens: Int[Tensor, "row pos"], start: int = PROMPT) -> Int[ndarray, " row"]:
    """What each row says from `start` to its first stop, as a `PostLabel`.

    What stands after the stop does not count, whether padding or further words. A row without a
    stop is garbled, and so is one with padding before it.

    Args:
        tokens: Rows, padded on the right.
        start: Where the posts begin: by default behind a prompt.

    Raises:
        LabError: No table of token ids, ids that TinyWorld does not have, or a start beyond the
            rows.

    >>> import torch
    >>> from helpers.detox.posts.grammar import all_posts
    >>> rude = all_posts()[0].tokens
    >>> labels(torch.tensor([rude, (*rude[:-1], 0)]), start=0).tolist()
    [1, 2]
    """
    found = (PostLabel.GARBLED if post is None else post.label for post in _said(tokens, start))
    return np.fromiter(found, dtype=np.int64)


def manners(tokens: Int[Tensor, "row pos"], start: int = PROMPT) -> list[str]:
    """How each row is rude or kind: one of `MANNERS`, or "garbled".

    Raises:
        LabError: As `labels`.

    >>> import torch
    >>> from helpers.detox.posts.grammar import all_posts
    >>> manners(torch.tensor([all_posts()[0].tokens]), start=0)
    ['insult']
    """
    return [GARBLED_MANNER if post is None else manner_of(post) for post in _said(tokens, start)]


def _said(tokens: Any, start: int) -> Iterator[Post | None]:
    """The post of each row; None where it is none."""
    rows = words_of_world(tokens)
    check_count("start of the posts", start)
    if start >= rows.shape[1]:
        raise LabError(
            "expected posts that begin within their rows",
            f"got a start of {start} in rows of {rows.shape[1]} tokens",
        )
    posts = known_posts()
    for row in rows[:, start:].tolist():
        end = row.index(STOP) + 1 if STOP in row else len(row)
        yield posts.get(tuple(row[:end]))


def words_of_world(tokens: Any) -> Int[Tensor, "row pos"]:
    """Token ids of some rows, all of them words of TinyWorld.

    Raises:
        LabError: No table of token ids, or ids that TinyWorld does not have.

    >>> import torch
    >>> words_of_world(torch.tensor([[1, 5]], dtype=torch.uint8)).dtype
    torch.int64
    """
    rows, most = token_ids(tokens), len(vocabulary()) - 1
    smallest, largest = int(rows.min()), int(rows.max())
    if smallest < 0 or largest > most:
        raise LabError(
            f"expected token ids from 0 to {most}, the words of TinyWorld",
            f"got ids from {smallest} to {largest}",
            hint="the tokens belong to another model's tokenizer",
        )
    return rows


def check_network(network: Plain) -> None:
    """Refuse a network of other words than TinyWorld's: its tokens would mean something else.

    Raises:
        LabError: It has more or fewer words.
    """
    words = len(vocabulary())
    if network.shape.n_words != words:
        raise LabError(
            f"expected a network of TinyWorld's {words} words",
            f"got one of {network.shape.n_words}",
            hint='take a model of TinyWorld, such as plain(zoo.load("tinyworld"))',
        )

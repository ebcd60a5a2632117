"""All posts as a tree of prefixes, as arrays.

A model that is to be computed exactly is asked what comes after each prefix. Most prefixes have
decided already whether the post will be rude or kind; those that have not are a small part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from helpers.detox.posts.grammar import PostLabel, known_posts
from helpers.errors import LabError


@dataclass(frozen=True)
class PostTrie:
    """The prefixes of some posts, shorter ones first, so that a parent stands before its children.

    Attributes:
        prefixes: Tokens of each prefix; the first is empty, the root.
        parent: Number of the prefix without its last token; -1 for the root.
        token: Its last token; -1 for the root.
        label: KIND or RUDE for a whole post, -1 for what goes on.
        kind, rude: Whether a kind post begins so, and whether a rude one does.

    >>> trie = post_trie()
    >>> len(trie), int(trie.inner.sum()), int(trie.undecided.sum())
    (63733, 36085, 2769)
    """

    prefixes: tuple[tuple[int, ...], ...]
    parent: Int[ndarray, " node"]
    token: Int[ndarray, " node"]
    label: Int[ndarray, " node"]
    kind: Bool[ndarray, " node"]
    rude: Bool[ndarray, " node"]

    def __len__(self) -> int:
        return len(self.prefixes)

    @cached_property
    def inner(self) -> Bool[ndarray, " node"]:
        """Prefixes after which a word comes."""
        return self.label < 0

    @cached_property
    def undecided(self) -> Bool[ndarray, " node"]:
        """Prefixes that a kind and a rude post have in common."""
        return self.kind & self.rude

    @cached_property
    def levels(self) -> tuple[Int[ndarray, " level"], ...]:
        """Numbers of the prefixes of each length, from the root on."""
        lengths = np.array([len(prefix) for prefix in self.prefixes])
        return tuple(np.flatnonzero(lengths == length) for length in range(lengths.max() + 1))

    @cached_property
    def _by_parent(self) -> tuple[Int[ndarray, " child"], Int[ndarray, " bound"]]:
        order = np.argsort(self.parent, kind="stable")
        return order, np.searchsorted(self.parent[order], np.arange(len(self) + 1))

    def children(
        self, nodes: Int[ndarray, " row"]
    ) -> tuple[Int[ndarray, " edge"], Int[ndarray, " edge"]]:
        """All prefixes that are one token longer than some.

        Returns:
            For each of them the place, in `nodes`, of the prefix that it continues; and its number.
        """
        order, bounds = self._by_parent
        counts = bounds[nodes + 1] - bounds[nodes]
        rows = np.repeat(np.arange(len(nodes)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return rows, order[bounds[nodes][rows] + within]


@cache
def post_trie() -> PostTrie:
    """The trie of every post of the forum."""
    return trie_of({tokens: post.label for tokens, post in known_posts().items()})


def trie_of(posts: Mapping[tuple[int, ...], PostLabel]) -> PostTrie:
    """The trie of some posts: of the forum, or of a grammar small enough to count by hand.

    Raises:
        LabError: No posts, an empty one, or one that another one begins with.

    >>> trie = trie_of({(5, 9): PostLabel.KIND, (5, 6, 9): PostLabel.RUDE})
    >>> trie.prefixes
    ((), (5,), (5, 9), (5, 6), (5, 6, 9))
    >>> trie.undecided.tolist()
    [True, True, False, False, False]
    """
    number: dict[tuple[int, ...], int] = {(): 0}
    for length in range(1, max(map(len, posts), default=0) + 1):
        for tokens in posts:
            if len(tokens) >= length:
                number.setdefault(tokens[:length], len(number))
    parent = np.array([-1, *(number[prefix[:-1]] for prefix in number if prefix)])
    label = np.array([int(posts.get(prefix, -1)) for prefix in number])
    if not posts or () in posts or (label[parent[1:]] >= 0).any():
        raise LabError(
            "expected posts of a token or more, none of which begins another",
            f"got {len(posts)} posts",
            hint="end every post with the same token, which stands nowhere else",
        )
    begins = {}
    for wanted in (PostLabel.KIND, PostLabel.RUDE):
        begins[wanted] = label == wanted
        for node in range(len(number) - 1, 0, -1):
            begins[wanted][parent[node]] |= begins[wanted][node]
    return PostTrie(
        prefixes=tuple(number),
        parent=parent,
        token=np.array([-1, *(prefix[-1] for prefix in number if prefix)]),
        label=label,
        kind=begins[PostLabel.KIND],
        rude=begins[PostLabel.RUDE],
    )

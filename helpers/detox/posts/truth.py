"""The exact success of a trained transformer: the chance that what it writes ends as a kind post.

R(x, y<=i) of the paper (arXiv 2410.05559) and of NADO (arXiv 2205.14219) is an expectation over
everything that a model may still write. Posts end within thirteen tokens and 27 648 of them exist,
so it is a sum over a trie; whatever leaves the trie is garbled and has no success. Nothing is
sampled, and what a learned oracle says can be held to it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.detox.networks import Policy
from helpers.detox.posts.grammar import PROMPT, known_posts
from helpers.detox.posts.labelling import check_network, words_of_world
from helpers.detox.posts.trie import PostTrie, post_trie
from helpers.detox.posts.walking import walk
from helpers.errors import LabError


@dataclass(frozen=True)
class Success:
    """How a policy's posts end, from every prefix that was asked about.

    Attributes:
        prefixes: Tokens said after the prompt so far; the first is empty, the root.
        reach: Chance that the policy says this prefix.
        kind, rude, garbled: Chances of how the post ends from here; together 1. `kind` is R.
        edge_prefix, edge_token: Words that some post goes on with, and the number of the prefix.
        edge_kind: R after each of them.
        n_words: Number of words of the network.
    """

    prefixes: tuple[tuple[int, ...], ...]
    reach: Float[ndarray, " prefix"]
    kind: Float[ndarray, " prefix"]
    rude: Float[ndarray, " prefix"]
    garbled: Float[ndarray, " prefix"]
    edge_prefix: Int[ndarray, " edge"]
    edge_token: Int[ndarray, " edge"]
    edge_kind: Float[ndarray, " edge"]
    n_words: int

    @property
    def next_kind(self) -> Float[ndarray, "prefix word"]:
        """R after each prefix and each next word: 0 for every word that no post goes on with."""
        table = np.zeros((len(self.prefixes), self.n_words))
        table[self.edge_prefix, self.edge_token] = self.edge_kind
        return table


def exact_success(policy: Policy, prompt: Int[Tensor, " 3"], complete: bool = True) -> Success:
    """R of a policy at every prefix of a post, for one writer.

    Args:
        prompt: The beginning mark, a name, a colon: a row of `prompts`.
        complete: Whether all 36 085 prefixes are asked about. Otherwise only those 2 769 that do
            not decide yet whether the post is kind or rude; what is decided counts as said, so
            that a post that goes wrong afterwards is missed, and every R is a little too high
            (.4930 for .4921 at the first prompt of `tinyworld`). A prompt costs 1.7 CPU-seconds
            completely, 0.12 otherwise.

    Raises:
        LabError: A prompt that is none, or a policy of another vocabulary or without a word to say.

    >>> from helpers.detox.networks import PlainShape, fresh
    >>> from helpers.detox.posts.grammar import prompts
    >>> untrained = fresh(PlainShape(993, 8, 2, 1, 16, n_positions=32), seed=0)
    >>> success = exact_success(Policy(untrained), prompts()[0], complete=False)
    >>> success.prefixes[0], success.next_kind.shape
    ((), (2769, 993))
    """
    one = prompt[None] if isinstance(prompt, Tensor) else prompt
    trie = post_trie()
    ends = ends_of(policy, _prompts(policy, one), trie, complete)
    asked = np.flatnonzero(trie.inner if complete else trie.undecided)
    row, child = trie.children(asked)
    return Success(
        prefixes=tuple(trie.prefixes[node] for node in asked),
        reach=ends.reach[0, asked],
        kind=ends.kind[0, asked],
        rude=ends.rude[0, asked],
        garbled=ends.garbled[0, asked],
        edge_prefix=row,
        edge_token=trie.token[child],
        edge_kind=ends.kind[0, child],
        n_words=policy.network.shape.n_outputs,
    )


def exact_shares(
    policy: Policy, prompts: Int[Tensor, "prompt 3"], complete: bool = False
) -> Float[ndarray, "prompt 3"]:
    """Chances that a policy's posts are kind, rude and garbled, after each prompt.

    Args:
        complete: As in `exact_success`. What is garbled after the deciding word is seen completely
            only: 0.016 of the posts of `tinyworld`, for 0.014.

    Raises:
        LabError: As `exact_success`.

    >>> from helpers.detox.networks import PlainShape, fresh
    >>> from helpers.detox.posts.grammar import prompts
    >>> untrained = fresh(PlainShape(993, 8, 2, 1, 16, n_positions=32), seed=0)
    >>> exact_shares(Policy(untrained), prompts()[:1]).round(3)
    array([[0., 0., 1.]])
    """
    ends = ends_of(policy, _prompts(policy, prompts), post_trie(), complete)
    return np.stack([ends.kind[:, 0], ends.rude[:, 0], ends.garbled[:, 0]], axis=1)


def post_chances(policy: Policy, prompts: Int[Tensor, "prompt 3"]) -> Float[ndarray, "prompt post"]:
    """Chance of every post of the grammar after each prompt, in the order of `all_posts`.

    They add up to less than 1: the rest is what is garbled. It costs what the complete success
    does.

    Raises:
        LabError: As `exact_success`.
    """
    trie = post_trie()
    walked = walk(policy, _prompts(policy, prompts), trie, trie.inner)
    return _reached(walked.step, trie)[:, _whole_posts()]


@cache
def _whole_posts() -> tuple[int, ...]:
    number = {prefix: node for node, prefix in enumerate(post_trie().prefixes)}
    return tuple(number[tokens] for tokens in known_posts())


def _prompts(policy: Policy, rows: Any) -> Int[Tensor, "prompt 3"]:
    if not hasattr(policy, "network"):
        raise LabError(
            "expected a policy: a network, and what may guide it",
            f"got {type(policy).__name__}",
            hint="Policy(network) is a network alone",
        )
    check_network(policy.network)
    rows = words_of_world(rows)
    if rows.shape[1] != PROMPT:
        raise LabError(
            f"expected prompts of {PROMPT} tokens: the beginning mark, a name, a colon",
            f"got {rows.shape[1]} tokens",
        )
    return rows


@dataclass(frozen=True)
class Ends:
    """How posts end, from every node of a trie.

    Attributes:
        reach: Chance that a node is said; NaN where its parent was not asked about.
        kind, rude, garbled: Chances of the ends. A node that was not asked about is taken as said:
            it ends as the posts do that begin with it.
    """

    reach: Float[ndarray, "prompt node"]
    kind: Float[ndarray, "prompt node"]
    rude: Float[ndarray, "prompt node"]
    garbled: Float[ndarray, "prompt node"]


def ends_of(
    policy: Policy, prompts: Int[Tensor, "prompt pos"], trie: PostTrie, complete: bool = True
) -> Ends:
    """How the posts of a trie end, computed from its leaves down to its root.

    Raises:
        LabError: As `exact_success`.

    >>> import torch
    >>> from helpers.detox.networks import PlainShape, fresh
    >>> from helpers.detox.posts.grammar import PostLabel
    >>> from helpers.detox.posts.trie import trie_of
    >>> even = Policy(fresh(PlainShape(3, 4, 1, 1, 4, n_positions=8), seed=0))  # nearly 1/3 each
    >>> posts = trie_of({(0, 2): PostLabel.KIND, (1, 2): PostLabel.RUDE})
    >>> ends = ends_of(even, torch.tensor([[0]]), posts)
    >>> [round(float(chance[0, 0]), 2) for chance in (ends.kind, ends.rude, ends.garbled)]
    [0.11, 0.11, 0.78]
    """
    read = trie.inner if complete else trie.undecided
    walked = walk(policy, prompts, trie, read)
    step = walked.step
    return Ends(
        _reached(step, trie),
        _from_leaves(np.where(read, 0.0, trie.kind), step, trie, read),
        _from_leaves(np.where(read, 0.0, trie.rude), step, trie, read),
        _from_leaves(np.where(read, walked.outside, 0.0), step, trie, read),
    )


def _reached(step: Float[ndarray, "prompt node"], trie: PostTrie) -> Float[ndarray, "prompt node"]:
    reached = step.copy()
    for nodes in trie.levels[1:]:
        reached[:, nodes] *= reached[:, trie.parent[nodes]]
    return reached


def _from_leaves(
    known: Float[ndarray, "..."],
    step: Float[ndarray, "prompt node"],
    trie: PostTrie,
    read: Bool[ndarray, " node"],
) -> Float[ndarray, "prompt node"]:
    """Chances from every node: what is known there, and what its children say, by their chances."""
    found = np.array(np.broadcast_to(known, step.shape).T)  # [node prompt]: nodes are gathered
    for level in reversed(trie.levels[1:]):
        nodes = level[read[trie.parent[level]]]
        np.add.at(found, trie.parent[nodes], step.T[nodes] * found[nodes])
    return found.T

"""What a policy says after every prefix of a trie: read once, with a cache where that can be had.

A prefix costs one token with a cache of its parent's keys and values, and as many tokens as it has
without one. A guide whose state cannot be divided among prefixes makes it the latter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.detox.networks import KeyValues, Policy
from helpers.detox.networks.policies import divisible, rows_of
from helpers.detox.posts.trie import PostTrie
from helpers.errors import LabError
from helpers.inputs import check_vocabulary, token_ids

ROWS = 1024
"""Prefixes that are read at once."""
PROMPTS = 8
"""Prompts whose prefixes are read together: more would keep more caches, and be no faster."""


@dataclass(frozen=True)
class Walk:
    """Chances of a policy along a trie.

    Attributes:
        step: Chance of each prefix's last token, given the rest of it; 1 for the root, NaN where
            the parent was not read.
        outside: Chance, after each prefix that was read, of a word that no post continues with;
            NaN elsewhere.
    """

    step: Float[ndarray, "prompt node"]
    outside: Float[ndarray, "prompt node"]


@dataclass(frozen=True)
class _Front:
    """Prefixes to read next: of which prompt, which node, and the rows of what was read before."""

    prompt: Int[ndarray, " row"]
    node: Int[ndarray, " row"]
    row: Int[ndarray, " row"]
    past: Any

    def parts(self, size: int) -> Iterator["_Front"]:
        for first in range(0, len(self.node), size):
            part = slice(first, first + size)
            yield _Front(self.prompt[part], self.node[part], self.row[part], self.past)


@torch.no_grad()
def walk(
    policy: Policy,
    prompts: Int[Tensor, "prompt pos"],
    trie: PostTrie,
    read: Bool[ndarray, " node"],
) -> Walk:
    """Ask a policy after every prefix of some.

    Args:
        prompts: What the posts are written after, all of one length.
        read: The prefixes to ask after; with each, its parent.

    Raises:
        LabError: Prompts or posts of another vocabulary than the network's, or longer together
            than it has positions; or a policy without a word to say.
    """
    prompts = token_ids(prompts, policy.network)
    _check_fits(policy, prompts, trie, read)
    step = np.full((len(prompts), len(trie)), np.nan)
    outside = step.copy()
    step[:, 0] = 1.0
    row = np.arange(len(prompts))
    fronts = list(_Front(row, np.zeros_like(row), row, None).parts(PROMPTS))
    reader = _reader(policy, prompts, trie)
    while fronts:
        front = fronts.pop()
        said, past = reader.after(front)
        row, child = trie.children(front.node)
        chances, prompt = said[row, trie.token[child]], front.prompt[row]
        step[prompt, child] = chances
        said[row, trie.token[child]] = 0.0
        outside[front.prompt, front.node] = said.sum(-1)
        onward = read[child]
        deeper = _Front(prompt[onward], child[onward], row[onward], past)
        fronts += reversed(list(deeper.parts(ROWS)))
    return Walk(step, outside)


def _check_fits(policy: Policy, prompts: Tensor, trie: PostTrie, read: ndarray) -> None:
    shape = policy.network.shape
    check_vocabulary(policy.network, 0, int(trie.token.max()))
    longest = prompts.shape[1] + max(len(trie.prefixes[node]) for node in np.flatnonzero(read))
    if longest > shape.n_positions:
        raise LabError(
            f"expected posts of at most {shape.n_positions} tokens with their prompts, the "
            "network's positions",
            f"got {longest}",
        )


def _reader(policy: Policy, prompts: Tensor, trie: PostTrie) -> "_Reader":
    state = policy.guide.begin() if policy.guide is not None else None
    return (_Cached if divisible(state) else _Reader)(policy, prompts, trie)


@dataclass(frozen=True)
class _Reader:
    """Reads every prefix from its beginning."""

    policy: Policy
    prompts: Tensor
    trie: PostTrie

    def after(self, front: _Front) -> tuple[Float[ndarray, "row word"], Any]:
        """Chances of every next word after some prefixes of one length, and what was kept."""
        said = torch.tensor([self.trie.prefixes[node] for node in front.node], dtype=torch.long)
        rows = torch.cat([self.prompts[front.prompt], said], dim=1)
        return _chances(self.policy.log_probs(rows)[:, -1]), None


class _Cached(_Reader):
    """Reads the last token of every prefix, with the cache of its parent."""

    def after(self, front: _Front) -> tuple[Float[ndarray, "row word"], Any]:
        policy, row = self.policy, torch.from_numpy(front.row)
        if front.past is None:
            past, state = KeyValues(), policy.guide.begin() if policy.guide is not None else None
            new = self.prompts[front.prompt]
        else:
            past, state = rows_of(front.past, row)
            new = torch.from_numpy(self.trie.token[front.node])[:, None]
        states = policy.network.states(new, past)
        logits = policy.network.unembed(states if policy.guide is not None else states[:, -1:])
        return _chances(policy.guided(logits, new, state)[:, -1]), (past, state)


def _chances(logits: Float[Tensor, "row word"]) -> Float[ndarray, "row word"]:
    """Chances in double precision, which add up to 1."""
    return logits.double().softmax(-1).cpu().numpy()

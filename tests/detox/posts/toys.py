"""A grammar of six posts over seven words, and networks small enough to enumerate all they say."""

import collections
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from helpers.detox.networks import Plain, PlainShape, Policy, fresh
from helpers.detox.posts import PostLabel
from helpers.detox.posts.trie import PostTrie, trie_of

STOP = 6
N_WORDS = 7
POSTS = {
    (2, 3, STOP): PostLabel.KIND,
    (2, 4, STOP): PostLabel.RUDE,
    (2, 3, 5, STOP): PostLabel.KIND,
    (3, STOP): PostLabel.RUDE,
    (3, 2, 2, STOP): PostLabel.KIND,
    (4, 2, STOP): PostLabel.KIND,
}
LONGEST = 4
PROMPTS = torch.tensor([[1, 2, 0], [1, 3, 0]])


@functools.cache
def trie() -> PostTrie:
    return trie_of(POSTS)


def network(seed: int = 0, n_positions: int = 8) -> Plain:
    """Random weights, far from even chances."""
    made = fresh(PlainShape(N_WORDS, 16, 2, 2, 32, n_positions), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.4 * torch.randn(weight.shape, generator=generator)
    return made


def label_of(said: tuple[int, ...]) -> PostLabel:
    """What a text is: its words up to the first stop, looked up."""
    end = said.index(STOP) + 1 if STOP in said else len(said)
    return POSTS.get(said[:end], PostLabel.GARBLED)


def everything(policy: Policy, prompt: torch.Tensor) -> dict[tuple[int, ...], float]:
    """Every text of as many words as the longest post, and its chance: no trie, no cache."""
    said = list(itertools.product(range(N_WORDS), repeat=LONGEST))
    rows = torch.cat([prompt.expand(len(said), -1), torch.tensor(said)], dim=1)
    log_p = policy.log_probs(rows)[:, len(prompt) - 1 : -1].double()
    chances = log_p.gather(2, torch.tensor(said)[..., None])[..., 0].sum(1).exp()
    return dict(zip(said, chances.tolist(), strict=True))


def enumerated(policy: Policy, prompt: torch.Tensor) -> dict[tuple[int, ...], np.ndarray]:
    """Chances of kind, rude and garbled after every beginning, by counting all texts."""
    totals = collections.defaultdict(lambda: np.zeros(3))
    for said, chance in everything(policy, prompt).items():
        for length in range(LONGEST + 1):
            totals[said[:length]][label_of(said)] += chance
    return {prefix: total / total.sum() for prefix, total in totals.items() if total.sum()}


class TableGuide:
    """Multiplies the chance of every next word by a number that belongs to the whole text so far.

    It keeps its texts in a list, whose rows nobody can choose.
    """

    def __init__(self, factors: dict[tuple[int, ...], np.ndarray]) -> None:
        self.factors = factors

    def begin(self) -> list[torch.Tensor]:
        return []

    def __call__(self, logits: torch.Tensor, tokens: torch.Tensor, state: Any) -> torch.Tensor:
        if state is not None:
            state.append(tokens)
            tokens = torch.cat(state, dim=1)
        logits = logits.double()
        for row, text in enumerate(tokens.tolist()):
            for place in range(logits.shape[1]):
                read = tuple(text[: len(text) - logits.shape[1] + place + 1])
                factors = self.factors.get(read, np.ones(N_WORDS))
                logits[row, place] += torch.from_numpy(factors).log()
        return logits


class Texts:
    """Texts so far whose rows can be chosen."""

    def __init__(self, rows: torch.Tensor | None = None) -> None:
        self.rows = rows

    def append(self, tokens: torch.Tensor) -> None:
        self.rows = tokens if self.rows is None else torch.cat([self.rows, tokens], dim=1)

    def select(self, rows: torch.Tensor) -> "Texts":
        return Texts(self.rows[rows])

    def __iter__(self) -> Iterator[torch.Tensor]:
        yield self.rows


class ChosenGuide(TableGuide):
    """The same with a state whose rows can be chosen."""

    def begin(self) -> Texts:
        return Texts()

    def __call__(self, logits: torch.Tensor, tokens: torch.Tensor, state: Any) -> torch.Tensor:
        if state is not None:
            state.append(tokens)
            tokens = state.rows
        return super().__call__(logits, tokens, None)

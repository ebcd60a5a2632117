"""Policies whose every number is known: they say one of a few posts, each with its chance."""

from collections.abc import Mapping

import torch

from helpers.detox.networks import PlainShape, Policy, fresh
from helpers.detox.posts import PROMPT
from helpers.tinyworld.language import vocabulary

WORDS = vocabulary()
INSULT = "you are truly a dunce , nora ."
PRAISE = "you are truly a gem , nora ."
TURNED_INSULT = "tom was wrong to call you a clod ."
TURNED_PRAISE = "i no longer think that nora is a star ."
GARBLED = "only only ."


def blank_network():
    """A network that finds every word equally likely, everywhere."""
    network = fresh(PlainShape(len(WORDS), 8, 2, 1, 8, 64), seed=0)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    return network


class Read:
    """What was read so far; rows that have ended may leave it."""

    def __init__(self, tokens=None):
        self.tokens = tokens

    def select(self, rows):
        return Read(self.tokens if self.tokens is None else self.tokens[rows])


class Mixture:
    """A guide: after a prompt, one of some posts, each with its chance; elsewhere any word."""

    def __init__(self, chances: Mapping[str, float]) -> None:
        self.after: dict[tuple[int, ...], dict[int, float]] = {}
        for text, chance in chances.items():
            tokens = tuple(WORDS.encode(text, begin=False))
            for place, token in enumerate(tokens):
                row = self.after.setdefault(tokens[:place], {})
                row[token] = row.get(token, 0.0) + chance

    def begin(self):
        return Read()

    def __call__(self, logits, tokens, state):
        rows = tokens
        if state is not None:
            before = [] if state.tokens is None else [state.tokens]
            rows = state.tokens = torch.cat([*before, tokens], 1)
        new, changed = tokens.shape[1], torch.zeros_like(logits)
        for row, read in enumerate(rows.tolist()):
            for place in range(new):
                end = len(read) - new + place + 1
                chances = self.after.get(tuple(read[PROMPT:end])) if end >= PROMPT else None
                if chances:
                    changed[row, place] = -torch.inf
                    for token, chance in chances.items():
                        changed[row, place, token] = torch.tensor(chance).log()
        return changed


def saying(chances: Mapping[str, float]) -> Policy:
    return Policy(blank_network(), Mixture(chances))


def rows(*texts: str, width: int = 19) -> torch.Tensor:
    """Posts behind a prompt, padded on the right."""
    tokens = torch.zeros(len(texts), width, dtype=torch.long)
    for row, text in enumerate(texts):
        ids = WORDS.encode(f"ada : {text}")
        tokens[row, : len(ids)] = torch.tensor(ids)
    return tokens

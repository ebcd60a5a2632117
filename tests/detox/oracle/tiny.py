"""A language of five words whose every text can be listed, and a network that writes it.

Word 0 is the pad, 1 begins every text, 2 ends it; 3 and 4 are words. A text satisfies the
constraint if 4 stands in it nowhere and it ends. All numbers here are sums over listed texts, by
loops, and know nothing of the code that is tested.
"""

import itertools
from functools import cache

import torch

from helpers.detox.networks import Plain, PlainShape, fresh

PAD, BEGIN, STOP, GOOD, BAD = range(5)
START, NEW = 1, 4
SHAPE = PlainShape(n_words=5, d_model=16, n_heads=2, n_layers=1, d_mlp=32, n_positions=8)


def network(seed: int = 0, size: float = 30.0) -> Plain:
    """A network with opinions: its unembedding is large. It never says 0 or 1."""
    made = fresh(SHAPE, seed)
    with torch.no_grad():
        made.unembed.weight *= size
        made.unembed.bias[:2] = -1e4
    return made.requires_grad_(False)


def satisfied(text: tuple[int, ...]) -> bool:
    """Of what was written after the beginning."""
    return text[-1] == STOP and BAD not in text


def texts() -> list[tuple[int, ...]]:
    """Every text: up to its stop, or of NEW words without one."""
    words = (STOP, GOOD, BAD)
    found = {
        line[: line.index(STOP) + 1] if STOP in line else line
        for line in itertools.product(words, repeat=NEW)
    }
    return sorted(found)


def chance(model: Plain, text: tuple[int, ...]) -> float:
    """The model's chance of a text."""
    total = 1.0
    for place in range(len(text)):
        total *= next_chances(model, text[:place])[text[place]]
    return total


@cache
def next_chances(model: Plain, said: tuple[int, ...]) -> list[float]:
    """The model's chances of the next word; a model is not changed after it was asked."""
    return model(torch.tensor([[BEGIN, *said]]))[0, -1].double().softmax(-1).tolist()


def exact(model: Plain, said: tuple[int, ...]) -> float:
    """R: the chance that what was said goes on to a text that satisfies the constraint."""
    if said and (said[-1] == STOP or len(said) == NEW):
        return float(satisfied(said))
    chances = next_chances(model, said)
    return sum(chances[word] * exact(model, (*said, word)) for word in (STOP, GOOD, BAD))


def rows(some: list[tuple[int, ...]]) -> torch.Tensor:
    """Texts as a table, after the beginning, padded on the right."""
    table = torch.zeros(len(some), START + NEW, dtype=torch.long)
    for row, text in zip(table, some, strict=True):
        row[: len(text) + 1] = torch.tensor([BEGIN, *text])
    return table

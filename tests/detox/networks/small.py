"""Small networks whose attention is not uniform and whose words are not equally likely; and guides
of every kind that may keep something while rows are written."""

from typing import Any

import torch

from helpers.detox.networks import KeyValues, Plain, PlainShape, fresh

SHAPE = PlainShape(n_words=20, d_model=16, n_heads=2, n_layers=2, d_mlp=32, n_positions=12)


def network(shape: PlainShape = SHAPE, seed: int = 0, size: float = 0.3) -> Plain:
    """A random network, with biases and gains as well: a forgotten one shows."""
    made = fresh(shape, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for weight in made.parameters():
            weight += size * torch.randn(weight.shape, generator=generator)
    return made


def tokens(rows: int, length: int, words: int = 20, seed: int = 0) -> torch.Tensor:
    return torch.randint(words, (rows, length), generator=torch.Generator().manual_seed(seed))


class Product:
    """Multiplies the chances by those of other networks, with a cache for each of them."""

    def __init__(self, *others: Plain) -> None:
        self.others = others

    def begin(self) -> Any:
        caches = tuple(KeyValues() for _ in self.others)
        return caches[0] if len(caches) == 1 else caches

    def __call__(self, logits, tokens, state):
        caches = state if isinstance(state, tuple) else (state,) * len(self.others)
        for other, past in zip(self.others, caches, strict=True):
            logits = logits + other(tokens, past)
        return logits


class Opaque(Product):
    """The same with caches that nobody else can choose rows of."""

    def begin(self) -> Any:
        return {"caches": super().begin()}

    def __call__(self, logits, tokens, state):
        return super().__call__(logits, tokens, state and state["caches"])


class Without:
    """Forbids some words. It needs no memory."""

    def __init__(self, *words: int) -> None:
        self.words = list(words)

    def begin(self) -> None:
        return None

    def __call__(self, logits, tokens, state):
        changed = logits.clone()
        changed[..., self.words] = -torch.inf
        return changed

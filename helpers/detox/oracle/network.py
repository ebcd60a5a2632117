"""What an oracle is: a network that says for every next word how likely success will be after it.

R(x, y<i, v) is the chance that a text goes on from the prefix x, y<i and the word v to an end that
satisfies the constraint. An oracle answers for all words v at once, as logits: one output a word
after every token (NADO, arXiv 2205.14219, section 3).

Two kinds. A `SuccessOracle` is a transformer of its own. A `LinearOracle` reads what the base
computes anyhow: it is cheap, and cannot see what the base does not keep at the last token.
Both begin with one and the same chance for every word, so that the target q is p.
"""

from typing import TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from helpers.detox.networks import KeyValues, Plain, PlainShape, fresh, frozen
from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.tinyworld.language import vocabulary

POSITIONS = 64
"""Longest text of an oracle of TinyWorld: as long as those of the models."""


class SuccessOracle(nn.Module):
    """An oracle that is a transformer of its own."""

    def __init__(self, network: Plain) -> None:
        super().__init__()
        self.network = network

    @property
    def reader(self) -> Plain:
        """The network that reads the tokens."""
        return self.network

    @property
    def head(self) -> nn.Linear:
        """The map from the reader's last states to one logit a word."""
        return self.network.unembed

    def states(
        self, tokens: Int[Tensor, "row pos"], past: KeyValues | None = None
    ) -> Float[Tensor, "row pos d_model"]:
        """What the head reads after each token."""
        return self.network.states(tokens, past)

    def forward(
        self, tokens: Int[Tensor, "row pos"], past: KeyValues | None = None
    ) -> Float[Tensor, "row pos word"]:
        """Logits of R after each token, for every next word.

        Args:
            past: Keys and values of what was read before; then `tokens` are the new ones only.
        """
        return self.head(self.states(tokens, past))


class LinearOracle(nn.Module):
    """An oracle that is a linear map on the states of a frozen base.

    Attributes:
        reader: The base as it was, which gets no gradient.
        head: The map from its last states to one logit a word.
    """

    def __init__(self, base: Plain, head: nn.Linear) -> None:
        super().__init__()
        self.reader = base
        self.head = head

    def states(
        self, tokens: Int[Tensor, "row pos"], past: KeyValues | None = None
    ) -> Float[Tensor, "row pos d_model"]:
        """What the head reads after each token."""
        with torch.no_grad():
            return self.reader.states(tokens, past)

    def forward(
        self, tokens: Int[Tensor, "row pos"], past: KeyValues | None = None
    ) -> Float[Tensor, "row pos word"]:
        """Logits of R after each token, for every next word."""
        return self.head(self.states(tokens, past))


Oracle: TypeAlias = SuccessOracle | LinearOracle


def blank(shape: PlainShape, seed: int, chance: float = 0.5) -> SuccessOracle:
    """An oracle of any shape that has learned nothing: it gives every word the same chance.

    Its output layer is zero but for the bias; everything before it is drawn from the seed.

    Raises:
        LabError: A chance outside (0, 1).

    >>> shape = PlainShape(8, 8, 2, 1, 16, 6, 8)
    >>> blank(shape, seed=0, chance=0.25)(torch.tensor([[1, 2]])).sigmoid().unique().tolist()
    [0.25]
    """
    network = fresh(shape, seed)
    _say_the_same(network.unembed, chance)
    return SuccessOracle(network)


def separate(
    seed: int, d_model: int = 64, n_layers: int = 2, n_heads: int = 4, chance: float = 0.5
) -> SuccessOracle:
    """A transformer of its own for TinyWorld, which has learned nothing.

    Raises:
        LabError: No width, layer or head, a width that the heads do not divide, or a chance
            outside (0, 1).

    >>> sum(weight.numel() for weight in separate(seed=0).parameters())
    199265
    """
    for name, count in (("d_model", d_model), ("n_layers", n_layers), ("n_heads", n_heads)):
        check_count(f"size {name} of the oracle", count, least=1)
    n_words = len(vocabulary())
    shape = PlainShape(n_words, d_model, n_heads, n_layers, 2 * d_model, POSITIONS, n_words)
    return blank(shape, seed, chance)


def linear(base: Plain, chance: float = 0.5) -> LinearOracle:
    """A linear map on the base's states, which has learned nothing.

    The base is copied: what is trained later is another network than the one that is read.

    Raises:
        LabError: A chance outside (0, 1).
    """
    head = nn.Linear(base.shape.d_model, base.shape.n_words)
    _say_the_same(head, chance)
    return LinearOracle(frozen(base), head)


def _say_the_same(head: nn.Linear, chance: float) -> None:
    """Make a layer give this chance for every word, whatever it reads."""
    if isinstance(chance, str) or not 0 < chance < 1:
        raise LabError("expected a chance of success between 0 and 1", f"got {chance!r}")
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(torch.logit(torch.tensor(float(chance), dtype=torch.float64)))

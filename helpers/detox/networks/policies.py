"""What writes: a network, and what may guide it while it writes."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.detox.networks.transformer import Plain
from helpers.errors import LabError
from helpers.inputs import token_ids

BATCH = 512


class Guide(Protocol):
    """Changes what a network says, at decoding time."""

    def begin(self) -> Any:
        """State that is kept while rows are written, such as a cache of the guide's own.

        Where it is None, a `KeyValues`, anything else with `select`, or a tuple of such, rows that
        have ended leave it, which is faster. None is for a guide that needs no more than the tokens
        that were just read: it is told of no others while rows are written.
        """
        ...

    def __call__(
        self, logits: Float[Tensor, "row pos word"], tokens: Int[Tensor, "row pos"], state: Any
    ) -> Float[Tensor, "row pos word"]:
        """Logits in place of the network's.

        Args:
            logits: What the network says after each of the tokens.
            tokens: Those that were just read: the new ones while rows are written, or whole rows.
            state: What `begin` gave for these rows; None where whole rows are read at once.
        """
        ...


@dataclass(frozen=True)
class Policy:
    """A network, alone or guided.

    Raises:
        LabError: A model of TransformerLens, or a network that gives other numbers than one a word.

    >>> from helpers.detox.networks.making import fresh
    >>> from helpers.detox.networks.transformer import PlainShape
    >>> shape = PlainShape(n_words=50, d_model=16, n_heads=2, n_layers=1, d_mlp=32, n_positions=8)
    >>> said = Policy(fresh(shape, 0)).log_probs(torch.tensor([[1, 2]]))
    >>> said.shape, bool(torch.isclose(said.exp().sum(-1), torch.ones(())).all())
    (torch.Size([1, 2, 50]), True)
    """

    network: Plain
    guide: Guide | None = None

    def __post_init__(self) -> None:
        if not hasattr(self.network, "states"):
            raise LabError(
                "expected a plain network for a policy",
                f"got {type(self.network).__name__}",
                hint="helpers.detox.networks.plain(model) makes one of a native model",
            )
        shape = self.network.shape
        if shape.n_outputs != shape.n_words:
            raise LabError(
                "expected a network that gives a logit for each word",
                f"got {shape.n_outputs} numbers for {shape.n_words} words",
            )

    @torch.no_grad()
    def log_probs(self, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "row pos word"]:
        """Log of the chance of every next word after every token, in nats.

        Raises:
            LabError: Tokens that are none of the network's, or no word left to say.
        """
        batches = token_ids(tokens, self.network).split(BATCH)
        return torch.cat(
            [self.guided(self.network(rows), rows, None).log_softmax(-1) for rows in batches]
        )

    def guided(
        self, logits: Float[Tensor, "row pos word"], read: Int[Tensor, "row new"], state: Any
    ) -> Float[Tensor, "row pos word"]:
        """What the guide, if there is one, makes of the network's logits: with a word to say.

        Raises:
            LabError: NaN, infinity or no possible word at some place, or logits of another shape.
        """
        said = logits if self.guide is None else self.guide(logits, read, state)
        if not isinstance(said, Tensor) or said.shape != logits.shape:
            got = list(said.shape) if isinstance(said, Tensor) else type(said).__name__
            raise LabError(f"expected a guide's logits of shape {list(logits.shape)}", f"got {got}")
        if not said.amax(-1).isfinite().all():  # the largest is NaN, or there is none
            raise LabError(
                "expected logits with a word to say at every place",
                "got NaN, infinity, or minus infinity for every word",
                hint="the training of the network or of its guide has diverged, or a filter "
                "forbids every word",
            )
        return said


def divisible(state: Any) -> bool:
    """Whether rows of a guide's state can be chosen; see `Guide.begin`.

    >>> from helpers.detox.networks.transformer import KeyValues
    >>> divisible(None), divisible((KeyValues(), None)), divisible([])
    (True, True, False)
    """
    if isinstance(state, tuple):
        return all(divisible(part) for part in state)
    return state is None or hasattr(state, "select")


def rows_of(state: Any, rows: Int[Tensor, " kept"]) -> Any:
    """A `divisible` state of some rows, in this order; a row may come more than once."""
    if isinstance(state, tuple):
        return tuple(rows_of(part, rows) for part in state)
    return None if state is None else state.select(rows)

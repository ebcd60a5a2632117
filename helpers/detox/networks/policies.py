"""What writes: a network, and what may guide it while it writes."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.detox.networks.transformer import Plain
from helpers.errors import LabError

BATCH = 512


class Guide(Protocol):
    """Changes what a network says, at decoding time."""

    def begin(self) -> Any:
        """State that is kept while rows are written, such as a cache of the guide's own.

        Where it is None, a `KeyValues`, anything else with `select`, or a tuple of such, rows that
        have ended leave it, which is faster.
        """
        ...

    def __call__(
        self, logits: Float[Tensor, "row pos word"], tokens: Int[Tensor, "row pos"], state: Any
    ) -> Float[Tensor, "row pos word"]:
        """Logits in place of the network's.

        Args:
            logits: What the network says after each of the tokens.
            tokens: Those that were just read: the new ones, or all of them where there is no state.
            state: What `begin` gave for these rows, or None.
        """
        ...


@dataclass(frozen=True)
class Policy:
    """A network, alone or guided.

    >>> from helpers.detox.networks.making import fresh
    >>> from helpers.detox.networks.transformer import PlainShape
    >>> shape = PlainShape(n_words=50, d_model=16, n_heads=2, n_layers=1, d_mlp=32, n_positions=8)
    >>> said = Policy(fresh(shape, 0)).log_probs(torch.tensor([[1, 2]]))
    >>> said.shape, bool(torch.isclose(said.exp().sum(-1), torch.ones(())).all())
    (torch.Size([1, 2, 50]), True)
    """

    network: Plain
    guide: Guide | None = None

    @torch.no_grad()
    def log_probs(self, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "row pos word"]:
        """Log of the chance of every next word after every token, in nats.

        Raises:
            LabError: Tokens that are none of the network's, or a guide that leaves no word or
                gives NaN.
        """
        parts = []
        for rows in tokens.split(BATCH) if tokens.ndim else [tokens]:
            logits = self.network(rows)
            if self.guide is not None:
                logits = guided(self.guide, logits, rows, None)
            parts.append(logits.log_softmax(-1))
        return torch.cat(parts)


def guided(
    guide: Guide, logits: Float[Tensor, "row pos word"], tokens: Int[Tensor, "row pos"], state: Any
) -> Float[Tensor, "row pos word"]:
    """What a guide makes of logits, checked: of the same shape, and with a word to say.

    Raises:
        LabError: Anything else.
    """
    changed = guide(logits, tokens, state)
    if not isinstance(changed, Tensor) or changed.shape != logits.shape:
        got = list(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
        raise LabError(f"expected a guide's logits of shape {list(logits.shape)}", f"got {got}")
    if not changed.amax(-1).isfinite().all():  # the largest is NaN, or none is above -infinity
        raise LabError(
            "expected a guide's logits with a word to say at every place",
            "got NaN, infinity, or minus infinity for every word",
        )
    return changed


def selectable(state: Any) -> bool:
    """Whether rows of a guide's state can be chosen; see `Guide.begin`."""
    if isinstance(state, tuple):
        return all(selectable(part) for part in state)
    return state is None or hasattr(state, "select")


def select(state: Any, rows: Int[Tensor, " kept"]) -> Any:
    """Some rows of a guide's state, in this order; a row may come more than once."""
    if isinstance(state, tuple):
        return tuple(select(part, rows) for part in state)
    return None if state is None else state.select(rows)

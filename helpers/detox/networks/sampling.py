"""Sampling with a key-value cache: what the method does more often than anything else.

Each row has its own random numbers, one a word, drawn before the first word. So the words of a row
depend on the seed alone, not on which rows are written beside it or on how many at a time.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.detox.networks.policies import Policy, guided
from helpers.detox.networks.transformer import KeyValues
from helpers.errors import LabError
from helpers.inputs import check_count, token_ids

BATCH = 1024
PAD = 0
"""What stands after the end of a row."""


@torch.no_grad()
def sample(
    policy: Policy,
    prompts: Int[Tensor, "row pos"],
    generator: torch.Generator,
    new: int = 16,
    stop: int | None = None,
) -> Int[Tensor, "row longer"]:
    """Texts that a policy writes after prompts of one length, at temperature 1.

    Args:
        new: How many words are written at most.
        stop: Token that ends a row; padding stands after it.

    Returns:
        The prompts with the new words.

    Raises:
        LabError: Prompts that are none, or no token to stop at that the network has, or more words
            than it has positions.

    >>> from helpers.detox.networks.making import fresh
    >>> from helpers.detox.networks.transformer import PlainShape
    >>> shape = PlainShape(n_words=50, d_model=16, n_heads=2, n_layers=1, d_mlp=32, n_positions=8)
    >>> prompts = torch.tensor([[1, 2], [1, 3]])
    >>> sample(Policy(fresh(shape, 0)), prompts, torch.Generator().manual_seed(0), new=4).shape
    torch.Size([2, 6])
    """
    shape = policy.network.shape
    prompts = token_ids(prompts, policy.network)
    check_count("number of new words", new)
    if prompts.shape[1] + new > shape.n_positions:
        raise LabError(
            f"expected at most {shape.n_positions} tokens a row, the positions",
            f"got prompts of {prompts.shape[1]} and {new} new ones",
        )
    if stop is not None:
        check_count("token to stop at", stop)
        if not stop < shape.n_words:
            raise LabError(f"expected a token to stop at below {shape.n_words}", f"got {stop}")
    draws = torch.rand(len(prompts), new, generator=generator)
    written = [
        _written(policy, rows, luck, stop)
        for rows, luck in zip(prompts.split(BATCH), draws.split(BATCH), strict=True)
    ]
    return torch.cat([prompts, torch.cat(written)], dim=1)


def _written(
    policy: Policy, prompts: Tensor, draws: Float[Tensor, "row new"], stop: int | None
) -> Int[Tensor, "row new"]:
    """The new words of one batch."""
    words = torch.full(draws.shape, PAD, dtype=torch.long)
    going = torch.ones(len(prompts), dtype=torch.bool)
    past, read = KeyValues(), prompts
    state = policy.guide.begin() if policy.guide is not None else None
    for place in range(draws.shape[1]):
        chances = _next(policy, read, past, state).softmax(-1)
        read = drawn(chances, draws[:, place])[:, None]
        words[:, place] = torch.where(going, read[:, 0], PAD)
        if stop is not None:
            going &= read[:, 0] != stop
            if not going.any():
                break
    return words


def _next(policy: Policy, read: Tensor, past: KeyValues, state: Any) -> Float[Tensor, "row word"]:
    """Logits of the word after those that are read now."""
    states = policy.network.states(read, past)
    if policy.guide is None:
        return policy.network.unembed(states[:, -1])
    return guided(policy.guide, policy.network.unembed(states), read, state)[:, -1]


def drawn(chances: Float[Tensor, "row word"], draws: Float[Tensor, " row"]) -> Int[Tensor, " row"]:
    """The word of each row whose stretch of the line from 0 to 1 a number in [0, 1) falls into.

    Of words without a chance, none is drawn.

    >>> drawn(torch.tensor([[0.5, 0.0, 0.5]] * 2), torch.tensor([0.49, 0.5])).tolist()
    [0, 2]
    """
    ends = chances.cumsum(-1)
    # scaled by the sum, which rounding makes other than 1: a number below it always finds a word
    return torch.searchsorted(ends, draws[:, None] * ends[:, -1:], right=True)[:, 0]

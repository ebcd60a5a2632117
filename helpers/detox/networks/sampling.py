"""Sampling with a key-value cache: what the method does more often than anything else.

Each row has its own random numbers, one a word, drawn before the first word. So the words of a row
depend on the seed alone, not on which rows are written beside it or on how many at a time.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.detox.networks.policies import Policy, divisible, rows_of
from helpers.detox.networks.transformer import KeyValues
from helpers.errors import LabError
from helpers.inputs import check_count, token_ids

BATCH = 512
"""Rows that are written at a time: their keys and values fit into a processor's own memory."""
CROWD = 0.75
"""Share of rows still being written below which the others are taken out of the batch."""
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
        LabError: Prompts that are none, no generator, a token to stop at that the network does not
            have, or more words than it has positions.

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
    if not isinstance(generator, torch.Generator):  # without one, torch would take its own
        raise LabError("expected a torch.Generator of random numbers", f"got {generator!r:.60}")
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
    rows = torch.arange(len(prompts))  # those in the batch, some of which may have ended
    going = torch.ones(len(prompts), dtype=torch.bool)
    writing = _Writing(policy)
    chances = writing.begun(prompts)
    for place in range(draws.shape[1]):
        said = _drawn(chances, draws[rows, place])
        words[rows, place] = said.where(going, PAD)
        if stop is not None:
            going = going & (said != stop)
        if place + 1 == draws.shape[1] or not going.any():
            break
        if writing.free and int(going.sum()) < CROWD * len(going):
            kept = going.nonzero()[:, 0]
            writing.keep(kept)
            rows, said, going = rows[kept], said[kept], going[kept]
        chances = writing.after(said[:, None])
    return words


class _Writing:
    """Rows in the making: what the network, and its guide, have read of them.

    Attributes:
        free: Whether rows can leave.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy, self.past = policy, KeyValues()
        self.state = policy.guide.begin() if policy.guide is not None else None
        self.free = divisible(self.state)

    def begun(self, prompts: Int[Tensor, "row pos"]) -> Float[Tensor, "row word"]:
        """Chances of the first words. Many rows begin with one prompt, which is read once."""
        if not self.free:
            return self.after(prompts)
        different, which = torch.unique(prompts, dim=0, return_inverse=True)
        chances = self.after(different)[which]
        self.keep(which)
        return chances

    def after(self, read: Int[Tensor, "row pos"]) -> Float[Tensor, "row word"]:
        """Chances of the word after those that are read now."""
        network, guide = self.policy.network, self.policy.guide
        states = network.states(read, self.past)
        logits = network.unembed(states if guide is not None else states[:, -1:])
        return self.policy.guided(logits, read, self.state)[:, -1].softmax(-1)

    def keep(self, rows: Int[Tensor, " kept"]) -> None:
        """Only these rows from now on, in this order; a row may come more than once."""
        self.past, self.state = self.past.select(rows), rows_of(self.state, rows)


def _drawn(chances: Float[Tensor, "row word"], draws: Float[Tensor, " row"]) -> Int[Tensor, " row"]:
    """The word of each row whose stretch of the line from 0 to 1 a number in [0, 1) falls into.

    Of words without a chance, none is drawn.

    >>> _drawn(torch.tensor([[0.5, 0.0, 0.5]] * 2), torch.tensor([0.49, 0.5])).tolist()
    [0, 2]
    """
    ends = chances.cumsum(-1)
    # scaled by the sum, which rounding makes other than 1: a number below it always finds a word
    return torch.searchsorted(ends, draws[:, None] * ends[:, -1:], right=True)[:, 0]

"""How a model with other weights in its blocks does on facts: what it knows, and what it has lost.

"It knows more" can mean that it gives the truth more probability, or that it is less sure of
something wrong: a model that knows nothing and says so has NLL ln|V|, one that is sure of a wrong
answer far more. So the truth's NLL stands beside ln|V|, its rank, and the entropy of what is said.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import real
from helpers.knowledge.facts.tinyworld import Facts
from helpers.knowledge.masks.blocks import Blocks

BATCH = 512


@dataclass(frozen=True)
class Judged:
    """What a model says to some facts, prompt by prompt.

    Attributes:
        right: Whether the likeliest of all words is the answer.
        chosen: Whether the likeliest of the relation's values is.
        agrees: Whether the likeliest of all words is the full model's.
        nll: −log of the answer's probability, in nats.
        above_uniform: `nll` less ln|V|, what a model that knows nothing and says so has.
        rank: How many words are likelier than the answer.
        entropy: Of all words, in nats.
        divergence: KL(full model ‖ this one), in nats.
    """

    right: Bool[Tensor, " prompt"]
    chosen: Bool[Tensor, " prompt"]
    agrees: Bool[Tensor, " prompt"]
    nll: Float[Tensor, " prompt"]
    above_uniform: Float[Tensor, " prompt"]
    rank: Int[Tensor, " prompt"]
    entropy: Float[Tensor, " prompt"]
    divergence: Float[Tensor, " prompt"]

    @property
    def accuracy(self) -> float:
        """Share of prompts whose likeliest word is the answer."""
        return float(self.right.float().mean())


@torch.no_grad()
def judge(
    blocks: Blocks, values: Shaped[Tensor, " weight"] | Shaped[ndarray, " weight"], facts: Facts
) -> Judged:
    """What the model says with these weights in its blocks, such as ``blocks.values * mask``.

    Raises:
        LabError: Weights with which the model says NaN.
    """
    rows = torch.arange(len(facts)).split(BATCH)
    values = real(values, "weights", "weight").to(blocks.values)

    def log_p(weights: Tensor) -> Tensor:
        parts = [blocks.logits(weights, facts.tokens[part], facts.last[part]) for part in rows]
        return torch.cat(parts).log_softmax(-1)

    said, full = log_p(values), log_p(blocks.values)
    broken = int((~torch.isfinite(said.exp())).any(1).sum())
    if broken:
        raise LabError(
            "expected weights with which the model computes numbers",
            f"got NaN after {broken} of {len(said)} prompts",
        )
    nll = -said[torch.arange(len(facts)), facts.answers]
    best = facts.candidates[said[:, facts.candidates].argmax(-1)]
    return Judged(
        said.argmax(-1) == facts.answers,
        best == facts.answers,
        said.argmax(-1) == full.argmax(-1),
        nll,
        nll - math.log(said.shape[1]),
        (said > -nll[:, None]).sum(-1),
        torch.special.entr(said.exp()).sum(-1),
        (full.exp() * (full - said)).sum(-1),
    )

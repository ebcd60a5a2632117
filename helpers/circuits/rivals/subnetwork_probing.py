"""Subnetwork probing: learn which heads, or edges, to keep, by gradient descent on masks.

Each head has a mask of the hard concrete distribution (Louizos et al., arXiv 1712.01312): a
logistic variable, stretched to (-0.1, 1.1) and clipped, so that it is exactly 0 or 1 with some
probability and has a gradient in between. What is minimised is the damage of the masked model plus
a penalty on the expected number of masks that are not 0 (Cao et al., arXiv 2104.03514, section 3;
as in the ACDC paper, only masks are trained, and a removed write becomes its replacement instead of
zero). Granularity: heads, or edges; ablation: the twin's write, its mean or zero; all positions;
all masks at once.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import runtime
from helpers.circuits.graph.forward import Graph, Writes, twin_replacements
from helpers.circuits.graph.mixed import rows_of
from helpers.circuits.rivals.damage import Damage, check_damage, damage_of
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.interventions import Ablation
from helpers.model import Model

LOW, HIGH, TEMPERATURE = -0.1, 1.1, 2 / 3
Level = Literal["head", "edge"]
"""What a mask keeps or removes."""


@dataclass(frozen=True)
class MaskSettings:
    """How masks are trained.

    Attributes:
        steps: Number of steps of Adam.
        rate: Learning rate.
        penalty: Penalty for each head (or edge) that is expected to be kept.
        kept_at_first: The value of a mask without noise at the beginning.
        batch: Number of pairs per step.
        damage: The damage to the masked model that is minimised.
        ablation: What replaces a write; see `graph.twin_replacements`.
    """

    steps: int = 200
    rate: float = 0.1
    penalty: float = 0.03
    kept_at_first: float = 0.9
    batch: int = 16
    damage: Damage = "kl"
    ablation: Ablation | Writes = "resample"


def sampled(logits: Float[Tensor, "*mask"], generator: torch.Generator) -> Float[Tensor, "*mask"]:
    """Masks drawn from the hard concrete distribution."""
    uniform = torch.rand(logits.shape, generator=generator).clamp(1e-4, 1 - 1e-4).to(logits)
    return _stretched(((uniform / (1 - uniform)).log() + logits) / TEMPERATURE)


def expected(logits: Float[Tensor, " mask"]) -> Float[Tensor, " mask"]:
    """Masks without noise, as they are used after training.

    >>> expected(torch.tensor([-5.0, 0.0, 5.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return _stretched(logits)


def _stretched(logits: Tensor) -> Tensor:
    return (logits.sigmoid() * (HIGH - LOW) + LOW).clamp(0.0, 1.0)


def probability_kept(logits: Float[Tensor, " mask"]) -> Float[Tensor, " mask"]:
    """Probability that a mask is not 0 (Louizos et al., eq. 12)."""
    return (logits - TEMPERATURE * math.log(-LOW / HIGH)).sigmoid()


@runtime.gradients()
def trained(
    graph: Graph,
    twins: Twins,
    level: Level = "head",
    settings: MaskSettings | None = None,
    seed: int = 0,
    bar: bool = False,
) -> Float[Tensor, " mask"]:
    """Logits of trained masks, one per head (layer by layer) or edge; what is not masked is kept.

    Raises:
        LabError: Another level, or another damage.
    """
    settings = settings or MaskSettings()
    if level not in get_args(Level):
        raise LabError('expected the level "head" or "edge"', f"got {level!r}")
    check_damage(settings.damage)
    start = (settings.kept_at_first - LOW) / (HIGH - LOW)
    count = len(graph.heads if level == "head" else graph.edges)
    logits = torch.full((count,), math.log(start / (1 - start)), device=graph.device)
    logits.requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=settings.rate)
    generator = torch.Generator().manual_seed(seed)
    pool = _Pool(graph, twins, settings.ablation)
    for _ in runtime.progress(range(settings.steps), "masks", disable=not bar):
        rows = torch.randperm(len(twins), generator=generator)[: settings.batch]
        damage = pool.damage(rows, level, sampled(logits, generator), settings.damage)
        loss = damage.mean() + settings.penalty * probability_kept(logits).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return logits.detach()


class _Pool:
    """Pairs with their replacements and the full model's answers, computed once."""

    def __init__(self, graph: Graph, twins: Twins, ablation: Ablation | Writes) -> None:
        self.graph, self.twins = graph, twins
        self.replaced = twin_replacements(graph, twins, ablation)
        self.heads = graph.sources_of(graph.heads)
        with torch.no_grad():
            self.full = graph.forward(twins.clean.tokens, twins.clean.last).logits

    def damage(
        self, rows: Tensor, level: Level, mask: Float[Tensor, " mask"], damage: Damage
    ) -> Float[Tensor, " row"]:
        pairs = self.twins.rows(rows)
        gates, keep = None, None
        if level == "head":
            gates = torch.ones(len(self.graph.sources), device=mask.device)
            gates = gates.index_put((self.heads,), mask)
        else:
            keep = mask
        logits = self.graph.forward(
            pairs.clean.tokens,
            pairs.clean.last,
            keep,
            rows_of(self.replaced, rows),
            gates,
        ).logits
        return damage_of(damage, pairs, self.full[rows], logits)


def scores(
    model: Model,
    twins: Twins,
    ablation: Ablation | Writes | None = None,
    settings: MaskSettings | None = None,
    seed: int = 0,
) -> Float[Tensor, " head"]:
    """For each head, layer by layer, the logit of its trained mask.

    Args:
        ablation: If given, in the place of that of the settings.
    """
    settings = settings or MaskSettings()
    if ablation is not None:
        settings = replace(settings, ablation=ablation)
    return trained(Graph(model), twins, "head", settings, seed).cpu()

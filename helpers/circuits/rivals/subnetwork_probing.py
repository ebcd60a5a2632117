"""Subnetwork probing: learn which heads, or edges, to keep, by gradient descent on masks that want
to be 0 or 1.

Each head has a mask of the hard concrete distribution (Louizos et al., arXiv 1712.01312): a
logistic variable, stretched to (-0.1, 1.1) and clipped, so that it is exactly 0 or 1 with some
probability and has a gradient in between. What is minimised is the damage of the masked model plus
a penalty on the expected number of masks that are not 0 (Cao et al., arXiv 2104.03514, section 3;
as in the ACDC paper, only masks are trained, and a removed write becomes its replacement instead of
zero). Granularity: heads, or edges; value: the twin's write, its mean or zero; all positions; all
masks at once.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import runtime
from helpers.circuits.graph.forward import Graph, Value, replacements
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.model import Model

LOW, HIGH, TEMPERATURE = -0.1, 1.1, 2 / 3
LEVELS, DAMAGES = ("head", "edge"), ("kl", "task")


@dataclass(frozen=True)
class Settings:
    """How masks are trained.

    Attributes:
        steps: of Adam.
        rate: learning rate.
        penalty: on the expected number of heads (or edges) kept, each.
        kept_at_first: the mask's share of 1 at the beginning, without noise.
        batch: pairs a step.
        damage: "kl" from the full model's next-word distribution, or "task", the behaviour lost.
        value: as in `graph.replacements`.
    """

    steps: int = 200
    rate: float = 0.1
    penalty: float = 0.03
    kept_at_first: float = 0.9
    batch: int = 16
    damage: str = "kl"
    value: Value = "resample"


def sampled(logits: Float[Tensor, " mask"], generator: torch.Generator) -> Float[Tensor, " mask"]:
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


def trained(
    graph: Graph,
    twins: Twins,
    level: str = "head",
    settings: Settings | None = None,
    seed: int = 0,
    bar: bool = False,
) -> Float[Tensor, " mask"]:
    """Logits of trained masks, one a head (layer by layer) or one an edge; what is not masked is
    kept.

    Raises:
        LabError: another level, or another damage.
    """
    settings = settings or Settings()
    if level not in LEVELS:
        raise LabError('expected the level "head" or "edge"', f"got {level!r}")
    if settings.damage not in DAMAGES:
        raise LabError('expected the damage "kl" or "task"', f"got {settings.damage!r}")
    start = (settings.kept_at_first - LOW) / (HIGH - LOW)
    count = len(graph.heads if level == "head" else graph.edges)
    logits = torch.full(
        (count,), math.log(start / (1 - start)), device=graph.device, requires_grad=True
    )
    optimiser = torch.optim.Adam([logits], lr=settings.rate)
    generator = torch.Generator().manual_seed(seed)
    pool = _Pool(graph, twins, settings.value)
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

    def __init__(self, graph: Graph, twins: Twins, value: Value) -> None:
        self.graph, self.twins = graph, twins
        self.replaced = replacements(graph, twins, value)
        self.heads = graph.sources_of(graph.heads)
        with torch.no_grad():
            self.full = graph.forward(twins.clean.tokens, twins.clean.last).logits

    def damage(
        self, rows: Tensor, level: str, mask: Float[Tensor, " mask"], damage: str
    ) -> Float[Tensor, " row"]:
        part, full = self.twins.rows(rows), self.full[rows]
        replaced = tuple(
            block if block.shape[1] == 1 else block[:, rows] for block in self.replaced
        )
        if level == "head":
            gates = torch.ones(len(self.graph.sources), device=mask.device).index_put(
                (self.heads,), mask
            )
            chosen = {"gates": gates}
        else:
            chosen = {"keep": mask}
        logits = self.graph.forward(
            part.clean.tokens, part.clean.last, replacement=replaced, **chosen
        ).logits
        if damage == "task":
            return part.behaviour(full) - part.behaviour(logits)
        log_p = full.log_softmax(-1)
        return (log_p.exp() * (log_p - logits.log_softmax(-1))).sum(-1)


def scores(
    model: Model,
    twins: Twins,
    value: Value | None = None,
    settings: Settings | None = None,
    seed: int = 0,
) -> Float[Tensor, " head"]:
    """For each head the logit of its trained mask; heads layer by layer.

    Args:
        value: if given, in the place of that of the settings.
    """
    settings = settings or Settings()
    if value is not None:
        settings = replace(settings, value=value)
    return trained(Graph(model), twins, "head", settings, seed).cpu()

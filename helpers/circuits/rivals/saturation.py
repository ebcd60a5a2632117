"""Heads that matter and have no gradient.

A gradient says how the behaviour changes with a small change of a write. Behind an attention that
is sure of itself, or a ReLU that is off, small changes do nothing, and a large one everything. Such
a head has the score 0 in every method that takes gradients at the clean prompt, just as one that
does nothing. What tells them apart is to take the head away: one more run for each head whose score
is next to nothing although it writes something else on the twin.
"""

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.circuits.graph.edges import head_name
from helpers.circuits.graph.forward import Graph, Writes, replacements
from helpers.circuits.graph.mixed import rows_of
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.inputs import finite
from helpers.interventions import Ablation, Head

NOTHING, SOMETHING = 1e-4, 1e-2
"""Shares of the largest score, or of what all heads together bring: a score below the first is
looked into, and an effect above the second is reported."""
SAMPLE = 16
"""On how many pairs heads are taken away."""


@dataclass(frozen=True)
class SaturatedHead:
    """A head that a gradient does not see.

    Attributes:
        head: Layer and head.
        score: Its score by gradients.
        lost: What the behaviour loses without it, in the metric's units.
    """

    head: Head
    score: float
    lost: float

    def __str__(self) -> str:
        return f"{head_name(self.head)} ({self.score:.2g}, ablated {self.lost:.2g})"


@torch.no_grad()
def saturated(
    graph: Graph,
    twins: Twins,
    scores: Float[Tensor, " head"],
    ablation: Ablation | Writes = "resample",
) -> list[SaturatedHead]:
    """Heads whose score is next to nothing, and without which the behaviour changes all the same.

    Looked into are heads with a score of at most `NOTHING` of the largest, on the first `SAMPLE`
    pairs: not one with a small score above that, nor what happens on later pairs only.

    Args:
        scores: Scores of the heads by some method that takes gradients, not negative.
        ablation: What replaces a write, as the method had it.

    Raises:
        LabError: scores with NaN, or not one per head; pairs that the model cannot read.
    """
    graph.check_twins(twins)
    scores = finite(scores, "scores", "head")
    if len(scores) != len(graph.heads):
        raise LabError(
            "expected one score per head", f"got {len(scores)} of {len(graph.heads)} heads"
        )
    return _saturated(graph, twins, scores, ablation)


@torch.no_grad()
def _saturated(
    graph: Graph, twins: Twins, scores: Float[Tensor, " head"], ablation: Ablation | Writes
) -> list[SaturatedHead]:
    part = twins.rows(slice(SAMPLE))
    if ablation == "resample":
        replaced = replacements(graph, part, ablation)
    else:  # the mean is that of all twins
        replaced = rows_of(replacements(graph, twins, ablation), slice(SAMPLE))
    clean = graph.forward(part.clean.tokens, part.clean.last)
    sides = (part.behaviour(clean.logits), part.behaviour(_twin_logits(graph, part)))
    scale = max(float(scores.max()), float((sides[0] - sides[1]).mean().abs()))
    moved = torch.cat(
        [
            (now - other).abs().amax((1, 2, 3))
            for now, other in zip(clean.writes, replaced, strict=True)
        ]
    )
    found = []
    for head, source, score in zip(graph.heads, graph.sources_of(graph.heads), scores, strict=True):
        if not float(score) <= NOTHING * scale or not moved[source] > 0:
            continue
        gates = torch.ones(len(graph.sources), device=graph.device)
        gates[source] = 0
        run = graph.forward(part.clean.tokens, part.clean.last, gates=gates, replacement=replaced)
        lost = float((sides[0] - part.behaviour(run.logits)).mean())
        if abs(lost) > SOMETHING * scale:
            found.append(SaturatedHead(head, float(score), lost))
    return found


def _twin_logits(graph: Graph, twins: Twins) -> Float[Tensor, "prompt word"]:
    return graph.forward(twins.corrupted.tokens, twins.corrupted.last).logits


def warn_of_saturated(
    graph: Graph,
    twins: Twins,
    scores: Float[Tensor, " head"],
    ablation: Ablation | Writes,
    method: str,
    calls: int = 1,
) -> None:
    """Say which heads a method cannot see, where it gives its scores.

    Args:
        calls: How many calls lead from the reader's line to here, before this one; the warning
            names that line.
    """
    if found := _saturated(graph, twins, scores, ablation):
        warnings.warn(
            f"{method} gives next to nothing to heads without which the behaviour changes: "
            f"{', '.join(map(str, found))}. What they write goes through something saturated, such "
            "as an attention that is sure of itself, where gradients are 0. Ablate heads one by "
            "one, or use path patching.",
            stacklevel=2 + calls,
        )

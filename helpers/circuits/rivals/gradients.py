"""Scores of heads and edges from gradients: HISP, attribution patching, EAP and EAP-IG.

All estimate what the behaviour loses when a write becomes its replacement, by the first term of the
Taylor series: (clean write - replacement) · d behaviour / d write, summed over positions. They
differ in whose write it is and where the gradient is taken.

====================  ==============================================================================
attribution patching  the write of a head to all its readers at once; gradient of the clean run
                      (Nanda 2023)
HISP                  the same, absolute value per prompt, then the mean
                      (Michel et al., arXiv 1905.10650, eq. 2)
EAP                   an edge: gradient at one receiver's input, clean run
                      (Syed et al., arXiv 2310.10348)
EAP-IG                an edge: mean gradient of runs whose embedding goes from the replacement to
                      the clean one (Hanna et al., arXiv 2403.17806, "inputs")
====================  ==============================================================================

The sum of EAP over the edges that leave a head *is* the head's attribution patching, as a gradient
is a sum over readers. Ablation: the twin's write, its mean, or zero; all positions; the other nodes
are left to react as far as a gradient knows.

A head behind something saturated has a gradient of 0 though everything hangs on it. The functions
that score heads warn where they find one (`helpers.circuits.rivals.saturation`).
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import runtime
from helpers.circuits.graph.edges import outgoing
from helpers.circuits.graph.forward import Graph, Writes, replacements
from helpers.circuits.graph.mixed import rows_of
from helpers.circuits.rivals.saturation import warn_of_saturated
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.interventions import Ablation
from helpers.model import Model


def _batches(
    graph: Graph, twins: Twins, ablation: Ablation | Writes, size: int
) -> Iterator[tuple[Twins, Writes]]:
    """Some pairs at a time, with what replaces their writes. Means are those of all pairs."""
    if size < 1:
        raise LabError("expected at least one pair in a batch", f"got {size}")
    graph.check_twins(twins)
    common = None if ablation == "resample" else replacements(graph, twins, ablation)
    for start in range(0, len(twins), size):
        part = twins.rows(slice(start, start + size))
        if common is None:
            yield part, replacements(graph, part, ablation)
        else:
            yield part, rows_of(common, slice(start, start + size))


@runtime.gradients()
def node_attribution(
    graph: Graph, twins: Twins, ablation: Ablation | Writes = "resample", batch: int = 64
) -> Float[Tensor, "source prompt"]:
    """For each source and prompt, the estimated loss of behaviour when the write is replaced."""
    parts = []
    for part, replaced in _batches(graph, twins, ablation, batch):
        gates = torch.ones(len(graph.sources), len(part), device=graph.device, requires_grad=True)
        logits = graph.forward(
            part.clean.tokens, part.clean.last, gates=gates, replacement=replaced
        ).logits
        parts.append(torch.autograd.grad(part.behaviour(logits).sum(), gates)[0])
    return torch.cat(parts, dim=1)


@runtime.gradients()
def edge_attribution(
    graph: Graph,
    twins: Twins,
    ablation: Ablation | Writes = "resample",
    steps: int = 0,
    batch: int = 64,
) -> Float[Tensor, " edge"]:
    """For each edge the estimated mean loss of behaviour when it is replaced.

    This is EAP, or EAP-IG with `steps`.

    Args:
        steps: Number of points between the replaced embedding (left out) and the clean one
            (included), at which gradients are taken; 0 for the clean run alone. (The released code
            leaves out the clean end instead.)

    Raises:
        LabError: A negative number of steps.
    """
    if steps < 0:
        raise LabError("expected a number of steps from 0", f"got {steps}")
    total = torch.zeros(len(graph.edges), device=graph.device)
    for part, replaced in _batches(graph, twins, ablation, batch):
        prompts = part.clean
        with torch.no_grad():
            clean = graph.forward(prompts.tokens, prompts.last).writes
        removed = tuple(now - other for now, other in zip(clean, replaced, strict=True))
        for step in range(1, max(steps, 1) + 1):
            share = step / steps if steps else 1.0
            weight = torch.zeros_like(total, requires_grad=True)
            embedding = clean[0][0] - (1 - share) * removed[0][0]
            logits = graph.forward(
                prompts.tokens, prompts.last, probe=(weight, removed), embedding=embedding
            ).logits
            total += torch.autograd.grad(part.behaviour(logits).sum(), weight)[0] / max(steps, 1)
    return total / len(twins)


def attribution_patching(
    model: Model, twins: Twins, ablation: Ablation | Writes = "resample"
) -> Float[Tensor, " head"]:
    """Absolute estimated mean loss of behaviour without each head; heads layer by layer."""
    graph = Graph(model)
    scores = _of_heads(graph, node_attribution(graph, twins, ablation)).mean(1).abs().cpu()
    warn_of_saturated(graph, twins, scores, ablation, "attribution patching")
    return scores


def _of_heads(graph: Graph, losses: Float[Tensor, "source prompt"]) -> Float[Tensor, "head prompt"]:
    return losses[graph.sources_of(graph.heads)]


def hisp(
    model: Model, twins: Twins, ablation: Ablation | Writes = "resample", by_layer: bool = False
) -> Float[Tensor, " head"]:
    """Head importance: the mean over prompts of the absolute estimated loss; heads layer by layer.

    Args:
        ablation: Michel et al. gate heads off, "zero"; the ACDC paper also takes the twin's write.
        by_layer: Divide by the Euclidean norm of the layer's scores, as Michel et al. do before
            pruning.
    """
    graph = Graph(model)
    scores = _of_heads(graph, node_attribution(graph, twins, ablation)).abs().mean(1).cpu()
    warn_of_saturated(graph, twins, scores, ablation, "HISP")
    if by_layer:
        layers = scores.view(model.cfg.n_layers, -1)
        scores = (layers / layers.norm(dim=1, keepdim=True).clamp_min(1e-12)).flatten()
    return scores


def eap(
    model: Model, twins: Twins, ablation: Ablation | Writes = "resample"
) -> Float[Tensor, " head"]:
    """For each head, layer by layer, the sum of absolute EAP scores of the edges that leave it."""
    return _of_edges(model, twins, ablation, 0, "EAP")


def eap_ig(
    model: Model, twins: Twins, ablation: Ablation | Writes = "resample", steps: int = 5
) -> Float[Tensor, " head"]:
    """For each head, layer by layer, the sum of absolute EAP-IG scores of its outgoing edges."""
    return _of_edges(model, twins, ablation, steps, "EAP-IG")


def _of_edges(
    model: Model, twins: Twins, ablation: Ablation | Writes, steps: int, method: str
) -> Float[Tensor, " head"]:
    graph = Graph(model)
    of_edges = edge_attribution(graph, twins, ablation, steps).abs().cpu()
    scores = outgoing(graph.edges, of_edges, graph.heads)
    warn_of_saturated(graph, twins, scores, ablation, method, calls=2)
    return scores

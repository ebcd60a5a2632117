"""Path patching: what the behaviour loses when a single edge carries something else, exactly.

One edge carries its source's replacement; every other edge carries what its source writes in this
run, so that whatever the receiver then does differently goes on through all later nodes (Wang et
al., arXiv 2211.00593, section 3.1, where later heads are frozen; Goldowsky-Dill et al., arXiv
2304.05969, whose paths are single edges here). Granularity: edges between the embedding, heads,
MLPs and the output; ablation: the twin's write, its mean or zero; all positions alike; one edge at
a time.

The run is recomputed from the edge's receiver on, and of the receiver's layer only that one head:
nothing else changes.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers import runtime
from helpers.circuits.graph import weights
from helpers.circuits.graph.edges import KINDS
from helpers.circuits.graph.forward import ForwardPass, Graph, Writes, twin_replacements
from helpers.circuits.tasks.twins import Twins
from helpers.interventions import Ablation


@torch.no_grad()
def effects(
    graph: Graph, twins: Twins, ablation: Ablation | Writes = "resample", bar: bool = False
) -> Float[Tensor, "edge prompt"]:
    """What each prompt's behaviour loses when one edge alone is replaced, in the metric's units.

    Args:
        ablation: What replaces a write; see `graph.twin_replacements`.
        bar: Whether to show progress.
    """
    replaced = twin_replacements(graph, twins, ablation)
    clean = graph.forward(twins.clean.tokens, twins.clean.last)
    removed = [
        (now - other).expand_as(now) for now, other in zip(clean.writes, replaced, strict=True)
    ]
    full = twins.behaviour(clean.logits)
    groups = [
        (index, number)
        for index, stage in enumerate(graph.stages)
        for number in range(len(stage.receivers))
    ]
    parts = []
    for index, number in runtime.progress(groups, "edges", disable=not bar):
        residual = graph.residual(index, clean.writes)
        sources = torch.cat(removed[: index + 1])
        for source in sources:
            changed = residual - source
            logits = _logits(graph, clean, index, number, residual, changed, twins.clean.last)
            parts.append(full - twins.behaviour(logits))
    return torch.stack(parts)


def _logits(
    graph: Graph,
    clean: ForwardPass,
    index: int,
    number: int,
    residual: Float[Tensor, "prompt pos d_model"],
    changed: Float[Tensor, "prompt pos d_model"],
    last: Int[Tensor, " prompt"],
) -> Float[Tensor, "prompt word"]:
    """Logits when one receiver of a stage reads a changed residual stream, and no other does."""
    if index == len(graph.stages) - 1:
        return graph.resume(index, changed, last)
    block = graph.weights.blocks[index]
    if isinstance(block, weights.Mlp):
        write, before = block(changed), clean.writes[index + 1][0]
    else:
        kind, head = divmod(number, len(block.out))
        write = _head(block, kind, head, residual, changed)
        before = clean.writes[index + 1][head]
    return graph.resume(index + 1, graph.residual(index + 1, clean.writes) + write - before, last)


def _head(
    block: weights.Attention, kind: int, head: int, residual: Tensor, changed: Tensor
) -> Tensor:
    """What a head writes when one of query, key and value comes from a changed input."""
    read = [block.norm(changed if other == kind else residual) for other in range(len(KINDS))]
    q, k, v = (x @ block.into[i, head] + block.bias[i, head] for i, x in enumerate(read))
    return block.attend(q[None], k[None], v[None], block.out[head, None])[0]

"""Nodes and edges of a transformer as a graph: their names, their order, and scores of heads from
scores of edges.

*Sources* write into the residual stream: the embedding (of token and position), every head, every
MLP. *Receivers* read from it: the query, key and value input of every head, the input of every MLP,
and the output (the last residual stream). An *edge* leads from a source to a receiver that computes
after it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import finite
from helpers.interventions import Head

EMBED, OUTPUT = "embed", "output"
KINDS = "qkv"


@dataclass(frozen=True)
class Edge:
    """From a node that writes to a node that reads.

    Attributes:
        source: "embed", a head such as "L0H2" or an MLP such as "L0M".
        receiver: A head, an MLP or "output".
        kind: Which input of a head it is: "q", "k" or "v"; "in" for the others.

    >>> str(Edge("L0H2", "L1H0", "k"))
    'L0H2→L1H0.k'
    """

    source: str
    receiver: str
    kind: str

    def __str__(self) -> str:
        return f"{self.source}→{self.receiver}" + ("" if self.kind == "in" else f".{self.kind}")


def head_name(head: Head) -> str:
    """How nodes name a head.

    >>> head_name((2, 0))
    'L2H0'
    """
    return f"L{head[0]}H{head[1]}"


@dataclass(frozen=True)
class Stage:
    """Receivers that read at one place of the residual stream, after the same sources.

    Attributes:
        receivers: Node and kind of each. Those of a layer's heads: all queries, then all keys, then
            all values.
        sources: How many sources come before.
        first: Index of the stage's first edge. Edges stand receiver by receiver, each with the
            sources in order.
    """

    receivers: tuple[tuple[str, str], ...]
    sources: int
    first: int

    @property
    def last(self) -> int:
        """Index after the stage's last edge."""
        return self.first + len(self.receivers) * self.sources


def layout(layers: int, heads: int, mlps: bool) -> tuple[tuple[str, ...], tuple[Stage, ...]]:
    """Sources and stages of a model, in the order in which they compute; the last is the output.

    >>> sources, stages = layout(12, 12, True)  # GPT-2 small
    >>> len(sources), stages[-1].last
    (157, 32491)
    """
    sources, stages, edges = [EMBED], [], 0

    def add(receivers: list[tuple[str, str]], writers: list[str]) -> None:
        nonlocal edges
        stages.append(Stage(tuple(receivers), len(sources), edges))
        edges = stages[-1].last
        sources.extend(writers)

    for layer in range(layers):
        names = [head_name((layer, head)) for head in range(heads)]
        add([(name, kind) for kind in KINDS for name in names], names)
        if mlps:
            add([(f"L{layer}M", "in")], [f"L{layer}M"])
    add([(OUTPUT, "in")], [])
    return tuple(sources), tuple(stages)


def outgoing(
    edges: Sequence[Edge], scores: Float[Tensor, " edge"], heads: Iterable[Head]
) -> Float[Tensor, " head"]:
    """A score for each head: the sum over the edges that leave it.

    Raises:
        LabError: not one score per edge, or NaN among them.

    >>> import torch
    >>> edges = [Edge("L0H0", "L1H0", "q"), Edge("L0H0", "output", "in")]
    >>> edges.append(Edge("L1H0", "output", "in"))
    >>> outgoing(edges, torch.tensor([1.0, 2.0, 4.0]), [(0, 0), (1, 0)])
    tensor([3., 4.])
    """
    checked = finite(scores, "scores of edges", "edge")
    scores = scores if isinstance(scores, Tensor) else checked  # a tensor keeps its gradient
    if len(scores) != len(edges):
        raise LabError("expected one score per edge", f"got {len(scores)} of {len(edges)} edges")
    place = {head_name(head): index for index, head in enumerate(heads)}
    total = scores.new_zeros(len(place))
    for edge, score in zip(edges, scores, strict=True):
        if edge.source in place:
            total[place[edge.source]] += score
    return total

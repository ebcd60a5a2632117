"""ACDC: remove edges one after the other, from the output backwards, as long as little is lost
(Conmy et al., arXiv 2304.14997).

Receivers are visited from the output to the first layer (within a layer values, keys, queries,
heads from the last), and at each one its incoming edges, from the latest source to the embedding.
An edge is removed, for good, if the damage then grows by less than the threshold τ (algorithm 1).
What is found depends on this order. Granularity: edges; value: the twin's write, its mean or zero;
all positions; direction: from the full model down, one edge at a time, given all removed before it.

Two savings leave the result as it is for a τ above 0. Earlier nodes are untouched while a receiver
is tested: the run starts at its layer. And a head whose outgoing edges are all gone is read by
nobody: its incoming edges go without a test, at no damage.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers import runtime
from helpers.circuits.graph.edges import Edge, head_name
from helpers.circuits.graph.forward import Graph, Value, replacements
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.interventions import Head
from helpers.model import Model

DAMAGES = ("kl", "task")
TAUS = tuple(round(10 ** (power / 2), 5) for power in range(-6, 1))
"""Thresholds of a sweep: half decades from 0.001 to 1, in nats or the metric's units."""


@dataclass(frozen=True)
class Circuit:
    """What ACDC leaves.

    Attributes:
        tau: the threshold.
        kept: of each edge of the graph, whether it is left.
        damage: of the circuit against the full model.
        passes: forward passes (from some layer on) that it took.
        seconds: time that it took.
    """

    tau: float
    kept: Bool[Tensor, " edge"]
    damage: float
    passes: int
    seconds: float

    def edges(self, graph: Graph) -> list[Edge]:
        """The edges that are left."""
        return [edge for edge, kept in zip(graph.edges, self.kept.tolist(), strict=True) if kept]

    def heads(self, graph: Graph) -> list[Head]:
        """Heads on a path of kept edges from the embedding to the output.

        A head that lacks the way in writes what it writes on the twin, and one that lacks the way
        out is not read.
        """
        edges = self.edges(graph)
        reached, read = {graph.sources[0]}, {"output"}
        for edge in edges:  # edges stand in the order of computation
            if edge.source in reached:
                reached.add(edge.receiver)
        for edge in reversed(edges):
            if edge.receiver in read:
                read.add(edge.source)
        return [head for head in graph.heads if head_name(head) in reached & read]


class Search:
    """One search: the pairs, what replaces the writes, and how much damage a mask does.

    Args:
        damage: "kl", the divergence of the masked model's next-word distribution from the full
            model's, in nats; or "task", what the behaviour loses. Means over prompts. By "task", an
            edge that hinders the behaviour is removed.
        value: as in `graph.replacements`.

    Raises:
        LabError: another damage.
    """

    def __init__(
        self, graph: Graph, twins: Twins, damage: str = "kl", value: Value = "resample"
    ) -> None:
        if damage not in DAMAGES:
            raise LabError('expected the damage "kl" or "task"', f"got {damage!r}")
        self.graph, self.twins = graph, twins
        self.replaced = replacements(graph, twins, value)
        with torch.no_grad():
            self.clean = graph.forward(twins.clean.tokens, twins.clean.last)
        self.log_p = self.clean.logits.log_softmax(-1)
        self.full = twins.behaviour(self.clean.logits)
        self._damage: Callable[[Tensor], Tensor] = self._kl if damage == "kl" else self._loss
        self.passes = 0

    def _kl(self, logits: Float[Tensor, "prompt word"]) -> Float[Tensor, " prompt"]:
        return (self.log_p.exp() * (self.log_p - logits.log_softmax(-1))).sum(-1)

    def _loss(self, logits: Float[Tensor, "prompt word"]) -> Float[Tensor, " prompt"]:
        return self.full - self.twins.behaviour(logits)

    @torch.no_grad()
    def damage(self, keep: Float[Tensor, " edge"], stage: int = 0) -> float:
        """Mean damage of a mask that keeps every edge before a stage.

        Raises:
            LabError: it is NaN or infinite: no threshold would be above it, and every edge kept.
        """
        self.passes += 1
        prompts = self.twins.clean
        run = self.graph.forward(
            prompts.tokens, prompts.last, keep, self.replaced, known=self.clean.writes[: stage + 1]
        )
        found = float(self._damage(run.logits).mean())
        if not math.isfinite(found):
            raise LabError(
                "expected finite damage of every removal",
                f"got {found}",
                hint="check the model's weights",
            )
        return found

    def run(self, tau: float, bar: bool = False) -> Circuit:
        """Remove what can be removed at a threshold.

        Raises:
            LabError: a threshold that is no number.
        """
        if math.isnan(tau):
            raise LabError("expected a threshold for ACDC", "got NaN: no edge would be removed")
        started, before = time.perf_counter(), self.passes
        keep, current = self.graph.ones(), 0.0
        alive = {"output"}
        edges = reversed(range(len(self.graph.edges)))
        for index in runtime.progress(
            edges, f"ACDC, tau {tau:g}", total=len(self.graph.edges), disable=not bar
        ):
            edge = self.graph.edges[index]
            keep[index] = 0.0
            if edge.receiver in alive:
                damage = self.damage(keep, self.graph.stage_of(index))
                if damage - current < tau:
                    current = damage
                else:
                    keep[index] = 1.0
                    alive.add(edge.source)
        return Circuit(
            tau, keep.bool().cpu(), current, self.passes - before, time.perf_counter() - started
        )


def acdc(
    graph: Graph,
    twins: Twins,
    tau: float,
    damage: str = "kl",
    value: Value = "resample",
    bar: bool = False,
) -> Circuit:
    """The circuit that ACDC finds at a threshold; see `Search` for the arguments."""
    return Search(graph, twins, damage, value).run(tau, bar)


def survival(graph: Graph, circuits: Sequence[Circuit]) -> Float[Tensor, " head"]:
    """For each head the largest threshold of a sweep at which it is in the circuit; 0 if it never is."""
    largest = dict.fromkeys(graph.heads, 0.0)
    for circuit in circuits:
        for head in circuit.heads(graph):
            largest[head] = max(largest[head], circuit.tau)
    return torch.tensor(list(largest.values()))


def scores(
    model: Model,
    twins: Twins,
    value: Value = "resample",
    damage: str = "kl",
    taus: Sequence[float] = TAUS,
    bar: bool = False,
) -> Float[Tensor, " head"]:
    """For each head the largest threshold at which ACDC keeps it; heads layer by layer. One search a threshold."""
    graph = Graph(model)
    search = Search(graph, twins, damage, value)
    return survival(graph, [search.run(tau, bar) for tau in taus])


@dataclass(frozen=True)
class Timing:
    """How long a search would take.

    Attributes:
        tests: how many edge tests were timed.
        edges: how many a search has at most, one an edge.
        seconds_a_test: their mean time.
    """

    tests: int
    edges: int
    seconds_a_test: float

    @property
    def seconds(self) -> float:
        """Scaled to a whole search. Heads that drop out early save some of it."""
        return self.edges * self.seconds_a_test


def timed_sample(
    graph: Graph, twins: Twins, tests: int = 20, seed: int = 0, damage: str = "kl"
) -> Timing:
    """Time some edge tests, drawn at random, where half of the edges after them are removed.

    Raises:
        LabError: no tests, or more than the graph has edges.
    """
    if not 1 <= tests <= len(graph.edges):
        raise LabError(
            f"expected from 1 to {len(graph.edges)} tests, one an edge at most", f"got {tests}"
        )
    search, generator = Search(graph, twins, damage), torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(graph.edges), generator=generator)[:tests].tolist()
    started = time.perf_counter()
    for index in chosen:
        keep = graph.ones()
        keep[index + 1 :] = torch.randint(2, (len(keep) - index - 1,), generator=generator).to(keep)
        keep[index] = 0.0
        search.damage(keep, graph.stage_of(index))
    return Timing(tests, len(graph.edges), (time.perf_counter() - started) / tests)

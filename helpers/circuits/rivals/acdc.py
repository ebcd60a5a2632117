"""ACDC: remove edges one by one, from the output backwards, as long as little is lost.

The method is that of Conmy et al. (arXiv 2304.14997). Receivers are visited from the output to the
first layer (within a layer values, keys, queries, heads from the last), and at each one its
incoming edges, from the latest source to the embedding. An edge is removed, for good, if the damage
then grows by less than the threshold τ (algorithm 1). What is found depends on this order.
Granularity: edges; ablation: the twin's write, its mean or zero; all positions; direction: from the
full model down, one edge at a time, given all removed before it.

Two savings leave the result as it is for a τ above 0. Earlier nodes are untouched while a receiver
is tested: the run starts at its layer. And a head whose outgoing edges are all gone is read by
nobody: its incoming edges go without a test, at no damage.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers import runtime
from helpers.circuits.graph.edges import Edge, head_name
from helpers.circuits.graph.forward import Graph, Writes, twin_replacements
from helpers.circuits.rivals.damage import Damage, check_damage, damage_of
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.interventions import Ablation, Head
from helpers.model import Model

TAUS = tuple(round(10 ** (power / 2), 5) for power in range(-6, 1))
"""Thresholds of a sweep: half decades from 0.001 to 1, in nats or the metric's units."""


@dataclass(frozen=True)
class PrunedGraph:
    """The circuit that ACDC leaves.

    Attributes:
        tau: The threshold.
        kept: For each edge of the graph, whether it is left.
        damage: Mean damage of the circuit against the full model.
        passes: Number of forward passes (from some layer on) that the search took.
        seconds: Time that the search took.
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
        graph: The model's graph.
        twins: Prompts and their twins.
        damage: What a removal is judged by, as a mean over prompts. By "task", an edge that hinders
            the behaviour is removed.
        ablation: What replaces a write; see `graph.twin_replacements`.

    Raises:
        LabError: Another damage.
    """

    def __init__(
        self,
        graph: Graph,
        twins: Twins,
        damage: Damage = "kl",
        ablation: Ablation | Writes = "resample",
    ) -> None:
        check_damage(damage)
        self.graph, self.twins = graph, twins
        self.judged_by: Damage = damage
        self.replaced = twin_replacements(graph, twins, ablation)
        with torch.no_grad():
            self.clean = graph.forward(twins.clean.tokens, twins.clean.last)
        self.passes = 0

    @torch.no_grad()
    def damage(self, keep: Float[Tensor, " edge"], stage: int = 0) -> float:
        """Mean damage of a mask that keeps every edge before a stage.

        Raises:
            LabError: It is NaN or infinite: no threshold would be above it, and every edge kept.
        """
        self.passes += 1
        prompts = self.twins.clean
        run = self.graph.forward(
            prompts.tokens,
            prompts.last,
            keep,
            self.replaced,
            computed=self.clean.writes[: stage + 1],
        )
        damages = damage_of(self.judged_by, self.twins, self.clean.logits, run.logits)
        damage = float(damages.mean())
        if not math.isfinite(damage):
            raise LabError(
                "expected finite damage of every removal",
                f"got {damage}",
                hint="check the model's weights",
            )
        return damage

    def run(self, tau: float, bar: bool = False) -> PrunedGraph:
        """Remove what can be removed at a threshold.

        Raises:
            LabError: A threshold that is no number.
        """
        if math.isnan(tau):
            raise LabError("expected a threshold for ACDC", "got NaN: no edge would be removed")
        started, before = time.perf_counter(), self.passes
        keep, current = self.graph.ones(), 0.0
        alive, count = {"output"}, len(self.graph.edges)
        label = f"ACDC, tau {tau:g}"
        for index in runtime.progress(reversed(range(count)), label, total=count, disable=not bar):
            edge = self.graph.edges[index]
            keep[index] = 0.0
            if edge.receiver in alive:
                damage = self.damage(keep, self.graph.stage_of(index))
                if damage - current < tau:
                    current = damage
                else:
                    keep[index] = 1.0
                    alive.add(edge.source)
        seconds = time.perf_counter() - started
        return PrunedGraph(tau, keep.bool().cpu(), current, self.passes - before, seconds)


def survival(graph: Graph, circuits: Sequence[PrunedGraph]) -> Float[Tensor, " head"]:
    """For each head the largest threshold at which it is in the circuit; 0 if it never is."""
    largest = dict.fromkeys(graph.heads, 0.0)
    for circuit in circuits:
        for head in circuit.heads(graph):
            largest[head] = max(largest[head], circuit.tau)
    return torch.tensor(list(largest.values()))


def scores(
    model: Model,
    twins: Twins,
    ablation: Ablation | Writes = "resample",
    damage: Damage = "kl",
    taus: Sequence[float] = TAUS,
    bar: bool = False,
) -> Float[Tensor, " head"]:
    """For each head, layer by layer, the largest threshold at which ACDC keeps it.

    There is one search per threshold.
    """
    graph = Graph(model)
    search = Search(graph, twins, damage, ablation)
    return survival(graph, [search.run(tau, bar) for tau in taus])


@dataclass(frozen=True)
class SearchCost:
    """How long a search would take.

    Attributes:
        tests: How many edge tests were timed.
        edges: How many tests a search has at most, one per edge.
        seconds_per_test: Mean time of a test.
    """

    tests: int
    edges: int
    seconds_per_test: float

    @property
    def seconds(self) -> float:
        """Scaled to a whole search. Heads that drop out early save some of it."""
        return self.edges * self.seconds_per_test


def timed_sample(
    graph: Graph, twins: Twins, tests: int = 20, seed: int = 0, damage: Damage = "kl"
) -> SearchCost:
    """Time some edge tests, drawn at random, where half of the edges after them are removed.

    Raises:
        LabError: No tests, or more than the graph has edges.
    """
    if not 1 <= tests <= len(graph.edges):
        raise LabError(
            f"expected from 1 to {len(graph.edges)} tests, one per edge at most", f"got {tests}"
        )
    search, generator = Search(graph, twins, damage), torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(graph.edges), generator=generator)[:tests].tolist()
    started = time.perf_counter()
    for index in chosen:
        keep = graph.ones()
        keep[index + 1 :] = torch.randint(2, (len(keep) - index - 1,), generator=generator).to(keep)
        keep[index] = 0.0
        search.damage(keep, graph.stage_of(index))
    return SearchCost(tests, len(graph.edges), (time.perf_counter() - started) / tests)

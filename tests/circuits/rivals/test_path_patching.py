"""Effects of single edges: against masked runs, linear readouts, and known edges."""

import pytest
import torch

from helpers.attribution import direct_logit_attribution
from helpers.circuits.graph import handwired
from helpers.circuits.graph.edges import Edge
from helpers.circuits.graph.forward import Graph, twin_replacements
from helpers.circuits.rivals.path_patching import effects
from tests.circuits.random_models import RIGHT, VOCAB, WRONG, gpt2, native, one_path, random_twins

pytestmark = pytest.mark.core


def true_edges(graph: Graph, losses: torch.Tensor) -> set[Edge]:
    """Edges whose mean effect is at least 1, whether they help or hinder."""
    large = losses.mean(1).abs() >= 1.0
    return {edge for edge, true in zip(graph.edges, large.tolist(), strict=True) if true}


@pytest.mark.parametrize("kind", ["MLPs", "attention", "GPT-2"])
@pytest.mark.parametrize("ablation", ["resample", "mean"])
def test_an_effect_is_what_a_masked_run_loses(kind: str, ablation: str, tmp_path) -> None:
    model = (
        gpt2(tmp_path)
        if kind == "GPT-2"
        else native(normalization_type="LN", attn_only=kind == "attention")
    )
    graph, pairs = Graph(model), random_twins()
    replaced = twin_replacements(graph, pairs, ablation)
    losses = effects(graph, pairs, ablation)
    full = pairs.behaviour(graph.forward(pairs.clean.tokens, pairs.clean.last).logits)
    for index in range(len(graph.edges)):
        keep = graph.ones()
        keep[index] = 0
        run = graph.forward(pairs.clean.tokens, pairs.clean.last, keep, replaced)
        assert torch.allclose(losses[index], full - pairs.behaviour(run.logits), atol=1e-4), (
            graph.edges[index]
        )
    assert (
        losses.abs().max(1).values > 1e-3
    ).float().mean() > 0.9  # nearly every edge of a random model does something


def test_direct_edges_are_direct_attribution() -> None:
    """Without normalisation, an edge to the output is a difference of direct attributions."""
    model, pairs = native(normalization_type=None), random_twins()
    last = int(pairs.clean.last.min())
    rows = (pairs.clean.last == last).nonzero()[:, 0]
    pairs = pairs.rows(rows)
    weights = torch.zeros(len(pairs), VOCAB)
    weights[:, RIGHT], weights[:, WRONG] = 1, -1
    names, clean = direct_logit_attribution(model, pairs.clean.tokens, last, weights)
    _, other = direct_logit_attribution(model, pairs.corrupted.tokens, last, weights)
    graph = Graph(model)
    effect_of = dict(zip(graph.edges, effects(graph, pairs), strict=True))
    into = {edge.source: effect for edge, effect in effect_of.items() if edge.receiver == "output"}
    for source, effect in into.items():
        if source != "embed":  # its parts, token and position, are told apart there
            row = names.index(source)
            assert torch.allclose(effect, clean[row] - other[row], atol=1e-4), source
    assert len(into) == 10


@pytest.mark.parametrize("name", ["A", "B"])
def test_the_edges_of_a_single_path_are_found(name: str) -> None:
    """Along one path every edge carries the whole answer."""
    wired, circuit = one_path(name)
    graph = Graph(wired.model)
    assert true_edges(graph, effects(graph, handwired.twins(16), bar=True)) == circuit.carrying


def test_edges_that_only_rest_are_found_by_zeros() -> None:
    """Positions and resting places are the same on the twin.

    Resampling cannot see those edges; zeros can.
    """
    wired, circuit = one_path("A")
    graph, pairs = Graph(wired.model), handwired.twins(16)
    by_zero = true_edges(graph, effects(graph, pairs, "zero"))
    assert circuit.carrying < by_zero <= circuit.edges


def test_two_paths_hide_each_other() -> None:
    """Either path is enough, so that no early edge of either is missed alone."""
    wired = handwired.build()
    graph = Graph(wired.model)
    edges = true_edges(graph, effects(graph, handwired.twins(16)))
    assert set(map(str, edges)) == {"L1H0→L2H2.v", "L1H1→L2H2.v", "L2H2→output"}

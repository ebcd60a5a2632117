"""Effects of single edges: against masked runs, the unembedding's linearity, and a model whose edges are known."""

import pytest
import torch

from helpers.attribution import direct_logit_attribution
from helpers.circuits.graph import handwired
from helpers.circuits.graph.forward import Graph, replacements
from helpers.circuits.rivals import path_patching
from helpers.circuits.rivals.path_patching import effects, true_edges
from tests.circuits.random_models import RIGHT, VOCAB, WRONG, gpt2, native, one_path, random_twins

pytestmark = pytest.mark.core


@pytest.mark.parametrize("kind", ["MLPs", "attention", "GPT-2"])
@pytest.mark.parametrize("value", ["resample", "mean"])
def test_an_effect_is_what_a_masked_run_loses(kind: str, value: str, tmp_path) -> None:
    model = (
        gpt2(tmp_path)
        if kind == "GPT-2"
        else native(normalization_type="LN", attn_only=kind == "attention")
    )
    graph, pairs = Graph(model), random_twins()
    replaced = replacements(graph, pairs, value)
    found = effects(graph, pairs, value)
    full = pairs.behaviour(graph.forward(pairs.clean.tokens, pairs.clean.last).logits)
    for index in range(len(graph.edges)):
        keep = graph.ones()
        keep[index] = 0
        run = graph.forward(pairs.clean.tokens, pairs.clean.last, keep, replaced)
        assert torch.allclose(found[index], full - pairs.behaviour(run.logits), atol=1e-4), (
            graph.edges[index]
        )
    assert (
        found.abs().max(1).values > 1e-3
    ).float().mean() > 0.9  # nearly every edge of a random model does something


def test_direct_edges_are_direct_attribution() -> None:
    """Without normalisation, an edge to the output is worth the difference of two direct logit attributions."""
    model, pairs = native(normalization_type=None), random_twins()
    last = int(pairs.clean.last.min())
    rows = (pairs.clean.last == last).nonzero()[:, 0]
    pairs = pairs.rows(rows)
    weights = torch.zeros(len(pairs), VOCAB)
    weights[:, RIGHT], weights[:, WRONG] = 1, -1
    names, clean = direct_logit_attribution(model, pairs.clean.tokens, last, weights)
    _, other = direct_logit_attribution(model, pairs.corrupted.tokens, last, weights)
    graph = Graph(model)
    found = dict(zip(graph.edges, effects(graph, pairs), strict=True))
    into = {edge.source: effect for edge, effect in found.items() if edge.receiver == "output"}
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
    found = effects(graph, handwired.twins(16), bar=True)
    edges = {
        edge
        for edge, true in zip(graph.edges, true_edges(found, 1.0).tolist(), strict=True)
        if true
    }
    assert edges == circuit.carrying
    scores = path_patching.scores(wired.model, handwired.twins(16))
    assert {
        head for head, score in zip(graph.heads, scores.tolist(), strict=True) if score > 1
    } == set(circuit.heads)


def test_edges_that_only_rest_are_found_by_zeros() -> None:
    """Positions and resting places are the same on the twin: resampling cannot see those edges, zeros can."""
    wired, circuit = one_path("A")
    graph, pairs = Graph(wired.model), handwired.twins(16)
    by_zero = {
        edge
        for edge, true in zip(
            graph.edges, true_edges(effects(graph, pairs, "zero"), 1.0).tolist(), strict=True
        )
        if true
    }
    assert circuit.carrying < by_zero <= circuit.edges


def test_two_paths_hide_each_other() -> None:
    """Either path is enough, so that no early edge of either is missed alone."""
    wired = handwired.build()
    graph = Graph(wired.model)
    found = true_edges(effects(graph, handwired.twins(16)), 1.0).tolist()
    edges = {str(edge) for edge, true in zip(graph.edges, found, strict=True) if true}
    assert edges == {"L1H0→L2H2.v", "L1H1→L2H2.v", "L2H2→output"}

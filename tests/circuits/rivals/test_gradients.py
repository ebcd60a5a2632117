"""Gradient scores against exact effects of linear models, differences, hooks, completeness."""

import pytest
import torch

from helpers.circuits.graph import handwired
from helpers.circuits.graph.forward import Graph, twin_replacements
from helpers.circuits.rivals import (
    attribution_patching,
    edge_attribution,
    hisp,
    node_attribution,
)
from helpers.circuits.rivals.path_patching import effects
from helpers.errors import LabError
from tests.circuits.random_models import gpt2, native, one_path, random_twins

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def pairs():
    return random_twins()


@pytest.fixture(scope="module", params=["attention", "GPT-2"])
def model(request, tmp_path_factory):
    return (
        gpt2(tmp_path_factory.mktemp("gpt2"))
        if request.param == "GPT-2"
        else native(normalization_type="LN", attn_only=True)
    )


def test_eap_is_exact_where_the_model_is_linear(pairs) -> None:
    """One layer, no normalisation, a difference of logits.

    Values and output are linear in the edges; queries and keys are not.
    """
    graph = Graph(native(n_layers=1, attn_only=True, normalization_type=None))
    exact, estimated = effects(graph, pairs).mean(1), edge_attribution(graph, pairs)
    linear = torch.tensor([edge.kind in ("v", "in") for edge in graph.edges])
    assert (
        exact[linear].abs() > 1e-2
    ).sum() == 4  # all but the embedding's own edge: no twin differs at the last token
    assert torch.allclose(estimated[linear], exact[linear], atol=1e-4)
    assert not torch.allclose(estimated[~linear], exact[~linear], atol=1e-2)


@pytest.mark.parametrize("ablation", ["resample", "mean", "zero"])
def test_eap_is_the_slope_of_a_masked_run(model, pairs, ablation: str) -> None:
    graph = Graph(model)
    replaced = twin_replacements(graph, pairs, ablation)
    slopes = edge_attribution(graph, pairs, ablation)
    size = slopes.abs().max()
    for index in range(0, len(graph.edges), 7):
        ends = []
        for part in (1.01, 0.99):
            keep = graph.ones()
            keep[index] = part
            run = graph.forward(pairs.clean.tokens, pairs.clean.last, keep, replaced)
            ends.append(pairs.behaviour(run.logits).mean())
        assert abs((ends[0] - ends[1]) / 0.02 - slopes[index]) < 0.01 * size


def test_a_head_is_the_sum_of_its_edges(model, pairs) -> None:
    graph = Graph(model)
    edges, nodes = edge_attribution(graph, pairs), node_attribution(graph, pairs).mean(1)
    for source, node in zip(graph.sources, nodes, strict=True):
        total = sum(
            score for edge, score in zip(graph.edges, edges, strict=True) if edge.source == source
        )
        assert torch.isclose(total, node, atol=1e-4), source


def test_integrated_gradients_add_up_to_what_is_lost(model, pairs) -> None:
    """Along the embedding's edges they add up to the behaviour on prompts less that on twins.

    Plain gradients do not.
    """
    graph = Graph(model)
    lost = float(
        (
            pairs.behaviour(graph.forward(pairs.clean.tokens, pairs.clean.last).logits)
            - pairs.behaviour(graph.forward(pairs.corrupted.tokens, pairs.corrupted.last).logits)
        ).mean()
    )
    embedded = torch.tensor([edge.source == "embed" for edge in graph.edges])
    off = [
        abs(float(edge_attribution(graph, pairs, steps=steps)[embedded].sum()) - lost)
        for steps in (0, 5, 50, 400)
    ]
    assert abs(lost) > 0.3
    assert off[0] > 0.05 * abs(lost)
    assert off[3] < off[2] < 0.05 * abs(lost)
    assert off[3] < 0.005 * abs(lost)


def test_one_step_of_integrated_gradients_is_the_clean_run(model, pairs) -> None:
    """The clean end is one of the points, the twin's end is not."""
    graph = Graph(model)
    assert torch.allclose(
        edge_attribution(graph, pairs, steps=1), edge_attribution(graph, pairs), atol=1e-5
    )


def test_the_direct_edges_of_integrated_gradients_are_exact(pairs) -> None:
    """The output reads them linearly when there is no normalisation, whatever the embedding."""
    graph = Graph(native(attn_only=True, normalization_type=None))
    into = torch.tensor([edge.receiver == "output" for edge in graph.edges])
    assert torch.allclose(
        edge_attribution(graph, pairs, steps=5)[into],
        effects(graph, pairs).mean(1)[into],
        atol=1e-3,
    )


@pytest.mark.parametrize("ablation", ["resample", "zero"])
def test_head_importance_against_hooks(model, pairs, ablation: str) -> None:
    """(z - replacement) · gradient by z, taken at the bridge's hook_z."""
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(model.cfg.n_layers)]
    kept: dict[str, list[torch.Tensor]] = {name: [] for name in names}

    def keeper(name: str):
        def keep(z, hook):
            kept[name].append(z.clone())
            return kept[name][-1]

        return name, keep

    hooks = [keeper(name) for name in names]
    with torch.enable_grad():
        model.run_with_hooks(pairs.corrupted.tokens, fwd_hooks=hooks)
        logits = model.run_with_hooks(pairs.clean.tokens, fwd_hooks=hooks)[
            range(len(pairs)), pairs.clean.last
        ]
        gradients = torch.autograd.grad(
            pairs.behaviour(logits).sum(), [kept[name][1] for name in names]
        )
    expected = []
    for name, gradient in zip(names, gradients, strict=True):
        corrupted, clean = kept[name]
        removed = clean - corrupted if ablation == "resample" else clean
        expected.append(
            (removed * gradient).unflatten(-1, (-1, model.cfg.d_head)).flatten(2, -2).sum((1, -1))
        )
    per_prompt = torch.cat(expected, dim=1).detach()
    assert torch.allclose(hisp(model, pairs, ablation), per_prompt.abs().mean(0), atol=1e-4)
    assert torch.allclose(
        attribution_patching(model, pairs, ablation),
        per_prompt.mean(0).abs(),
        atol=1e-4,
    )


def test_by_layer_every_layer_has_the_same_size(model, pairs) -> None:
    scores = hisp(model, pairs, by_layer=True).view(model.cfg.n_layers, -1)
    assert torch.allclose(scores.norm(dim=1), torch.ones(model.cfg.n_layers))


@pytest.mark.parametrize("ablation", ["resample", "mean"])
def test_batches_change_nothing(model, pairs, ablation: str) -> None:
    graph = Graph(model)
    for steps in (0, 3):
        whole, parts = (edge_attribution(graph, pairs, ablation, steps, batch) for batch in (64, 2))
        assert torch.allclose(whole, parts, atol=1e-4)


def test_writes_given_for_each_pair_are_cut_into_batches(model, pairs) -> None:
    graph = Graph(model)
    given = edge_attribution(graph, pairs, twin_replacements(graph, pairs), batch=2)
    assert torch.allclose(given, edge_attribution(graph, pairs, batch=2), atol=1e-5)


def test_integrated_gradients_find_edges_that_a_sharp_attention_hides() -> None:
    """Attention that is sure of itself has no gradient.

    On the way to the twin it is unsure at some point.
    """
    wired, circuit = one_path("A")
    graph, pairs = Graph(wired.model), handwired.twins(16)

    def large(steps: int) -> set:
        large = edge_attribution(graph, pairs, steps=steps).abs() > 0.5
        return {edge for edge, true in zip(graph.edges, large.tolist(), strict=True) if true}

    assert {str(edge) for edge in large(0)} == {"L1H1→L2H2.v", "L2H2→output"}
    assert large(0) < large(50) <= circuit.carrying
    assert {
        head
        for edge in large(50)
        for head in circuit.heads
        if edge.source == f"L{head[0]}H{head[1]}"
    } == set(circuit.heads)


def test_steps_are_not_negative(pairs) -> None:
    with pytest.raises(LabError, match="expected a number of steps"):
        edge_attribution(Graph(native()), pairs, steps=-1)

"""ACDC against a version without its savings, both ends of the threshold, and known edges."""

import pytest
import torch

from helpers.circuits.graph import handwired
from helpers.circuits.graph.edges import Edge
from helpers.circuits.graph.forward import Graph, twin_replacements
from helpers.circuits.rivals import acdc
from helpers.circuits.rivals.acdc import PrunedGraph, Search, survival, timed_sample
from helpers.errors import LabError
from helpers.texts import final_logits
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


def pruned(graph, pairs, tau, damage="kl", ablation="resample", bar=False) -> PrunedGraph:
    return Search(graph, pairs, damage, ablation).run(tau, bar)


def divergence(model, pairs, logits) -> float:
    """Kullback-Leibler divergence of the logits' distribution from the model's own, by torch."""
    full = final_logits(model, pairs.clean).log_softmax(-1)
    return float(
        torch.nn.functional.kl_div(
            logits.log_softmax(-1), full, log_target=True, reduction="batchmean"
        )
    )


def plain(model, pairs, tau: float, damage: str) -> list[bool]:
    """Algorithm 1 word by word: every edge is tested, every test is a whole run."""
    graph = Graph(model)
    replaced = twin_replacements(graph, pairs)
    full = pairs.behaviour(final_logits(model, pairs.clean)).mean()
    kept, current = [True] * len(graph.edges), 0.0
    for receiver in reversed(dict.fromkeys((edge.receiver, edge.kind) for edge in graph.edges)):
        for index in reversed(
            [i for i, edge in enumerate(graph.edges) if (edge.receiver, edge.kind) == receiver]
        ):
            kept[index] = False
            logits = graph.forward(
                pairs.clean.tokens, pairs.clean.last, torch.tensor(kept).float(), replaced
            ).logits
            new = (
                divergence(model, pairs, logits)
                if damage == "kl"
                else float(full - pairs.behaviour(logits).mean())
            )
            if new - current < tau:
                current = new
            else:
                kept[index] = True
    return kept


@pytest.mark.parametrize("damage", ["kl", "task"])
@pytest.mark.parametrize("tau", [0.01, 0.1])
def test_the_savings_change_nothing(model, pairs, damage: str, tau: float) -> None:
    graph = Graph(model)
    left = pruned(graph, pairs, tau, damage, bar=True)
    assert left.kept.tolist() == plain(model, pairs, tau, damage)
    assert left.kept.sum() < len(graph.edges)
    assert left.passes <= len(graph.edges)


def test_the_ends_of_the_threshold(model, pairs) -> None:
    graph = Graph(model)
    everything, nothing = (pruned(graph, pairs, tau) for tau in (-torch.inf, torch.inf))
    assert everything.kept.all()
    assert everything.heads(graph) == graph.heads
    assert (everything.damage, everything.passes) == (0.0, len(graph.edges))
    assert not nothing.kept.any()
    assert nothing.heads(graph) == nothing.edges(graph) == []
    assert nothing.damage == pytest.approx(
        divergence(model, pairs, final_logits(model, pairs.corrupted)), rel=1e-3
    )
    assert (
        nothing.passes == graph.stages[-1].sources
    )  # once the output reads nobody, nothing needs a test


@pytest.mark.parametrize("ablation", ["resample", "mean", "zero"])
def test_the_damage_is_that_of_the_circuit(model, pairs, ablation: str) -> None:
    graph = Graph(model)
    left = pruned(graph, pairs, 0.1, ablation=ablation)
    replaced = twin_replacements(graph, pairs, ablation)
    logits = graph.forward(pairs.clean.tokens, pairs.clean.last, left.kept.float(), replaced).logits
    assert left.damage == pytest.approx(divergence(model, pairs, logits), abs=1e-4)


def test_by_task_edges_that_hinder_go(model, pairs) -> None:
    """At threshold 0 no removal hurts: the circuit is better than the model."""
    assert pruned(Graph(model), pairs, 0.0, "task").damage < -0.1


@pytest.mark.parametrize("name", ["A", "B"])
@pytest.mark.parametrize("damage", ["kl", "task"])
def test_the_edges_of_a_single_path_are_found(name: str, damage: str) -> None:
    wired, circuit = one_path(name)
    graph = Graph(wired.model)
    left = pruned(graph, handwired.twins(16), 0.1, damage)
    assert set(left.edges(graph)) == circuit.carrying
    assert set(left.heads(graph)) == set(circuit.heads)


def test_of_two_paths_one_is_found() -> None:
    """Either is enough.

    A path that is no longer read leaves an edge behind: it was tested while it was still read.
    """
    wired = handwired.build()
    graph = Graph(wired.model)
    left = pruned(graph, handwired.twins(16), 0.1)
    path = wired.circuits[1]
    assert set(left.heads(graph)) == set(path.heads)
    assert set(left.edges(graph)) - path.carrying == {Edge("L1H1", "L2H2", "v")}
    assert left.damage == pytest.approx(0.0, abs=1e-5)


def mask(graph: Graph, *kept: str):
    return torch.tensor([str(edge) in kept for edge in graph.edges])


def test_heads_are_on_a_path_from_the_embedding_to_the_output() -> None:
    graph = Graph(native(attn_only=True))
    deaf, unread = ("L1H0→output",), ("embed→L0H1.q", "L0H1→L2H0.v")
    through = ("embed→L0H0.k", "L0H0→L2H1.q", "L2H1→output")
    circuit = PrunedGraph(0.1, mask(graph, *deaf, *unread, *through), 0.0, 0, 0.0)
    assert {str(edge) for edge in circuit.edges(graph)} == {*deaf, *unread, *through}
    assert circuit.heads(graph) == [(0, 0), (2, 1)]


def test_a_head_scores_the_largest_threshold_that_it_survives(pairs) -> None:
    model = native(attn_only=True)
    graph, taus = Graph(model), (0.3, 0.003, 0.03)
    circuits = [pruned(graph, pairs, tau, "task") for tau in taus]
    expected = [
        max((c.tau for c in circuits if head in c.heads(graph)), default=0.0)
        for head in graph.heads
    ]
    assert survival(graph, circuits).tolist() == pytest.approx(expected)
    assert acdc.scores(model, pairs, damage="task", taus=taus).tolist() == pytest.approx(expected)
    assert set(expected) == {0.3, 0.03, 0.0}


def test_passes_are_counted_search_by_search(pairs) -> None:
    search = Search(Graph(native(attn_only=True)), pairs)
    first, second = search.run(0.1), search.run(0.1)
    assert first.passes == second.passes == search.passes / 2
    assert torch.equal(first.kept, second.kept)


def test_a_timed_sample_is_scaled_to_all_edges(pairs) -> None:
    graph = Graph(native(attn_only=True))
    timing = timed_sample(graph, pairs, tests=5)
    assert (timing.tests, timing.edges) == (5, len(graph.edges))
    assert timing.seconds == pytest.approx(timing.seconds_per_test * len(graph.edges))
    assert timing.seconds_per_test > 0
    for tests in (0, len(graph.edges) + 1):
        with pytest.raises(LabError, match="tests, one per edge at most"):
            timed_sample(graph, pairs, tests=tests)


def test_damage_that_is_no_number_is_refused(pairs) -> None:
    """No threshold is above NaN: every edge would be kept. Writes of NaN go no further than that,
    and finite ones may still overflow."""
    graph = Graph(native(normalization_type=None))
    writes = twin_replacements(graph, pairs)
    for value, said in (
        (torch.nan, "expected finite activations"),
        (1e38, "expected finite damage of every removal; got nan"),
    ):
        with pytest.raises(LabError, match=said):
            pruned(graph, pairs, 0.1, ablation=tuple(torch.full_like(w, value) for w in writes))


def test_other_damages_are_refused(pairs) -> None:
    with pytest.raises(LabError, match="expected the damage"):
        Search(Graph(native()), pairs, "loss")


def test_a_threshold_that_is_no_number_is_refused():
    built = handwired.build()
    with pytest.raises(LabError, match="threshold for ACDC"):
        pruned(Graph(built.model), handwired.twins(2, 0), float("nan"))

"""Masks: their distribution against draws, and training on a model whose heads are known."""

import pytest
import torch

from helpers.circuits.graph import handwired
from helpers.circuits.graph.forward import Graph
from helpers.circuits.rivals import subnetwork_probing
from helpers.circuits.rivals.subnetwork_probing import (
    MaskSettings,
    expected,
    probability_kept,
    sampled,
    trained,
)
from helpers.errors import LabError
from tests.circuits.random_models import native, one_path, random_twins

pytestmark = pytest.mark.core


def test_masks_are_0_or_1_with_the_probabilities_of_the_paper() -> None:
    """Of 100,000 draws each; a share has a standard error below 0.0016."""
    logits = torch.tensor([-3.0, -1.0, 0.0, 2.0])
    drawn = sampled(logits.expand(100_000, -1), torch.Generator().manual_seed(0))
    assert drawn.min() == 0
    assert drawn.max() == 1
    assert torch.allclose((drawn > 0).float().mean(0), probability_kept(logits), atol=0.006)
    assert torch.allclose(
        (drawn == 1).float().mean(0), 1 - probability_kept(-logits), atol=0.006
    )  # by symmetry
    assert torch.allclose(expected(logits), 1 - expected(-logits))


@pytest.mark.parametrize("name", ["A", "B"])
@pytest.mark.parametrize("damage", ["kl", "task"])
def test_the_heads_of_a_single_path_are_found(name: str, damage: str) -> None:
    wired, circuit = one_path(name, sharpness=10.0)
    graph = Graph(wired.model)
    logits = trained(graph, handwired.twins(32), settings=MaskSettings(damage=damage), bar=True)
    kept = {
        head
        for head, mask in zip(graph.heads, expected(logits).tolist(), strict=True)
        if mask > 0.5
    }
    assert kept == set(circuit.heads)


def test_the_edges_of_a_single_path_are_found() -> None:
    wired, circuit = one_path("A", sharpness=10.0)
    graph = Graph(wired.model)
    logits = trained(graph, handwired.twins(32), "edge", MaskSettings())
    kept = {
        edge
        for edge, mask in zip(graph.edges, expected(logits).tolist(), strict=True)
        if mask > 0.5
    }
    assert kept == circuit.carrying


def test_the_penalty_decides_how_much_is_kept() -> None:
    model, pairs = native(attn_only=True), random_twins()
    settings = [MaskSettings(steps=100, penalty=penalty) for penalty in (0.01, 0.1, 1.0)]
    kept = [
        expected(subnetwork_probing.scores(model, pairs, settings=setting)).sum()
        for setting in settings
    ]
    assert kept[0] == 6
    assert 0 < kept[1] < 6
    assert kept[2] == 0


@pytest.mark.parametrize("ablation", ["resample", "mean", "zero"])
def test_a_seed_repeats(ablation: str) -> None:
    model, pairs = native(), random_twins()
    settings = MaskSettings(steps=10, batch=3, ablation=ablation)
    once, again, other = (
        subnetwork_probing.scores(model, pairs, settings=settings, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_a_value_goes_before_that_of_the_settings() -> None:
    model, pairs, few = native(), random_twins(), MaskSettings(steps=5)
    zero = subnetwork_probing.scores(model, pairs, settings=MaskSettings(steps=5, ablation="zero"))
    assert torch.equal(subnetwork_probing.scores(model, pairs, "zero", few), zero)
    assert not torch.equal(subnetwork_probing.scores(model, pairs, settings=few), zero)


def test_other_settings_are_refused() -> None:
    graph = Graph(native())
    with pytest.raises(LabError, match="expected the level"):
        trained(graph, random_twins(), "neuron")
    with pytest.raises(LabError, match="expected the damage"):
        trained(graph, random_twins(), settings=MaskSettings(damage="loss"))

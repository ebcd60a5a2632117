"""Composition scores: the definition with full matrices, chance, the hand-wired model, and what
they say of measured edges."""

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.circuits.graph import Graph, handwired
from helpers.circuits.graph.composition import composition
from helpers.circuits.graph.edges import KINDS
from helpers.circuits.rivals import path_patching
from helpers.circuits.tasks.tinyworld import twins
from helpers.errors import LabError
from helpers.stats import auroc
from tests.circuits import random_models

KINDS_OF_MODEL = {
    "LayerNorm": {},
    "attention only": {"attn_only": True},
    "no normalisation": {"normalization_type": None},
    "RMS": {"normalization_type": "RMS"},
}


def by_definition(model, writer, reader, kind):
    """The score from the d_model × d_model matrices, one pair at a time."""

    def ov_and_qk(layer, head):
        block = model.blocks[layer]
        attn, name = block.attn, model.cfg.normalization_type
        eye = torch.eye(model.cfg.d_model, dtype=torch.float64)
        centre = eye - 1 / len(eye) if name == "LN" else eye
        gain = torch.diag(block.ln1.weight.detach().double()) if name else eye
        q, k, v, o = (
            getattr(attn, f"W_{part}")[head].detach().double() for part in ("Q", "K", "V", "O")
        )
        return centre @ gain @ v @ o @ centre, centre @ gain @ q @ k.T @ gain @ centre

    ov, _ = ov_and_qk(*writer)
    own, qk = ov_and_qk(*reader)
    other = {"q": qk, "k": qk.T, "v": own}[kind]
    return float((ov @ other).norm() / (ov.norm() * other.norm()))


@pytest.mark.parametrize("name", KINDS_OF_MODEL)
def test_scores_are_those_of_the_definition(name):
    model = random_models.native(**KINDS_OF_MODEL[name])
    scores = composition(model)
    assert scores.scores.shape == (3, 6, 6)
    for kind, scores_of_kind in zip(KINDS, scores.scores, strict=True):
        for i, writer in enumerate(scores.heads):
            for j, reader in enumerate(scores.heads):
                got = float(scores_of_kind[i, j])
                if writer[0] >= reader[0]:
                    assert np.isnan(got)
                else:
                    assert got == pytest.approx(by_definition(model, writer, reader, kind), 1e-9)


def test_a_basis_of_a_heads_own_space_changes_nothing():
    model = random_models.native()
    before = composition(model).scores
    turn = torch.linalg.qr(torch.randn(8, 8, generator=torch.Generator().manual_seed(3)))[0]
    with torch.no_grad():
        attn = model.blocks[0].attn
        attn.W_V[1] = 2 * attn.W_V[1] @ turn
        attn.W_O[1] = turn.T @ attn.W_O[1] / 3
    assert torch.allclose(composition(model).scores, before, atol=1e-5, equal_nan=True)


def test_unrelated_heads_have_the_score_that_is_called_chance():
    model = random_models.native(n_layers=2, d_model=24, normalization_type=None)
    squares, generator = [], torch.Generator().manual_seed(0)
    with torch.no_grad():
        original = model.blocks[0].attn.W_O.clone()
        for _ in range(400):
            turn = torch.linalg.qr(torch.randn(24, 24, generator=generator))[0]
            model.blocks[0].attn.W_O.copy_(original @ turn)
            squares.append(composition(model).scores[:, :2, 2:].square().mean())
    assert composition(model).chance == pytest.approx(24**-0.5)
    mean, error = float(np.mean(squares)), float(np.std(squares) / 20)
    assert abs(mean - 1 / 24) < 4 * error < 0.1 / 24


@pytest.mark.parametrize("rotated", [False, True])
def test_the_wired_heads_compose_and_decoys_as_well(rotated):
    wired = handwired.build(rotated=rotated)
    ranked = composition(wired.model).ranked()
    heads = {edge for edge in wired.edges if {edge.source[0], edge.receiver[0]} == {"L"}}
    strong = [edge for edge, score in ranked.items() if score > 0.3]
    assert strong == list(ranked)[: len(strong)]
    assert len(heads) == 7
    assert heads < set(strong)
    decoys = {f"L{layer}H{head}" for layer, head in wired.decoys}
    readers = {edge.receiver for edge in set(strong) - heads}
    assert readers <= decoys
    assert len(strong) == 14
    assert max(score for edge, score in ranked.items() if edge not in strong) < 0.15


def test_a_model_with_nan_is_refused():
    model = random_models.native()
    with torch.no_grad():
        model.blocks[1].attn.W_O[0, 0, 0] = torch.nan
    with pytest.raises(LabError, match="expected finite weights"):
        composition(model)


def _rotary(**options):
    return random_models.native(positional_embedding_type="rotary", rotary_dim=8, **options)


def test_a_model_with_rotary_positions_is_refused():
    with pytest.raises(LabError, match="rotary"):
        composition(_rotary())


MEASURED = {"ioi": (5, 0.80, 0.62), "greater-than": (5, 0.59, 0.55), "docstring": (8, 0.87, 0.65)}
"""Edges between heads that carry 5 % of the behaviour or more, AUROC of the composition scores for
them, and its mean when heads are exchanged within their layers; as in chapter 4."""


@pytest.mark.slow
@pytest.mark.parametrize("task", MEASURED)
def test_chapter_4_says_how_well_scores_find_measured_edges(task):
    model = zoo.load("tinyworld-attn")
    graph, scores, pairs = Graph(model), composition(model), twins(task, 250, 0)
    losses = path_patching.effects(graph, pairs).mean(1).abs()
    clean = pairs.behaviour(graph.forward(pairs.clean.tokens, pairs.clean.last).logits).mean()
    index = {f"L{layer}H{head}": number for number, (layer, head) in enumerate(scores.heads)}
    carrying = np.zeros(scores.scores.shape, dtype=bool)
    for edge, loss in zip(graph.edges, losses, strict=True):
        if edge.source in index and edge.receiver in index:
            place = KINDS.index(edge.kind), index[edge.source], index[edge.receiver]
            carrying[place] = loss >= 0.05 * clean
    values = scores.scores.numpy()
    there = np.isfinite(values)
    rng, exchanged = np.random.default_rng(0), []
    for _ in range(2000):
        order = np.concatenate([4 * layer + rng.permutation(4) for layer in range(4)])
        exchanged.append(auroc(values[there], carrying[:, order][:, :, order][there]))
    count, area, null = MEASURED[task]
    got = auroc(values[there], carrying[there])
    assert (int(carrying.sum()), round(float(got), 2)) == (count, area)
    assert np.mean(exchanged) == pytest.approx(null, abs=0.01)
    above = (1 + np.sum(np.array(exchanged) >= got)) / 2001
    assert (above < 0.03) == (task != "greater-than")

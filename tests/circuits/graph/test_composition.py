"""Composition scores: the definition with full matrices, chance, the hand-wired model, and what
they say of measured edges."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from helpers import zoo
from helpers.circuits.graph import Graph, handwired
from helpers.circuits.graph.composition import composition
from helpers.circuits.graph.edges import KINDS
from helpers.circuits.rivals import path_patching
from helpers.circuits.tasks.tinyworld import twins
from helpers.errors import LabError
from helpers.stats import auroc
from tests.circuits import random_models

PAGE = Path(__file__).resolve().parents[3] / "book" / "ch4_circuit_discovery.md"
SECTION = re.sub(
    r"\s+", " ", PAGE.read_text("utf-8").partition("What do the weights")[2].partition("\n### ")[0]
)
NUMBER = r"(\d+(?:\.\d+)?)"
WORDS = {3: "three", 7: "seven"}


def said(pattern: str) -> tuple[str, ...] | str:
    """What chapter 4 says of composition scores, as it is printed."""
    found = re.search(pattern, SECTION)
    assert found, f"the chapter no longer says {pattern}"
    return found[1] if len(found.groups()) == 1 else found.groups()


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
    assert heads < set(strong)
    decoys = {f"L{layer}H{head}" for layer, head in wired.decoys}
    readers = {edge.receiver for edge in set(strong) - heads}
    assert readers <= decoys
    count, of, height, below = said(
        rf"hand-wired model {NUMBER} of {NUMBER} pairs stand at {NUMBER} and all others\s+below "
        rf"{NUMBER}\."
    )
    assert (str(len(strong)), str(len(ranked))) == (count, of)
    assert {f"{ranked[edge]:.2f}" for edge in strong} == {height}
    highest = max(score for edge, score in ranked.items() if edge not in strong)
    assert highest < float(below) < highest + 0.01
    words = said(r"(\w+) of the 14 are the (\w+) edges .* The other (\w+) lead to (\w+) of the de")
    numbers = (len(heads), len(heads), len(strong) - len(heads), len(readers))
    assert [word.lower() for word in words] == [WORDS[number] for number in numbers]


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


TASKS = ("ioi", "greater-than", "docstring")
EXCHANGES = 5000


def _carrying(model, scores, task: str, percent: float, pairs: int) -> np.ndarray:
    """Which pairs of heads carry that much of the behaviour, in the order of the scores."""
    graph, some = Graph(model), twins(task, pairs, 0)
    losses = path_patching.effects(graph, some).mean(1).abs()
    clean = some.behaviour(graph.forward(some.clean.tokens, some.clean.last).logits).mean()
    index = {f"L{layer}H{head}": number for number, (layer, head) in enumerate(scores.heads)}
    carrying = np.zeros(scores.scores.shape, dtype=bool)
    for edge, loss in zip(graph.edges, losses, strict=True):
        if edge.source in index and edge.receiver in index:
            place = KINDS.index(edge.kind), index[edge.source], index[edge.receiver]
            carrying[place] = loss >= percent / 100 * clean
    return carrying


def _exchanged(values: np.ndarray, carrying: np.ndarray, rng) -> np.ndarray:
    """AUROCs with heads exchanged within their layers, by the sum of ranks."""
    there = np.isfinite(values)
    ranks, positive = rankdata(values[there]), carrying.sum()
    least, pairs = positive * (positive + 1) / 2, positive * (there.sum() - positive)
    areas = []
    for _ in range(EXCHANGES):
        order = np.concatenate([4 * layer + rng.permutation(4) for layer in range(4)])
        areas.append((ranks[carrying[:, order][:, :, order][there]].sum() - least) / pairs)
    return np.array(areas)


def test_chapter_4_says_how_high_scores_are():
    scores = composition(zoo.load("tinyworld-attn"))
    assert said(rf"each other score .*: {NUMBER} in `tinyworld-attn`") == f"{scores.chance:.2f}"
    highest = f"{np.nanmax(scores.scores.numpy()):.2f}"
    assert said(rf"In `tinyworld-attn` the highest score is {NUMBER}\.") == highest


def _alone(scores) -> np.ndarray:
    """For every pair the mean score of its kind between its two layers."""
    values, layer = scores.scores.numpy(), np.array([layer for layer, _ in scores.heads])
    means = np.full(values.shape, np.nan)
    for kind in range(3):
        for first, second in combinations(range(4), 2):
            between = (layer[:, None] == first) & (layer[None] == second)
            means[kind][between] = np.nanmean(values[kind][between])
    return means


def _interval(values: np.ndarray, carrying: np.ndarray) -> np.ndarray:
    """95 % of the AUROCs of edges drawn again."""
    rng, areas = np.random.default_rng(1), []
    while len(areas) < 2000:
        drawn = rng.integers(len(values), size=len(values))
        if 0 < carrying[drawn].sum() < len(values):
            areas.append(auroc(values[drawn], carrying[drawn]))
    return np.quantile(areas, [0.025, 0.975])


@pytest.mark.slow
def test_chapter_4_says_how_well_scores_find_measured_edges():
    """All that is printed, at the precision at which it is printed."""
    pairs, there = said(rf"\({NUMBER} prompts, {NUMBER} edges between heads\)\.")
    assert said(r"within each layer, (\d \d+) times").replace(" ", "") == str(EXCHANGES)
    margin = said(rf"knows the layers but no head is never more than {NUMBER} worse")
    model = zoo.load("tinyworld-attn")
    scores = composition(model)
    values, alone = scores.scores.numpy(), _alone(scores)
    finite = np.isfinite(values)
    assert str(finite.sum()) == there
    for percent in (2, 5):
        rng = np.random.default_rng(0)  # one for the three tasks, in this order
        for task in TASKS:
            name = "IOI" if task == "ioi" else task
            cells = said(rf"\| {name} \| {percent} % \| " + r" \| ".join([r"([^|]+)"] * 5) + r" \|")
            carrying = _carrying(model, scores, task, percent, int(pairs))
            true = carrying[finite]
            got, by_layers = (auroc(x[finite], true) for x in (values, alone))
            null, (low, high) = _exchanged(values, carrying, rng), _interval(values[finite], true)
            share = 100 * np.mean(null >= got - 1e-12)
            digits = 0 if share >= 10 else 1
            assert cells == (
                str(carrying.sum()),
                f"{got:.2f} [{low:.2f}, {high:.2f}]",
                f"{null.mean():.2f}",
                f"{share:.{digits}f} %",
                f"{by_layers:.2f}",
            )
            assert got - by_layers < float(margin)

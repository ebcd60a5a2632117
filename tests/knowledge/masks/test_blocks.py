"""Masked runs: the numbers of the model itself, and a model that is never touched."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.facts import FRAMES, factnet, facts
from helpers.knowledge.masks import blocks
from tests.circuits import random_models

ASKED = facts("kind", ["owl", "oak", "trout"], FRAMES["kind"]["search"])


@pytest.fixture(scope="module")
def tinyworld():
    model = zoo.load("tinyworld", device="cpu")
    return model, blocks.of(model)


def run(model, asked=ASKED):
    with torch.no_grad():
        return model(asked.tokens)[torch.arange(len(asked)), asked.last]


def test_all_weights_of_the_blocks_are_covered_and_nothing_else(tinyworld):
    model, its = tinyworld
    state = model.state_dict()
    assert (
        len(its) == sum(w.numel() for n, w in state.items() if n.startswith("blocks.")) == 529_920
    )
    for name, tensor in its.tensors(its.values).items():
        assert torch.equal(tensor, state[name])
    assert {kind: its.kinds.count(kind) for kind in blocks.KINDS} == {
        "attention": 32,
        "MLP": 16,
        "normalisation": 16,
    }


def test_a_full_mask_gives_the_very_logits_and_an_empty_one_those_of_the_embeddings(tinyworld):
    model, its = tinyworld
    with torch.no_grad():
        assert torch.equal(its.logits(its.values, ASKED.tokens, ASKED.last), run(model))
        empty = its.logits(0 * its.values, ASKED.tokens, ASKED.last)
        at = ASKED.last
        stream = model.W_E[ASKED.tokens[torch.arange(len(at)), at]] + model.pos_embed.weight[at]
        expected = model.unembed(model.ln_final(stream[:, None]))[:, 0]
    assert torch.allclose(empty, expected, atol=1e-5)


def test_the_model_is_as_it_was_after_masked_runs_and_gradients(tinyworld):
    model, its = tinyworld
    before, state = run(model), {n: w.clone() for n, w in model.state_dict().items()}
    mask = torch.full((len(its),), 0.5, requires_grad=True)
    its.logits(its.values * mask, ASKED.tokens, ASKED.last).sum().backward()
    assert mask.grad.abs().sum() > 0
    assert torch.equal(run(model), before)
    assert all(torch.equal(w, state[n]) for n, w in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_masked_logits_are_those_of_a_model_with_the_masked_weights():
    model, asked = zoo.load("tinyworld", device="cpu"), ASKED
    its = blocks.of(model)
    mask = (torch.rand(len(its), generator=torch.Generator().manual_seed(0)) < 0.9).float()
    with torch.no_grad():
        got = its.logits(its.values * mask, asked.tokens, asked.last)
    model.load_state_dict(model.state_dict() | its.tensors(its.values * mask))
    assert torch.allclose(got, run(model), atol=1e-5)


def test_a_model_of_gpt2s_shape_is_covered(tmp_path):
    model = random_models.gpt2(tmp_path)
    its = blocks.of(model)
    tokens, last = torch.randint(0, 20, (4, 7)), torch.tensor([6, 3, 6, 2])
    with torch.no_grad():
        expected = model(tokens)[torch.arange(4), last]
        assert torch.allclose(its.logits(its.values, tokens, last), expected, atol=1e-6)
        assert not torch.allclose(its.logits(0 * its.values, tokens, last), expected, atol=1e-2)


def test_a_mask_of_another_model_is_refused(tinyworld):
    _, its = tinyworld
    other = blocks.of(factnet.build().model)
    with pytest.raises(LabError, match="expected a vector over the 529,920 weights"):
        its.tensors(other.values)


@pytest.mark.parametrize("last", [[1], [1, 2, 99], [-1, 2, 3]])
def test_places_that_are_none_are_refused(tinyworld, last):
    _, its = tinyworld
    with pytest.raises(LabError, match="expected the place of the last token of each of 3 prompts"):
        its.logits(its.values, ASKED.tokens[:3], torch.tensor(last))

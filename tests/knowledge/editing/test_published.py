"""Edits as published: their curves are those of `edit`, their lines those of arithmetic."""

import math

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditSettings, drawn, edit
from helpers.knowledge.editing.published import WAYS, curve
from helpers.knowledge.facts import divided
from helpers.knowledge.masks import blocks, rivals

FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
ITS = blocks.of(MODEL)
ASKED = drawn(divided()[1], 2, FRAME)
MASK = rivals.uniform(ITS, 0.05)


def test_the_released_settings_are_those_of_the_paper():
    assert WAYS["SGD, 10 steps"] == EditSettings("SGD", 10, 5e-4, 5e-4, 1e-2)
    assert WAYS["SGD, 50 steps"] == EditSettings("SGD", 50, 5e-4, 5e-4, 1e-2)


def test_adam_is_that_of_easyedit_and_stops_at_its_clamp():
    """hparams/FT/gpt2-xl.yaml there: num_steps 25, lr 5e-4, norm_constraint 5e-4."""
    assert WAYS["Adam"] == EditSettings("Adam", 25, 5e-4, 5e-4, 1e-2)
    assert WAYS["Adam, no clamp"] == EditSettings("Adam", 25, 5e-4, None, 1e-2)
    found = curve(MODEL, ASKED, MASK, "Adam", free=False, pruned=False)
    assert found.allowed == pytest.approx(5e-4 * math.sqrt(int(MASK.sum())))
    assert (found.moved <= found.allowed * 1.001).all(), "no weight by more than the clamp"


def test_in_the_full_network_with_frozen_embeddings_it_is_the_restricted_edit():
    found = curve(MODEL, ASKED, MASK, free=False, pruned=False)
    plain = edit(ITS, ASKED, MASK, WAYS["SGD, 10 steps"])
    assert torch.equal(found.nll, plain.nll)
    with torch.no_grad():
        said = MODEL(ASKED.asked.tokens)[torch.arange(2), ASKED.asked.last].log_softmax(-1)
    assert found.true_before.tolist() == pytest.approx(
        [-float(said[row, answer]) for row, answer in enumerate(ASKED.asked.answers)], abs=1e-5
    )
    assert found.uniform == pytest.approx(math.log(said.shape[1]))
    assert found.floor == 1e-2
    assert found.allowed == pytest.approx(5e-4 * math.sqrt(round(0.05 * 529_920)))
    assert (found.moved <= found.allowed).all()
    assert not found.stopped.any()


def test_a_pruned_network_begins_without_the_rest_and_keeps_its_embeddings():
    found = curve(MODEL, ASKED, MASK, free=True, pruned=True)
    model = zoo.load("tinyworld", device="cpu")
    model.load_state_dict(model.state_dict() | ITS.tensors(ITS.values * MASK))
    with torch.no_grad():
        said = model(ASKED.asked.tokens)[torch.arange(2), ASKED.asked.last].log_softmax(-1)
    assert found.nll[0].tolist() == pytest.approx(
        [-float(said[row, new]) for row, new in enumerate(ASKED.new)], abs=1e-4
    )
    outside = sum(w.numel() for w in MODEL.parameters()) - len(ITS)
    assert found.allowed == pytest.approx(5e-4 * math.sqrt(outside + int(MASK.sum())))


def test_an_early_stop_leaves_every_fact_at_its_floor():
    found = curve(MODEL, ASKED, torch.ones(len(ITS)), "Adam, no clamp", free=False, pruned=False)
    assert found.stopped.all()
    assert (found.nll[-1] < found.floor).all()
    assert found.allowed == math.inf


@pytest.mark.parametrize(
    ("mask", "way", "words"),
    [
        (MASK, "SGD", "expected a published way of editing"),
        (MASK[:5], "Adam", "expected a vector over the 529,920 weights"),
        (0 * MASK, "Adam", "expected a mask that lets some weight change"),
        (MASK * torch.nan, "Adam", "expected a mask of 0 and 1"),
    ],
)
def test_what_edits_nothing_is_refused(mask, way, words):
    with pytest.raises(LabError, match=words):
        curve(MODEL, ASKED, mask, way, free=False)

"""Timings on a tiny model of GPT-2's shape, and the file that keeps them."""

import json

import pytest
import torch

from helpers.circuits.study import growth
from helpers.errors import LabError

TINY = {"heads": 2, "width": 16, "vocabulary": 50}


@pytest.mark.slow
def test_a_timing_counts_what_it_says(tmp_path):
    timing = growth.timed(2, prompts=6, length=5, searched=2, tests=3, **TINY)
    assert (timing.layers, timing.heads, timing.tests) == (2, 4, 3)
    # sources: embedding, then 2 heads and an MLP a layer; a head has three inputs
    assert timing.edges == 2 * 3 * 1 + 3 + 2 * 3 * 4 + 6 + 7
    assert min(timing.sae, timing.acdc, timing.eap) > 0
    assert timing.ratio == pytest.approx(timing.acdc / timing.sae)
    path = tmp_path / "grown.json"
    growth.write([timing], path)
    assert growth.stored(path) == [timing]


def test_random_twins_differ_in_one_token():
    pairs = growth.random_twins(8, 7, 50)
    assert ((pairs.clean.tokens != pairs.corrupted.tokens).sum(1) == 1).all()
    assert torch.equal(pairs.clean.good.sum(1), torch.ones(8, dtype=torch.long))
    assert not (pairs.clean.good & pairs.clean.bad).any()


@pytest.mark.slow
def test_a_random_model_is_its_seeds_and_draws_nothing_from_the_callers():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    models = [growth.random_gpt2(1, seed=seed, **TINY) for seed in (0, 0, 1)]
    assert torch.equal(torch.rand(3), expected)
    logits = [model(torch.tensor([[1, 2]])) for model in models]
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(LabError, match="1 to 6 prompts"):
        growth.timed(1, prompts=6, searched=7, **TINY)
    path = tmp_path / "grown.json"
    path.write_text(json.dumps([{"layers": 2}]))
    with pytest.raises(LabError, match="expected stored measurements in"):
        growth.stored(path)


def test_the_shipped_timings_grow_to_gpt2():
    """ACDC's cost grows with the square of the size, the SAE's linearly: the ratio grows."""
    timings = growth.stored()
    assert [timing.layers for timing in timings] == list(growth.LAYERS)
    assert timings[-1].edges == 32491
    assert timings[-1].ratio > timings[0].ratio

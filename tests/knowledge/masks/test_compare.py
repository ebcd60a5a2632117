"""Overlaps beside their nulls, and keep rates beside shares."""

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.facts import factnet
from helpers.knowledge.masks import blocks, rivals
from helpers.knowledge.masks.compare import composition, overlap

ITS = blocks.of(factnet.build().model)
MASKS = [rivals.uniform(ITS, 0.1, seed) for seed in (0, 1)]


def uneven(seed):
    """A mask that keeps a tenth of most tensors and nearly all of some."""
    generator = torch.Generator().manual_seed(seed)
    parts = [
        (torch.rand(size, generator=generator) < (0.9 if number % 5 == 0 else 0.1)).float()
        for number, size in enumerate(ITS.sizes)
    ]
    return torch.cat(parts)


def test_a_mask_holds_itself_and_nothing_of_its_complement():
    assert overlap(ITS, MASKS[0], MASKS[0]).containment == 1
    assert overlap(ITS, MASKS[0], rivals.complement(MASKS[0])).containment == 0


def test_the_numbers_are_those_of_sets():
    first, second = (set(mask.nonzero().flatten().tolist()) for mask in MASKS)
    got = overlap(ITS, *MASKS)
    assert got.containment == pytest.approx(len(first & second) / len(first))
    assert got.uniform == pytest.approx(len(second) / len(ITS))


def test_the_null_per_tensor_is_what_shuffled_masks_have_and_uniform_is_not():
    first, second = uneven(0), uneven(1)
    got = overlap(ITS, first, second)
    drawn = [
        overlap(ITS, first, rivals.per_tensor(ITS, second, seed)).containment for seed in range(60)
    ]
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - got.per_tensor) < 4 * error
    assert got.per_tensor > got.uniform + 0.1, "sizes alone make them overlap"
    assert abs(got.above) < 0.02, "and nothing else does"


def test_a_keep_rate_is_not_a_share():
    its = blocks.of(zoo.load("tinyworld", device="cpu"))
    norms = [kind == "normalisation" for kind in its.kinds]
    mask = torch.cat(
        [
            (torch.arange(size) < size * (0.6 if norm else 0.05)).float()
            for size, norm in zip(its.sizes, norms, strict=True)
        ]
    )
    parts = {part.kind: part for part in composition(its, mask)}
    assert set(parts) == {"attention", "MLP", "normalisation"}
    assert parts["normalisation"].keep_rate == pytest.approx(0.6, abs=0.01)
    assert parts["normalisation"].share < 0.05
    assert sum(part.share for part in parts.values()) == pytest.approx(1)
    assert sum(part.weights for part in parts.values()) == len(its)
    assert sum(part.keep_rate * part.weights for part in parts.values()) == pytest.approx(
        float(mask.sum())
    )
    assert parts["normalisation"].enrichment == pytest.approx(
        parts["normalisation"].keep_rate / float(mask.mean())
    )


def test_a_model_without_normalisation_has_two_parts():
    assert [part.kind for part in composition(ITS, MASKS[0])] == ["attention", "MLP"]


def test_an_empty_mask_and_one_of_another_model_are_refused():
    empty = torch.zeros(len(ITS))
    for ask in (lambda mask: overlap(ITS, mask, mask), lambda mask: composition(ITS, mask)):
        with pytest.raises(LabError, match="expected a mask that keeps a weight"):
            ask(empty)
        with pytest.raises(LabError, match="expected a vector over"):
            ask(torch.ones(7))

"""Masks on disk: the same mask again, and eight weights to a byte."""

import pytest
import torch

from helpers.errors import LabError
from helpers.knowledge.masks import packed


@pytest.mark.parametrize("n_weights", [1, 7, 8, 9, 1003])
def test_a_mask_comes_back_in_an_eighth_of_its_weights(n_weights):
    drawn = torch.rand(n_weights, generator=torch.Generator().manual_seed(n_weights))
    mask = (drawn < 0.3).float()
    bits = packed.pack(mask)
    assert len(bits) == -(-n_weights // 8)
    assert torch.equal(packed.unpack(bits, n_weights), mask)


def test_the_first_weight_is_the_highest_bit():
    assert packed.pack(torch.tensor([1.0, 0, 1, 0, 0, 0, 0, 0, 0, 1])).tolist() == [128 + 32, 64]


def test_what_is_no_mask_and_other_sizes_are_refused():
    with pytest.raises(LabError, match="expected a mask of 0 and 1"):
        packed.pack(torch.tensor([0.5, 1]))
    bits = packed.pack(torch.ones(16))
    assert torch.equal(packed.unpack(bits.int(), 16), torch.ones(16)), "any whole numbers"
    for wrong, count in ((bits, 17), (bits, 8), (bits.int() + 1, 16), (bits[None], 16)):
        with pytest.raises(LabError, match=f"expected a packed mask of {count} weights"):
            packed.unpack(wrong, count)

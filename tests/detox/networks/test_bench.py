"""Both sides of the ratio write posts after the same names, and nothing is left behind."""

import pytest
import torch

from helpers import zoo
from helpers.detox.networks import Policy, bench, plain
from helpers.tinyworld.language import vocabulary

STOP = vocabulary().index["."]


def test_both_ways_write_after_the_same_names_to_a_stop():
    model = zoo.load("tinyworld", device="cpu")
    begun = bench.prompts(50)
    assert [vocabulary().decode(row) for row in begun[[0, 48]].tolist()] == [
        vocabulary().decode(row) for row in begun[[0, 0]].tolist()
    ]
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    ways = (
        bench.by_cache(Policy(plain(model)), begun, STOP),
        bench.by_generate(model, begun, STOP),
    )
    assert torch.equal(torch.rand(3), expected)
    for written in ways:
        assert torch.equal(written[:, :3], begun)
        assert bool((written[:, 3:] == STOP).any(-1).all())
        assert 7 < bench.words_of(written, begun, STOP) < 12


def test_words_are_counted_up_to_the_stop():
    begun = torch.ones(3, 2, dtype=torch.long)
    new = torch.tensor([[7, STOP, 0, 0], [STOP, STOP, 8, 8], [7, 7, 7, 7]])
    assert bench.words_of(torch.cat([begun, new], 1), begun, STOP) == pytest.approx((2 + 1 + 4) / 3)


def test_the_ratio_is_of_the_times_beside_it():
    threads = torch.get_num_threads()
    (found,) = bench.measure(rows=8, rounds=1)
    assert found.ratio == found.other_seconds / found.ours_seconds > 0
    assert "8 posts" in found.note
    assert torch.get_num_threads() == threads

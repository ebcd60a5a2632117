"""Both sides of every ratio do the same work, and nothing is left behind."""

import torch

from helpers import zoo
from helpers.knowledge.facts import FRAMES, divided, facts
from helpers.knowledge.masks import bench, blocks, plain, rivals

ASKED = facts("kind", divided()[0][:2], FRAMES["kind"]["search"])


def test_the_three_ways_give_one_gradient_and_the_weights_come_back():
    model = zoo.load("tinyworld", device="cpu")
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    mask = rivals.uniform(blocks.of(model), 0.9)
    ways = [
        bench.by_blocks(plain.of(model), ASKED, mask),
        bench.by_blocks(blocks.of(model), ASKED, mask),
        bench.in_place(model, ASKED, mask),
    ]
    largest = float(ways[0].abs().max())
    assert all(torch.allclose(ways[0], other, atol=1e-4 * largest) for other in ways[1:])
    state = model.state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in before.items())
    assert all(weight.grad is None for weight in model.parameters())


def test_a_ratio_is_of_the_times_beside_it():
    ratios = bench.measure(entities=1, rounds=1)
    assert len(ratios) == 2
    for ratio in ratios:
        assert ratio.ratio == ratio.other_seconds / ratio.ours_seconds > 0
        assert "4 prompts" in ratio.note

"""Controls on writes whose differences are planted."""

import pytest
import torch

from helpers.circuits.codes import controls
from helpers.circuits.codes.discrete_sae import Settings
from helpers.errors import LabError

pytestmark = pytest.mark.core


def planted(seed=0):
    """Head 0 moves its mean, head 1 differs pairwise only, head 2 is long, head 3 short."""
    g = torch.Generator().manual_seed(seed)
    positive = torch.randn(40, 4, 8, generator=g)
    negative = positive.clone()
    negative[:, 0, 0] += 3
    negative[:, 1] = -positive[:, 1] + 2 * positive[:, 1].mean(0)
    positive[:, 2, 5] += 50
    negative[:, 2, 5] += 50
    return positive, negative


def test_each_control_finds_what_it_looks_at():
    positive, negative = planted()
    assert controls.write_norm(positive, negative).argmax() == 2
    assert controls.mean_difference(positive, negative).argmax() == 0
    assert controls.mean_difference(positive, negative)[1:].max() < 1e-5
    paired = controls.paired_difference(positive, negative)
    assert paired[:2].min() > 2
    assert paired[2:].max() == 0


@pytest.mark.parametrize("score", [controls.untrained_codes, controls.k_means_codes])
def test_codes_of_controls_count_only_what_differs(score):
    positive, negative = planted()
    scores = score(positive, negative, seed=1)
    assert scores[2] == scores[3] == 0  # the same on both classes
    assert scores[:2].max() > 2


def test_k_means_gives_one_code_a_cluster():
    centres = (
        10 * torch.eye(6)[:, None, :]
    )  # six clean prompts, each its own cluster; the twins sit in the first two
    positive, negative = centres.expand(6, 1, 6), centres[[0, 0, 1, 1, 0, 1]].expand(6, 1, 6)
    assert controls.k_means_codes(positive, negative, clusters=6).tolist() == [4.0]


def test_seeds_decide_and_settings_reach_the_untrained():
    positive, negative = planted()
    assert torch.equal(
        controls.random(positive, negative, 3), controls.random(positive, negative, 3)
    )
    assert not torch.equal(
        controls.random(positive, negative, 3), controls.random(positive, negative, 4)
    )
    assert controls.untrained_codes(positive, negative, settings=Settings(latents=1)).max() <= 1


def test_shuffling_keeps_the_prompts_and_mixes_the_classes():
    positive, negative = torch.zeros(30, 1, 1), torch.ones(30, 1, 1)
    dealt = controls.shuffled(positive, negative, seed=2)
    assert [len(part) for part in dealt] == [30, 30]
    assert 5 < dealt[0].sum() < 25
    assert torch.cat(dealt).sum() == 30


def test_bad_input_is_refused():
    positive, negative = planted()
    with pytest.raises(LabError, match="one twin per prompt"):
        controls.paired_difference(positive, negative[:3])
    with pytest.raises(LabError, match="finite"):
        controls.mean_difference(positive / 0, negative)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_means_are_taken_with_the_digits_of_float32(dtype):
    generator = torch.Generator().manual_seed(0)
    writes = (10 + torch.randn(50, 3, 8, generator=generator)).to(dtype)
    others = (writes.float() + 0.05).to(dtype)
    for score in (controls.write_norm, controls.mean_difference, controls.paired_difference):
        got = score(writes, others)
        assert got.dtype == torch.float32
        assert torch.equal(got, score(writes.float(), others.float()))

"""The auxiliary model: nothing learned leaves p, what is learned is the truth of a toy."""

import math

import pytest
import torch

from helpers.detox.oracle import FitPlan, log_target
from helpers.detox.real.auxiliary import LabelledRows, fit_auxiliary, new_auxiliary
from helpers.detox.real.writing import padded
from helpers.errors import LabError

WORDS = 8
ROWS = padded([([1, 5, 4], 1), ([1, 6, 4], 1), ([1, 7, 3], 1), ([1, 7, 4], 1)], pad=0)
CLEAN = torch.tensor([True, False, True, False])


def chances(tokens):
    """The model that wrote them: 5 or 6 a quarter each, 7 a half; then 3 or 4."""
    p = torch.full((*tokens.shape, WORDS), 1e-9)
    p[:, 0, [5, 6, 7]] = torch.tensor([0.25, 0.25, 0.5])
    p[:, 1:, 4] = torch.where(tokens[:, 1:] == 7, 0.5, 1.0)
    p[:, 1:, 3] = torch.where(tokens[:, 1:] == 7, 0.5, 1e-9)
    return p.log()


def test_before_it_has_learned_anything_the_target_is_the_model():
    oracle = new_auxiliary(WORDS, 16, 1, 12, share=0.3, seed=0)
    success = oracle(ROWS.tokens)
    assert torch.allclose(success.sigmoid(), torch.tensor(0.3), atol=1e-6)
    log_p = torch.randn(4, 3, WORDS, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    assert torch.allclose(log_target(log_p, success), log_p, atol=1e-6)


@pytest.mark.parametrize("consistency", [0.0, 1.0])
def test_it_learns_the_chance_of_a_clean_end(consistency):
    """R after 5 is 1, after 6 it is 0, after 7 a half; after 7 3 it is 1."""
    oracle = new_auxiliary(WORDS, 16, 1, 12, share=0.5, seed=0)
    plan = FitPlan(steps=250, batch=32, rate=0.02, consistency=consistency)
    found = fit_auxiliary(
        oracle, chances, LabelledRows(ROWS, CLEAN), plan, torch.Generator().manual_seed(0)
    )
    success = oracle(ROWS.tokens).detach().sigmoid()
    assert success[0, 0, 5] > 0.9
    assert success[0, 0, 6] < 0.1
    assert 0.35 < success[0, 0, 7] < 0.65
    assert success[2, 1, 3] > 0.9
    assert success[2, 1, 4] < 0.1
    # two words a text, one of which is certain after the first: log 2 for half of the texts
    assert found[-1].entropy == pytest.approx(0.5 * math.log(2), abs=0.2)


def test_samples_that_are_all_toxic_have_no_target():
    with pytest.raises(LabError, match=r"some are clean.*R = 0"):
        LabelledRows(ROWS, torch.zeros(4, dtype=torch.bool))
    with pytest.raises(LabError, match="a truth value for each of 4 samples"):
        LabelledRows(ROWS, CLEAN[:2])


def test_accepted_rows_are_the_clean_ones():
    accepted = LabelledRows(ROWS, CLEAN).accepted
    assert accepted.tokens.tolist() == [[1, 5, 4], [1, 7, 3]]
    assert accepted.counts.int().tolist() == [[0, 1, 1], [0, 1, 1]]

"""What a masked model knows: each number by another route, and a model that knows nothing."""

import math

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.facts import FRAMES, divided, facts
from helpers.knowledge.masks import blocks, judge, rivals

ASKED = facts("kind", divided()[1][:20], FRAMES["kind"]["held out"])
ITS = blocks.of(zoo.load("tinyworld", device="cpu"))


def test_the_full_model_is_right_and_at_no_distance_from_itself():
    judged = judge(ITS, ITS.values, ASKED)
    assert judged.accuracy == 1
    assert judged.chosen.all()
    assert (judged.rank == 0).all()
    assert judged.divergence.abs().max() < 1e-5


def test_numbers_are_those_of_a_plain_loop():
    values = ITS.values * rivals.uniform(ITS, 0.9)
    judged = judge(ITS, values, ASKED)
    with torch.no_grad():
        said = ITS.logits(values, ASKED.tokens, ASKED.last).double().softmax(-1).numpy()
        full = ITS.logits(ITS.values, ASKED.tokens, ASKED.last).double().softmax(-1).numpy()
    for row, answer in enumerate(ASKED.answers.tolist()):
        p = said[row]
        assert float(judged.nll[row]) == pytest.approx(-math.log(p[answer]), abs=1e-4)
        assert int(judged.rank[row]) == int((p > p[answer]).sum())
        entropy = -sum(share * math.log(share) for share in p if share > 0)
        assert float(judged.entropy[row]) == pytest.approx(entropy, abs=1e-3)
        apart = sum(q * math.log(q / share) for q, share in zip(full[row], p, strict=True) if q > 0)
        assert float(judged.divergence[row]) == pytest.approx(apart, rel=1e-2, abs=1e-3)
        assert bool(judged.right[row]) == (int(np.argmax(p)) == answer)
        assert bool(judged.agrees[row]) == (int(np.argmax(p)) == int(np.argmax(full[row])))
        values_of_kind = ASKED.candidates.tolist()
        assert bool(judged.chosen[row]) == (
            values_of_kind[int(np.argmax(p[values_of_kind]))] == answer
        )
    expected = judged.nll - math.log(said.shape[1])
    assert torch.allclose(judged.above_uniform, expected)


def test_a_network_without_weights_knows_nothing():
    judged = judge(ITS, 0 * ITS.values, ASKED)
    assert judged.accuracy < 0.1
    assert judged.divergence.min() > 1


def test_weights_of_nan_are_refused():
    with pytest.raises(LabError, match="expected weights with which the model computes numbers"):
        judge(ITS, ITS.values * torch.nan, ASKED)


def test_weights_of_any_type_are_judged_the_same():
    expected = judge(ITS, ITS.values, ASKED)
    for values in (ITS.values.double(), ITS.values.numpy()):
        assert torch.equal(judge(ITS, values, ASKED).nll, expected.nll)

"""Estimators of a mask's gradient: exact densities, the distributions they claim, their slopes."""

import math

import pytest
import torch
from scipy import stats

from helpers.errors import LabError
from helpers.knowledge.masks import estimators

SCORES = torch.randn(1000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("density", [0.5, 0.05, 0.001, 1.0])
def test_top_k_keeps_exactly_the_highest(density):
    mask = estimators.keep(SCORES, density)
    assert set(mask.tolist()) <= {0.0, 1.0}
    assert mask.sum() == round(1000 * density)
    if density < 1:
        assert SCORES[mask == 1].min() >= SCORES[mask == 0].max()


def test_equal_scores_do_not_change_the_density():
    assert estimators.keep(torch.zeros(10), 0.3).tolist() == [1] * 3 + [0] * 7


def test_top_k_is_a_step_forwards_and_the_identity_backwards():
    scores, weight = SCORES.clone().requires_grad_(), torch.randn(1000)
    mask = estimators.top_k(scores, 0.2)
    assert torch.equal(mask.detach().round(), estimators.keep(SCORES, 0.2))
    (mask * weight).sum().backward()
    assert torch.equal(scores.grad, weight)


def test_hard_concrete_has_its_distribution():
    """P(m = 0), P(m = 1) and a quantile between, from the formulas of Louizos et al."""
    score, generator = torch.full((200_000,), 0.7), torch.Generator().manual_seed(1)
    mask = estimators.hard_concrete(score, generator)

    def below(value):  # P(stretched ≤ value)
        inner = (value - estimators.LOW) / (estimators.HIGH - estimators.LOW)
        return 1 / (1 + math.exp(0.7 - estimators.BETA * math.log(inner / (1 - inner))))

    for got, expected in (
        ((mask == 0).float().mean(), below(0)),
        ((mask == 1).float().mean(), 1 - below(1)),
        ((mask <= 0.4).float().mean(), below(0.4)),
    ):
        assert abs(float(got) - expected) < 4 * math.sqrt(expected * (1 - expected) / 200_000)
    assert float(estimators.hard_concrete_density(score)) == pytest.approx(1 - below(0), abs=1e-6)


def test_the_density_of_hard_concrete_has_the_slope_of_its_formula():
    scores = SCORES.double().requires_grad_()
    torch.autograd.gradcheck(
        estimators.hard_concrete_density, (scores[:5].detach().requires_grad_(),)
    )


def test_binary_concrete_keeps_with_probability_sigmoid():
    mask = estimators.binary_concrete(torch.full((100_000,), 1.3), torch.Generator().manual_seed(2))
    mask = mask.round()  # what is added for the gradient and taken away again leaves 1e-7
    expected = 1 / (1 + math.exp(-1.3))
    test = stats.binomtest(int(mask.sum()), 100_000, expected)
    assert test.pvalue > 1e-4


def test_with_the_released_temperature_one_weight_in_a_hundred_learns_in_a_step():
    scores = torch.full((100_000,), 2.7, requires_grad=True)
    estimators.binary_concrete(scores, torch.Generator().manual_seed(3)).sum().backward()
    share = float((scores.grad.abs() > 1e-3 * scores.grad.abs().max()).float().mean())
    assert 0.002 < share < 0.02
    assert float((scores.grad == 0).float().mean()) > 0.5, "most have none at all"


@pytest.mark.parametrize("density", [0, -0.1, 1.5, math.nan, 1e-9])
def test_a_density_that_keeps_nothing_or_too_much_is_refused(density):
    with pytest.raises(LabError, match="expected a density above 0 and at most 1"):
        estimators.keep(SCORES, density)


def test_scores_of_nan_are_refused():
    with pytest.raises(LabError, match="expected scores without NaN; got 1 of NaN"):
        estimators.keep(torch.tensor([1, torch.nan, 2, 0]), 0.5)


def test_of_equal_scores_those_that_come_first_are_kept():
    scores = torch.tensor([2.0, 1, 3, 2, 2, 1])
    for kept, expected in ((1, [2]), (2, [0, 2]), (3, [0, 2, 3]), (5, [0, 1, 2, 3, 4])):
        assert estimators.keep(scores, kept / 6).nonzero().flatten().tolist() == expected
    coarse = SCORES.round(decimals=1)
    for density in (0.001, 0.17, 0.5, 1.0):
        order = sorted(range(1000), key=lambda place: (-float(coarse[place]), place))
        kept = estimators.keep(coarse, density).nonzero().flatten().tolist()
        assert kept == sorted(order[: round(1000 * density)])


def test_counts_are_exact_where_float32_cannot_count():
    """2²⁴ + 1 weights are above the least that is kept, of which one of two is kept."""
    above = 2**24 + 1
    scores = torch.full((above + 2,), 2.0)
    scores[-2:] = 1
    mask = estimators.keep(scores, (above + 1) / (above + 2))
    assert int(mask.count_nonzero()) == above + 1
    assert mask[-2:].tolist() == [1, 0]

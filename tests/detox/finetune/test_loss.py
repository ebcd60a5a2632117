"""The closed form of the KL: its value by other routes, its gradient with and without a stop."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from helpers.detox.finetune import closed_form_kl, cross_entropy
from helpers.detox.oracle import log_target
from helpers.errors import LabError

ALL = torch.ones(3, dtype=torch.bool)


def numbers(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 10**6), st.integers(2, 9))
@settings(deadline=None, max_examples=25)
def test_the_divergence_is_scipys(seed, words):
    q, p = (numbers(3, words, seed=seed + i).log_softmax(-1) for i in range(2))
    found = closed_form_kl(q, p, ALL)
    wanted = stats.entropy(q.exp().numpy(), p.exp().numpy(), axis=-1).mean()
    assert math.isclose(float(found), wanted, rel_tol=1e-9, abs_tol=1e-12)


def test_of_a_hard_target_it_is_minus_the_log_of_success():
    p = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    allowed = torch.tensor([True, False, True, False])
    log_q = torch.where(allowed, p / p[allowed].sum(), 0).log()
    found = closed_form_kl(log_q[None], p.log()[None], ALL[:1])
    assert math.isclose(float(found), -math.log(0.4), rel_tol=1e-12)


def slope(logits: torch.Tensor, success: torch.Tensor, stop: bool) -> torch.Tensor:
    """The gradient by the logits, where q is made of the same p."""
    logits = logits.clone().requires_grad_()
    log_p = logits.log_softmax(-1)
    log_q = log_target(log_p.detach() if stop else log_p, success)
    closed_form_kl(log_q, log_p, ALL).backward()
    return logits.grad


def by_differences(loss, logits: torch.Tensor) -> torch.Tensor:
    found, width = torch.zeros_like(logits), 1e-6
    for place in range(logits.numel()):
        step = torch.zeros_like(logits)
        step.view(-1)[place] = width
        found.view(-1)[place] = (loss(logits + step) - loss(logits - step)) / (2 * width)
    return found


def test_the_gradient_by_the_logits_is_p_minus_q_and_another_one_without_the_stop():
    logits, success = numbers(3, 5, seed=0), 2 * numbers(3, 5, seed=1)
    p, r = logits.softmax(-1), success.sigmoid()
    q = p * r / (p * r).sum(-1, keepdim=True)
    stopped = (p - q) / 3  # the mean over three places
    log_r = r.log()
    passing = stopped + q * (log_r - (q * log_r).sum(-1, keepdim=True)) / 3

    def frozen_target(x):
        return (q * (q.log() - x.log_softmax(-1))).sum(-1).mean()

    def moving_target(x):
        moved = x.softmax(-1) * r / (x.softmax(-1) * r).sum(-1, keepdim=True)
        return (moved * (moved.log() - x.log_softmax(-1))).sum(-1).mean()

    assert torch.allclose(slope(logits, success, stop=True), stopped, atol=1e-12)
    assert torch.allclose(by_differences(frozen_target, logits), stopped, atol=1e-8)
    assert torch.allclose(slope(logits, success, stop=False), passing, atol=1e-12)
    assert torch.allclose(by_differences(moving_target, logits), passing, atol=1e-8)
    assert not torch.allclose(stopped, passing, atol=1e-2)  # they can be told apart


def test_a_satisfied_constraint_pulls_nowhere():
    logits = numbers(3, 5, seed=2)
    assert float(slope(logits, torch.full((3, 5), 100.0), stop=True).abs().max()) < 1e-12


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=15)
def test_places_that_do_not_count_change_nothing(seed):
    q, p = (numbers(4, 6, 7, seed=seed + i).log_softmax(-1) for i in range(2))
    wanted = torch.from_numpy(stats.randint.rvs(0, 7, size=(4, 6), random_state=seed))
    mask = numbers(4, 6, seed=seed + 2) > 0
    mask[0, 0] = True
    for loss, log_p in ((closed_form_kl, q), (cross_entropy, wanted)):
        ordered = (log_p, p) if loss is closed_form_kl else (p, log_p)
        kept = tuple(each[mask] for each in ordered)
        count = torch.ones(int(mask.sum()), dtype=torch.bool)
        assert torch.allclose(loss(*ordered, mask), loss(*kept, count))
    everywhere = torch.ones_like(mask)
    if not mask.all():  # that it matters which places count
        assert not torch.isclose(closed_form_kl(q, p, mask), closed_form_kl(q, p, everywhere))


def test_cross_entropy_is_that_of_torch():
    logits, wanted = numbers(3, 5, seed=3), torch.tensor([4, 0, 2])
    found = cross_entropy(logits.log_softmax(-1), wanted, ALL)
    assert torch.allclose(found, F.cross_entropy(logits, wanted))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(3, 4), torch.zeros(3, 4), ALL), "expected log-probabilities of q"),
        (
            (torch.full((3, 4), 0.25).log(), torch.full((3, 5), 0.2).log(), ALL),
            "expected log-probabilities of the same",
        ),
        ((torch.full((3, 4), 0.25).log(),) * 2 + (~ALL,), "expected a place that counts"),
        ((torch.full((3, 4), 0.25).log(),) * 2 + (ALL[:2],), "expected a truth value"),
        (
            (torch.full((1, 2), 0.5).log(), torch.tensor([[0.0, -torch.inf]]), ALL[:1]),
            "expected a model that can say",
        ),
    ],
)
def test_what_has_no_divergence_is_refused(arguments, message):
    with pytest.raises(LabError, match=message):
        closed_form_kl(*arguments)


def test_words_that_a_model_does_not_have_are_refused():
    log_p = torch.full((3, 4), 0.25).log()
    for wanted in (torch.tensor([0, 1, 4]), torch.tensor([0, 1, -1]), torch.zeros(3)):
        with pytest.raises(LabError, match="expected the word at each"):
            cross_entropy(log_p, wanted, ALL)

"""The gradients beside those of autograd, and what the wrong one leads to."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.detox.exact.stop_gradient import FIVE_WORDS, descend, kl_gradient, token_kl
from helpers.errors import LabError


def by_autograd(z: np.ndarray, r: np.ndarray, stop: bool) -> tuple[float, np.ndarray]:
    logits = torch.tensor(z, requires_grad=True)
    with torch.enable_grad():
        log_p, weight = logits.log_softmax(0), torch.tensor(r)
        q = log_p.exp() * weight / (log_p.exp() * weight).sum()
        q = q.detach() if stop else q
        kl = (torch.xlogy(q, q) - q * log_p).sum()
        kl.backward()
    assert logits.grad is not None
    return float(kl.detach()), logits.grad.numpy()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.booleans())
def test_the_closed_forms_are_the_gradients(seed, n_words, zero):
    rng = np.random.default_rng(seed)
    z, r = 2 * rng.standard_normal(n_words), rng.uniform(0.01, 1, n_words)
    r[0] *= not zero
    for stop in (True, False):
        if zero and not stop:
            continue  # autograd multiplies 0 by an infinite logarithm; see the next test
        kl, gradient = by_autograd(z, r, stop)
        assert token_kl(z, r) == pytest.approx(kl, abs=1e-12)
        assert kl_gradient(z, r, stop) == pytest.approx(gradient, abs=1e-12)


def test_a_word_without_success_is_the_limit_of_one_with_little():
    z = np.array([0.3, -0.2, 0.5])
    nothing, little = (kl_gradient(z, [r, 0.5, 0.25], stop=False) for r in (0.0, 1e-12))
    assert nothing == pytest.approx(little, abs=1e-9)


def test_a_missing_stop_gradient_is_seen_in_the_gradient():
    """The mutation that the outcome hardly shows: the two differ by a third of their length."""
    p, r = (np.array(x) for x in FIVE_WORDS)
    stopped, through = (kl_gradient(np.log(p), r, stop) for stop in (True, False))
    assert np.linalg.norm(stopped - through) > np.linalg.norm(stopped) / 3
    q = p * r / (p * r).sum()
    assert stopped == pytest.approx(p - q)
    assert through.sum() == pytest.approx(0)  # a shift of all logits changes nothing


def test_the_same_success_everywhere_leaves_nothing_to_learn():
    z = np.array([0.5, -1.0, 2.0])
    assert token_kl(z, [0.3] * 3) == pytest.approx(0, abs=1e-15)
    for stop in (True, False):
        assert kl_gradient(z, [0.3] * 3, stop) == pytest.approx([0] * 3, abs=1e-15)


def test_five_words_end_where_theory_says():
    """A snapshot ends at its q; q followed step by step at the largest R; with its gradient on one
    word, whichever, where KL is 0 and success is no aim any more."""
    p, r = FIVE_WORDS
    q = np.array(p) * r / np.dot(p, r)
    wanted = float(q @ r)
    ends = {target: descend(p, r, target) for target in ("snapshot", "current", "through")}
    for found in ends.values():
        assert found.success[0] == pytest.approx(np.dot(p, r))
        assert found.wanted == pytest.approx(wanted)
        assert found.kl[-1] < found.kl[0]
    assert ends["snapshot"].words[-1] == pytest.approx(q, abs=1e-6)
    assert ends["current"].success[-1] == pytest.approx(max(r), abs=0.01)
    assert ends["through"].words[-1].max() > 0.99
    assert ends["through"].success[-1] < ends["through"].success[0] / 2
    assert ends["through"].kl[-1] < 1e-2


@pytest.mark.parametrize(
    "call",
    [
        lambda: token_kl([0.0, np.nan], [0.5, 0.5]),
        lambda: token_kl([0.0, 0.0], [0.0, 0.0]),
        lambda: token_kl([0.0, 0.0], [0.5, 0.5, 0.5]),
        lambda: kl_gradient([0.0, 0.0], [0.5, 2.0]),
        lambda: kl_gradient([], []),
        lambda: descend([0.5, 0.5], [0.5, 0.5], "first"),
        lambda: descend([1.0, 0.0], [0.5, 0.5]),
        lambda: descend([0.5, 0.5], [0.0, 0.0]),
        lambda: descend([0.5, 0.5], [0.5, 0.5], steps=0),
        lambda: descend([0.5, 0.5], [0.5, 0.5], rate=-1.0),
        lambda: descend([0.5, 0.5], [0.5, 0.5], rate=np.nan),
    ],
)
def test_input_that_is_none_is_refused(call):
    with pytest.raises(LabError, match="expected"):
        call()

"""The bounds on what a wrong oracle costs, over any world, and a case that comes near to them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.detox.exact import MarkovChain, WordAutomaton, guided, success, unguided
from helpers.detox.exact.bounds import (
    disturbed,
    growing_error,
    inconsistency,
    kl_bound,
    kl_of_oracle,
    log_error,
)
from helpers.errors import LabError
from tests.detox.exact.worlds import CHAIN, NO_X, TEXTS, P, no_x, worlds


@settings(max_examples=80, deadline=None)
@given(worlds(), st.floats(0, 1.5), st.booleans(), st.integers(0, 1000))
def test_the_bounds_hold_in_any_world(world, log_delta, consistent, seed):
    chain, automaton = world
    if not success(chain, automaton)[0, 0, 0] > 0:
        return
    values = disturbed(chain, automaton, log_delta, consistent, seed)
    apart = log_error(chain, automaton, values)
    assert apart <= log_delta + 1e-9
    assert (
        kl_of_oracle(chain, automaton, values) <= kl_bound(apart, chain.length, consistent) + 1e-9
    )
    if consistent:
        assert inconsistency(chain, automaton, values) < 1e-12


def test_the_bound_of_consistent_oracles_is_nearly_reached():
    """One word in 40 overrated, all others underrated: no smaller factor than 2 would do."""
    size, few = 20.0, 1 / 40
    chain = MarkovChain([[few, 1 - few]], length=1)
    free = WordAutomaton([[1, 2], [1, 2], [1, 2]], [True, True, True])  # the last word, remembered
    values = np.ones((2, 1, 3)) * np.exp([0.0, size, -size])
    values[0] = few * math.exp(size) + (1 - few) * math.exp(-size)
    by_hand = math.log(values[0, 0, 0]) - (2 * few - 1) * size
    assert inconsistency(chain, free, values) == pytest.approx(0, abs=1e-6)
    assert log_error(chain, free, values) == pytest.approx(size)
    assert kl_of_oracle(chain, free, values) == pytest.approx(by_hand)
    assert 0.85 * kl_bound(size, 1, True) < by_hand <= kl_bound(size, 1, True)


def test_the_kl_of_an_oracle_over_all_texts():
    values = disturbed(CHAIN, NO_X, 0.5, consistent=False, seed=3)
    holds = np.array([no_x(text) for text in TEXTS])
    q = P * holds / (P * holds).sum()
    learned = guided(CHAIN, NO_X, values).chances(TEXTS)
    by_hand = float((q[holds] * np.log(q[holds] / learned[holds])).sum())
    assert by_hand > 0.01
    assert kl_of_oracle(CHAIN, NO_X, values) == pytest.approx(by_hand, abs=1e-12)


def test_a_consistent_oracle_telescopes():
    """q_φ(y) = p(y) R_φ(y) / R_φ(empty), and that only if it is consistent."""
    holds = np.array([no_x(text) for text in TEXTS])
    for consistent in (True, False):
        values = disturbed(CHAIN, NO_X, 0.5, consistent)
        context, state = np.zeros((2, len(TEXTS)), int)
        for word in TEXTS.T:
            context, state = CHAIN.after[context, word], NO_X.delta[state, word]
        product = P * values[-1, context, state] / values[0, 0, 0]
        found = guided(CHAIN, NO_X, values).chances(TEXTS)
        assert (abs(found - product)[holds].max() < 1e-12) == consistent


def test_an_inconsistent_error_costs_more_with_every_word():
    """By hand: where words of the same chance get the weights e^δ, e^−δ and 1, the KL is
    ln((2 cosh δ + 1) / 3) for each word but the last. At the end two are left: ln cosh δ.
    """
    d = 0.1
    for row in growing_error((1, 2, 10, 100), d):
        by_hand = (row.length - 1) * math.log((2 * math.cosh(d) + 1) / 3)
        assert row.inconsistent == pytest.approx(by_hand, abs=1e-9)
        assert row.consistent == pytest.approx(math.log(math.cosh(d)), abs=1e-9)
        assert row.consistent <= kl_bound(d, row.length, consistent=True)
        assert row.inconsistent <= kl_bound(d, row.length, consistent=False)
    # so the bound of consistent ones does not hold for others
    assert row.inconsistent > kl_bound(d, 100, consistent=True)


def test_the_error_of_a_factor_is_its_logarithm():
    for factor in (0.25, 1.0, 3.0):
        assert log_error(CHAIN, NO_X, factor * success(CHAIN, NO_X)) == pytest.approx(
            abs(math.log(factor))
        )
    assert inconsistency(CHAIN, NO_X, np.ones((6, 4, 2))) == 0
    half = np.ones((6, 4, 2))
    half[3] = 0.5
    assert inconsistency(CHAIN, NO_X, half) == pytest.approx(0.5)


def test_a_place_that_is_not_reached_does_not_count():
    """After one word the context is one of a word; what is said of the empty one is not read."""
    values = success(CHAIN, NO_X)
    values[1:, 0] = 0.123
    assert log_error(CHAIN, NO_X, values) == 0
    assert kl_of_oracle(CHAIN, NO_X, values) == pytest.approx(0, abs=1e-12)
    assert unguided(CHAIN, NO_X).reach[1:, 0].sum() == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: kl_bound(-0.1, 5, True),
        lambda: kl_bound(math.nan, 5, True),
        lambda: kl_bound(0.1, 0, True),
        lambda: disturbed(CHAIN, NO_X, -1.0, True),
        lambda: disturbed(CHAIN, NO_X, math.inf, True),
        lambda: log_error(CHAIN, NO_X, np.ones((6, 4, 2))),
        lambda: log_error(CHAIN, NO_X, np.ones((5, 4, 2))),
        lambda: inconsistency(CHAIN, NO_X, np.full((6, 4, 2), np.nan)),
        lambda: growing_error((0,), 0.1),
        lambda: growing_error((2,), math.nan),
    ],
)
def test_input_that_is_none_is_refused(call):
    with pytest.raises(LabError, match="expected"):
        call()

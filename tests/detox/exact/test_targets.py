"""Success and the nearest distributions beside brute force over all texts, and the worked numbers.

The numbers to six digits were computed by listing all 243 texts.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.detox.exact import (
    MarkovChain,
    WordAutomaton,
    anything,
    guided,
    hard,
    locally_masked,
    never,
    of_model,
    penalised,
    soft,
    success,
    target_words,
    unguided,
)
from helpers.detox.exact.guides import expected
from helpers.errors import LabError
from tests.detox.exact.worlds import (
    CHAIN,
    NO_X,
    RARE_X,
    TEXTS,
    P,
    no_x,
    rare_x,
    read,
    texts_of,
    worlds,
)

NEVER_BEGINS = WordAutomaton([[0, 0, 0]], [False])
CASES = [
    (NO_X, no_x, 0.332910, 1.099883, [0.669100, 0.330900, 0], [0.5556, 0.4444, 0], 1.197155),
    (RARE_X, rare_x, 0.475830, 0.742695, [0.634575, 0.283715, 0.081710], [0.5, 0.4, 0.1], 0.878254),
]
CASE = ("automaton", "sentence", "whole", "kl", "first", "masked_first", "masked_kl")


@pytest.mark.parametrize(CASE, CASES)
def test_the_worked_numbers_to_six_digits(
    automaton, sentence, whole, kl, first, masked_first, masked_kl
):
    target, masked = hard(CHAIN, automaton), locally_masked(CHAIN, automaton)
    assert target.success == pytest.approx(whole, abs=5e-7)
    assert target.kl == pytest.approx(kl, abs=5e-7)
    assert target.guide.next_words([]) == pytest.approx(first, abs=5e-7)
    assert masked.next_words([]) == pytest.approx(masked_first, abs=5e-5)
    assert masked.kl_to(unguided(CHAIN, automaton)) == pytest.approx(masked_kl, abs=5e-7)
    assert masked.satisfied == pytest.approx(1)


@pytest.mark.parametrize(CASE, CASES)
def test_q_by_its_words_is_p_where_c_holds(
    automaton, sentence, whole, kl, first, masked_first, masked_kl
):
    holds = np.array([sentence(text) for text in TEXTS])
    q = P * holds / (P * holds).sum()
    target = hard(CHAIN, automaton)
    assert abs(target.guide.chances(TEXTS) - q).max() <= 1e-12
    by_texts = float((q[holds] * np.log(q[holds] / P[holds])).sum())
    by_words = target.guide.kl_to(unguided(CHAIN, automaton))
    assert by_texts == pytest.approx(by_words, abs=1e-12)
    assert by_texts == pytest.approx(target.kl, abs=1e-12)
    assert by_texts == pytest.approx(-math.log((P * holds).sum()), abs=1e-12)


@pytest.mark.parametrize(
    ("share", "alpha", "beta", "kl"),
    [(0.8, 2.403052, 0.299810, 0.460470), (0.95, 2.853624, 0.074952, 0.866615)],
)
def test_the_soft_numbers_to_six_digits(share, alpha, beta, kl):
    target = soft(CHAIN, NO_X, share)
    found = (target.alpha, target.beta, target.kl)
    assert found == pytest.approx((alpha, beta, kl), abs=5e-7)
    holds = np.array([no_x(text) for text in TEXTS])
    q = P * np.where(holds, target.alpha, target.beta)
    assert abs(target.guide.chances(TEXTS) - q).max() <= 1e-12
    assert (q * holds).sum() == pytest.approx(share, abs=1e-12)
    assert float((q * np.log(q / P)).sum()) == pytest.approx(kl, abs=5e-7)


def test_no_other_distribution_that_keeps_the_share_is_nearer():
    """Any mixture with another distribution of the same share has a larger KL."""
    holds = np.array([no_x(text) for text in TEXTS])
    target = soft(CHAIN, NO_X, 0.8)
    q, rng = target.guide.chances(TEXTS), np.random.default_rng(0)
    for _ in range(20):
        other = rng.dirichlet(np.ones(len(TEXTS)))
        other = np.where(holds, 0.8 * other / other[holds].sum(), 0.2 * other / other[~holds].sum())
        mixed = 0.9 * q + 0.1 * other
        assert float((mixed * np.log(mixed / P)).sum()) > target.kl


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_success_is_what_all_texts_say(world):
    chain, automaton = world
    texts = texts_of(chain)
    p = chain.chances(texts)
    holds = np.array([read(automaton, text) for text in texts])
    table = success(chain, automaton)
    assert table[0, 0, 0] == pytest.approx((p * holds).sum(), abs=1e-12)
    text = texts[int(p.argmax())]
    context = state = 0
    for time, word in enumerate(text):
        context, state = chain.after[context, word], automaton.delta[state, word]
        same = (texts[:, : time + 1] == text[: time + 1]).all(1)
        by_hand = (p * holds)[same].sum() / p[same].sum()
        assert table[time + 1, context, state] == pytest.approx(by_hand, abs=1e-12)
    for time in range(chain.length):  # the Bellman equation
        back = expected(chain, automaton, table[time + 1])
        assert abs(back - table[time]).max() <= 1e-15
    assert table.min() >= 0
    assert table.max() <= 1 + 1e-12


@settings(max_examples=60, deadline=None)
@given(worlds(), st.floats(0.01, 1), st.floats(0, 50))
def test_all_targets_are_what_they_say_over_all_texts(world, share, strength):
    chain, automaton = world
    texts = texts_of(chain)
    p, plain = chain.chances(texts), unguided(chain, automaton)
    holds = np.array([read(automaton, text) for text in texts])
    whole = float((p * holds).sum())
    if whole <= 1e-9:
        with pytest.raises(LabError, match="R = 0"):
            hard(chain, automaton)
        with pytest.raises(LabError, match="R = 0"):
            soft(chain, automaton, share)
        assert abs(penalised(chain, automaton, strength).guide.chances(texts) - p).max() < 1e-12
        return
    priced = p * np.exp(strength * holds)
    r = max(share, whole)
    slack = np.where(holds, r / whole, (1 - r) / max(1 - whole, 1e-300)) if r > whole else 1
    for target, q in (
        (hard(chain, automaton), p * holds / whole),
        (soft(chain, automaton, share), p * slack),
        (penalised(chain, automaton, strength), priced / priced.sum()),
    ):
        assert abs(target.guide.chances(texts) - q).max() <= 1e-12
        said = q > 0
        by_texts = float((q[said] * np.log(q[said] / p[said])).sum())
        assert target.guide.kl_to(plain) == pytest.approx(by_texts, abs=1e-10)
        assert target.kl == pytest.approx(by_texts, abs=1e-10)
        assert target.guide.satisfied == pytest.approx(float((q * holds).sum()), abs=1e-10)
        assert target.satisfied == pytest.approx(float((q * holds).sum()), abs=1e-10)
    assert hard(chain, automaton).kl <= _kl_of_masked(chain, automaton) + 1e-9


def _kl_of_masked(chain: MarkovChain, automaton: WordAutomaton) -> float:
    """What masking costs; nothing else can be said where it comes to no end, or breaks C."""
    try:
        masked = locally_masked(chain, automaton)
    except LabError:
        return math.inf
    keeps = masked.satisfied > 1 - 1e-9
    return masked.kl_to(unguided(chain, automaton)) if keeps else math.inf


def test_rejection_sampling_draws_q():
    """What is left of samples of p is as often each text as q says, and so are samples of q."""
    target, rng = hard(CHAIN, RARE_X), np.random.default_rng(0)
    drawn = unguided(CHAIN, RARE_X).sample(60_000, rng)
    kept = drawn[[rare_x(text) for text in drawn]]
    q = target.guide.chances(TEXTS)
    for texts in (kept, target.guide.sample(len(kept), rng)):
        shares = np.bincount(texts @ 3 ** np.arange(4, -1, -1), minlength=243) / len(texts)
        assert (shares[q == 0] == 0).all()
        apart = np.abs(shares - q)[q > 0] / np.sqrt(q[q > 0] / len(texts))
        # 92 texts, each within about a standard error of 1: five would come once in a million
        assert apart.max() < 5


def test_without_a_constraint_q_is_p_and_a_target_is_its_own_target():
    free = hard(CHAIN, anything(3))
    assert free.kl == 0
    assert abs(free.guide.chances(TEXTS) - P).max() < 1e-15
    q = hard(CHAIN, NO_X).guide  # of this world only a and b are left: an order 5 chain of its own
    again = of_model(
        lambda contexts: [
            q.next_words(text) if no_x(text) else [1, 0, 0] for text in contexts.tolist()
        ],
        *(3, 4, 5),
    )
    twice = hard(again, NO_X)
    assert twice.success == pytest.approx(1)
    assert abs(twice.guide.chances(TEXTS) - q.chances(TEXTS)).max() < 1e-12


def test_soft_and_penalised_reach_from_p_to_q():
    assert abs(soft(CHAIN, NO_X, 0.2).guide.chances(TEXTS) - P).max() < 1e-15  # done already
    assert soft(CHAIN, NO_X, 0.0).kl == 0
    everything = soft(CHAIN, NO_X, 1.0)
    assert everything.kl == pytest.approx(hard(CHAIN, NO_X).kl)
    dear = penalised(CHAIN, NO_X, 5000.0)  # exp(5000) would overflow
    assert dear.kl == pytest.approx(everything.kl)
    assert penalised(CHAIN, NO_X, 0.0).kl == 0


def test_a_guide_that_looks_the_wrong_way_is_worse():
    """The opposite constraint as value: nothing that is said satisfies it (a scorer inverted)."""
    table = success(CHAIN, NO_X)
    inverted = guided(CHAIN, NO_X, 1 - table)
    assert inverted.satisfied < 1e-12
    assert guided(CHAIN, NO_X, table).satisfied == pytest.approx(1)


def test_a_value_of_one_word_earlier_is_not_q():
    """The success of the prefix without its last word (an index off by one) guides nowhere."""
    table, q = success(CHAIN, NO_X), hard(CHAIN, NO_X).guide
    shifted = guided(CHAIN, NO_X, np.concatenate([table[:1], table[:-1]]))
    assert q.kl_to(shifted) > 1e-3


def test_where_r_is_0_it_is_said_and_nothing_is_divided():
    for call in (hard, lambda chain, automaton: soft(chain, automaton, 0.5)):
        with pytest.raises(LabError, match="R = 0: none of its texts does"):
            call(CHAIN, NEVER_BEGINS)
    with pytest.raises(LabError, match=r"R = 0 behind \[0, 2\]"):
        hard(CHAIN, NO_X).guide.next_words([0, 2])
    with pytest.raises(LabError, match="R = 0 for every word that may come at 1 position"):
        target_words([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]], [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_q_from_p_and_r_at_many_positions(seed):
    rng = np.random.default_rng(seed)
    p, r = rng.dirichlet(np.ones(4), size=(2, 3)), rng.random((2, 3, 4))
    q = target_words(p, r)
    for i in np.ndindex(2, 3):
        total = sum(p[i][v] * r[i][v] for v in range(4))
        assert q[i] == pytest.approx([p[i][v] * r[i][v] / total for v in range(4)])
    assert target_words(p, np.full_like(r, 0.5)) == pytest.approx(p)  # zero-initialised: q = p


@pytest.mark.parametrize(
    "call",
    [
        lambda: success(CHAIN, anything(2)),
        lambda: soft(CHAIN, NO_X, 1.5),
        lambda: soft(CHAIN, NO_X, math.nan),
        lambda: soft(CHAIN, NO_X, "half"),
        lambda: penalised(CHAIN, NO_X, -1.0),
        lambda: penalised(CHAIN, NO_X, math.nan),
        lambda: guided(CHAIN, NO_X, np.ones((6, 4, 3))),
        lambda: guided(CHAIN, NO_X, -np.ones((6, 4, 2))),
        lambda: guided(CHAIN, NO_X, np.full((6, 4, 2), np.nan)),
        lambda: guided(CHAIN, NO_X, np.zeros((6, 4, 2))),
        lambda: locally_masked(CHAIN, NEVER_BEGINS),
        lambda: hard(CHAIN, NO_X).guide.next_words([0] * 5),
        lambda: hard(CHAIN, NO_X).guide.next_words(["a"]),
        lambda: hard(CHAIN, NO_X).guide.sample(0, np.random.default_rng(0)),
        lambda: hard(CHAIN, NO_X).guide.kl_to(hard(CHAIN, RARE_X).guide),
        lambda: target_words([0.5, 0.5], [0.5]),
        lambda: target_words([0.5, 0.5], [1.5, 0.5]),
        lambda: target_words([0.5, np.nan], [0.5, 0.5]),
        lambda: target_words(0.5, 0.5),
        lambda: target_words([], []),
    ],
)
def test_input_that_is_none_is_refused(call):
    with pytest.raises(LabError, match="expected"):
        call()


def test_the_kl_to_something_that_cannot_say_it_is_infinite():
    assert unguided(CHAIN, NO_X).kl_to(hard(CHAIN, NO_X).guide) == math.inf


def test_never_two_words_leaves_one_text():
    two = MarkovChain([[0.25, 0.75]], length=3)
    target = hard(two, never(1, 2))
    assert target.kl == pytest.approx(3 * math.log(4))
    assert target.guide.chances([[0, 0, 0]]) == pytest.approx([1])

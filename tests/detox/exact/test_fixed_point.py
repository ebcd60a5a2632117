"""The series of updates beside the worked numbers, a minimiser, and the theory."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from helpers.detox.exact.fixed_point import floor, projected, rate, tuned
from helpers.errors import LabError

CORPUS, MODEL, BAD = [0.4, 0.3, 0.3], [0.1, 0.6, 0.3], [False, False, True]
SEQUENTIAL = [0.41429, 0.28571, 0.21164, 0.15677, 0.11613]
PARALLEL = [0.41429, 0.28571, 0.28571, 0.21164, 0.21164, 0.15677]


@pytest.mark.parametrize(("stale", "wanted"), [(0, SEQUENTIAL), (1, PARALLEL)])
def test_the_worked_numbers(stale, wanted):
    found = tuned(CORPUS, MODEL, BAD, kl_weight=2, updates=len(wanted) - 1, stale=stale)
    assert found.distances == pytest.approx(wanted, abs=5e-6)
    assert found.violations[1:] == pytest.approx([0.1] * (len(wanted) - 1))


@pytest.mark.parametrize("kl_weight", [0.0, 0.5, 2.0])
def test_an_update_is_the_minimum_of_the_loss(kl_weight):
    """The mean of the two distributions, beside what a minimiser of CE + λ KL finds."""
    data, q = np.array(CORPUS), projected(MODEL, BAD)

    def loss(logits: np.ndarray) -> float:
        log_p = logits - np.log(np.exp(logits).sum())
        return float(-(data @ log_p) - kl_weight * (q @ log_p))

    best = np.exp(minimize(loss, np.zeros(3), tol=1e-12).x)
    found = tuned(CORPUS, MODEL, BAD, kl_weight, updates=1)
    assert found.models[1] == pytest.approx(best / best.sum(), abs=1e-5)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_words=st.integers(3, 10),
    n_bad=st.integers(0, 2),
    kl_weight=st.floats(0.01, 20),
    stale=st.integers(0, 3),
)
def test_share_limit_and_rate_of_any_world(seed, n_words, n_bad, kl_weight, stale):
    rng = np.random.default_rng(seed)
    data, start = rng.dirichlet(np.ones(n_words), size=2)
    bad = np.arange(n_words) < n_bad
    tau = data[bad].sum()
    rho = kl_weight / (1 - tau + kl_weight)
    rounds = 3 * (stale + 1) + 1
    found = tuned(data, start, bad, kl_weight, updates=rounds, stale=stale)
    # the floor from the first update on
    assert found.violations[1:] == pytest.approx([tau / (1 + kl_weight)] * rounds)
    assert (
        found.floor == pytest.approx(floor(tau, kl_weight)) == pytest.approx(tau / (1 + kl_weight))
    )
    assert found.rate == pytest.approx(rate(tau, kl_weight, stale))
    assert found.rate == pytest.approx(rho ** (1 / (stale + 1)))
    # k + 1 updates multiply the distance by ρ, exactly: the conditional part goes to D's in a line
    once, later = found.distances[1], found.distances[1 + stale + 1]
    assume(once > 1e-9)
    assert later / once == pytest.approx(rho, rel=1e-6)
    # the limit keeps its form, and stays where it is
    again = tuned(data, found.limit, bad, kl_weight, updates=2, stale=stale)
    assert again.models == pytest.approx(np.array([found.limit] * 3), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), stale=st.integers(0, 2))
def test_the_kl_alone_reaches_q_in_one_update_and_stays(seed, stale):
    data, start = np.random.default_rng(seed).dirichlet(np.ones(5), size=2)
    bad = np.arange(5) < 2
    found = tuned(data, start, bad, kl_weight=3, updates=4, stale=stale, text_weight=0)
    q = np.where(bad, 0, start) / start[~bad].sum()
    assert found.models[1:] == pytest.approx(np.array([q] * 4))
    assert projected(q, bad) == pytest.approx(q)  # its own projection
    assert (found.floor, found.rate) == (0, 0)
    assert found.distances[1:] == pytest.approx([0] * 4, abs=1e-12)


def test_without_the_kl_the_model_becomes_the_corpus():
    found = tuned(CORPUS, MODEL, BAD, kl_weight=0, updates=3)
    assert found.models[1:] == pytest.approx(np.array([CORPUS] * 3))
    assert (found.floor, found.rate) == (pytest.approx(0.3), 0)


def test_a_weight_that_is_ignored_would_be_seen():
    shares = [tuned(CORPUS, MODEL, BAD, w, updates=2).violations[-1] for w in (0, 1, 2, 5)]
    assert shares == pytest.approx([0.3, 0.15, 0.1, 0.05])


def test_a_weight_of_the_text_counts_as_the_inverse_of_the_other():
    half = tuned(CORPUS, MODEL, BAD, kl_weight=1, updates=5, text_weight=0.5)
    double = tuned(CORPUS, MODEL, BAD, kl_weight=2, updates=5)
    assert half.models == pytest.approx(double.models)
    assert (half.floor, half.rate) == pytest.approx((double.floor, double.rate))


def test_parallel_wins_where_its_update_costs_less_than_half():
    """Updates until the distance is a hundredth: twice as many, give or take the first."""
    needed = []
    for stale in (0, 1):
        distances = tuned(CORPUS, MODEL, BAD, 2, updates=80, stale=stale).distances
        needed.append(int((distances < distances[1] / 100).argmax()))
    assert needed[1] / needed[0] == pytest.approx(2, abs=0.15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpus": [0.0, 0.0, 1.0]}, "expected a distribution that satisfies the constraint"),
        ({"model": [0.0, 0.0, 1.0]}, "R = 0"),
        ({"corpus": [0.5, 0.5]}, "over the same words"),
        ({"corpus": []}, "expected chances of the corpus"),
        ({"corpus": [0.4, 0.3, np.nan]}, "expected finite"),
        ({"corpus": [0.4, 0.3, 0.9]}, "with the sum 1"),
        ({"violates": [0, 1, 2]}, "yes or no"),
        ({"violates": [True]}, "over the same words"),
        ({"kl_weight": -1.0}, "λ"),
        ({"kl_weight": np.nan}, "λ"),
        ({"kl_weight": 0.0, "text_weight": 0.0}, "a weight above 0"),
        ({"text_weight": -1.0}, "cross-entropy"),
        ({"updates": 0}, "number of updates"),
        ({"stale": -1}, "q is old"),
        ({"stale": 0.5}, "q is old"),
    ],
)
def test_input_that_is_none_is_refused(change, message):
    good = {"corpus": CORPUS, "model": MODEL, "violates": BAD, "kl_weight": 2.0}
    with pytest.raises(LabError, match=message):
        tuned(**{**good, **change})


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan, None, "half"])
def test_shares_that_are_none_are_refused(share):
    with pytest.raises(LabError, match="share"):
        floor(share, 1.0)
    with pytest.raises(LabError, match="share"):
        rate(share, 1.0)


def test_a_corpus_of_violations_alone_has_no_rate():
    with pytest.raises(LabError, match="expected a corpus with some text"):
        rate(1.0, 2.0)
    assert floor(1.0, 3.0) == pytest.approx(0.25)

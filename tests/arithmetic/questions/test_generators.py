"""What each generator draws, what its log says, and the settings that are refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.arithmetic.questions import (
    Format,
    all_additions,
    class_counts,
    enriched,
    mixed,
    of_class,
    short_carries,
    uniform,
)
from helpers.errors import LabError
from tests.arithmetic import reference

pytestmark = pytest.mark.core
SYMBOLS = "0123456789+-="


@pytest.mark.parametrize("n_digits", [0, 21])
def test_generators_refuse_digits_out_of_range(n_digits):
    rng = np.random.default_rng(0)
    for make in (uniform, enriched, mixed):
        with pytest.raises(LabError, match="1 to 20 digits"):
            make(n_digits, 5, rng)
    with pytest.raises(LabError, match="1 to 20 digits"):
        of_class("S1", n_digits, 5, rng)


@pytest.mark.parametrize("name", ["S4", "M3", "N0", "N4", "s1", "", "X", "S-1"])
def test_classes_that_do_not_exist_are_refused(name):
    with pytest.raises(LabError, match="expected a class among"):
        of_class(name, 3, 5, np.random.default_rng(0))


@pytest.mark.parametrize(
    "shares", [{"p_slots": -0.1}, {"p_slots": 0.6, "p_cascade": 0.6}, {"p_slot": 1.1}]
)
def test_shares_that_are_no_probabilities_are_refused(shares):
    with pytest.raises(LabError, match="at most 1"):
        enriched(3, 5, np.random.default_rng(0), **shares)


@pytest.mark.parametrize("shares", [(0.9, 0.1), (0.8, 0.2), (0.5, 0.5), (1, 0), (0, 1), (0, 0)])
def test_shares_that_just_fill_the_batch_are_taken(shares):
    """In floating point 1 - 0.9 - 0.1 is below zero."""
    log = enriched(3, 500, np.random.default_rng(0), p_slots=shares[0], p_cascade=shares[1]).log
    assert (log["uniform"] == 0) == (sum(shares) == 1)
    assert (log["slots"] > 0, log["cascade"] > 0) == (shares[0] > 0, shares[1] > 0)


@pytest.mark.parametrize("subtract", [False, True])
def test_the_log_says_what_the_mixture_drew(subtract):
    questions = enriched(
        6, 20_000, np.random.default_rng(0), subtract, p_slots=0.25, p_cascade=0.35
    )
    assert sum(questions.log.values()) == len(questions) == 20_000
    for kind, share in (("uniform", 0.40), ("slots", 0.25), ("cascade", 0.35)):
        assert questions.log[kind] == pytest.approx(
            20_000 * share, abs=5 * (20_000 * share * (1 - share)) ** 0.5
        )
    rare = class_counts(questions)[
        "N6" if subtract else "S6"
    ]  # 1 of 13 classes, or of 7; never seen in a uniform sample
    expected = questions.log["cascade"] / (12 if subtract else 7)
    assert rare == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("subtract", [False, True])
def test_slots_force_nines_or_ties_and_nothing_else(subtract):
    questions = enriched(
        6, 20_000, np.random.default_rng(0), subtract, p_slots=1, p_cascade=0, p_slot=0.4
    )
    hit = (
        questions.first == questions.second if subtract else questions.first + questions.second == 9
    )
    assert hit.double().mean() == pytest.approx(
        0.4 + 0.6 * 0.1, abs=0.01
    )  # 120 000 columns: 7 standard errors


@pytest.mark.parametrize(
    "make", [uniform, enriched, lambda n, count, rng: of_class("S2", n, count, rng), mixed]
)
def test_one_seed_gives_one_batch(make):
    one, same, other = (
        make(6, 200, np.random.default_rng(seed)).tokens(Format(6)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_uniform_digits_are_uniform():
    from scipy.stats import chisquare

    questions = uniform(6, 20_000, np.random.default_rng(0))
    pairs = 10 * questions.first + questions.second
    for k in range(6):
        assert chisquare(torch.bincount(pairs[:, k], minlength=100).numpy()).pvalue > 1e-4
    assert questions.log == {"uniform": 20_000}


@pytest.mark.parametrize("n_digits", [1, 2])
def test_all_additions_are_all_of_them_in_counting_order(n_digits):
    size = 10**n_digits
    texts = [f"{a:0{n_digits}d}+{b:0{n_digits}d}" for a in range(size) for b in range(size)]
    every = all_additions(n_digits)
    assert [every.text(i).split("=")[0] for i in range(0, len(every), 7)] == texts[::7]
    assert len(every) == len(texts)
    part = all_additions(n_digits, 13, 29)
    assert [part.text(i).split("=")[0] for i in range(len(part))] == texts[13:29]
    assert len(all_additions(n_digits, 0, 0)) == 0
    assert len(all_additions(n_digits, 90, 10**9)) == len(texts) - 90


def test_short_carries_are_uniform_questions_without_the_long_ones():
    questions = short_carries(3, 40_000, np.random.default_rng(0), max_cascade=1)
    counts, shares = class_counts(questions), reference.share_of_classes("+", 3)
    assert list(counts) == ["S0", "S1"]
    share = float(shares["S1"] / (shares["S0"] + shares["S1"]))
    assert counts["S1"] == pytest.approx(
        40_000 * share, abs=5 * (40_000 * share * (1 - share)) ** 0.5
    )
    assert len(short_carries(20, 1, np.random.default_rng(0), max_cascade=1)) == 1
    with pytest.raises(LabError, match="at least 1"):
        short_carries(3, 5, np.random.default_rng(0), max_cascade=0)


MIXTURES = [
    {},
    {"p_subtract": 0.8, "p_equal": 0.006, "p_slots": 0.0, "p_cascade": 0.5},
    {"p_subtract": 0.3, "p_equal": 0.2, "p_slots": 0.4, "p_cascade": 0.1},
]


@pytest.mark.parametrize("shares", MIXTURES)
def test_the_log_of_a_mixture_has_the_asked_shares(shares):
    from scipy.stats import binom

    asked = {"p_subtract": 0.6, "p_equal": 0.02, "p_slots": 0.25, "p_cascade": 0.25} | shares
    questions = mixed(6, 40_000, np.random.default_rng(3), **shares)
    log = questions.log
    of = {
        sign: sum(log[f"{sign}{kind}"] for kind in ("uniform", "slots", "cascade")) for sign in "+-"
    }
    subtractions = of["-"] + log["-equal"]
    drawn = [
        (subtractions, 40_000, asked["p_subtract"]),
        (log["-equal"], subtractions, asked["p_equal"]),
    ]
    drawn += [
        (log[f"{sign}{kind}"], of[sign], asked[f"p_{kind}"])
        for sign in "+-"
        for kind in ("slots", "cascade")
    ]
    for count, trials, share in drawn:
        low, high = binom.interval(1 - 1e-5, trials, share)
        assert low <= count <= high
    assert sum(log.values()) == len(questions) == 40_000
    assert int(questions.subtract.sum()) == subtractions  # the log is about these very questions
    assert int(questions.negative.sum()) > 0.3 * subtractions
    equal = (questions.first == questions.second).all(1) & questions.subtract
    assert int(equal.sum()) >= log["-equal"] > 0


@pytest.mark.parametrize("n_digits", [3, 6])
def test_a_training_batch_of_the_mixed_models_shows_every_class(n_digits):
    from helpers.arithmetic.training.recipes import MIXED_DATA

    counts = class_counts(mixed(n_digits, 20_000, np.random.default_rng(0), **MIXED_DATA))
    kinds = {"S": range(n_digits + 1), "M": range(n_digits), "N": range(1, n_digits + 1)}
    assert counts.keys() == {f"{kind}{m}" for kind, which in kinds.items() for m in which}
    # the share 0.4 * 0.25 of the additions is spread over n + 1 classes, 0.6 * 0.98 * 0.25 of the
    # subtractions over 2n
    assert min(counts[f"S{m}"] for m in kinds["S"]) > 0.8 * 20_000 * 0.4 * 0.25 / (n_digits + 1)
    assert min(
        counts[f"{kind}{m}"] for kind in "MN" for m in kinds[kind]
    ) > 0.8 * 20_000 * 0.6 * 0.98 * 0.25 / (2 * n_digits)


@settings(deadline=None, max_examples=30)
@given(
    st.integers(1, 20),
    st.integers(0, 10**6),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_every_answer_of_a_mixture_is_that_of_whole_numbers(
    n_digits, seed, p_subtract, p_equal, p_slots, of_rest
):
    shares = {
        "p_subtract": p_subtract,
        "p_equal": p_equal,
        "p_slots": p_slots,
        "p_cascade": of_rest * (1 - p_slots),
    }
    questions = mixed(n_digits, 30, np.random.default_rng(seed), **shares)
    assert len(questions) == 30
    for row in questions.tokens(Format(n_digits)):
        text = "".join(SYMBOLS[token] for token in row.tolist())
        operator = text[n_digits]
        first, second = text.split("=")[0].split(operator)
        assert text == reference.text_of(int(first), operator, int(second), n_digits)


def test_extreme_mixtures_hold_one_kind_alone():
    def draw(**shares):
        return mixed(4, 200, np.random.default_rng(0), **shares)

    assert not draw(p_subtract=0).subtract.any()
    assert draw(p_subtract=1).subtract.all()
    ties = draw(p_subtract=1, p_equal=1)
    assert set(ties.classes()) == {"M0"}
    assert torch.equal(ties.first, ties.second)
    assert ties.first.unique(dim=0).shape[0] > 190  # not one tie many times
    assert ties.log["-equal"] == 200
    assert len(mixed(4, 0, np.random.default_rng(0))) == 0


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"p_subtract": -0.01}, "p_subtract and p_equal from 0 to 1; got -0.01 and 0.02"),
        ({"p_subtract": 1.01}, "p_subtract and p_equal from 0 to 1; got 1.01"),
        ({"p_subtract": float("nan")}, "p_subtract and p_equal from 0 to 1; got nan"),
        ({"p_equal": -0.01}, "p_subtract and p_equal from 0 to 1; got 0.6 and -0.01"),
        ({"p_equal": 2}, "p_subtract and p_equal from 0 to 1; got 0.6 and 2"),
        ({"p_slots": -0.1}, "p_slots, p_cascade and p_slot"),
        ({"p_slots": 0.6, "p_cascade": 0.6}, "p_slots, p_cascade and p_slot"),
        ({"p_cascade": float("nan")}, "p_slots, p_cascade and p_slot"),
    ],
)
def test_mixtures_with_impossible_shares_are_refused(shares, message):
    with pytest.raises(LabError, match=message):
        mixed(3, 5, np.random.default_rng(0), **shares)

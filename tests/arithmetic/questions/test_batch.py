"""Format, text and tokens of questions, the generators, and every bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.arithmetic.questions.batch import (
    Questions,
    all_additions,
    class_counts,
    enriched,
    from_numbers,
    join,
    mixed,
    of_class,
    parse,
    short_carries,
    uniform,
)
from helpers.arithmetic.questions.format import Format
from helpers.errors import LabError
from tests.arithmetic import reference

pytestmark = pytest.mark.core
SYMBOLS = "0123456789+-="


def read(tokens: torch.Tensor) -> str:
    return "".join(SYMBOLS[token] for token in tokens.tolist())


@pytest.mark.parametrize(
    ("n_digits", "n_ctx", "op", "equals", "sign", "a_n", "last"),
    [(5, 19, 5, 11, 12, 13, 18), (6, 22, 6, 13, 14, 15, 21)],
)
def test_positions_are_those_of_the_papers_table(n_digits, n_ctx, op, equals, sign, a_n, last):
    fmt = Format(n_digits)
    assert (fmt.n_ctx, fmt.operator_position, fmt.equals_position) == (n_ctx, op, equals)
    assert (fmt.answer_position(n_digits), fmt.answer_position(0), fmt.n_answer) == (
        a_n,
        last,
        n_digits + 2,
    )
    assert fmt.operand_positions(0) == (n_digits - 1, 2 * n_digits)
    assert fmt.operand_positions(n_digits - 1) == (0, n_digits + 1)
    assert fmt.position_labels[sign] == "±"
    assert len(fmt.position_labels) == n_ctx


def test_labels_name_what_the_tokens_hold():
    assert Format(2).position_labels == ["D1", "D0", "op", "D'1", "D'0", "=", "±", "A2", "A1", "A0"]
    assert Format(2, has_sign=False, prefix=(20,)).position_labels[:2] == ["^", "D1"]
    assert Format(2, has_sign=False).answer_labels == ["A2", "A1", "A0"]


@pytest.mark.parametrize(
    "text", ["133357+182243=+0315600", "123450-345670=-0222220", "7-7=+00", "0-0=+00", "99+99=+198"]
)
def test_published_and_edge_examples(text):
    assert parse(text).text() == text


@st.composite
def numbers(draw) -> tuple[int, str, int, int]:
    n_digits = draw(st.integers(1, 20))
    first, second = (draw(st.integers(0, 10**n_digits - 1)) for _ in range(2))
    return first, draw(st.sampled_from("+-")), second, n_digits


@settings(deadline=None)
@given(numbers())
def test_text_tokens_and_numbers_round_trip(question):
    first, operator, second, n_digits = question
    expected = reference.text_of(first, operator, second, n_digits)
    asked = from_numbers([first], [second], n_digits, subtract=operator == "-")
    assert asked.text() == expected
    assert read(asked.tokens(Format(n_digits))[0]) == expected
    for written in (expected, expected.split("=")[0], f" {first} {operator} {second} "):
        again = parse(written, n_digits)
        assert torch.equal(again.first, asked.first)
        assert torch.equal(again.second, asked.second)
        assert torch.equal(again.subtract, asked.subtract)
    assert asked.classes() == [reference.class_of(first, operator, second, n_digits)]


@settings(deadline=None)
@given(
    numbers(), st.permutations(range(40)), st.booleans(), st.lists(st.integers(0, 60), max_size=3)
)
def test_any_ids_sign_and_prefix_hold_the_same_question(question, ids, has_sign, prefix):
    first, operator, second, n_digits = question
    fmt = Format(n_digits, tuple(ids[:10]), *ids[10:13], has_sign=has_sign, prefix=tuple(prefix))
    tokens = from_numbers([first], [second], n_digits, operator == "-").tokens(fmt)[0]
    expected = reference.text_of(first, operator, second, n_digits)
    expected = expected if has_sign else expected.replace("=+", "=").replace("=-", "=")
    assert tokens.tolist() == [*prefix, *(ids[SYMBOLS.index(symbol)] for symbol in expected)]
    assert len(tokens) == fmt.n_ctx == len(fmt.position_labels)
    assert fmt.n_ctx == len(prefix) + 3 * n_digits + 3 + has_sign
    assert tokens.max() < fmt.d_vocab_needed
    assert tokens[fmt.equals_position] == fmt.equals


@pytest.mark.parametrize(
    "settings_",
    [
        {"n_digits": 0},
        {"n_digits": 21},
        {"n_digits": -1},
        {"n_digits": 2.0},
        {"n_digits": "3"},
        {"n_digits": 3, "digit_ids": tuple(range(9))},
        {"n_digits": 3, "digit_ids": (0, *range(9))},
        {"n_digits": 3, "plus": 5},
        {"n_digits": 3, "minus": 10},
        {"n_digits": 3, "equals": -1},
        {"n_digits": 3, "prefix": (-2,)},
    ],
)
def test_impossible_formats_are_refused(settings_):
    with pytest.raises(LabError, match="expected"):
        Format(**settings_)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "+",
        "5+",
        "+5",
        "5+7+8",
        "5-7-8",
        "5+-7",
        "-5+7",
        "5*7",
        "a+b",
        "٣+١",
        "1.5+2",
        "1e3+2",
        "5 5+7",
    ],
)
def test_text_that_is_no_question_is_refused(text):
    with pytest.raises(LabError, match="expected a question"):
        parse(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ([1000], [0], 3),
        ([0], [-1], 3),
        ([1.5], [2], 3),
        (["1"], [2], 3),
        ([1, 2], [3], 3),
        ([1], [1], 0),
        ([1], [1], 21),
    ],
)
def test_numbers_that_do_not_fit_are_refused(arguments):
    with pytest.raises(LabError, match="expected"):
        from_numbers(*arguments)


def test_operands_longer_than_asked_for_are_refused():
    with pytest.raises(LabError, match="from 0 to 99 for 2 digits; got 123"):
        parse("123+4", n_digits=2)
    with pytest.raises(LabError, match="1 to 20 digits"):
        parse("1" * 21 + "+1")


def test_questions_of_another_length_than_the_format_are_refused():
    with pytest.raises(LabError, match="expected questions of 4 digits; got 3"):
        parse("123+456").tokens(Format(4))


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


def test_rows_can_be_taken_by_number_slice_and_mask():
    questions = all_additions(1)
    assert [questions[i].text() for i in (0, 42, -1)] == ["0+0=+00", "4+2=+06", "9+9=+18"]
    assert questions[5:7].text(1) == "0+6=+06"
    carries = questions[questions.first[:, 0] + questions.second[:, 0] > 9]
    assert class_counts(carries) == {"S1": 45}
    assert class_counts(questions) == {"S0": 55, "S1": 45}


def test_classes_of_mixed_operators_follow_each_rows_operator():
    first, second = (torch.tensor([[1, 1], [1, 1]]) for _ in range(2))
    assert Questions(first, second, torch.tensor([False, True])).classes() == ["S0", "M0"]
    assert class_counts(from_numbers([5, 10], [7, 9], 2, subtract=True)) == {"M1": 1, "N1": 1}


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
        text = read(row)
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


def test_joined_questions_keep_their_order_and_add_up_their_logs():
    a, b = (uniform(3, count, np.random.default_rng(count), subtract=count > 4) for count in (4, 6))
    c = of_class("N2", 3, 2, np.random.default_rng(0))
    both = join([a, b, c])
    assert [both.text(i) for i in range(12)] == [
        part.text(i) for part in (a, b, c) for i in range(len(part))
    ]
    assert both.log == {"uniform": 10, "N2": 2}
    assert (a.log, b.log) == ({"uniform": 4}, {"uniform": 6})

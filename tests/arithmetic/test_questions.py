"""Format, text and tokens of questions, the generators, and every bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.arithmetic.questions import (
    Format,
    Questions,
    all_additions,
    class_counts,
    enriched,
    from_numbers,
    of_class,
    parse,
    short_carries,
    uniform,
)
from helpers.errors import LabError
from tests.arithmetic import reference

pytestmark = pytest.mark.core
SYMBOLS = "0123456789+-="


def read(tokens: torch.Tensor) -> str:
    return "".join(SYMBOLS[token] for token in tokens.tolist())


@pytest.mark.parametrize(
    ("n_digits", "n_ctx", "op", "equals", "sign", "a_n", "last"), [(5, 19, 5, 11, 12, 13, 18), (6, 22, 6, 13, 14, 15, 21)]
)
def test_positions_are_those_of_the_papers_table(n_digits, n_ctx, op, equals, sign, a_n, last):
    fmt = Format(n_digits)
    assert (fmt.n_ctx, fmt.operator_position, fmt.equals_position) == (n_ctx, op, equals)
    assert (fmt.answer_position(n_digits), fmt.answer_position(0), fmt.n_answer) == (a_n, last, n_digits + 2)
    assert fmt.operand_positions(0) == (n_digits - 1, 2 * n_digits)
    assert fmt.operand_positions(n_digits - 1) == (0, n_digits + 1)
    assert fmt.position_labels[sign] == "±"
    assert len(fmt.position_labels) == n_ctx


def test_labels_name_what_the_tokens_hold():
    assert Format(2).position_labels == ["D1", "D0", "op", "D'1", "D'0", "=", "±", "A2", "A1", "A0"]
    assert Format(2, has_sign=False, prefix=(20,)).position_labels[:2] == ["^", "D1"]
    assert Format(2, has_sign=False).answer_labels == ["A2", "A1", "A0"]


@pytest.mark.parametrize("text", ["133357+182243=+0315600", "123450-345670=-0222220", "7-7=+00", "0-0=+00", "99+99=+198"])
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
@given(numbers(), st.permutations(range(40)), st.booleans(), st.lists(st.integers(0, 60), max_size=3))
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
    "text", ["", "5", "+", "5+", "+5", "5+7+8", "5-7-8", "5+-7", "-5+7", "5*7", "a+b", "٣+١", "1.5+2", "1e3+2", "5 5+7"]
)
def test_text_that_is_no_question_is_refused(text):
    with pytest.raises(LabError, match="expected a question"):
        parse(text)


@pytest.mark.parametrize(
    "arguments",
    [([1000], [0], 3), ([0], [-1], 3), ([1.5], [2], 3), (["1"], [2], 3), ([1, 2], [3], 3), ([1], [1], 0), ([1], [1], 21)],
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
    for make in (uniform, enriched):
        with pytest.raises(LabError, match="1 to 20 digits"):
            make(n_digits, 5, rng)
    with pytest.raises(LabError, match="1 to 20 digits"):
        of_class("S1", n_digits, 5, rng)


@pytest.mark.parametrize("name", ["S4", "M3", "N0", "N4", "s1", "", "X", "S-1"])
def test_classes_that_do_not_exist_are_refused(name):
    with pytest.raises(LabError, match="expected a class among"):
        of_class(name, 3, 5, np.random.default_rng(0))


@pytest.mark.parametrize("shares", [{"p_slots": -0.1}, {"p_slots": 0.6, "p_cascade": 0.6}, {"p_slot": 1.1}])
def test_shares_that_are_no_probabilities_are_refused(shares):
    with pytest.raises(LabError, match="at most 1"):
        enriched(3, 5, np.random.default_rng(0), **shares)


@pytest.mark.parametrize("subtract", [False, True])
def test_the_log_says_what_the_mixture_drew(subtract):
    questions = enriched(6, 20_000, np.random.default_rng(0), subtract, p_slots=0.25, p_cascade=0.35)
    assert sum(questions.log.values()) == len(questions) == 20_000
    for kind, share in (("uniform", 0.40), ("slots", 0.25), ("cascade", 0.35)):
        assert questions.log[kind] == pytest.approx(20_000 * share, abs=5 * (20_000 * share * (1 - share)) ** 0.5)
    rare = class_counts(questions)["N6" if subtract else "S6"]  # 1 of 13 classes, or of 7; never seen in a uniform sample
    expected = questions.log["cascade"] / (12 if subtract else 7)
    assert rare == pytest.approx(expected, rel=0.2)


@pytest.mark.parametrize("subtract", [False, True])
def test_slots_force_nines_or_ties_and_nothing_else(subtract):
    questions = enriched(6, 20_000, np.random.default_rng(0), subtract, p_slots=1, p_cascade=0, p_slot=0.4)
    hit = questions.first == questions.second if subtract else questions.first + questions.second == 9
    assert hit.double().mean() == pytest.approx(0.4 + 0.6 * 0.1, abs=0.01)  # 120 000 columns: 7 standard errors


@pytest.mark.parametrize("make", [uniform, enriched, lambda n, count, rng: of_class("S2", n, count, rng)])
def test_one_seed_gives_one_batch(make):
    one, same, other = (make(6, 200, np.random.default_rng(seed)).tokens(Format(6)) for seed in (1, 1, 2))
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
    assert counts["S1"] == pytest.approx(40_000 * share, abs=5 * (40_000 * share * (1 - share)) ** 0.5)
    assert len(short_carries(20, 1, np.random.default_rng(0), max_cascade=1)) == 1
    with pytest.raises(LabError, match="at least 1"):
        short_carries(3, 5, np.random.default_rng(0), max_cascade=0)

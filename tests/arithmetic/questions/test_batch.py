"""Text, tokens, classes and rows of questions, and every bad input."""

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
    from_numbers,
    join,
    of_class,
    parse,
    uniform,
)
from helpers.errors import LabError
from tests.arithmetic import reference

pytestmark = pytest.mark.core
SYMBOLS = "0123456789+-="


def read(tokens: torch.Tensor) -> str:
    return "".join(SYMBOLS[token] for token in tokens.tolist())


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


def test_joined_questions_keep_their_order_and_add_up_their_logs():
    a, b = (uniform(3, count, np.random.default_rng(count), subtract=count > 4) for count in (4, 6))
    c = of_class("N2", 3, 2, np.random.default_rng(0))
    both = join([a, b, c])
    assert [both.text(i) for i in range(12)] == [
        part.text(i) for part in (a, b, c) for i in range(len(part))
    ]
    assert both.log == {"uniform": 10, "N2": 2}
    assert (a.log, b.log) == ({"uniform": 4}, {"uniform": 6})

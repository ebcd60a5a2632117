"""The look-back rule: its exact failure rate by enumeration, and the comparison with a model."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch

from helpers.arithmetic.circuit.lookback import compare, failure_rate, lookback_answer
from helpers.arithmetic.questions import (
    Format,
    Questions,
    all_additions,
    from_numbers,
    of_class,
    parse,
    uniform,
)
from helpers.errors import LabError

pytestmark = pytest.mark.core


def rule_fails(word: tuple[str, ...]) -> bool:
    """Whether the rule's carry into some column is wrong.

    Columns are l(ow), n(ine) or c(arry), units first.
    """
    carry = False
    for k, column in enumerate(word):
        carry = column == "c" or (column == "n" and carry)
        looked_back = column == "c" or (column == "n" and k > 0 and word[k - 1] == "c")
        if carry != looked_back:
            return True
    return False


@pytest.mark.parametrize("n_digits", range(1, 9))
def test_the_exact_rate_equals_a_count_over_all_column_types(n_digits):
    share = {"l": Fraction(45, 100), "n": Fraction(10, 100), "c": Fraction(45, 100)}
    total = Fraction(0)
    for word in product(share, repeat=n_digits):
        if rule_fails(word):
            weight = Fraction(1)
            for column in word:
                weight *= share[column]
            total += weight
    assert failure_rate(n_digits) == pytest.approx(float(total), rel=1e-12)


@pytest.mark.parametrize(
    ("n_digits", "percent"), [(3, 0.45), (4, 0.90), (5, 1.35), (6, 1.80), (10, 3.57)]
)
def test_the_exact_rate_equals_the_published_one(n_digits, percent):
    assert 100 * failure_rate(n_digits) == pytest.approx(percent, abs=0.005)


@pytest.mark.parametrize("n_digits", [1, 2, 3])
def test_on_every_short_question_it_fails_exactly_on_s3(n_digits):
    questions = all_additions(n_digits)
    wrong = (lookback_answer(questions) != questions.answer_digits()).any(1)
    assert int(wrong.sum()) == round(failure_rate(n_digits) * len(questions))
    assert wrong.tolist() == [name == "S3" for name in questions.classes()]


@pytest.mark.parametrize("name", ["S0", "S1", "S2", "S3", "S4", "S6", "S9"])
def test_on_long_questions_it_fails_exactly_from_s3_on(name):
    questions = of_class(name, 9, 2000, np.random.default_rng(0))
    wrong = (lookback_answer(questions) != questions.answer_digits()).any(1)
    assert wrong.all() if int(name[1:]) >= 3 else not wrong.any()


def test_its_wrong_answer_drops_the_carry_after_two_columns():
    assert lookback_answer(parse("77778+22222"))[0].flip(0).tolist() == [0, 9, 9, 0, 0, 0]


def test_subtractions_are_refused():
    with pytest.raises(LabError, match="additions only"):
        lookback_answer(parse("5-3"))


def answer_tokens(questions: Questions, digits: torch.Tensor, fmt: Format) -> torch.Tensor:
    """Answer tokens that a model would give for these digits."""
    written = torch.tensor(fmt.digit_ids)[digits.flip(1)]
    return (
        torch.cat([torch.full((len(questions), 1), fmt.plus), written], dim=1)
        if fmt.has_sign
        else written
    )


FORMATS = [Format(5), Format(5, has_sign=False), Format(5, digit_ids=tuple(range(20, 30)))]


@pytest.mark.parametrize("fmt", FORMATS)
def test_a_model_that_is_the_rule_agrees_on_every_question(fmt):
    questions = uniform(5, 20_000, np.random.default_rng(0))
    result = compare(questions, answer_tokens(questions, lookback_answer(questions), fmt), fmt)
    (both_right, only_model), (only_rule, both_wrong) = result.contingency().tolist()
    assert (only_model, only_rule) == (0, 0)
    assert both_right + both_wrong == 20_000
    assert both_wrong == pytest.approx(270, abs=5 * 270**0.5)
    assert result.same_mistake() == (both_wrong, both_wrong)
    assert not result.wrong_digits()[:, :2].any()
    assert all(row["agree"] == row["questions"] for row in result.by_class().values())


@pytest.mark.parametrize("fmt", FORMATS)
def test_disagreements_are_counted_where_they_are(fmt):
    questions = from_numbers(
        [77778, 77778, 77778, 11111, 11111], [22222, 22222, 22222, 11111, 11111], 5
    )
    digits = lookback_answer(questions)
    digits[0] = questions.answer_digits()[0]  # right where the rule is wrong
    digits[1, 0] = 7  # wrong as the rule, but another mistake
    digits[3, 4] = 9  # wrong where the rule is right
    result = compare(questions, answer_tokens(questions, digits, fmt), fmt)
    assert result.contingency().tolist() == [[1, 1], [1, 2]]
    assert result.same_mistake() == (1, 2)
    assert result.by_class() == {
        "S0": {"questions": 2, "rule_fails": 0, "model_fails": 1, "agree": 1},
        "S5": {"questions": 3, "rule_fails": 3, "model_fails": 2, "agree": 2},
    }
    only_rule, only_model, both = result.wrong_digits().T.tolist()
    assert only_model == [1, 0, 0, 0, 1, 0]
    assert only_rule == [0, 0, 0, 1, 1, 1]
    assert both == [0, 0, 0, 2, 2, 2]


def test_a_token_that_is_no_digit_counts_as_wrong():
    questions, fmt = parse("11111+11111"), Format(5)
    tokens = answer_tokens(questions, questions.answer_digits(), fmt)
    tokens[0, -1] = 14  # beyond every id of the format
    result = compare(questions, tokens, fmt)
    assert result.model_fails.tolist() == [True]
    assert int(result.model[0, 0]) == -1

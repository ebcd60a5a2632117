"""The composed sub-tasks against Python's integers, and each sub-task against its definition."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.arithmetic.questions import Questions, all_additions, from_numbers, parse
from helpers.arithmetic.questions import algorithm as alg
from helpers.arithmetic.questions.algorithm import U

pytestmark = pytest.mark.core


def number(digits: torch.Tensor) -> torch.Tensor:
    return (digits * 10 ** torch.arange(digits.shape[1])).sum(1)


@pytest.mark.parametrize("subtract", [False, True])
@pytest.mark.parametrize("n_digits", [1, 2, 3])
def test_composed_it_equals_integer_arithmetic_on_every_question(n_digits, subtract):
    every = all_additions(n_digits)
    assert len(every) == 10 ** (2 * n_digits)
    questions = Questions(every.first, every.second, torch.full((len(every),), subtract))
    first, second = (
        torch.arange(len(every)) // 10**n_digits,
        torch.arange(len(every)) % 10**n_digits,
    )
    negative, digits = alg.answer(questions)
    assert ((digits >= 0) & (digits <= 9)).all()
    assert torch.equal(
        number(digits) * (1 - 2 * negative.long()), first - second if subtract else first + second
    )
    assert not (negative & (number(digits) == 0)).any()  # zero is written with a plus


@st.composite
def long_questions(draw) -> tuple[int, int, int, bool]:
    """Up to 20 digits, with runs of nines or ties far more often than by chance."""
    n_digits = draw(st.integers(1, 20))
    subtract = draw(st.booleans())
    first = draw(st.lists(st.integers(0, 9), min_size=n_digits, max_size=n_digits))
    free = draw(
        st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=n_digits, max_size=n_digits)
    )
    second = [
        (d if subtract else 9 - d) if e is None else e for d, e in zip(first, free, strict=True)
    ]
    return n_digits, int("".join(map(str, first))), int("".join(map(str, second))), subtract


@settings(max_examples=400, deadline=None)
@given(long_questions())
def test_composed_it_equals_integer_arithmetic_on_long_questions(question):
    n_digits, first, second, subtract = question
    negative, digits = alg.answer(from_numbers([first], [second], n_digits, subtract))
    magnitude = int("".join(map(str, reversed(digits[0].tolist()))))
    assert (-magnitude if negative[0] else magnitude) == (
        first - second if subtract else first + second
    )
    assert not (bool(negative[0]) and magnitude == 0)


COLUMN = {  # sub-task: its definition for one column, from the paper's table
    "sa": lambda d, e: (d + e) % 10,
    "sc": lambda d, e: int(d + e >= 10),
    "ss": lambda d, e: int(d + e == 9),
    "st": lambda d, e: 0 if d + e <= 8 else U if d + e == 9 else 1,
    "md": lambda d, e: (d - e) % 10,
    "mb": lambda d, e: int(d < e),
    "mz": lambda d, e: int(d == e),
    "mt": lambda d, e: 1 if d > e else 0 if d == e else -1,
    "nd": lambda d, e: (e - d) % 10,
    "nb": lambda d, e: int(e < d),
    "gt": lambda d, e: int(d > e),
}


@pytest.mark.parametrize("name", COLUMN)
def test_a_column_sub_task_has_its_definition_in_every_column(name):
    pairs = torch.tensor(list(product(range(10), repeat=2)))
    first, second = (pairs[:, [i, i, i]] for i in (0, 1))
    expected = torch.tensor([COLUMN[name](int(d), int(e)) for d, e in pairs])
    found = getattr(alg, name)(first, second)
    assert torch.equal(found[:, 1:], expected[:, None].expand(-1, 2))
    if name != "st":
        assert torch.equal(found[:, 0], expected)


def test_the_units_are_never_undecided_and_keep_their_carry():
    pairs = torch.tensor(list(product(range(10), repeat=2)))
    case = alg.st(pairs[:, :1], pairs[:, 1:])[:, 0]
    assert torch.equal(
        case, (pairs.sum(1) >= 10).long()
    )  # the paper's equation would make all of them 0


def test_tri_add_is_associative_and_lets_the_higher_decide():
    for high, middle, low in product((0, U, 1), repeat=3):
        a, b, c = (torch.tensor([x]) for x in (high, middle, low))
        assert torch.equal(alg.tri_add(a, alg.tri_add(b, c)), alg.tri_add(alg.tri_add(a, b), c))
        assert alg.tri_add(a, b).item() == (middle if high == U else high)


def test_the_cascaded_carry_is_the_papers_fold_from_the_top_down():
    questions = all_additions(3, 0, 1_000_000)
    case = alg.st(questions.first, questions.second)
    folded = alg.tri_add(alg.tri_add(case[:, 2], case[:, 1]), case[:, 0])
    assert torch.equal(folded, alg.sv(questions.first, questions.second)[:, 2])


def test_cascaded_carry_and_borrow_are_those_of_the_truncated_numbers():
    questions = all_additions(3)
    first, second = questions.first, questions.second
    for k in range(3):
        low, other = number(first[:, : k + 1]), number(second[:, : k + 1])
        assert torch.equal(alg.sv(first, second)[:, k], (low + other >= 10 ** (k + 1)).long())
        assert torch.equal(alg.mv(first, second)[:, k], (low < other).long())
        assert torch.equal(alg.nv(first, second)[:, k], (other < low).long())
    assert torch.equal(alg.at_least(first, second), number(first) >= number(second))


def test_a_tie_all_the_way_down_gives_no_borrow():
    tie = parse("000-000")
    assert (
        alg.mv(tie.first, tie.second).tolist()
        == alg.nv(tie.first, tie.second).tolist()
        == [[0, 0, 0]]
    )


def test_the_fold_of_differences_must_run_from_the_units_up():
    zero, less = torch.tensor([0]), torch.tensor([-1])
    assert alg.tri_subtract(zero, alg.tri_subtract(zero, less)).item() == -1  # 000 - 001 borrows
    assert (
        alg.tri_subtract(alg.tri_subtract(zero, zero), less).item() == 1
    )  # so another order would be wrong

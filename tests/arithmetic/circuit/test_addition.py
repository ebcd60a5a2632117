"""Matched pairs and predicted answers, against Python's integers and the paper's own tests."""

import numpy as np
import pytest
import torch

from helpers.arithmetic.circuit.addition import SA, SC, ST, SUBTASKS, SV, UNDECIDED
from helpers.arithmetic.questions import Format, Questions, from_numbers, uniform
from helpers.errors import LabError

pytestmark = pytest.mark.core

COUNT = 40
CASES = [
    (task, k, n) for n in (1, 2, 3, 5, 11) for task in SUBTASKS.values() for k in task.digits(n)
]
NAMED = [pytest.param(*case, id=f"{case[0].name}{case[1]}-d{case[2]}") for case in CASES]


def numbers(questions: Questions) -> list[tuple[int, int]]:
    def number(digits) -> int:
        return int("".join(str(d) for d in reversed(digits)))

    return [
        (number(d), number(e))
        for d, e in zip(questions.first.tolist(), questions.second.tolist(), strict=True)
    ]


def integer(row: torch.Tensor) -> int:
    return sum(int(d) * 10**k for k, d in enumerate(row))


def column(d: int, e: int, k: int) -> tuple[int, int]:
    return d // 10**k % 10, e // 10**k % 10


def case(d: int, e: int, k: int) -> int:
    """0 no carry, 1 undecided, 2 carry: the tri-case in its order. Units are never undecided."""
    total = sum(column(d, e, k))
    return 2 if total >= 10 else 1 if total == 9 and k else 0


def carry(d: int, e: int, k: int) -> int:
    """The carry out of columns k … 0."""
    return (d % 10 ** (k + 1) + e % 10 ** (k + 1)) // 10 ** (k + 1)


def with_digit(number: int, k: int, change: int) -> int:
    """One decimal digit moved modulo 10, the others as they are."""
    digit = number // 10**k % 10
    return number + ((digit + change) % 10 - digit) * 10**k


def value(name: str, d: int, e: int, k: int) -> int:
    if name == "SA":
        return sum(column(d, e, k)) % 10
    return case(d, e, k) if name == "ST" else carry(d, e, k)


def predicted(name: str, stored: tuple[int, int], clean: tuple[int, int], k: int) -> int:
    """The answer when one value is exchanged, from whole numbers alone."""
    if name == "ST":  # column k differs: above it the stored sum is right, below it the clean one
        part = 10 ** (k + 1)
        return sum(stored) // part * part + sum(clean) % part
    change = value(name, *stored, k) - value(name, *clean, k)
    return with_digit(sum(clean), k if name == "SA" else k + 1, change)


def draw(task, k, n, null=False, seed=0):
    pairs = task.pairs(k, n, COUNT, np.random.default_rng(seed), null)
    return pairs, list(zip(numbers(pairs.stored), numbers(pairs.clean), strict=True))


@pytest.mark.parametrize(("task", "k", "n"), NAMED)
def test_the_predicted_answer_is_the_one_of_whole_numbers(task, k, n):
    pairs, rows = draw(task, k, n)
    assert len(rows) == len(pairs.expected) == COUNT
    for (stored, clean), expected, tolerated in zip(
        rows, pairs.expected, pairs.tolerated, strict=True
    ):
        wanted = predicted(task.name, stored, clean, k)
        assert integer(expected) == wanted != sum(clean)
        if task.name == "ST":  # the neighbour may stay; the digits above it do change
            step = 10 ** (k + 2)
            assert integer(tolerated) == wanted // step * step + sum(clean) % step
            assert wanted // step != sum(clean) // step
        else:
            assert integer(tolerated) == wanted


@pytest.mark.parametrize(("task", "k", "n"), NAMED)
@pytest.mark.parametrize("null", [False, True])
def test_pairs_differ_only_where_the_test_says(task, k, n, null):
    _, rows = draw(task, k, n, null)
    for stored, clean in rows:
        differing = {j for j in range(n) if column(*stored, j) != column(*clean, j)}
        if task.name == "SV":
            assert differing
            assert max(differing) < k
            assert sum(column(*clean, k)) == 9
        else:
            assert differing == {k}
        same = value(task.name, *stored, k) == value(task.name, *clean, k)
        assert same == null
        sums = [sum(column(*pair, k)) for pair in (stored, clean)]
        if task.name == "SC" and k:
            assert 9 not in sums
        if task.name == "U":
            assert carry(*clean, k - 1) == 1
            assert max(sums) <= 9
            assert (sums[0] == 9) == (sums[1] == 9) if null else min(sums) < 9 == max(sums)
        if task.name == "ST":
            assert sum(column(*clean, k + 1)) == 9


@pytest.mark.parametrize(("task", "k", "n"), NAMED)
def test_null_pairs_predict_the_clean_answer(task, k, n):
    pairs, rows = draw(task, k, n, null=True)
    for (_, clean), expected, tolerated in zip(rows, pairs.expected, pairs.tolerated, strict=True):
        assert integer(expected) == integer(tolerated) == sum(clean)
    assert not pairs.rises.any()


@pytest.mark.parametrize(("task", "k", "n"), NAMED)
def test_direction_is_that_of_the_value_and_turns_round_with_the_pair(task, k, n):
    pairs, rows = draw(task, k, n)
    rises = [value(task.name, *stored, k) > value(task.name, *clean, k) for stored, clean in rows]
    assert pairs.rises.tolist() == rises
    assert 0 < sum(rises) < COUNT  # both directions are drawn
    back = task.swap(pairs, k)
    assert torch.equal(back.rises, ~pairs.rises)
    assert numbers(back.stored) == numbers(pairs.clean)
    assert numbers(back.clean) == numbers(pairs.stored)
    for (stored, clean), expected in zip(rows, back.expected, strict=True):
        assert integer(expected) == predicted(task.name, clean, stored, k)


def test_a_carry_into_a_nine_rises_although_the_predicted_number_falls():
    stored, clean = (from_numbers([55], [second], 2) for second in (45, 42))
    pairs = SC.predicted(stored, clean, 0)  # 97 becomes 9|7 + carry = 07
    assert integer(pairs.expected[0]) == 7
    assert pairs.rises.tolist() == [True]


@pytest.mark.parametrize(("task", "k", "n"), NAMED)
def test_three_tests_tell_three_kinds_of_carry_apart(task, k, n):
    """Which of SC, ST and SV differ between stored and clean: the module's table."""
    flips = {"SC": (True, True, True), "U": (False, True, True), "SV": (False, False, True)}
    for stored, clean in draw(task, k, n)[1]:
        sums = sum(column(*stored, k)), sum(column(*clean, k))
        differ = (
            (sums[0] > 9) != (sums[1] > 9),
            case(*stored, k) != case(*clean, k),
            carry(*stored, k) != carry(*clean, k),
        )
        if task.name in flips:
            assert differ == flips[task.name]


def test_the_papers_own_tests_are_special_cases():
    """arXiv 2402.02619, patch tests of SA and SC for 6 digits.

    Numbers of one repeated digit, with one digit changed.
    """

    def ask(first: int, second: int) -> Questions:
        return from_numbers([first], [second], 6)

    for k in range(6):
        e = 10**k
        assert (
            integer(SA.predicted(ask(222222, 111111), ask(555555, 444444), k).expected[0])
            == 999999 + (3 - 9) * e
        )
        assert (
            integer(SA.predicted(ask(222222, 666666), ask(555555, 111111), k).expected[0])
            == 666666 + (8 - 6) * e
        )
        assert (
            integer(SC.predicted(ask(222222, 666666 + 3 * e), ask(333333, 555555), k).expected[0])
            == 888888 + 10 * e
        )


CASCADES = [  # (stored, k, clean, answer): the cascade tests of the paper's first version, 5 digits
    ((77711, 22711), 2, (44444, 55555), 109999),
    ((11171, 11171), 1, (44444, 55555), 100999),
    ((11171, 11171), 1, (4444, 5555), 10999),
    ((11171, 11171), 1, (444, 555), 1999),
    ((11117, 11117), 0, (44444, 55555), 100099),
    ((11117, 11117), 0, (4444, 5555), 10099),
    ((11117, 11117), 0, (444, 555), 1099),
]


@pytest.mark.parametrize(("stored", "k", "clean", "answer"), CASCADES)
def test_the_papers_cascades_are_tolerated_and_the_full_cascade_expected(stored, k, clean, answer):
    """There the digit above the stored column stayed nine, "because another node feeds it"."""
    pairs = ST.predicted(
        from_numbers([stored[0]], [stored[1]], 5), from_numbers([clean[0]], [clean[1]], 5), k
    )
    assert integer(pairs.tolerated[0]) == answer
    assert integer(pairs.expected[0]) == answer - 9 * 10 ** (k + 1)


def test_a_stored_no_carry_leaves_the_papers_nines_alone():
    pairs = ST.predicted(from_numbers([11111], [33333], 5), from_numbers([44444], [55555], 5), 0)
    assert integer(pairs.expected[0]) == 99999


@pytest.mark.parametrize(
    "fmt", [Format(3), Format(3, has_sign=False), Format(3, tuple(range(5, 15)), 1, 2, 3)]
)
def test_only_the_whole_predicted_answer_counts(fmt):
    pairs = ST.pairs(0, 3, COUNT, np.random.default_rng(0))

    def tokens(digits: torch.Tensor) -> torch.Tensor:
        sign = [fmt.plus] if fmt.has_sign else []
        return torch.tensor(
            [[*sign, *(fmt.digit_ids[d] for d in reversed(row))] for row in digits.tolist()]
        )

    assert pairs.predicts(tokens(pairs.expected), fmt).all()
    assert pairs.predicts(tokens(pairs.tolerated), fmt).all()
    assert not pairs.predicts(tokens(pairs.clean.answer_digits()), fmt).any()
    assert not pairs.predicts(tokens(pairs.expected.flip(1)), fmt).all()
    for digit in range(4):  # one wrong digit, or a wrong sign, is a miss
        wrong = pairs.expected.clone()
        wrong[:, digit] = (wrong[:, digit] + 5) % 10  # never the tolerated digit, which is one away
        assert not pairs.predicts(tokens(wrong), fmt).any()
    if fmt.has_sign:
        signed = tokens(pairs.expected)
        signed[:, 0] = fmt.minus
        assert not pairs.predicts(signed, fmt).any()


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("task", SUBTASKS.values(), ids=list(SUBTASKS))
def test_one_seed_gives_the_same_pairs_and_another_seed_others(task, null):
    (_, rows), (_, again), (_, other) = (draw(task, 1, 3, null, seed) for seed in (0, 0, 1))
    assert rows == again
    assert len(set(rows) & set(other)) < COUNT / 4
    assert len(set(rows)) > COUNT / 2  # pairs are many, not one repeated


@pytest.mark.parametrize(
    ("task", "k", "n"),
    [
        (SA, 3, 3),
        (SA, -1, 3),
        (SC, 3, 3),
        (UNDECIDED, 0, 3),
        (SV, 0, 3),
        (ST, 2, 3),
        (ST, 0, 1),
        (SV, 1, 1),
    ],
)
def test_digits_without_a_test_are_refused(task, k, n):
    with pytest.raises(LabError, match=f"for {task.name}.*got digit {k} of {n}-digit"):
        task.pairs(k, n, 4, np.random.default_rng(0))
    some = uniform(n, 4, np.random.default_rng(0))
    with pytest.raises(LabError, match="got digit"):
        task.predicted(some, some, k)


def test_digits_of_short_questions():
    def digits(n: int) -> dict[str, list[int]]:
        return {name: list(task.digits(n)) for name, task in SUBTASKS.items()}

    assert digits(1) == {"SA": [0], "SC": [0], "U": [], "SV": [], "ST": []}
    assert digits(2) == {"SA": [0, 1], "SC": [0, 1], "U": [1], "SV": [1], "ST": [0]}


def test_positions_are_those_of_the_published_map():
    """Model add_d6_l2_h3_t15K_s372001: SC4…SC0 at P15–P19, SA5…SA0 at P15–P20.

    Its ST nodes lie between D'_k and the sign.
    """
    fmt = Format(6)
    assert [SA.positions(fmt, k) for k in range(5, -1, -1)] == [[p] for p in range(15, 21)]
    for task in (SC, UNDECIDED, SV):
        assert [task.positions(fmt, k) for k in range(4, 0, -1)] == [[p] for p in range(15, 19)]
    assert SC.positions(fmt, 0) == [19]
    assert SC.positions(fmt, 5) == [14]  # A_6, the leading 0 or 1, is predicted at the sign
    for k, published in ((0, {13}), (1, {11, 13}), (2, {11}), (3, {12}), (4, {14})):
        positions = ST.positions(fmt, k)
        assert published <= set(positions)
        assert (min(positions), max(positions)) == (12 - k, 14)


def test_positions_follow_the_format():
    fmt = Format(2, has_sign=False, prefix=(13, 13))  # ^ ^ D1 D0 op D'1 D'0 = A2 A1 A0
    assert [SA.positions(fmt, k) for k in (0, 1)] == [[9], [8]]
    assert [SC.positions(fmt, k) for k in (0, 1)] == [[8], [7]]
    assert ST.positions(fmt, 0) == [6, 7]


@pytest.mark.parametrize(("k", "n"), [(2, 4), (4, 5), (5, 6)])
def test_the_cascade_test_is_not_passed_by_the_column_below(k, n):
    """A node that knows only SC_(k-1) hits where that column decides: in one pair of k."""
    pairs = SV.pairs(k, n, 400, np.random.default_rng(0))
    stored, clean = ((q.first + q.second)[:, k - 1] >= 10 for q in (pairs.stored, pairs.clean))
    assert abs(float((stored != clean).float().mean()) - 1 / k) < 0.1

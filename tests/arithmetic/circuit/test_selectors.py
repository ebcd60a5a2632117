"""The sign and the operator as interchange tests, against Python's integers."""

import numpy as np
import pytest
import torch

from helpers.arithmetic.circuit.selectors import GT, OP, OPR
from helpers.arithmetic.questions import Format, from_numbers, parse
from helpers.errors import LabError
from tests.arithmetic.circuit.test_subtraction import digit, integer, numbers

pytestmark = pytest.mark.core

COUNT = 40
SIZES = [(k, n) for n in (1, 3, 6) for k in range(n)]


def drawn(task, k, n, null=False):
    pairs = task.pairs(k, n, COUNT, np.random.default_rng(0), null)
    return pairs, list(zip(numbers(pairs.stored), numbers(pairs.clean), strict=True))


@pytest.mark.parametrize(("k", "n"), SIZES)
@pytest.mark.parametrize("null", [False, True])
def test_one_column_decides_the_sign_and_nothing_else_changes(k, n, null):
    pairs, rows = drawn(GT, k, n, null)
    assert pairs.stored.subtract.all()
    assert pairs.clean.subtract.all()
    for i, (stored, clean) in enumerate(rows):
        columns = [
            j
            for j in range(n)
            if any(digit(a, j) != digit(b, j) for a, b in zip(stored, clean, strict=True))
        ]
        assert columns == [k]
        for d, e in (stored, clean):
            assert d // 10 ** (k + 1) == e // 10 ** (k + 1)
            assert digit(d, k) != digit(e, k)
        assert ((stored[0] < stored[1]) == (clean[0] < clean[1])) == null
        assert bool(pairs.negative[i]) == (stored[0] < stored[1])
        assert integer(pairs.expected[i]) == integer(pairs.tolerated[i]) == abs(clean[0] - clean[1])
        assert bool(pairs.rises[i]) == (not null and stored[0] > stored[1])
    if not null:
        assert 0 < int(pairs.rises.sum()) < COUNT


def test_the_sign_turns_round_with_the_pair():
    pairs, _ = drawn(GT, 1, 3)
    back = GT.swap(pairs, 1)
    assert torch.equal(back.negative, ~pairs.negative)
    assert torch.equal(back.negative, pairs.clean.negative)
    assert torch.equal(back.expected, pairs.stored.answer_digits())
    assert torch.equal(GT.swap(pairs, 1, null=True).negative, pairs.stored.negative)


@pytest.mark.parametrize("k", range(6))
def test_the_papers_tests_of_the_sign(k):
    """arXiv 2402.02619, patch test of GT: 6 or 1 in column k, minus 2 there and 1 in the units."""
    e = 10**k
    sub, neg = (
        from_numbers([6 * e], [2 * e + 1], 6, subtract=True),
        from_numbers([e], [2 * e + 1], 6, subtract=True),
    )
    assert GT.predicted(sub, neg, k).negative.tolist() == [False]
    assert GT.predicted(neg, sub, k).negative.tolist() == [True]


def test_only_the_sign_token_is_asked_for():
    fmt = Format(3)
    pairs, _ = drawn(GT, 2, 3)
    truth = pairs.clean.tokens(fmt)[:, -fmt.n_answer :]
    assert not pairs.predicts(truth, fmt).any()
    flipped = truth.clone()
    flipped[:, 0] = fmt.plus + fmt.minus - truth[:, 0]
    assert pairs.predicts(flipped, fmt).all()
    flipped[:, 3] = (flipped[:, 3] + 1) % 10
    assert not pairs.predicts(flipped, fmt).any()


def test_a_sign_exchanged_below_the_deciding_column_changes_nothing():
    """Exact arithmetic, not the stored sign: the tens decide here, whatever the units say."""
    pairs = GT.predicted(parse("14-15", 2), parse("39-11", 2), 0)
    assert pairs.negative.tolist() == [False]
    assert GT.predicted(parse("14-15", 2), parse("19-11", 2), 0).negative.tolist() == [True]


def result(pair: tuple[int, int], minus: bool) -> int:
    return pair[0] - pair[1] if minus else pair[0] + pair[1]


@pytest.mark.parametrize(("k", "n"), SIZES)
@pytest.mark.parametrize("task", [OPR, OP], ids=["OPR", "OP"])
def test_one_digit_follows_the_other_operator(task, k, n):
    pairs, rows = drawn(task, k, n)
    minus = pairs.clean.subtract.tolist()
    assert torch.equal(pairs.stored.subtract, ~pairs.clean.subtract)
    assert pairs.rises.tolist() == minus
    assert 0 < sum(minus) < COUNT
    assert not pairs.negative.any()
    assert any(stored != clean for stored, clean in rows) == task.alone
    for i, (stored, clean) in enumerate(rows):
        assert min(stored[0] - stored[1], clean[0] - clean[1]) >= 0
        wanted = result(clean, minus[i])
        other = digit(result(clean, not minus[i]), k)
        assert digit(wanted, k) != other
        wanted += (other - digit(wanted, k)) * 10**k
        assert integer(pairs.expected[i]) == integer(pairs.tolerated[i]) == wanted
    assert torch.equal(task.swap(pairs, k).rises, ~pairs.rises)
    assert torch.equal(task.swap(pairs, k, null=True).expected, pairs.stored.answer_digits())


@pytest.mark.parametrize(("k", "n"), SIZES)
def test_the_null_of_opr_is_the_other_operator_with_the_same_digit(k, n):
    pairs, rows = drawn(OPR, k, n, null=True)
    assert torch.equal(pairs.stored.subtract, ~pairs.clean.subtract)
    for i, (stored, clean) in enumerate(rows):
        assert stored == clean
        assert digit(result(clean, False), k) == digit(result(clean, True), k)
        assert integer(pairs.expected[i]) == result(clean, bool(pairs.clean.subtract[i]))


@pytest.mark.parametrize(("k", "n"), SIZES)
def test_the_null_of_op_is_the_same_operator_with_other_digits(k, n):
    pairs, rows = drawn(OP, k, n, null=True)
    assert torch.equal(pairs.stored.subtract, pairs.clean.subtract)
    assert 0 < int(pairs.clean.subtract.sum()) < COUNT
    assert not pairs.rises.any()
    assert sum(stored == clean for stored, clean in rows) < COUNT / 4
    for i, (_, clean) in enumerate(rows):
        assert integer(pairs.expected[i]) == result(clean, bool(pairs.clean.subtract[i]))


def test_positions():
    fmt = Format(6)
    assert [GT.positions(fmt, k) for k in range(6)] == [[13]] * 6
    assert GT.positions(Format(6, has_sign=False), 0) == []
    for task in (OPR, OP):
        assert [task.positions(fmt, k) for k in range(5, -1, -1)] == [[p] for p in range(15, 21)]


@pytest.mark.parametrize("task", [GT, OPR, OP], ids=["GT", "OPR", "OP"])
@pytest.mark.parametrize(("k", "n"), [(3, 3), (-1, 3), (1, 1)])
def test_digits_without_a_test_are_refused(task, k, n):
    with pytest.raises(
        LabError, match=f"from 0 to {n - 1} for {task.name}.*got digit {k} of {n}-digit"
    ):
        task.pairs(k, n, 4, np.random.default_rng(0))
    with pytest.raises(LabError, match="got digit"):
        task.predicted(parse("7-5", n), parse("7-5", n), k)


def test_questions_that_are_no_pair_are_refused():
    with pytest.raises(LabError, match=r"subtractions for GT.*addition"):
        GT.predicted(parse("7-5"), parse("7+5"), 0)
    with pytest.raises(LabError, match="D >= D' for OP"):
        OPR.predicted(parse("5+7"), parse("5-7"), 0)
    with pytest.raises(LabError, match="same operands for OPR"):
        OPR.predicted(parse("8+5"), parse("7-5"), 0)
    assert OP.predicted(parse("8+5"), parse("7-5"), 0).expected.tolist() == [[2, 0]]

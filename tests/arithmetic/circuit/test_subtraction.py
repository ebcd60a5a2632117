"""Matched subtractions and predicted answers, against Python's integers and the paper's tests."""

import numpy as np
import pytest
import torch

from helpers import training
from helpers.arithmetic.circuit import addition
from helpers.arithmetic.circuit.pairs import Pairs
from helpers.arithmetic.circuit.patching import draw, rates
from helpers.arithmetic.circuit.subtraction import MB, MD, MT, MV, NB, ND, SUBTASKS, Subtraction
from helpers.arithmetic.questions import Format, Questions, from_numbers, join, uniform
from helpers.arithmetic.training import RECIPES
from helpers.errors import LabError
from helpers.interventions import all_nodes

pytestmark = pytest.mark.core

COUNT = 40
TASKS = [task for task in SUBTASKS.values() if isinstance(task, Subtraction)]
CASES = [
    pytest.param(task, k, n, id=f"{task.name}{k}-d{n}")
    for n in (1, 2, 3, 6)
    for task in TASKS
    for k in task.digits(n)
]


def integer(row) -> int:
    return sum(int(d) * 10**k for k, d in enumerate(row))


def numbers(questions: Questions) -> list[tuple[int, int]]:
    return [
        (integer(d), integer(e)) for d, e in zip(questions.first, questions.second, strict=True)
    ]


def digit(number: int, k: int) -> int:
    return number // 10**k % 10


def with_digit(number: int, k: int, change: int) -> int:
    """One decimal digit moved modulo 10, the others as they are."""
    return number + ((digit(number, k) + change) % 10 - digit(number, k)) * 10**k


def ordered(name: str, pair: tuple[int, int]) -> tuple[int, int]:
    """Minuend and subtrahend of the magnitude; the sign of the question is as the name says."""
    d, e = pair
    assert (d < e) == (name[0] == "N")
    return max(pair), min(pair)


def base(name: str, pair: tuple[int, int], k: int) -> int:
    x, y = ordered(name, pair)
    return (digit(x, k) - digit(y, k)) % 10


def borrow(name: str, pair: tuple[int, int], k: int) -> int:
    """The borrow out of columns k … 0."""
    x, y = ordered(name, pair)
    return int(x % 10 ** (k + 1) < y % 10 ** (k + 1))


def case(name: str, pair: tuple[int, int], k: int) -> int:
    """0 no borrow, 1 undecided, 2 borrow. Equal units never borrow."""
    x, y = (digit(number, k) for number in ordered(name, pair))
    return 2 if x < y else 1 if x == y and k else 0


def value(name: str, pair: tuple[int, int], k: int) -> int:
    return {"D": base, "T": case}.get(name[1], borrow)(name, pair, k)


def predicted(name: str, stored: tuple[int, int], clean: tuple[int, int], k: int) -> int:
    """The magnitude when one value is exchanged, from whole numbers alone."""
    (x, y), (a, b) = ordered(name, stored), ordered(name, clean)
    if name[1] == "T":  # above column k the stored difference is right, below it the clean one
        part = 10 ** (k + 1)
        return (x - y) // part * part + (a - b) % part
    change = value(name, stored, k) - value(name, clean, k)
    return with_digit(a - b, k, change) if name[1] == "D" else with_digit(a - b, k + 1, -change)


def drawn(task, k, n, null=False, seed=0):
    pairs = task.pairs(k, n, COUNT, np.random.default_rng(seed), null)
    assert pairs.stored.subtract.all()
    assert pairs.clean.subtract.all()
    return pairs, list(zip(numbers(pairs.stored), numbers(pairs.clean), strict=True))


@pytest.mark.parametrize(("task", "k", "n"), CASES)
def test_the_predicted_answer_is_the_one_of_whole_numbers(task, k, n):
    pairs, rows = drawn(task, k, n)
    assert len(rows) == len(pairs.expected) == COUNT
    assert (pairs.negative == (task.name[0] == "N")).all()
    for (stored, clean), expected, tolerated in zip(
        rows, pairs.expected, pairs.tolerated, strict=True
    ):
        wanted, truth = predicted(task.name, stored, clean, k), abs(clean[0] - clean[1])
        assert integer(expected) == wanted != truth
        if task.name[1] == "T":  # the neighbour may stay; the digits above it do change
            step = 10 ** (k + 2)
            assert integer(tolerated) == wanted // step * step + truth % step
            assert wanted // step != truth // step
        else:
            assert integer(tolerated) == wanted
            changed = [j for j in range(n + 1) if digit(wanted, j) != digit(truth, j)]
            assert changed == [k if task.name[1] == "D" else k + 1]


def differing_values(
    name: str, stored: tuple[int, int], clean: tuple[int, int], k: int
) -> tuple[bool, bool, bool]:
    """Whether the borrow of the column alone, its tri-state, and the cascaded borrow differ."""
    cases = case(name, stored, k), case(name, clean, k)
    return (
        (cases[0] == 2) != (cases[1] == 2),
        cases[0] != cases[1],
        borrow(name, stored, k) != borrow(name, clean, k),
    )


@pytest.mark.parametrize(("task", "k", "n"), CASES)
@pytest.mark.parametrize("null", [False, True])
def test_pairs_differ_only_where_the_test_says(task, k, n, null):
    flips = {"B": (True, True, True), "U": (False, True, True), "V": (False, False, True)}
    name = task.name
    for stored, clean in drawn(task, k, n, null)[1]:
        columns = {
            j
            for j in range(n)
            if any(digit(a, j) != digit(b, j) for a, b in zip(stored, clean, strict=True))
        }
        if name[1] == "V":
            assert columns
            assert max(columns) < k
            assert case(name, clean, k) == 1
        else:
            assert columns == {k}
        assert (value(name, stored, k) == value(name, clean, k)) == null
        cases = {case(name, pair, k) for pair in (stored, clean)}
        if name[1] == "D":
            assert len(cases) == 1
            assert all(borrow(name, stored, j) == borrow(name, clean, j) for j in range(n))
        if name[1] == "B":
            assert cases <= {0, 2}
        if name[1] == "U":
            assert cases <= {0, 1}
            assert borrow(name, clean, k - 1) == 1
        if name[1] == "T":
            assert digit(clean[0], k + 1) == digit(clean[1], k + 1)
        if name[1] in flips and not null:
            assert differing_values(name, stored, clean, k) == flips[name[1]]


@pytest.mark.parametrize(("task", "k", "n"), CASES)
def test_null_pairs_predict_the_clean_answer(task, k, n):
    pairs, rows = drawn(task, k, n, null=True)
    for (_, clean), expected, tolerated in zip(rows, pairs.expected, pairs.tolerated, strict=True):
        assert integer(expected) == integer(tolerated) == abs(clean[0] - clean[1])
    assert not pairs.rises.any()
    assert torch.equal(pairs.negative, pairs.clean.negative)
    differing = task.pairs(k, n, COUNT, np.random.default_rng(0))  # the clean answer even so
    swapped = task.swap(differing, k, null=True)
    assert torch.equal(swapped.expected, differing.stored.answer_digits())


@pytest.mark.parametrize(("task", "k", "n"), CASES)
def test_direction_is_that_of_the_value_and_turns_round_with_the_pair(task, k, n):
    pairs, rows = drawn(task, k, n)
    assert pairs.rises.tolist() == [
        value(task.name, stored, k) > value(task.name, clean, k) for stored, clean in rows
    ]
    assert 0 < int(pairs.rises.sum()) < COUNT  # both directions are drawn
    back = task.swap(pairs, k)
    assert torch.equal(back.rises, ~pairs.rises)
    assert (numbers(back.stored), numbers(back.clean)) == (
        numbers(pairs.clean),
        numbers(pairs.stored),
    )
    for (stored, clean), expected in zip(rows, back.expected, strict=True):
        assert integer(expected) == predicted(task.name, clean, stored, k)


def test_equal_units_never_borrow():
    """They are drawn as columns without a borrow; a greater digit there changes nothing."""
    for task in (MB, NB):
        pairs = task.pairs(0, 3, 400, np.random.default_rng(0))
        assert (pairs.stored.first == pairs.stored.second)[:, 0].any()
        assert (pairs.clean.first == pairs.clean.second)[:, 0].any()
    equal, greater = (from_numbers([d], [105], 3, subtract=True) for d in (305, 307))
    pairs = MT.predicted(equal, greater, 0)
    assert (integer(pairs.expected[0]), pairs.rises.tolist()) == (202, [False])


def every_subtraction(negative: bool) -> Questions:
    """All two-digit subtractions of one sign."""
    numbers_ = [(d, e) for d in range(100) for e in range(100) if (d < e) == negative]
    return from_numbers(*map(list, zip(*numbers_, strict=True)), 2, subtract=True)


@pytest.mark.parametrize(
    ("task", "k"), [(task, k) for task in (MD, MB, ND, NB) for k in task.digits(2)]
)
def test_any_subtraction_can_be_written_into_any_other(task, k):
    """Every clean question of two digits, each with three unrelated stored ones; top digit too."""
    clean = every_subtraction(task.mirrored)
    rng = np.random.default_rng(0)
    for _ in range(3):
        stored = clean[torch.from_numpy(rng.permutation(len(clean)))]
        pairs = task.predicted(stored, clean, k)
        wanted = [
            predicted(task.name, *pair, k)
            for pair in zip(numbers(stored), numbers(clean), strict=True)
        ]
        assert [integer(row) for row in pairs.expected] == wanted
        assert torch.equal(pairs.negative, clean.negative)


def repeated(d: int, n: int = 6) -> int:
    return int(str(d) * n)


@pytest.mark.parametrize("k", range(6))
def test_the_papers_own_tests_are_special_cases_but_for_nd_at_the_top_digit(k):
    """arXiv 2402.02619, patch tests of MD, MB, ND and NB for 6 digits.

    Numbers of repeated digits; for ND and NB the top digit is dropped.
    """
    e = 10**k

    def answer(task, stored: tuple[int, int], clean: tuple[int, int]) -> int:
        questions = (from_numbers([d], [s], 6, subtract=True) for d, s in (stored, clean))
        pairs = task.predicted(*questions, k)
        return integer(pairs.expected[0]) * (-1 if pairs.negative[0] else 1)

    dropped = {d: repeated(d, 5) for d in (2, 3, 6, 7, 9)}
    three, six, nine = repeated(3), repeated(6), repeated(9)
    assert answer(MD, (three, repeated(1)), (nine, repeated(4))) == 555555 + (2 - 5) * e
    assert answer(MD, (six, repeated(2)), (nine, repeated(3))) == 666666 + (4 - 6) * e
    first = answer(ND, (dropped[3], repeated(1)), (dropped[9], repeated(4)))
    second = answer(ND, (dropped[6], repeated(2)), (dropped[9], repeated(3)))
    if k < 5:
        assert (first, second) == (-344445 - (7 - 4) * e, -233334 - (5 - 3) * e)
        assert (
            answer(NB, (dropped[2], repeated(1) + 2 * e), (dropped[7], repeated(4)))
            == -366667 - 10 * e
        )
        assert (
            answer(MB, (repeated(2), repeated(1) + 2 * e), (repeated(7), repeated(4)))
            == 333333 - 10 * e
        )
    else:  # 0 - 1 and 0 - 2 into 0 - 4 and 0 - 3, the released code expects -644445 and -433334
        assert (first, second) == (-44445, -133334)


@pytest.mark.parametrize(
    "fmt", [Format(3), Format(3, has_sign=False), Format(3, tuple(range(5, 15)), 1, 2, 3)]
)
@pytest.mark.parametrize("task", [MT, ND], ids=["MT", "ND"])
def test_only_the_whole_predicted_answer_counts(fmt, task):
    pairs = task.pairs(0, 3, COUNT, np.random.default_rng(0))
    sign = [fmt.minus if task.mirrored else fmt.plus] if fmt.has_sign else []

    def tokens(digits: torch.Tensor) -> torch.Tensor:
        return torch.tensor(
            [[*sign, *(fmt.digit_ids[d] for d in reversed(row))] for row in digits.tolist()]
        )

    assert pairs.predicts(tokens(pairs.expected), fmt).all()
    assert pairs.predicts(tokens(pairs.tolerated), fmt).all()
    assert not pairs.predicts(tokens(pairs.clean.answer_digits()), fmt).any()
    assert pairs.reaches(tokens(pairs.tolerated), fmt).all()
    assert not pairs.reaches(tokens(pairs.clean.answer_digits()), fmt).any()
    above = pairs.expected.clone()
    above[:, -1] += 1  # A_3 is zero in all answers, clean or predicted
    assert pairs.reaches(tokens(above), fmt).all()
    assert not pairs.predicts(tokens(above), fmt).any()
    if fmt.has_sign:
        other = tokens(pairs.expected)
        other[:, 0] = fmt.plus + fmt.minus - sign[0]
        assert not pairs.predicts(other, fmt).any()


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("task", SUBTASKS.values(), ids=list(SUBTASKS))
def test_one_seed_gives_the_same_pairs_another_seed_others_and_half_go_each_way(task, null):
    k, n = task.lowest, 4

    def texts(pairs: Pairs) -> list[tuple[str, str]]:
        return [(pairs.stored.text(i), pairs.clean.text(i)) for i in range(COUNT)]

    rows, again, other = (
        texts(task.pairs(k, n, COUNT, np.random.default_rng(seed), null)) for seed in (0, 0, 1)
    )
    assert rows == again
    assert len(set(rows) & set(other)) < COUNT / 4
    assert len(set(rows)) > COUNT / 2  # pairs are many, not one repeated
    both = draw(task, k, n, COUNT, 0, null)
    half = COUNT // 2
    assert [(clean, stored) for stored, clean in texts(both)[:half]] == texts(both)[half:]
    if not null:
        assert int(both.rises.sum()) == half


BAD = [
    (MD, 3, 3),
    (ND, -1, 3),
    (MB, 2, 3),
    (NB, 0, 1),
    (MV, 0, 3),
    (MV, 2, 3),
    (MT, 1, 3),
    (SUBTASKS["NU"], 1, 2),
]


@pytest.mark.parametrize(("task", "k", "n"), BAD)
def test_digits_without_a_test_are_refused(task, k, n):
    with pytest.raises(LabError, match=f"for {task.name}.*got digit {k} of {n}-digit"):
        task.pairs(k, n, 4, np.random.default_rng(0))
    some = uniform(n, 4, np.random.default_rng(0), subtract=True)
    with pytest.raises(LabError, match="got digit"):
        task.predicted(some, some, k)


def test_questions_of_the_other_sign_or_operator_are_refused():
    more, less, plus = (
        from_numbers([d], [e], 3, subtract=s)
        for d, e, s in ((9, 5, True), (5, 9, True), (9, 5, False))
    )
    with pytest.raises(LabError, match=r"at least zero for MD.*005-009"):
        MD.predicted(more, less, 0)
    with pytest.raises(LabError, match=r"below zero for ND.*009-005"):
        ND.predicted(join([less, more]), join([less, less]), 0)
    with pytest.raises(LabError, match=r"for MD.*009\+005"):
        MD.predicted(plus, more, 0)


def test_digits_of_short_questions():
    def digits(n: int) -> dict[str, list[int]]:
        return {name[1]: list(task.digits(n)) for name, task in SUBTASKS.items() if name[0] == "M"}

    assert digits(1) == {"D": [0], "B": [], "U": [], "V": [], "T": []}
    assert digits(3) == {"D": [0, 1, 2], "B": [0, 1], "U": [1], "V": [1], "T": [0]}
    assert {task.name[1] for task in TASKS if task.mirrored} == set("DBUVT")
    for letter in "DBUVT":
        assert SUBTASKS[f"M{letter}"].digits(6) == SUBTASKS[f"N{letter}"].digits(6)


def test_positions_are_those_of_the_published_map():
    """MD and ND at P15–P20 beside SA, MB and NB at P15–P19 beside SC, the tri-state before P14."""
    fmt = Format(6)
    for name in ("MD", "ND"):
        assert [SUBTASKS[name].positions(fmt, k) for k in range(5, -1, -1)] == [
            [p] for p in range(15, 21)
        ]
    for name in ("MB", "NB", "MU", "NU", "MV", "NV"):
        for k in SUBTASKS[name].digits(6):
            assert SUBTASKS[name].positions(fmt, k) == addition.SC.positions(fmt, k) == [19 - k]
    for name in ("MT", "NT"):
        assert [SUBTASKS[name].positions(fmt, k) for k in (0, 3)] == [[12, 13], [9, 10, 11, 12, 13]]


@pytest.mark.parametrize(("k", "n"), [(2, 4), (4, 6)])
@pytest.mark.parametrize("name", ["MV", "NV"])
def test_the_cascade_test_is_not_passed_by_the_column_below(name, k, n):
    """A node that knows only MB_(k-1) hits where that column decides: in one pair of k."""
    pairs = SUBTASKS[name].pairs(k, n, 400, np.random.default_rng(0))
    alone = [
        [case(name, pair, k - 1) == 2 for pair in numbers(side)]
        for side in (pairs.stored, pairs.clean)
    ]
    share = np.mean([a != b for a, b in zip(*alone, strict=True)])
    assert abs(share - 1 / k) < 0.1


def test_no_set_of_an_untrained_model_passes():
    """Nor does it pass a null: its answers are wrong to begin with."""
    fmt = Format(3)
    model = training.build_model(RECIPES["mix-d3"]).eval()
    for task in SUBTASKS.values():
        last = task.digits(3)[-1]
        sets = [tuple(all_nodes(model, [position])) for position in task.positions(fmt, last)]
        for rate in rates(model, fmt, task, last, [*sets, sets[0][:1]], 20):
            assert (rate.hits, rate.null_hits) == (0, 0)

"""Classes, their exact shares and uniform draws, against enumeration by a second reference."""

import numpy as np
import pytest
from scipy.stats import chisquare

from helpers.arithmetic.questions import cascades
from tests.arithmetic import reference

pytestmark = pytest.mark.core
AUTOMATA = {"+": cascades.addition, "-": cascades.subtraction}


def every_question(n_digits: int) -> tuple[np.ndarray, np.ndarray]:
    """Operands of all 10^(2n) questions as numbers."""
    index = np.arange(10 ** (2 * n_digits))
    return index // 10**n_digits, index % 10**n_digits


def digits(numbers, n_digits: int) -> np.ndarray:
    return np.asarray(numbers)[:, None] // 10 ** np.arange(n_digits) % 10


def classify(operator: str, first, second, n_digits: int) -> np.ndarray:
    automaton = AUTOMATA[operator](n_digits)
    index = cascades.classify(automaton, digits(first, n_digits), digits(second, n_digits))
    return np.array(automaton.classes)[index]


@pytest.mark.parametrize("operator", "+-")
@pytest.mark.parametrize("n_digits", [1, 2])
def test_every_short_question_has_the_class_of_the_reference(operator, n_digits):
    first, second = every_question(n_digits)
    expected = [
        reference.class_of(a, operator, b, n_digits)
        for a, b in zip(first.tolist(), second.tolist(), strict=True)
    ]
    assert classify(operator, first, second, n_digits).tolist() == expected


def longest_run(starts: np.ndarray, goes_on: np.ndarray) -> np.ndarray:
    """Columns in the longest run of one that starts it and those directly above that go on.

    Both arrays are [column, question], units first.
    """
    longest = np.zeros(starts.shape[1], dtype=int)
    for lowest in range(len(starts)):
        unbroken, length = starts[lowest], starts[lowest].astype(int)
        for column in goes_on[lowest + 1 :]:
            unbroken = unbroken & column
            length = length + unbroken
        longest = np.maximum(longest, length)
    return longest


def by_definition(
    operator: str, first: np.ndarray, second: np.ndarray, n_digits: int
) -> np.ndarray:
    """Class of every question from its whole numbers, all questions at once; no state, no letters,
    no digits of the package.

    Carry columns sum to ten or more, and nines go on; borrow columns have D_k < D'_k, and equal
    columns go on, but not those above the highest non-zero column. N is D < D' as numbers.
    """
    powers = 10 ** np.arange(n_digits)[:, None]
    upper, lower = first // powers % 10, second // powers % 10
    if operator == "+":
        return np.char.add("S", longest_run(upper + lower >= 10, upper + lower == 9).astype(str))
    within = np.maximum(first, second) >= powers
    longest = longest_run(upper < lower, (upper == lower) & within)
    return np.char.add(np.where(first < second, "N", "M"), longest.astype(str))


@pytest.mark.parametrize("operator", "+-")
@pytest.mark.parametrize("n_digits", [1, 2, 3])
def test_all_questions_of_up_to_three_digits_have_the_class_and_share_of_the_definition(
    operator, n_digits
):
    first, second = every_question(n_digits)
    expected = by_definition(operator, first, second, n_digits)
    found = classify(operator, first, second, n_digits)
    assert len(found) == 10 ** (2 * n_digits)
    assert (found == expected).all()
    names, counts = np.unique(expected, return_counts=True)
    shares = cascades.frequencies(AUTOMATA[operator](n_digits), n_digits)
    assert sorted(shares) == names.tolist()  # every class occurs, and there is no other
    assert [round(shares[name] * len(found), 6) for name in names] == counts.tolist()


@pytest.mark.parametrize("operator", "+-")
@pytest.mark.parametrize("n_digits", [3, 6, 11, 18])
def test_long_questions_have_the_class_of_the_reference(operator, n_digits):
    rng = np.random.default_rng(n_digits)
    first, second = (rng.integers(10, size=(3000, n_digits)) for _ in range(2))
    tied = rng.random(first.shape) < 0.6  # or hardly any long cascade would be among them
    second = np.where(tied, 9 - first if operator == "+" else first, second)
    high = rng.integers(n_digits + 1, size=(3000, 1))  # and leading zeros
    first, second = (np.where(np.arange(n_digits) < high, x, 0) for x in (first, second))
    numbers = [(x * 10 ** np.arange(n_digits)).sum(1) for x in (first, second)]
    expected = [
        reference.class_of(int(a), operator, int(b), n_digits)
        for a, b in zip(*numbers, strict=True)
    ]
    assert classify(operator, *numbers, n_digits).tolist() == expected
    assert len(set(expected)) > min(n_digits, 8)


@pytest.mark.parametrize("operator", "+-")
@pytest.mark.parametrize("n_digits", [1, 2, 3])
def test_shares_equal_a_count_of_all_questions(operator, n_digits):
    found = classify(operator, *every_question(n_digits), n_digits)
    names, counts = np.unique(found, return_counts=True)
    shares = cascades.frequencies(AUTOMATA[operator](n_digits), n_digits)
    counted = dict(zip(names.tolist(), (counts / 10 ** (2 * n_digits)).tolist(), strict=True))
    assert {name: share for name, share in shares.items() if share} == pytest.approx(
        counted, rel=1e-12
    )


@pytest.mark.parametrize("operator", "+-")
@pytest.mark.parametrize("n_digits", [1, 2, 3, 5, 6])
def test_shares_equal_those_of_the_reference(operator, n_digits):
    expected = {
        name: float(share) for name, share in reference.share_of_classes(operator, n_digits).items()
    }
    assert cascades.frequencies(AUTOMATA[operator](n_digits), n_digits) == pytest.approx(
        expected, rel=1e-12
    )


PUBLISHED = {  # share of S0, S1, … and how many digits of it were printed
    5: (0.050, 0.776, 0.160, 0.0126, 8.6e-4, 4.5e-5),
    6: (0.0277, 0.759, 0.195, 0.0166, 0.00126, 8.55e-5, 4.5e-6),
}


@pytest.mark.parametrize("n_digits", PUBLISHED)
def test_shares_equal_the_published_table(n_digits):
    shares = cascades.frequencies(cascades.addition(n_digits), n_digits)
    assert list(shares.values()) == pytest.approx(
        PUBLISHED[n_digits], rel=0.01
    )  # two or three digits are printed


@pytest.mark.parametrize("operator", "+-")
@pytest.mark.parametrize("n_digits", [1, 7, 20])
def test_shares_sum_to_one(operator, n_digits):
    assert sum(
        cascades.frequencies(AUTOMATA[operator](n_digits), n_digits).values()
    ) == pytest.approx(1, rel=1e-12)


def test_ten_digit_full_cascade_is_four_and_a_half_in_ten_billion():
    assert cascades.frequencies(cascades.addition(10), 10)["S10"] == pytest.approx(
        0.45 * 0.1**9, rel=1e-12
    )


def draw(
    operator: str, name: str, n_digits: int, count: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Operands as numbers of `count` questions drawn from one class."""
    automaton, rng = AUTOMATA[operator](n_digits), np.random.default_rng(seed)
    targets = np.full(count, automaton.classes.index(name))
    types = cascades.sample_types(automaton, n_digits, targets, rng)
    return tuple(
        (x * 10 ** np.arange(n_digits)).sum(1)
        for x in cascades.sample_digits(automaton, types, rng)
    )


CLASSES = [("+", c, 2) for c in ("S0", "S1", "S2")] + [
    ("-", c, 2) for c in ("M0", "M1", "N1", "N2")
]
CLASSES += [("+", "S3", 3), ("-", "M2", 3), ("-", "N3", 3)]


@pytest.mark.parametrize(("operator", "name", "n_digits"), CLASSES)
def test_draws_are_uniform_within_a_class(operator, name, n_digits):
    first, second = every_question(n_digits)
    members = np.flatnonzero(classify(operator, first, second, n_digits) == name)
    drawn = draw(operator, name, n_digits, 20 * len(members), seed=1)
    counts = np.bincount(drawn[0] * 10**n_digits + drawn[1], minlength=len(first))
    assert counts.sum() == counts[members].sum()  # nothing outside the class
    assert (
        chisquare(counts[members]).pvalue > 1e-4
    )  # seeded; a wrong weight of one column type gives below 1e-100


@pytest.mark.parametrize(
    ("operator", "name"), [("+", "S20"), ("-", "N20"), ("-", "M19"), ("+", "S0")]
)
def test_the_rarest_classes_are_drawn_too(operator, name):
    automaton, rng = AUTOMATA[operator](20), np.random.default_rng(0)
    types = cascades.sample_types(automaton, 20, np.full(200, automaton.classes.index(name)), rng)
    first, second = cascades.sample_digits(automaton, types, rng)
    for row, other in zip(first, second, strict=True):
        word = "".join(
            reference.letter(operator, int(d), int(e))
            for d, e in zip(row[::-1], other[::-1], strict=True)
        )
        assert reference.class_of_letters(operator, word) == name


def test_one_seed_gives_one_draw():
    one, same, other = (draw("+", "S2", 6, 100, seed) for seed in (3, 3, 4))
    assert (one[0] == same[0]).all()
    assert (one[1] == same[1]).all()
    assert (one[0] != other[0]).any()

"""What chapter 5 derives, computed again with the room in which everything is exact."""

import itertools

import numpy as np
import pytest
from chapter5 import below, holds, part, section, table

from helpers.detox.exact import (
    at_most,
    both,
    hard,
    locally_masked,
    never,
    never_after,
    soft,
    success,
    unguided,
    worked_example,
)
from helpers.detox.exact.bounds import disturbed, growing_error, kl_bound, kl_of_oracle
from helpers.detox.exact.fixed_point import floor, rate, tuned
from helpers.detox.exact.stop_gradient import FIVE_WORDS, descend, kl_gradient
from helpers.detox.exact.table_errors import errors_by_samples

pytestmark = pytest.mark.book
CHAIN, NO_X = worked_example(), never(2, n_words=3)
RARE = both(at_most(1, 2, 3), never_after(2, 1, 3))


def number(cell):
    return float(cell.replace("−", "-").replace(",", ""))


def test_the_world_of_three_words():
    rows = table(part_of("A world of three words"))
    found = np.array([[number(cell) for cell in rows[word]] for word in "abx"])
    assert found == pytest.approx(CHAIN.steps)
    text = below("A world of three words")
    holds(text, "b or x with the chances #, #, #, and", *CHAIN.start)
    holds(text, "so there are #.", 3**CHAIN.length)


def test_the_nearest_distribution():
    target = hard(CHAIN, NO_X)
    text = below("The nearest distribution")
    holds(text, 'For "no x" $R = #$, and the distance', target.success)
    holds(text, "in nats (units of ln), is $#$, summed", target.kl)
    assert target.kl == pytest.approx(target.guide.kl_to(unguided(CHAIN, NO_X)))
    assert round(1 / target.success) == 3


def test_word_by_word():
    text, values = below("The same, word by word"), success(CHAIN, NO_X)
    holds(text, "Here $R$ is # behind a, # behind b,", values[1, 1, 0], values[1, 2, 0])
    for automaton, sentence in (
        (NO_X, "is a with # and b with #."),
        (RARE, "the first word as it was: 0.5, 0.4, 0.1, against #, #, #."),
    ):
        words = hard(CHAIN, automaton).guide.next_words([])
        holds(text, sentence, *words[words > 0])
    words = locally_masked(CHAIN, NO_X).next_words([])
    holds(text, "whenever it would come next, has # and #: it", *words[:2])
    for automaton, sentence in (
        (NO_X, "but it is # nats from the model, where # would do."),
        (RARE, "forbidding is # nats away, where # would do, and"),
    ):
        far = locally_masked(CHAIN, automaton).kl_to(unguided(CHAIN, automaton))
        holds(text, sentence, far, hard(CHAIN, automaton).kl)
    assert locally_masked(CHAIN, RARE).next_words([]) == pytest.approx(CHAIN.start)


def test_a_softer_constraint():
    text = part_of("A softer constraint")
    row = table(text)["KL, nats"]
    for share, cell in zip((0.5, 0.8, 0.95, 1.0), row, strict=True):
        assert number(cell) == pytest.approx(soft(CHAIN, NO_X, share).kl, abs=5.1e-5)
    last = soft(CHAIN, NO_X, 1.0).kl - soft(CHAIN, NO_X, 0.95).kl
    assert last > 0.2 * soft(CHAIN, NO_X, 1.0).kl, "more than a fifth"


def part_of(heading):
    """What stands below a heading, with its lines."""
    text = section("How it works")
    return part(text, heading)


def test_the_target_must_stand_still():
    p, r = FIVE_WORDS
    text = below("The target must stand still")
    right, through = kl_gradient(np.log(p), r), kl_gradient(np.log(p), r, stop=False)
    more = through - right

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    holds(text, "is # times as long as the first", np.linalg.norm(more) / np.linalg.norm(right))
    holds(text, "with a cosine of #;", cosine(more, right))
    holds(text, "has a cosine of # with", cosine(through, right))
    rows = table(part_of("The target must stand still"))
    for name, target in (
        ("the first model, frozen", "snapshot"),
        ("the current model, without gradient", "current"),
        ("the current model, with gradient", "through"),
    ):
        found = descend(p, r, target)
        said = [number(cell) for cell in rows[name][:3]]
        assert said == pytest.approx(found.success[[0, 100, 4000]].tolist(), abs=5.1e-4)
        assert found.kl[-1] < 1e-2
    last = descend(p, r, "snapshot").words[-1]
    holds(text, "q of the first model: #, #, #, #, #", *last)
    holds(text, "the first word, #", descend(p, r, "current").words[-1][0])
    holds(text, "the fourth word, #", descend(p, r, "through").words[-1][3])


def test_the_floor():
    text = part_of("The floor")
    rows = table(text)
    for share in (0.5, 0.3):
        said = [number(cell) for cell in rows[f"τ = {share}"]]
        exact = [floor(share, weight) for weight in (0, 0.5, 1, 2, 5, 10)]
        assert said == pytest.approx(exact, abs=5.1e-4)
    holds(below("The floor"), "is # at $\\lambda = 0.5$ and # at", rate(0.5, 0.5), rate(0.5, 10))


def test_a_target_that_is_old():
    text = part_of("A target that is one update old")
    rows = table(text)
    for old, name in enumerate(("fresh", "one old", "two old")):
        found = tuned([0.4, 0.3, 0.3], [0.1, 0.6, 0.3], [0, 0, 1], 2, 80, old)
        *said, updates = rows[name]
        assert [number(cell) for cell in said] == pytest.approx(found.distances[:6], abs=5.1e-6)
        first = int((found.distances < found.distances[1] / 100).argmax())
        assert int(updates.split()[0]) == first


def test_bounds_of_learned_oracles():
    text = part_of("Learning R")
    lengths = (5, 10, 20, 50, 100)
    rows, found = table(text), growing_error(lengths, 0.1)
    for name, read in (("consistent", "consistent"), ("not", "inconsistent")):
        said = [number(cell) for cell in rows[name][:5]]
        assert said == pytest.approx([getattr(row, read) for row in found], abs=5.1e-5)
    flat, bound = below("Learning R"), hoeffding(0.1)
    assert number(rows["consistent"][5]) == pytest.approx(bound)
    assert number(rows["not"][5].removesuffix(" T")) == pytest.approx(bound)
    assert all(row.consistent < bound and row.inconsistent < row.length * bound for row in found)
    holds(flat, "comes to # of its bound", found[0].consistent / bound)
    two, three = growing_error((2, 3), 0.1)
    assert two.inconsistent < bound < three.inconsistent, "from three words on"
    step = np.log((2 * np.cosh(0.1) + 1) / 3)
    holds(flat, "\\frac{2\\cosh 0.1 + 1}{3} = #$ nats", step)
    for consistent, sentence in (
        (True, "consistent ones cost # nats on average over 200 draws and at most #,"),
        (False, "others # and at most #,"),
    ):
        drawn = [
            kl_of_oracle(CHAIN, NO_X, disturbed(CHAIN, NO_X, 0.5, consistent, seed))
            for seed in range(200)
        ]
        holds(flat, sentence, np.mean(drawn), np.max(drawn))
    holds(flat, "where the bound says #; others", hoeffding(0.5))
    holds(flat, "where it says #.", 5 * hoeffding(0.5))


def hoeffding(log_delta, chances=False):
    """What the KL of a consistent oracle is at most: w²/8, w the width of its log errors."""
    return (log_delta if chances else 2 * log_delta) ** 2 / 8


def test_small_errors_have_a_smaller_bound():
    """Of every share of overrated texts, for errors of both signs and for chances alone."""
    overrated = np.linspace(0, 1, 1001)
    for log_delta in (0.01, 0.1, 1, 3.9, 4.1, 20):
        for chances in (False, True):
            errors = np.array([-log_delta, 0 if chances else log_delta])
            mean = (1 - overrated) * np.exp(errors[0]) + overrated * np.exp(errors[1])
            kl = np.log(mean) - (1 - overrated) * errors[0] - overrated * errors[1]
            widest = kl_bound(log_delta, 7, consistent=True) / (2 if chances else 1)
            smallest = min(widest, hoeffding(log_delta, chances))
            assert kl.max() <= smallest + 1e-12
            assert (hoeffding(log_delta) < kl_bound(log_delta, 7, True)) == (log_delta < 4)
            if log_delta < 0.2:
                assert kl.max() > 0.99 * smallest, "it cannot be smaller"


def test_the_kl_of_a_consistent_oracle_is_a_mean_less_a_mean():
    """ln of the mean less the mean of ln, over texts of q*, against the KL of the guided chain."""
    values = disturbed(CHAIN, NO_X, 0.5, consistent=True, seed=3)
    target, last = hard(CHAIN, NO_X).guide, values[-1]
    texts = [y for y in itertools.product(range(3), repeat=CHAIN.length) if 2 not in y]
    chance = np.array(
        [np.prod([target.next_words(y[:i])[w] for i, w in enumerate(y)]) for y in texts]
    )
    oracle = np.array([last[y[-1] + 1, 0] for y in texts])
    assert chance.sum() == pytest.approx(1)
    expected = np.log(chance @ oracle) - chance @ np.log(oracle)
    assert kl_of_oracle(CHAIN, NO_X, values) == pytest.approx(expected)


WAYS = {
    "means": "means",
    "by gradient, no regulariser": "gradient, no regulariser",
    "by gradient, KL(e ‖ a)": "gradient, expected first",
    "by gradient, KL(a ‖ e)": "gradient, own first",
    "made consistent by force, from whole texts backwards": "all the way back",
}


@pytest.mark.slow
def test_what_asking_for_consistency_does_in_a_table():
    text = part_of("Learning R").partition("Does asking for consistency")[2]
    counts = (100, 1000, 10_000)
    found = errors_by_samples(CHAIN, NO_X, counts, 20, (1, 2), regularised=True)
    rows = table(text)
    for name, way in WAYS.items():
        for count, cell in zip(counts, rows[name], strict=True):
            one = next(row for row in found if (row.way, row.samples) == (way, count))
            said = [
                number(each) for each in cell.replace("[", "").strip("]").replace(",", "").split()
            ]
            assert said == pytest.approx([one.mean_error, one.low, one.high], abs=6e-5)
    flat = below("Learning R")
    softly = [
        next(r for r in found if (r.way, r.samples) == (WAYS["by gradient, KL(e ‖ a)"], n))
        for n in counts
    ]
    ends = [-each for one in softly for each in (one.more, one.more_high, one.more_low)]
    holds(flat, "the error is smaller by # [#, #], # [#, #] and # [#, #]", *ends)
    force = [
        next(r for r in found if (r.way, r.samples) == ("all the way back", n)) for n in counts[:2]
    ]
    ends = [each for one in force for each in (one.more, one.more_low, one.more_high)]
    holds(flat, "by # [#, #] at 100 and # [#, #] at 1,000", *ends)

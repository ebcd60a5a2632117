"""Success learned from samples, beside counting by hand, exact success and the theory of means."""

import itertools
import math

import numpy as np
import pytest

from helpers.detox.exact import MarkovChain, never, unguided
from helpers.detox.exact.table_errors import errors_by_samples
from helpers.detox.exact.tabular import fitted, learned, prefix_tree
from helpers.errors import LabError
from tests.detox.exact.worlds import CHAIN, NO_X, TEXTS, P, no_x

TREE = prefix_tree(CHAIN, NO_X)
PREFIXES = [text for length in range(6) for text in itertools.product(range(3), repeat=length)]
HOLDS = np.array([no_x(text) for text in TEXTS])
DRAWN = unguided(CHAIN, NO_X).sample(300, np.random.default_rng(0))
SATISFIED = NO_X.accepts(DRAWN)


def begins(prefix: tuple[int, ...], texts: np.ndarray) -> np.ndarray:
    return (texts[:, : len(prefix)] == prefix).all(1) if prefix else np.full(len(texts), True)


def means_by_hand() -> dict[tuple[int, ...], float]:
    found = {}
    for prefix in PREFIXES:
        here = begins(prefix, DRAWN)
        found[prefix] = float(SATISFIED[here].mean()) if here.any() else 0.5
    return found


def test_the_tree_has_every_prefix_in_order():
    assert TREE.depth.tolist() == [len(prefix) for prefix in PREFIXES]
    for number, prefix in enumerate(PREFIXES):
        here = begins(prefix, TEXTS)
        assert TREE.chance[number] == pytest.approx(P[here].sum())
        assert TREE.exact[number] == pytest.approx((P * HOLDS)[here].sum() / P[here].sum())
    passed = TREE.places(DRAWN[:5])
    for text, places in zip(DRAWN[:5].tolist(), passed, strict=True):
        assert [PREFIXES[place] for place in places] == [tuple(text[: i + 1]) for i in range(5)]


def test_means_and_what_is_carried_back_as_counted_by_hand():
    means = means_by_hand()
    assert learned(TREE, DRAWN, SATISFIED) == pytest.approx(list(means.values()))

    def chance(word: int, prefix: tuple[int, ...]) -> float:
        return float(CHAIN.steps[prefix[-1], word] if prefix else CHAIN.start[word])

    def back(prefix: tuple[int, ...], depth: int) -> float:
        if len(prefix) == 5 or depth == 0:
            return means[prefix]
        return sum(chance(v, prefix) * back((*prefix, v), depth - 1) for v in range(3))

    once = learned(TREE, DRAWN, SATISFIED, "one step back")
    whole = learned(TREE, DRAWN, SATISFIED, "all the way back")
    for number, prefix in enumerate(PREFIXES[:40]):
        assert once[number] == pytest.approx(back(prefix, 1))
        assert whole[number] == pytest.approx(back(prefix, 5))


def test_what_is_consistent_has_no_gap():
    whole = learned(TREE, DRAWN, SATISFIED, "all the way back")
    assert TREE.backed_up(whole) == pytest.approx(whole[: len(TREE.words)], abs=1e-15)
    assert TREE.backed_up(TREE.exact) == pytest.approx(TREE.exact[: len(TREE.words)], abs=1e-15)
    assert abs(TREE.backed_up(learned(TREE, DRAWN, SATISFIED)) - TREE.exact[:121]).max() > 0.01


def test_labels_of_another_text_teach_nothing():
    """The label moved by one text: the best fit is R₀ wherever one looks."""
    many = unguided(CHAIN, NO_X).sample(20_000, np.random.default_rng(1))
    right, moved = (learned(TREE, many, np.roll(NO_X.accepts(many), k)) for k in (0, 1))
    assert abs(right - TREE.exact)[:4].max() < 0.02
    assert abs(moved - TREE.exact[0])[:4].max() < 0.05
    assert abs(moved - TREE.exact)[3] > 0.25
    inverted = learned(TREE, many, ~NO_X.accepts(many))
    assert inverted[:4] == pytest.approx(1 - right[:4])


def test_the_gradient_finds_the_means_and_the_regulariser_closes_the_gap():
    means = learned(TREE, DRAWN, SATISFIED)
    plain = fitted(TREE, DRAWN, SATISFIED, consistency=0.0)
    assert abs(plain - means)[1:].max() < 1e-3  # means of 0 and 1 are reached at infinity only
    weight = TREE.chance[1:121]

    def gap(values: np.ndarray) -> float:
        return float((weight * abs(TREE.backed_up(values) - values[:121])[1:]).sum())

    for direction in ("expected first", "own first"):
        regular = fitted(TREE, DRAWN, SATISFIED, 1.0, direction)
        assert gap(regular) < gap(plain) / 2
        assert np.isfinite(regular).all()


def test_the_two_directions_are_two():
    """On a skewed pair the two KL differ by far: told apart by one step of a table of two words."""
    one, other = (
        fitted(TREE, DRAWN, SATISFIED, 5.0, direction, steps=20)
        for direction in ("expected first", "own first")
    )
    assert abs(one - other).max() > 1e-3


def test_errors_fall_with_the_root_of_the_samples():
    """Means: the error of a share of n·w samples is √(2/π · R(1−R)/(n w)) on average."""
    rows = errors_by_samples(CHAIN, NO_X, (400, 6400), repetitions=20, depths=(1,))
    means = {row.samples: row for row in rows if row.way == "means"}
    weight, exact = TREE.chance[1:4], TREE.exact[1:4]
    for samples, row in means.items():
        deviation = np.sqrt(exact * (1 - exact) / (samples * weight))
        by_theory = float((weight * deviation).sum() * math.sqrt(2 / math.pi))
        assert row.low < by_theory < row.high
        assert row.mean_error <= row.rmse


def test_full_consistency_harms_with_few_samples_and_helps_with_many():
    rows = errors_by_samples(CHAIN, NO_X, (100, 10_000), repetitions=20)
    back = {row.samples: row for row in rows if row.way == "all the way back"}
    assert back[100].more_low > 0
    assert back[10_000].more_high < 0
    assert all(row.more == 0 for row in rows if row.way == "means")


def test_the_same_seed_gives_the_same_table():
    first, second, other = (
        errors_by_samples(CHAIN, NO_X, (50,), repetitions=2, seed=seed) for seed in (4, 4, 5)
    )
    assert first == second != other
    one, again = (fitted(TREE, DRAWN, SATISFIED, steps=20) for _ in range(2))
    assert (one == again).all()


def test_the_regularised_ways_stand_in_the_table():
    ways = [row.way for row in errors_by_samples(CHAIN, NO_X, (20,), 2, regularised=True)]
    assert ways[3:] == [
        f"gradient, {kind}" for kind in ("no regulariser", "expected first", "own first")
    ]


@pytest.mark.parametrize(
    "call",
    [
        lambda: learned(TREE, DRAWN, SATISFIED, "two steps back"),
        lambda: learned(TREE, DRAWN[:, :3], SATISFIED),
        lambda: learned(TREE, DRAWN, SATISFIED[:-1]),
        lambda: learned(TREE, DRAWN, np.full(300, np.nan)),
        lambda: learned(TREE, DRAWN[:0], SATISFIED[:0]),
        lambda: fitted(TREE, DRAWN, SATISFIED, consistency=-1.0),
        lambda: fitted(TREE, DRAWN, SATISFIED, consistency=math.nan),
        lambda: fitted(TREE, DRAWN, SATISFIED, direction="both"),
        lambda: fitted(TREE, DRAWN, SATISFIED, steps=0),
        lambda: errors_by_samples(CHAIN, NO_X, repetitions=1),
        lambda: errors_by_samples(CHAIN, NO_X, samples=(0,)),
        lambda: errors_by_samples(CHAIN, NO_X, depths=(0,)),
        lambda: errors_by_samples(CHAIN, NO_X, depths=(6,)),
        lambda: errors_by_samples(CHAIN, NO_X, depths=()),
        lambda: errors_by_samples(CHAIN, NO_X, samples=100),
        lambda: errors_by_samples(CHAIN, NO_X, samples=None),
        lambda: prefix_tree(MarkovChain([[0.5, 0.5]], length=30), never(1, 2)),
    ],
)
def test_input_that_is_none_is_refused(call):
    with pytest.raises(LabError, match="expected"):
        call()

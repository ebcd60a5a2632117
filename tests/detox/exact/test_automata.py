"""Automata beside the sentence that each of them means, over all texts."""

import itertools

import numpy as np
import pytest

from helpers.detox.exact import WordAutomaton, anything, at_most, both, never, never_after
from helpers.errors import LabError

TEXTS = [list(text) for length in range(6) for text in itertools.product(range(3), repeat=length)]


def said(automaton: WordAutomaton) -> list[bool]:
    by_length = itertools.groupby(TEXTS, key=len)
    return [bool(c) for _, texts in by_length for c in automaton.accepts(list(texts))]


@pytest.mark.parametrize("word", range(3))
def test_never_and_at_most(word):
    assert said(never(word, 3)) == [word not in text for text in TEXTS]
    for count in range(4):
        assert said(at_most(count, word, 3)) == [text.count(word) <= count for text in TEXTS]


@pytest.mark.parametrize(("word", "before"), list(itertools.product(range(3), repeat=2)))
def test_never_after(word, before):
    pairs = [list(itertools.pairwise(text)) for text in TEXTS]
    assert said(never_after(word, before, 3)) == [(before, word) not in each for each in pairs]


def test_both_and_anything():
    first, second = at_most(1, 2, 3), never_after(2, 1, 3)
    wanted = [a and b for a, b in zip(said(first), said(second), strict=True)]
    assert said(both(first, second)) == said(both(second, first)) == wanted
    assert all(said(anything(3)))
    assert said(both(anything(3), first)) == said(first)


def test_a_state_is_alive_as_long_as_something_can_still_be_accepted():
    assert never_after(2, 1, 3).alive.tolist() == [True, True, False]
    chain_of_three = WordAutomaton([[1], [2], [2]], [False, False, True])
    assert chain_of_three.alive.tolist() == [True, True, True]
    assert not WordAutomaton([[0, 0]], [False]).alive.any()


@pytest.mark.parametrize(
    ("delta", "accept"),
    [
        ([[0, 2], [0, 1]], [True, False]),
        ([[0, -1]], [True]),
        ([[0, 1]], [True, False]),
        ([[0.5, 0]], [True]),
        ([[np.nan, 0]], [True]),
        ([0, 0], [True]),
        ([[0, 0]], ["perhaps"]),
        ([[0, 0]], [0.5]),
        (None, [True]),
        ([[0], [0, 0]], [True, False]),
        (np.zeros((0, 2), int), []),
    ],
)
def test_what_is_no_automaton_is_refused(delta, accept):
    with pytest.raises(LabError, match="expected"):
        WordAutomaton(delta, accept)


@pytest.mark.parametrize(
    "call",
    [
        lambda: never(3, 3),
        lambda: never(-1, 3),
        lambda: never(0, 0),
        lambda: at_most(-1, 0, 3),
        lambda: at_most(1.5, 0, 3),
        lambda: never_after(0, 3, 3),
        lambda: never_after(True, 0, 3),
        lambda: anything(0),
        lambda: both(anything(2), anything(3)),
        lambda: anything(2).accepts([[2]]),
        lambda: anything(2).accepts(1),
        lambda: anything(2).accepts([[0], [0, 1]]),
    ],
)
def test_words_and_counts_that_are_none_are_refused(call):
    with pytest.raises(LabError, match="expected"):
        call()

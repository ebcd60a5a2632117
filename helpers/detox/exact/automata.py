"""Constraints on whole texts, as automata: machines that read words and say yes or no at the end.

An automaton is in one of a few states. Each word leads to a next state, and a text satisfies the
constraint, C = 1, if its last state is an accepting one. State 0 is where reading begins.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int
from numpy import ndarray

from helpers.detox.exact.chains import check_word, whole_table, words_of
from helpers.errors import LabError
from helpers.inputs import check_count, yes_no


@dataclass(frozen=True, eq=False)
class WordAutomaton:
    """A constraint C on texts.

    Attributes:
        delta: The next state, by state and word.
        accept: Whether a text that ends in a state satisfies the constraint.

    Raises:
        LabError: A next state that there is not, or not one yes or no for each state.

    >>> odd = WordAutomaton([[0, 1], [1, 0]], [False, True])  # an odd number of ones
    >>> odd.accepts([[1, 0, 0], [1, 0, 1]]).tolist()
    [True, False]
    """

    delta: Int[ndarray, "state word"]
    accept: Bool[ndarray, " state"]

    def __post_init__(self) -> None:
        accept = yes_no(self.accept, "the accepting states")
        delta, most = whole_table(self.delta), len(accept) - 1
        fits = delta is not None and delta.size and len(delta) == len(accept)
        if delta is None or not fits or not ((delta >= 0) & (delta <= most)).all():
            raise LabError(
                f"expected next states from 0 to {most} for each of {len(accept)} states",
                f"got {self.delta!r:.60}",
            )
        object.__setattr__(self, "delta", delta)
        object.__setattr__(self, "accept", accept)

    @property
    def n_words(self) -> int:
        """Number of words in the vocabulary."""
        return self.delta.shape[1]

    def accepts(self, texts: Int[ndarray, "text pos"]) -> Bool[ndarray, " text"]:
        """C of each text.

        Raises:
            LabError: Words that the vocabulary does not have.
        """
        texts = words_of(texts, self.n_words)
        state = np.zeros(len(texts), int)
        for word in texts.T:
            state = self.delta[state, word]
        return self.accept[state]

    @cached_property
    def alive(self) -> Bool[ndarray, " state"]:
        """States from which some words still lead to an accepting one."""
        alive = self.accept
        for _ in range(len(alive)):  # the longest way without a circle
            alive = alive | alive[self.delta].any(1)
        return alive


def anything(n_words: int) -> WordAutomaton:
    """No constraint: C = 1 for every text.

    >>> anything(3).accepts([[2, 2]]).tolist()
    [True]
    """
    check_count("size of the vocabulary", n_words, least=1)
    return WordAutomaton(np.zeros((1, n_words), int), np.array([True]))


def at_most(count: int, word: int, n_words: int) -> WordAutomaton:
    """A word at most so many times. States count it; the last one has seen it too often.

    Raises:
        LabError: No word of the vocabulary, or a count below 0.

    >>> at_most(1, word=2, n_words=3).accepts([[2, 0, 1], [2, 0, 2]]).tolist()
    [True, False]
    """
    check_count("count", count)
    check_word("word to count", word, n_words)
    delta = np.repeat(np.arange(count + 2)[:, None], n_words, axis=1)
    delta[:, word] = np.minimum(delta[:, word] + 1, count + 1)
    return WordAutomaton(delta, np.arange(count + 2) <= count)


def never(word: int, n_words: int) -> WordAutomaton:
    """A word that must not appear.

    Raises:
        LabError: No word of the vocabulary.

    >>> never(2, n_words=3).accepts([[0, 1], [0, 2]]).tolist()
    [True, False]
    """
    return at_most(0, word, n_words)


def never_after(word: int, before: int, n_words: int) -> WordAutomaton:
    """A word that must not come directly after another one.

    Raises:
        LabError: No words of the vocabulary.

    >>> never_after(2, before=1, n_words=3).accepts([[2, 1, 0], [0, 1, 2]]).tolist()
    [True, False]
    """
    check_word("word", word, n_words)
    check_word("word before", before, n_words)
    anywhere, behind, broken = 0, 1, 2
    delta = np.full((3, n_words), anywhere)
    delta[:, before] = behind
    delta[behind, word] = broken
    delta[broken] = broken
    return WordAutomaton(delta, np.array([True, True, False]))


def both(first: WordAutomaton, second: WordAutomaton) -> WordAutomaton:
    """Two constraints at once: the product, whose states are pairs of states.

    Raises:
        LabError: Automata of different vocabularies.

    >>> both(never(0, 3), never(1, 3)).accepts([[2, 2], [0, 2], [2, 1]]).tolist()
    [True, False, False]
    """
    if first.n_words != second.n_words:
        raise LabError(
            "expected automata of one vocabulary",
            f"got {first.n_words} and {second.n_words} words",
        )
    size = len(second.accept)
    delta = first.delta[:, None] * size + second.delta[None]  # [first, second, word]
    accept = first.accept[:, None] & second.accept[None]
    return WordAutomaton(delta.reshape(-1, first.n_words), accept.ravel())

"""Worlds of which all texts can be listed, and the constraints of the worked example twice."""

import itertools

import numpy as np
from hypothesis import strategies as st

from helpers.detox.exact import (
    MarkovChain,
    WordAutomaton,
    at_most,
    both,
    never,
    never_after,
    worked_example,
)

CHAIN = worked_example()
NO_X = never(2, n_words=3)
RARE_X = both(at_most(1, word=2, n_words=3), never_after(2, before=1, n_words=3))
TEXTS = np.array(list(itertools.product(range(3), repeat=5)))
P = CHAIN.chances(TEXTS)


def no_x(text) -> bool:
    return 2 not in list(text)


def rare_x(text) -> bool:
    words = list(text)
    return words.count(2) <= 1 and (1, 2) not in list(itertools.pairwise(words))


@st.composite
def worlds(draw) -> tuple[MarkovChain, WordAutomaton]:
    """Any chain of 2 or 3 words and order 0 to 2, zeros among its chances; any automaton."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_words, order = draw(st.integers(2, 3)), draw(st.integers(0, 2))
    contexts = sum(n_words**seen for seen in range(order + 1))
    table = rng.dirichlet([1] * n_words, size=contexts)
    table[rng.random(table.shape) < 0.15] = 0
    table[table.sum(1) == 0] = 1 / n_words
    table /= table.sum(1, keepdims=True)
    states = draw(st.integers(1, 4))
    delta = rng.integers(0, states, (states, n_words))
    return MarkovChain(table, draw(st.integers(1, 4))), WordAutomaton(
        delta, rng.random(states) < 0.5
    )


def texts_of(chain: MarkovChain) -> np.ndarray:
    return np.array(list(itertools.product(range(chain.n_words), repeat=chain.length)))


def read(automaton: WordAutomaton, text) -> bool:
    state = 0
    for word in text:
        state = int(automaton.delta[state][word])
    return bool(automaton.accept[state])

"""A chain whose words are chosen with a view to a constraint, and what that costs.

Success is the chance that a text will satisfy the constraint C, given what is written so far:

    R(t, s, d) = Σ_v p(v | s) R(t + 1, s', δ(d, v)),        R(T, s, d) = 1 if d accepts, else 0,

with t words written, the chain in context s and the automaton in state d. This dynamic programme
takes T·contexts·states·words steps, where there are words^T texts. It is the Bellman equation of
NADO (arXiv 2205.14219), which learns R from samples instead.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from helpers.detox.exact.automata import WordAutomaton
from helpers.detox.exact.chains import MarkovChain, check_size, words_of
from helpers.errors import LabError
from helpers.inputs import array_of, check_count, finite

SMALLEST = 1e-12
"""Chances below it are rounding where a way on is asked for."""


def success(chain: MarkovChain, automaton: WordAutomaton) -> Float[ndarray, "time context state"]:
    """R: the chance that the constraint will be satisfied, t = 0 … T words into the text.

    ``success(chain, automaton)[0, 0, 0]`` is that of a whole text.

    Raises:
        LabError: A chain and an automaton of different vocabularies, or too large ones.

    >>> from helpers.detox.exact import markov, never
    >>> fair = markov([0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]], length=3)
    >>> success(fair, never(1, n_words=2))[:, 0, 0].tolist()
    [0.125, 0.25, 0.5, 1.0]
    """
    check_together(chain, automaton)
    table = np.empty((chain.length + 1, len(chain.table), len(automaton.accept)))
    table[-1] = automaton.accept
    for time in range(chain.length - 1, -1, -1):
        table[time] = expected(chain, automaton, table[time + 1])
    return table


def expected(
    chain: MarkovChain, automaton: WordAutomaton, values: Float[ndarray, "context state"]
) -> Float[ndarray, "context state"]:
    """Σ_v p(v | s) · value(s', d'): what values of the next step are worth one word earlier.

    Raises:
        LabError: A chain and an automaton of different vocabularies, or values of another shape.

    >>> from helpers.detox.exact import markov, never
    >>> fair = markov([0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]], length=3)
    >>> expected(fair, never(1, n_words=2), np.array([[1.0, 0.0]] * 3)).tolist()
    [[0.5, 0.0], [0.5, 0.0], [0.5, 0.0]]
    """
    check_together(chain, automaton)
    row = array_of(finite(values, "values", "context state"))
    if row.shape != (len(chain.table), len(automaton.accept)):
        raise LabError(
            f"expected values [{len(chain.table)}, {len(automaton.accept)}] by context and state",
            f"got {list(row.shape)}",
        )
    return np.einsum("sv,sdv->sd", chain.table, _next(chain, automaton, row))


@dataclass(frozen=True, eq=False)
class Guided:
    """A chain with other chances of the next word, by time, context and state of the automaton.

    Attributes:
        chain, automaton: Where it comes from, and the constraint.
        words: Chances of the next word; 0 for every word where no way on is left.
    """

    chain: MarkovChain
    automaton: WordAutomaton
    words: Float[ndarray, "time context state word"]

    def next_words(self, text: Int[ndarray, " pos"]) -> Float[ndarray, " word"]:
        """Chances of the next word behind the beginning of a text.

        Raises:
            LabError: No words of the vocabulary, a whole text, or a beginning behind which there
                is no way on.
        """
        row = words_of([text], self.chain.n_words, self.chain.length - 1)[0]
        context = state = 0
        for word in row:
            context = self.chain.after[context, word]
            state = self.automaton.delta[state, word]
        chances = self.words[len(row), context, state]
        if not chances.sum() > SMALLEST:
            raise LabError(
                "expected the beginning of a text that can still satisfy the constraint",
                f"R = 0 behind {row.tolist()}",
                hint="nothing can be chosen there: q would divide by 0",
            )
        return chances

    def chances(self, texts: Int[ndarray, "text pos"]) -> Float[ndarray, " text"]:
        """Chance of each text, the product of the chances of its words.

        Raises:
            LabError: Words that the vocabulary does not have, or longer texts.
        """
        texts = words_of(texts, self.chain.n_words, self.chain.length)
        context, state = np.zeros((2, len(texts)), int)
        chance = np.ones(len(texts))
        for time, word in enumerate(texts.T):
            chance = chance * self.words[time, context, state, word]
            context = self.chain.after[context, word]
            state = self.automaton.delta[state, word]
        return chance

    def sample(self, count: int, generator: np.random.Generator) -> Int[ndarray, "text time"]:
        """Texts drawn word by word.

        Raises:
            LabError: No count.
        """
        check_count("number of texts", count, least=1)
        context, state = np.zeros((2, count), int)
        texts = np.empty((count, self.chain.length), int)
        for time in range(self.chain.length):
            heap = self.words[time, context, state].cumsum(1)
            drawn = generator.random(count) * heap[:, -1]
            texts[:, time] = word = (heap > drawn[:, None]).argmax(1)
            context = self.chain.after[context, word]
            state = self.automaton.delta[state, word]
        return texts

    @cached_property
    def reach(self) -> Float[ndarray, "time context state"]:
        """Chance of being in each context and state after 0 … T words."""
        contexts, states = len(self.chain.table), len(self.automaton.accept)
        reach = np.zeros((self.chain.length + 1, contexts, states))
        reach[0, 0, 0] = 1
        to = (self.chain.after[:, None], self.automaton.delta[None])
        for time, words in enumerate(self.words):
            np.add.at(reach[time + 1], to, reach[time, ..., None] * words)
        return reach

    @property
    def satisfied(self) -> float:
        """E[C]: the share of its texts that satisfy the constraint."""
        return float(self.reach[-1][:, self.automaton.accept].sum())

    def kl_to(self, other: "Guided") -> float:
        """KL(self ‖ other) of whole texts in nats: the sum over words by the chain rule.

        It is infinite where the other one never says what this one may say.

        Raises:
            LabError: Guides of different chains or constraints.
        """
        if other.words.shape != self.words.shape:
            raise LabError(
                "expected two guides of one chain and constraint",
                f"got {list(self.words.shape)} and {list(other.words.shape)}",
            )
        weight = self.reach[:-1, ..., None] * self.words
        said = weight > 0
        with np.errstate(divide="ignore"):  # infinite, and meant
            logs = np.log(self.words[said]) - np.log(other.words[said])
        return float((weight[said] * logs).sum())


def guided(
    chain: MarkovChain, automaton: WordAutomaton, values: Float[ndarray, "time context state"]
) -> Guided:
    """The chain with the chance of each word multiplied by a value of what it leads to.

    q(v | t, s, d) = p(v | s) · value(t + 1, s', d') / Σ. With R as the value it is q*, with a
    learned one what the oracle of the paper makes of the model, with 1 the chain as it is.

    Args:
        values: At least 0, t = 0 … T words into the text. Those at t = 0 are not read.

    Raises:
        LabError: Values of another shape, below 0 or not finite; values that are 0 for all next
            words at a place that is reached.

    >>> from helpers.detox.exact import markov, never
    >>> fair = markov([0.5, 0.5], [[0.5, 0.5], [0.5, 0.5]], length=3)
    >>> clean = never(1, n_words=2)
    >>> guided(fair, clean, success(fair, clean)).next_words([0]).tolist()
    [1.0, 0.0]
    """
    check_together(chain, automaton)
    values = check_values(chain, automaton, values)
    # of the largest value at each time, so that no product becomes 0 by its size alone
    largest = values.max((1, 2), keepdims=True)
    values = values / np.where(largest > 0, largest, 1)
    weight = np.stack([chain.table[:, None] * _next(chain, automaton, row) for row in values[1:]])
    return _normalised(chain, automaton, weight)


def unguided(chain: MarkovChain, automaton: WordAutomaton) -> Guided:
    """The chain as it is, with the automaton reading along.

    >>> from helpers.detox.exact import markov, never
    >>> unguided(markov([0.5, 0.5], np.eye(2), length=3), never(1, n_words=2)).satisfied
    0.5
    """
    check_together(chain, automaton)
    shape = (chain.length + 1, len(chain.table), len(automaton.accept))
    return guided(chain, automaton, np.ones(shape))


def locally_masked(chain: MarkovChain, automaton: WordAutomaton) -> Guided:
    """Decoding that forbids a word as soon as it makes the constraint impossible, and no earlier.

    What is left is divided by its sum, at each word. The constraint holds, but a word that makes a
    forbidden one likely later on is as welcome as before: the KL to the chain is larger than that
    of q*, which looks ahead.

    Raises:
        LabError: A place that is reached, and where every word is forbidden.

    >>> from helpers.detox.exact import markov, never
    >>> chain = markov([0.5, 0.4, 0.1], [[0.6, 0.3, 0.1], [0.3, 0.3, 0.4], [0.5, 0.3, 0.2]], 5)
    >>> locally_masked(chain, never(2, n_words=3)).next_words([]).round(4).tolist()
    [0.5556, 0.4444, 0.0]
    """
    check_together(chain, automaton)
    alive = automaton.alive[automaton.delta]  # [state, word]
    weight = np.repeat((chain.table[:, None] * alive)[None], chain.length, axis=0)
    return _normalised(chain, automaton, weight)


def check_values(
    chain: MarkovChain, automaton: WordAutomaton, values: Float[ndarray, "time context state"]
) -> Float[ndarray, "time context state"]:
    """Values of every place in double precision.

    Raises:
        LabError: Values of another shape, below 0 or not finite.
    """
    values = array_of(finite(values, "values", "time context state"))
    shape = (chain.length + 1, len(chain.table), len(automaton.accept))
    if values.shape != shape or not (values >= 0).all():
        raise LabError(
            f"expected values {list(shape)} by time, context and state, at least 0",
            f"got {list(values.shape)}, the smallest {values.min():.3g}",
        )
    return values


def check_together(chain: MarkovChain, automaton: WordAutomaton) -> None:
    """Refuse a chain and an automaton that do not belong together.

    Raises:
        LabError: Different vocabularies, or more places than can be counted.
    """
    if chain.n_words != automaton.n_words:
        raise LabError(
            "expected a chain and an automaton of one vocabulary",
            f"got {chain.n_words} and {automaton.n_words} words",
        )
    check_size((chain.length + 1) * chain.table.size * len(automaton.accept))


def _next(
    chain: MarkovChain, automaton: WordAutomaton, values: Float[ndarray, "context state"]
) -> Float[ndarray, "context state word"]:
    """Values of the places that each word leads to."""
    return values[chain.after[:, None], automaton.delta[None]]


def _normalised(
    chain: MarkovChain, automaton: WordAutomaton, weight: Float[ndarray, "time context state word"]
) -> Guided:
    total = weight.sum(-1, keepdims=True)
    found = Guided(chain, automaton, weight / np.where(total > 0, total, 1))
    if not found.reach[-1].sum() > 1 - SMALLEST * chain.length:
        lost = 1 - float(found.reach[-1].sum())
        raise LabError(
            "expected a way on at every place that is reached",
            f"texts of a share of {lost:.3g} come to one where every next word has the weight 0",
            hint="a value must be 0 only where the constraint cannot be satisfied any more",
        )
    return found

"""Language models of which every text can be counted: Markov chains over a small vocabulary.

A chain of order k knows the last k words. At the beginning of a text it knows fewer, so its
contexts are all texts of at most k words, in the order of their length, then of the vocabulary. The
empty text is context 0, and context c with the word v behind it is context ``V c + 1 + v`` as long
as it has at most k words. A transformer that sees k tokens is such a chain, too: `of_model`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import array_of, at_least, check_count, finite, within

LARGEST = 4_000_000
"""Entries of a table beyond which nothing is counted."""
ROUNDING = 1e-2
"""How far a row may be from the sum 1: half precision rounds each of many words."""


@dataclass(frozen=True, eq=False)
class MarkovChain:
    """Texts of `length` words, each drawn by the last words before it.

    Attributes:
        table: Chances of the next word in every context of at most k words (see the module).
        length: Number of words of a text.

    Raises:
        LabError: Rows that are no chances, another number of contexts than some order has, no
            length.

    >>> chain = MarkovChain([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]], length=3)
    >>> chain.order, chain.start.tolist(), chain.steps.tolist()
    (1, [0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]])
    """

    table: Float[ndarray, "context word"]
    length: int

    def __post_init__(self) -> None:
        check_count("length of texts", self.length, least=1)
        table = chances_of(self.table, "chances of next words", "context word")
        object.__setattr__(self, "table", table)
        if _contexts(self.n_words, self.order) != len(table):
            raise LabError(
                f"expected a row for every text of at most k of {self.n_words} words, such as "
                f"{self.n_words + 1} for k = 1",
                f"got {len(table)} rows",
            )

    @property
    def n_words(self) -> int:
        """Number of words in the vocabulary."""
        return self.table.shape[1]

    @cached_property
    def order(self) -> int:
        """Number of last words that the next word depends on."""
        order = 0
        while _contexts(self.n_words, order) < len(self.table):
            order += 1
        return order

    @property
    def start(self) -> Float[ndarray, " word"]:
        """Chances of the first word."""
        return self.table[0]

    @property
    def steps(self) -> Float[ndarray, "context word"]:
        """Chances of the next word behind each k last words."""
        return self.table[-(self.n_words**self.order) :]

    @cached_property
    def after(self) -> Int[ndarray, "context word"]:
        """The context that a word leads to."""
        first = len(self.table) - self.n_words**self.order  # the first context of k words
        longer = self.n_words * np.arange(len(self.table))[:, None] + 1 + np.arange(self.n_words)
        # of k + 1 words the first one is forgotten
        forgotten = first + (longer - len(self.table)) % self.n_words**self.order
        return np.where(longer < len(self.table), longer, forgotten)

    def chances(self, texts: Int[ndarray, "text pos"]) -> Float[ndarray, " text"]:
        """Chance of each text, of any number of words up to the length.

        Raises:
            LabError: Words that the vocabulary does not have, or longer texts.

        >>> MarkovChain([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]], 3).chances([[0, 0], [1, 0]]).tolist()
        [0.45, 0.1]
        """
        texts = words_of(texts, self.n_words, self.length)
        context, chance = np.zeros(len(texts), int), np.ones(len(texts))
        for word in texts.T:
            chance = chance * self.table[context, word]
            context = self.after[context, word]
        return chance


def markov(
    start: Float[ndarray, " word"], steps: Float[ndarray, "word word"], length: int
) -> MarkovChain:
    """A chain of order 1: chances of the first word, and of a word behind each word.

    Raises:
        LabError: Rows that are no chances, or no square table.

    >>> markov([0.5, 0.5], [[0.9, 0.1], [0.2, 0.8]], length=3).order
    1
    """
    first = chances_of(start, "chances of the first word", "word")
    table = chances_of(steps, "chances behind each word", "word word")
    if table.shape != (len(first), len(first)):
        raise LabError(
            f"expected a row of {len(first)} chances behind each of {len(first)} words",
            f"got {list(table.shape)}",
        )
    return MarkovChain(np.concatenate([first[None], table]), length)


def worked_example() -> MarkovChain:
    """The three words a, b and x in texts of five: small enough for pencil and paper.

    x is the word that constraints are about. Behind a it is rare, behind b it is likely.

    >>> worked_example().chances([[0, 0, 1, 2, 0]]).round(6).tolist()
    [0.018]
    """
    table = [[0.5, 0.4, 0.1], [0.6, 0.3, 0.1], [0.3, 0.3, 0.4], [0.5, 0.3, 0.2]]
    return MarkovChain(np.array(table), length=5)


def of_model(
    next_words: Callable[[Int[ndarray, "context pos"]], Any], n_words: int, order: int, length: int
) -> MarkovChain:
    """The chain of any model that sees the last words only, such as a transformer.

    Args:
        next_words: Contexts of one length → chances of the next word behind each. It is called
            once for each number of words from 0 to `order`, where the words of a context are the
            last ones, or the whole text.
        n_words: Size of the vocabulary.
        order: Number of words that it sees.
        length: Number of words of a text.

    Raises:
        LabError: More contexts than can be counted, or no chances.

    >>> alternate = lambda contexts: np.eye(2)[1 - contexts[:, -1]] if contexts.size else [[1, 0]]
    >>> of_model(alternate, n_words=2, order=2, length=4).chances([[0, 1, 0, 1]]).tolist()
    [1.0]
    """
    check_count("size of the vocabulary", n_words, least=1)
    check_count("order of a chain", order)
    check_size(_contexts(n_words, order) * n_words)
    contexts, rows = np.zeros((1, 0), int), []
    for seen in range(order + 1):
        table = chances_of(next_words(contexts), "chances of next words", "context word")
        if table.shape != (len(contexts), n_words):
            raise LabError(
                f"expected {n_words} chances behind each of {len(contexts)} contexts",
                f"got {list(table.shape)}",
            )
        rows.append(table)
        if seen < order:
            contexts = np.concatenate(
                [
                    np.repeat(contexts, n_words, axis=0),
                    np.tile(np.arange(n_words), len(contexts))[:, None],
                ],
                axis=1,
            )
    return MarkovChain(np.concatenate(rows), length)


def every_text(chain: MarkovChain) -> Int[ndarray, "text time"]:
    """All texts of a chain, in the order of its vocabulary.

    Raises:
        LabError: More than can be counted.

    >>> every_text(markov([0.5, 0.5], np.eye(2), length=2)).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    check_size(chain.length * chain.n_words**chain.length)
    axes = np.meshgrid(*[np.arange(chain.n_words)] * chain.length, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], axis=1)


def chances_of(values: Any, what: str, axes: str) -> Float[ndarray, "..."]:
    """Numbers as chances in double precision, of which each row sums to 1.

    Rows that were rounded on their way are divided by their sum.

    Raises:
        LabError: NaN, numbers below 0, or a row of another sum.

    >>> chances_of([1, 0], "chances", "word").tolist()
    [1.0, 0.0]
    """
    rows = array_of(finite(values, what, axes))
    total = rows.sum(-1, keepdims=True)
    if not (rows >= 0).all() or not within(np.abs(total - 1), ROUNDING):
        apart = float(np.abs(total - 1).max())
        raise LabError(
            f"expected {what}, at least 0 and with the sum 1 in each row",
            f"got a smallest one of {rows.min():.3g}, and a sum that is {apart:.3g} off",
            hint="divide each row by its sum, or take the softmax of logits",
        )
    return rows / total


def words_of(texts: Any, n_words: int, longest: int | None = None) -> Int[ndarray, "text pos"]:
    """Words as whole numbers of a vocabulary, a row for each text.

    Raises:
        LabError: Other words, no table, or texts that are too long.

    >>> words_of([[0, 1]], n_words=2, longest=3).tolist()
    [[0, 1]]
    """
    array = whole_table(texts)
    good = array is not None and len(array) and ((array >= 0) & (array < n_words)).all()
    if array is None or not good or (longest is not None and array.shape[1] > longest):
        most = "" if longest is None else f" of at most {longest} words"
        raise LabError(
            f"expected texts as a table{most}, each word a number from 0 to {n_words - 1}",
            f"got {texts!r:.60}",
        )
    return array


def whole_table(values: Any) -> Int[ndarray, "row column"] | None:
    """Whole numbers of two axes in any form; None where they are something else.

    >>> whole_table([[1, 2]]).shape, whole_table([[0.5]]), whole_table([[1], [1, 2]])
    ((1, 2), None, None)
    """
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError):  # rows of different lengths, or a gradient
        return None
    whole = array.dtype.kind in "iu" or not array.size  # an empty list has no type of its own
    return array.astype(np.int64) if whole and array.ndim == 2 else None


def check_word(what: str, word: Any, n_words: int) -> None:
    """Refuse a number that is no word of the vocabulary.

    Raises:
        LabError: It is below 0, too large, or no whole number.

    >>> check_word("forbidden word", 2, n_words=3)
    """
    check_count("size of the vocabulary", n_words, least=1)
    check_count(what, word)
    if word >= n_words:
        raise LabError(f"expected a {what} from 0 to {n_words - 1}", f"got {word}")


def counts_of(values: Any, what: str, most: int = LARGEST) -> list[int]:
    """One or more numbers of things, each at least 1.

    Raises:
        LabError: None, one below 1 or above the most, or no whole numbers.

    >>> counts_of((1, 2), "depths", most=5)
    [1, 2]
    """
    row = whole_table([values])
    if row is None or not row.size or not ((row >= 1) & (row <= most)).all():
        raise LabError(f"expected one or more {what} from 1 to {most:,}", f"got {values!r:.60}")
    return row[0].tolist()


def share_of(value: Any, what: str) -> float:
    """A share, from 0 to 1.

    Raises:
        LabError: Another number, or none.

    >>> share_of(0.5, "a share of violations")
    0.5
    """
    at_least(0, value, f"as {what}")
    if not within(value, 1):
        raise LabError(f"expected {what} from 0 to 1", f"got {value}")
    return float(value)


def check_size(entries: int) -> None:
    """Refuse to count more than can be counted.

    Raises:
        LabError: More entries than `LARGEST`.
    """
    if entries > LARGEST:
        raise LabError(
            f"expected a world of at most {LARGEST:,} entries",
            f"got {entries:,}",
            hint="take fewer words, a shorter text or a shorter context",
        )


def _contexts(n_words: int, order: int) -> int:
    """Number of texts of at most so many words."""
    return sum(n_words**length for length in range(order + 1))

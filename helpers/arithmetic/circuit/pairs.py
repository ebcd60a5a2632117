"""Matched pairs of questions, and the interchange tests that are made of them.

A test takes the output of a node from a *stored* question and writes it into a *clean* one.
`columns` has what the tests of `addition` and `subtraction` share, `selectors` the tests of the
sign and of the operator; all draw their pairs here, by rejection from random questions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from helpers.arithmetic.questions import Format, Questions, join, uniform
from helpers.errors import LabError

Pair = tuple[Questions, Questions]
"""Stored and clean questions."""


@dataclass(frozen=True)
class Pairs:
    """Matched questions of one test.

    Attributes:
        stored: The questions whose node outputs are taken.
        clean: The questions that they are written into.
        expected: Digits of the predicted answer, units first.
        tolerated: A second answer that counts as predicted too; the same as `expected` except for
            ``ST``, ``MT`` and ``NT``, where the neighbour A_(k+1) may follow the stored column or
            its own copy of column k (see `columns.ColumnTest`).
        rises: Direction of each pair: whether the sub-task's value is larger in the stored question
            (0 < U < 1). It cannot be read off the answer: a rising carry turns a 9 into a 0.
        negative: Whether the predicted sign is minus.
    """

    stored: Questions
    clean: Questions
    expected: Int[Tensor, "question answer_digit"]
    tolerated: Int[Tensor, "question answer_digit"]
    rises: Bool[Tensor, " question"]
    negative: Bool[Tensor, " question"]

    def predicts(
        self, answers: Int[Tensor, "question answer"], fmt: Format
    ) -> Bool[Tensor, " question"]:
        """Whether whole answers (token ids) are exactly the predicted ones."""
        exact = (answers == self._tokens(self.expected, fmt)).all(1)
        return exact | (answers == self._tokens(self.tolerated, fmt)).all(1)

    def reaches(
        self, answers: Int[Tensor, "question answer"], fmt: Format
    ) -> Bool[Tensor, " question"]:
        """Whether the tokens that must change came out as predicted, whatever the others did."""
        wanted = self._tokens(self.tolerated, fmt)
        truth = self.clean.tokens(fmt)[:, -fmt.n_answer :]
        return ((answers == wanted) | (wanted == truth)).all(1)

    def _tokens(
        self, digits: Int[Tensor, "question answer_digit"], fmt: Format
    ) -> Int[Tensor, "question answer"]:
        tokens = torch.tensor(fmt.digit_ids)[digits.flip(1)]
        if not fmt.has_sign:
            return tokens
        signs = torch.where(self.negative, torch.tensor(fmt.minus_or_plus), torch.tensor(fmt.plus))
        return torch.cat([signs[:, None], tokens], dim=1)


Propose = Callable[[Questions], Pair]
Keep = Callable[[Questions, Questions], Bool[Tensor, " question"]]


@dataclass(frozen=True)
class Interchange(ABC):
    """One interchange test, for every digit that it exists for.

    Attributes:
        name: Short name, as in the paper.
        meaning: One line for a reader.
        lowest: Lowest digit index that the test exists for.
        above: How many columns must lie above the digit.
        subtract: Whether the random questions that pairs are made from are subtractions.
    """

    name: str
    meaning: str
    lowest: int = 0
    above: int = 0
    subtract = False

    @abstractmethod
    def positions(self, fmt: Format, k: int) -> list[int]:
        """Positions at which a node can carry the sub-task of digit k, by causality and by use."""

    @abstractmethod
    def predicted(self, stored: Questions, clean: Questions, k: int, null: bool = False) -> Pairs:
        """What exact arithmetic predicts for given questions: the value of digit k exchanged."""

    @abstractmethod
    def _sampling(self, k: int, rng: np.random.Generator, null: bool) -> tuple[Propose, Keep]:
        """How to make a pair from a random question, and which pairs to keep."""

    def digits(self, n_digits: int) -> range:
        """Digit indices that the test exists for."""
        return range(self.lowest, n_digits - self.above)

    def pairs(
        self, k: int, n_digits: int, count: int, rng: np.random.Generator, null: bool = False
    ) -> Pairs:
        """Random matched pairs.

        With `null` they differ in their digits, but not in the sub-task's value.

        Raises:
            LabError: A digit that the test does not exist for.

        >>> from helpers.arithmetic.circuit.addition import ST
        >>> pairs = ST.pairs(1, 4, 2, np.random.default_rng(0))
        >>> for i in range(2):  # stored question, clean question, predicted answer
        ...     print(pairs.stored.text(i)[:9], pairs.clean.text(i)[:9], end=" ")
        ...     print(pairs.expected[i].flip(0).tolist())
        2508+5420 2568+5480 [0, 7, 9, 4, 8]
        9681+1334 9681+1304 [1, 1, 0, 8, 5]
        """
        self.check_digit(k, n_digits)
        propose, keep = self._sampling(k, rng, null)
        stored, clean = self._draw(n_digits, count, rng, propose, keep)
        return self.predicted(stored, clean, k, null)

    def swap(self, pairs: Pairs, k: int, null: bool = False) -> Pairs:
        """The same pairs in the other direction: stored and clean exchange their roles."""
        return self.predicted(pairs.clean, pairs.stored, k, null)

    def check_digit(self, k: int, n_digits: int) -> None:
        """Refuse a digit that the test does not exist for.

        Raises:
            LabError: There is none, or others.
        """
        allowed = self.digits(n_digits)
        if k not in allowed:
            names = (
                f"a digit from {allowed.start} to {allowed.stop - 1}" if allowed else "more digits"
            )
            raise LabError(
                f"expected {names} for {self.name}", f"got digit {k} of {n_digits}-digit questions"
            )

    def _draw(
        self, n_digits: int, count: int, rng: np.random.Generator, propose: Propose, keep: Keep
    ) -> Pair:
        """Rejection sampling: propose many pairs, keep the good ones, until there are enough."""
        kept: list[Pair] = []
        for _ in range(400):
            stored, clean = propose(uniform(n_digits, 4 * count, rng, self.subtract))
            good = keep(stored, clean)
            kept.append((stored[good], clean[good]))
            if sum(len(pair[0]) for pair in kept) >= count:
                break
        else:
            raise LabError(
                f"expected pairs for this sub-task with {n_digits} digits", "400 draws gave too few"
            )
        stored, clean = (join([pair[side] for pair in kept])[:count] for side in (0, 1))
        return stored, clean


def with_columns(questions: Questions, columns: slice | int, rng: np.random.Generator) -> Questions:
    """A copy whose chosen columns are drawn anew.

    Raises:
        LabError: A column that the questions do not have.
    """
    if isinstance(columns, int):
        _check_column(questions, columns)
    fresh = uniform(questions.n_digits, len(questions), rng)
    first, second = questions.first.clone(), questions.second.clone()
    first[:, columns], second[:, columns] = fresh.first[:, columns], fresh.second[:, columns]
    return Questions(first, second, questions.subtract)


def _check_column(questions: Questions, k: int, least: int = 0) -> None:
    if not least <= k < questions.n_digits:
        raise LabError(f"expected a column from {least} to {questions.n_digits - 1}", f"got {k}")


def _passing(questions: Questions) -> Int[Tensor, "question digit"]:
    """Second digits that pass a carry or a borrow on.

    Columns of an addition then sum to nine, those of a subtraction are equal.
    """
    return torch.where(questions.subtract[:, None], questions.first, 9 - questions.first)


def with_passing_column(
    questions: Questions, k: int, share: float, rng: np.random.Generator
) -> Questions:
    """A copy in which column k passes a carry or a borrow on, for a share of the questions.

    Raises:
        LabError: A column that the questions do not have.
    """
    _check_column(questions, k)
    second = questions.second.clone()
    rows = torch.from_numpy(rng.random(len(questions)) < share)
    second[rows, k] = _passing(questions)[rows, k]
    return Questions(questions.first, second, questions.subtract)


def with_deciding_column(clean: Questions, k: int, rng: np.random.Generator) -> Pair:
    """Pairs that differ in one column below k, at a random distance, with passing columns between.

    Were all lower columns redrawn, column k - 1 would decide nine times in ten, and a node that
    knows nothing but SC_(k-1) or MB_(k-1) would pass for one that knows the cascade.

    Raises:
        LabError: A column that the questions do not have, or one with none below.
    """
    _check_column(clean, k, least=1)
    decides = k - torch.from_numpy(rng.integers(1, k + 1, size=len(clean)))[:, None]
    column = torch.arange(clean.n_digits)
    second = torch.where((column > decides) & (column <= k), _passing(clean), clean.second)
    fresh, chosen = uniform(clean.n_digits, len(clean), rng), column == decides
    redrawn = (
        torch.where(chosen, fresh.first, clean.first),
        torch.where(chosen, fresh.second, second),
    )
    return Questions(*redrawn, clean.subtract), Questions(clean.first, second, clean.subtract)


def columns_differ(
    stored: Questions, clean: Questions, columns: slice
) -> Bool[Tensor, " question"]:
    """Whether any of the chosen columns holds other digits."""
    differ = (stored.first != clean.first) | (stored.second != clean.second)
    return differ[:, columns].any(1)

"""One algebra of columns, and the five interchange tests that addition and subtraction share.

Column k has a *base* digit, and a *case*: it makes no carry, it is undecided (the carry from below
is passed on), or it makes a carry. A borrow is the carry of a difference. The carry out of a column
is the case of the highest decided column at or below it, and the digit A_k is the base digit of
column k plus, or minus, the carry out of column k - 1. A test exchanges one of five parts:

=============  ===  ======  ======================================================================
part           sum  diff.   what differs between the stored and the clean question
=============  ===  ======  ======================================================================
``base``       SA   MD, ND  the base digit of column k
``alone``      SC   MB, NB  whether column k carries, when it is decided
``undecided``  U    MU, NU  column k undecided or without a carry, with a carry from below
``cascade``    SV   MV, NV  the carry from below, where column k is undecided
``case``       ST   MT, NT  the case of column k, kept for later positions
=============  ===  ======  ======================================================================
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from helpers.arithmetic.circuit.pairs import (
    Interchange,
    Keep,
    Pair,
    Pairs,
    Propose,
    columns_differ,
    with_columns,
    with_deciding_column,
    with_passing_column,
)
from helpers.arithmetic.questions import Format, Questions, algorithm
from helpers.arithmetic.questions.algorithm import U

Part = Literal["base", "alone", "undecided", "cascade", "case"]


@dataclass(frozen=True)
class ColumnTest(Interchange):
    """An interchange test of one part of a column.

    A stored case is tested by the digits from A_(k+2) up. The neighbour A_(k+1) has two sources:
    what was stored, and the heads at its own position, which see column k themselves. It may follow
    either; every other digit must be as predicted.

    Attributes:
        part: What is exchanged (see the module docstring).
    """

    part: Part = field(kw_only=True)

    @abstractmethod
    def base(self, questions: Questions) -> Int[Tensor, "question digit"]:
        """The base digit of every column."""

    @abstractmethod
    def cases(self, questions: Questions) -> Int[Tensor, "question digit"]:
        """The case of every column: 0, `U` or 1. The units are never undecided."""

    def positions(self, fmt: Format, k: int) -> list[int]:
        """Positions at which a node can carry the part, by causality and by use.

        A base digit is used where A_k is predicted, a carry where A_(k+1) is. A stored case can lie
        anywhere from the position of D'_k (nothing earlier knows the column) to the one where it is
        first needed: that of ``=`` in a subtraction, which must know the sign, and the one that
        predicts A_n in an addition.
        """
        if self.part == "case":
            leading = fmt.answer_position(fmt.n_digits) - 1
            last = fmt.equals_position if self.subtract else leading
            return list(range(fmt.operand_positions(k)[1], last + 1))
        return [fmt.answer_position(k + (self.part != "base")) - 1]

    def predicted(self, stored: Questions, clean: Questions, k: int, null: bool = False) -> Pairs:
        """What exact arithmetic predicts for any questions, such as two typed by hand.

        The part of digit k is exchanged. With `null` the clean answer is predicted, whatever the
        values are.

        Raises:
            LabError: A digit that the test does not exist for.

        >>> from helpers.arithmetic.circuit.addition import SC
        >>> from helpers.arithmetic.questions import parse
        >>> pairs = SC.predicted(parse("222+693"), parse("333+555"), k=1)  # only 2 + 9 carries
        >>> pairs.expected.flip(1).tolist(), pairs.rises.tolist()
        ([[0, 9, 8, 8]], [True])
        """
        self.check_digit(k, clean.n_digits)
        truth = clean.answer_digits()
        rises = self._value(stored, k) > self._value(clean, k)
        if null:
            return Pairs(stored, clean, truth, truth, rises, clean.negative)
        expected = tolerated = self._exchange(stored, clean, k)
        if self.part == "case":
            tolerated = torch.cat([truth[:, : k + 2], expected[:, k + 2 :]], dim=1)
        return Pairs(stored, clean, expected, tolerated, rises, clean.negative)

    def _carries(self, questions: Questions) -> Int[Tensor, "question digit"]:
        """The carry out of every column, once everything below it is decided."""
        return algorithm.fold(algorithm.tri_add, self.cases(questions))

    def _value(self, questions: Questions, k: int) -> Int[Tensor, " question"]:
        """The value of the part at digit k; cases in their order 0, U, 1."""
        if self.part == "base":
            return self.base(questions)[:, k]
        if self.part == "case":
            case = self.cases(questions)[:, k]
            return torch.where(case == U, 1, 2 * case)
        return self._carries(questions)[:, k]

    def _exchange(
        self, stored: Questions, clean: Questions, k: int
    ) -> Int[Tensor, "question answer_digit"]:
        """The clean answer with the part of digit k taken from the stored question."""
        if self.part in ("base", "case"):
            base, cases = self.base(clean).clone(), self.cases(clean).clone()
            if self.part == "base":
                base[:, k] = self.base(stored)[:, k]
            else:  # the cascade above follows
                cases[:, k] = self.cases(stored)[:, k]
            return self._compose(base, cases)
        change = self._carries(stored)[:, k] - self._carries(clean)[:, k]
        answer = clean.answer_digits()  # only the next digit sees this carry
        answer[:, k + 1] = (answer[:, k + 1] + (-change if self.subtract else change)) % 10
        return answer

    def _compose(
        self, base: Int[Tensor, "question digit"], cases: Int[Tensor, "question digit"]
    ) -> Int[Tensor, "question answer_digit"]:
        """Answer digits from the base digits and the cases of all columns alone."""
        zero = torch.zeros(len(base), 1, dtype=torch.long)
        carries = torch.cat([zero, algorithm.fold(algorithm.tri_add, cases)], dim=1)
        digits = torch.cat([base, zero], dim=1)
        if not self.subtract:
            return (digits + carries) % 10
        carries[:, -1] = 0  # A_n of a difference is 0
        return (digits - carries) % 10

    def _sampling(self, k: int, rng: np.random.Generator, null: bool) -> tuple[Propose, Keep]:
        def propose(clean: Questions) -> Pair:
            if self.part == "cascade":
                return with_deciding_column(clean, k, rng)
            if self.part == "case":  # else nothing beyond the neighbour can change
                clean = with_passing_column(clean, k + 1, 1.0, rng)
            if self.part == "undecided" or (self.part == "case" and k):
                clean = with_passing_column(clean, k, 0.3, rng)
            return with_columns(clean, k, rng), clean

        def keep(stored: Questions, clean: Questions) -> Bool[Tensor, " question"]:
            columns = slice(0, k) if self.part == "cascade" else slice(k, k + 1)
            same = self._value(stored, k) == self._value(clean, k)
            good = columns_differ(stored, clean, columns) & (same == null)
            good &= self._comparable(stored, clean, k)
            a, b = self.cases(stored)[:, k], self.cases(clean)[:, k]
            if self.part == "alone":
                good &= (a != U) & (b != U)
            elif self.part == "undecided":
                good &= (a != 1) & (b != 1) & (self._carries(clean)[:, k - 1] == 1)
            elif self.part == "case" and not null:
                changed = self._exchange(stored, clean, k) != clean.answer_digits()
                good &= changed[:, k + 2 :].any(1)
            return good

        return propose, keep

    def _comparable(self, stored: Questions, clean: Questions, k: int) -> Bool[Tensor, " question"]:
        """Which pairs differ in nothing else that the answer depends on: of sums, all."""
        return torch.ones(len(clean), dtype=torch.bool)

"""Sub-tasks as interchange experiments: which question to store, which to run, and what exact
arithmetic predicts.

A sub-task is a function of some columns (SA_k, SC_k, ST_k of column k; SV_k of columns k … 0). A
node that carries it must do two things when its output is taken from a *stored* question and
written into a *clean* one:

- where the sub-task's value differs between the two, the model's answer changes to the answer of
  the algorithm with that one value exchanged, digit for digit, and nothing else changes (the
  *test*);
- where the value is the same although the digits differ, the answer stays as it is (the *null*).

The released code of arXiv 2402.02619 uses one hand-made pair for each test and accepts any change
for ST. Here every test draws many random pairs, in both directions, and the prediction comes from
`algorithm` by exchange of a value.

Three tests at the position that predicts A_(k+1) separate a binary carry from a tri-state and from
a cascaded one:

==================================  ====  ====  ====
what differs                         SC    ST    SV
==================================  ====  ====  ====
``SC``: column k low or carry       flip  flip  flip
``U``: column k low or nine, carry  stay  flip  flip
from below
``SV``: column k nine, carry from   stay  stay  flip
below toggled
==================================  ====  ====  ====
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
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
from helpers.arithmetic.questions import algorithm
from helpers.arithmetic.questions.batch import Questions
from helpers.arithmetic.questions.format import Format


def _recompose(
    base: Int[Tensor, "question digit"], cases: Int[Tensor, "question digit"]
) -> Int[Tensor, "question answer_digit"]:
    """Answer digits from SA and ST alone."""
    zero = torch.zeros(len(base), 1, dtype=torch.long)
    carry_in = torch.cat([zero, algorithm.fold(algorithm.tri_add, cases)], dim=1)
    return (torch.cat([base, zero], dim=1) + carry_in) % 10


def _values(
    questions: Questions,
) -> tuple[Int[Tensor, "question digit"], Int[Tensor, "question digit"]]:
    pair = questions.first, questions.second
    return algorithm.sa(*pair), algorithm.st(*pair)


def _exchange_base(
    stored: Questions, clean: Questions, k: int
) -> Int[Tensor, "question answer_digit"]:
    """The clean answer with SA_k taken from the stored question."""
    (base, cases), (other, _) = _values(clean), _values(stored)
    base = base.clone()
    base[:, k] = other[:, k]
    return _recompose(base, cases)


def _exchange_case(
    stored: Questions, clean: Questions, k: int
) -> Int[Tensor, "question answer_digit"]:
    """The clean answer with ST_k taken from the stored question: the cascade above follows."""
    (base, cases), (_, other) = _values(clean), _values(stored)
    cases = cases.clone()
    cases[:, k] = other[:, k]
    return _recompose(base, cases)


def _exchange_carry(
    stored: Questions, clean: Questions, k: int
) -> Int[Tensor, "question answer_digit"]:
    """The clean answer with the carry into column k + 1 taken from the stored question; only A_(k+1) changes."""
    carry = [algorithm.sv(q.first, q.second)[:, k] for q in (stored, clean)]
    answer = clean.answer_digits().clone()
    answer[:, k + 1] = (answer[:, k + 1] + carry[0] - carry[1]) % 10
    return answer


@dataclass(frozen=True)
class SubTask(Interchange):
    """One interchange test of addition: ``SA``, ``SC``, ``U``, ``ST`` or ``SV``.

    A stored ST_k is tested by the digits from A_(k+2) up. The neighbour A_(k+1) has two sources:
    what was stored, and the heads at its own position, which see column k themselves. It may follow
    either; every other digit must be as predicted.
    """

    def positions(self, fmt: Format, k: int) -> list[int]:
        """Positions at which a node can carry the sub-task of digit k, by causality and by use.

        SA_k is used where A_k is predicted, SC, U and SV where A_(k+1) is; ST_k can be stored
        anywhere from the position of D'_k (nothing earlier knows the column) to the one that
        predicts A_n.
        """
        if self.name == "ST":
            return list(range(fmt.operand_positions(k)[1], fmt.answer_position(fmt.n_digits)))
        return [fmt.answer_position(k + (self.name != "SA")) - 1]

    def predicted(self, stored: Questions, clean: Questions, k: int, null: bool = False) -> Pairs:
        """What exact arithmetic predicts for any additions, such as two typed by hand: the value of
        digit k exchanged.

        With `null` the clean answer is predicted, whatever the values are.

        Raises:
            LabError: a digit the test does not exist for.

        >>> from helpers.arithmetic.questions.batch import parse
        >>> pairs = SC.predicted(parse("222+693"), parse("333+555"), k=1)  # 2 + 9 carries, 3 + 5 does not
        >>> pairs.expected.flip(1).tolist(), pairs.rises.tolist()
        ([[0, 9, 8, 8]], [True])
        """
        self._check(k, clean.n_digits)
        truth = clean.answer_digits()
        rises = self._value(stored, k) > self._value(clean, k)
        if null:
            return Pairs(stored, clean, truth, truth, rises, clean.negative)
        exchange = {"SA": _exchange_base, "ST": _exchange_case}.get(self.name, _exchange_carry)
        expected = tolerated = exchange(stored, clean, k)
        if self.name == "ST":
            tolerated = torch.cat([truth[:, : k + 2], expected[:, k + 2 :]], dim=1)
        return Pairs(stored, clean, expected, tolerated, rises, clean.negative)

    def _value(self, questions: Questions, k: int) -> Int[Tensor, " question"]:
        """The sub-task's value; the cases of ST in their order 0, U, 1."""
        columns = questions.first, questions.second
        if self.name == "SA":
            return algorithm.sa(*columns)[:, k]
        if self.name == "ST":
            case = algorithm.st(*columns)[:, k]
            return torch.where(case == algorithm.U, 1, 2 * case)
        return algorithm.sv(*columns)[:, k]

    def _sampling(self, k: int, rng: np.random.Generator, null: bool) -> tuple[Propose, Keep]:
        def value(q: Questions) -> Tensor:
            return (algorithm.sa if self.name == "SA" else algorithm.st)(q.first, q.second)[:, k]

        def below(q: Questions) -> Tensor:
            return (
                algorithm.sv(q.first, q.second)[:, k - 1]
                if k
                else torch.zeros(len(q), dtype=torch.long)
            )

        def redraw_column(clean: Questions) -> Pair:
            if self.name == "ST":
                clean = with_passing_column(
                    clean, k + 1, 1.0, rng
                )  # else nothing beyond the neighbour can change
            if self.name == "U" or (self.name == "ST" and k):
                clean = with_passing_column(clean, k, 0.3, rng)
            return with_columns(clean, k, rng), clean

        def redraw_below(clean: Questions) -> Pair:
            return with_deciding_column(clean, k, rng)

        def keep(stored: Questions, clean: Questions) -> Tensor:
            if self.name == "SV":
                return ((below(stored) == below(clean)) == null) & columns_differ(
                    stored, clean, slice(0, k)
                )
            a, b, differ = (
                value(stored),
                value(clean),
                columns_differ(stored, clean, slice(k, k + 1)),
            )
            if self.name == "SC":
                decided = (a != algorithm.U) & (b != algorithm.U)
                return decided & differ & ((a == b) == null)
            if self.name == "U":
                undecided = (a == algorithm.U).long() + (b == algorithm.U).long()
                return (
                    (below(clean) == 1) & (a != 1) & (b != 1) & differ & ((undecided == 1) != null)
                )
            if self.name == "ST" and not null:
                return (_exchange_case(stored, clean, k) != clean.answer_digits())[:, k + 2 :].any(
                    1
                )
            return differ & ((a == b) == null)

        return (redraw_below if self.name == "SV" else redraw_column), keep


SA = SubTask("SA", "base add: (D_k + D'_k) mod 10, used to write A_k")
SC = SubTask("SC", "make carry: does column k alone sum to ten or more, used to write A_(k+1)")
UNDECIDED = SubTask(
    "U", "sum nine told apart from a smaller sum, with a carry from below", lowest=1
)
SV = SubTask(
    "SV", "cascaded carry: column k sums to nine, the carry from below is passed on", lowest=1
)
ST = SubTask(
    "ST", "tri-state of column k stored for later positions: no carry, undecided, carry", above=1
)
SUBTASKS: dict[str, SubTask] = {task.name: task for task in (SA, SC, UNDECIDED, SV, ST)}

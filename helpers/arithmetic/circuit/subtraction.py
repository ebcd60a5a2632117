"""The sub-tasks of subtraction as interchange experiments (`subtasks` explains the method).

Questions with D >= D' (M) and with D < D' (N) have sub-tasks of their own: MD, MB, MT and MV read D
- D', their mirror images ND, NB, NT and NV read D' - D. In one pair both questions are of the same
kind, so the sign never changes; what decides it is tested by ``GT``, and what tells addition from
subtraction by ``OPR`` and ``OP`` (see `selectors`). The prediction comes from `algorithm` by
exchange of one value, for every digit: the released code of arXiv 2402.02619 writes it by hand and
is wrong for ND at the top digit, where the minuend has no digit left.

Three tests at the position that predicts A_(k+1) separate a binary borrow from a tri-state and from
a cascaded one:

==========================================  ====  ====  ====
what differs                                MB    MT    MV
==========================================  ====  ====  ====
``MB``: column k greater or less            flip  flip  flip
``MU``: column k greater or equal, borrow   stay  flip  flip
from below
``MV``: column k equal, borrow from below   stay  stay  flip
toggled
==========================================  ====  ====  ====

Rows are tests, columns are what a node may know; `nodemap.carry_kind` names the pattern. ``NB``,
``NU`` and ``NV`` do the same for negative answers. A borrow out of the top column does not exist,
so these tests end one digit below it, and those that hold a column equal need a column above it to
keep the sign.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from helpers.arithmetic.circuit import selectors
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
from helpers.errors import LabError


def _recompose(
    base: Int[Tensor, "question digit"], cases: Int[Tensor, "question digit"]
) -> Int[Tensor, "question answer_digit"]:
    """Answer digits from base differences and the signs of all columns alone; A_n of a difference is 0."""
    zero = torch.zeros(len(base), 1, dtype=torch.long)
    borrow = (algorithm.fold(algorithm.tri_subtract, cases) == -1).long()
    borrow_in = torch.cat([zero, borrow[:, :-1]], dim=1)
    return torch.cat([(base - borrow_in) % 10, zero], dim=1)


@dataclass(frozen=True)
class Subtraction(Interchange):
    """One interchange test of subtraction.

    The part of the column that differs is named by the second letter, as in the paper: ``D`` base
    difference, ``B`` borrow of the column alone, ``U`` equal told apart from greater, ``V``
    cascaded borrow, ``T`` stored tri-state. As for ST, the neighbour A_(k+1) of a stored MT_k or
    NT_k may stay as it is.

    Attributes:
        mirrored: whether the answer is negative: the sub-task reads D' - D.
    """

    mirrored: bool = False
    subtract = True

    @property
    def part(self) -> str:
        return self.name[1]

    def positions(self, fmt: Format, k: int) -> list[int]:
        """Positions at which a node can carry the sub-task of digit k, by causality and by use.

        MD_k is used where A_k is predicted, MB, MU and MV where A_(k+1) is; MT_k can be stored
        anywhere from the position of D'_k to ``=``, where the sign must be known.
        """
        if self.part == "T":
            return list(range(fmt.operand_positions(k)[1], fmt.equals_position + 1))
        return [fmt.answer_position(k + (self.part != "D")) - 1]

    def predicted(self, stored: Questions, clean: Questions, k: int, null: bool = False) -> Pairs:
        """What exact arithmetic predicts for given subtractions, such as two typed by hand: the
        value of digit k exchanged.

        With `null` the clean answer is predicted, whatever the values are.

        Raises:
            LabError: a digit the test does not exist for, or a question that is no subtraction of
                this sign.

        >>> from helpers.arithmetic.questions.batch import parse
        >>> pairs = ND.predicted(parse("033-111"), parse("099-444"), k=2)  # top digit: 1 - 0 into 4 - 0
        >>> pairs.clean.text(), pairs.expected.flip(1).tolist(), pairs.negative.tolist()
        ('099-444=-0345', [[0, 0, 4, 5]], [True])
        """
        self._check(k, clean.n_digits)
        self._check_sign(stored)
        self._check_sign(clean)
        truth = clean.answer_digits()
        rises = self._value(stored, k) > self._value(clean, k)
        if null:
            return Pairs(stored, clean, truth, truth, rises, clean.negative)
        expected = tolerated = self._exchange(stored, clean, k)
        if self.part == "T":
            tolerated = torch.cat([truth[:, : k + 2], expected[:, k + 2 :]], dim=1)
        return Pairs(stored, clean, expected, tolerated, rises, clean.negative)

    def _check_sign(self, questions: Questions) -> None:
        right = questions.subtract & (questions.negative == self.mirrored)
        if not right.all():
            wanted = "below zero" if self.mirrored else "of at least zero"
            wrong = questions.text(int((~right).long().argmax()))
            raise LabError(
                f"expected subtractions with an answer {wanted} for {self.name}", f"got {wrong}"
            )

    def _operands(self, questions: Questions) -> tuple[Tensor, Tensor]:
        """Minuend and subtrahend of the magnitude: nd, nb and nv are md, mb and mv of D' and D."""
        pair = questions.first, questions.second
        return pair[::-1] if self.mirrored else pair

    def _exchange(
        self, stored: Questions, clean: Questions, k: int
    ) -> Int[Tensor, "question answer_digit"]:
        """The clean answer with one value taken from the stored question."""
        ours, theirs = self._operands(clean), self._operands(stored)
        if self.part in "DT":
            base, cases = algorithm.md(*ours).clone(), algorithm.mt(*ours).clone()
            value, function = (base, algorithm.md) if self.part == "D" else (cases, algorithm.mt)
            value[:, k] = function(*theirs)[:, k]
            return _recompose(base, cases)
        change = algorithm.mv(*theirs)[:, k] - algorithm.mv(*ours)[:, k]
        answer = clean.answer_digits().clone()  # only the next digit sees this borrow
        answer[:, k + 1] = (answer[:, k + 1] - change) % 10
        return answer

    def _case(self, questions: Questions, k: int) -> Int[Tensor, " question"]:
        """The tri-state as a borrow: 0 (greater), 1 (equal), 2 (less). Units that are equal never borrow."""
        case = 1 - algorithm.mt(*self._operands(questions))[:, k]
        return case if k else torch.where(case == 1, 0, case)

    def _value(self, questions: Questions, k: int) -> Int[Tensor, " question"]:
        """The sub-task's value; the tri-state in the order 0, U, 1."""
        if self.part == "T":
            return self._case(questions, k)
        return (algorithm.md if self.part == "D" else algorithm.mv)(*self._operands(questions))[
            :, k
        ]

    def _sampling(self, k: int, rng: np.random.Generator, null: bool) -> tuple[Propose, Keep]:
        def below(questions: Questions) -> Tensor:
            return algorithm.mv(*self._operands(questions))[:, k - 1]

        def propose(clean: Questions) -> Pair:
            if self.part == "V":
                return with_deciding_column(clean, k, rng)
            if self.part == "T":
                clean = with_passing_column(
                    clean, k + 1, 1.0, rng
                )  # else nothing beyond the neighbour can change
            if self.part == "U" or (self.part == "T" and k):
                clean = with_passing_column(clean, k, 0.3, rng)
            return with_columns(clean, k, rng), clean

        def keep(stored: Questions, clean: Questions) -> Tensor:
            signs = (stored.negative == self.mirrored) & (clean.negative == self.mirrored)
            if self.part == "V":
                return (
                    signs
                    & ((below(stored) == below(clean)) == null)
                    & columns_differ(stored, clean, slice(0, k))
                )
            a, b = self._case(stored, k), self._case(clean, k)
            differ = signs & columns_differ(stored, clean, slice(k, k + 1))
            if self.part == "D":
                base = (self._value(q, k) for q in (stored, clean))
                tri_state = (algorithm.mt(q.first, q.second)[:, k] for q in (stored, clean))
                return differ & torch.eq(*tri_state) & (torch.eq(*base) == null)
            if self.part == "B":
                return differ & (a != 1) & (b != 1) & ((a == b) == null)
            if self.part == "U":
                return differ & (a != 2) & (b != 2) & (below(clean) == 1) & ((a == b) == null)
            if null:
                return differ & (a == b)
            return differ & (self._exchange(stored, clean, k) != clean.answer_digits())[
                :, k + 2 :
            ].any(1)

        return propose, keep


def _both_signs(part: str, meaning: str, **limits: int) -> tuple[Subtraction, Subtraction]:
    return (
        Subtraction(f"M{part}", meaning.format("D_k - D'_k", "D >= D'"), **limits),
        Subtraction(f"N{part}", meaning.format("D'_k - D_k", "D < D'"), **limits, mirrored=True),
    )


MD, ND = _both_signs("D", "base difference where {1}: ({0}) mod 10, used to write A_k")
MB, NB = _both_signs(
    "B", "make borrow where {1}: is {0} below zero, used to write A_(k+1)", above=1
)
MU, NU = _both_signs(
    "U",
    "{0} = 0 told apart from a larger difference, where {1}, with a borrow from below",
    lowest=1,
    above=1,
)
MV, NV = _both_signs(
    "V",
    "cascaded borrow where {1}: {0} is zero, the borrow from below is passed on",
    lowest=1,
    above=1,
)
MT, NT = _both_signs(
    "T",
    "tri-state of {0} stored for later positions, where {1}: no borrow, undecided, borrow",
    above=2,
)
SUBTASKS: dict[str, Interchange] = {
    task.name: task
    for task in (MD, MB, MU, MV, MT, ND, NB, NU, NV, NT, selectors.GT, selectors.OPR, selectors.OP)
}

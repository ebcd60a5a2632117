"""The sub-tasks of subtraction as interchange experiments (`addition` explains the method).

Questions with D >= D' (M) and with D < D' (N) have sub-tasks of their own: MD, MB, MT and MV read D
- D', their mirror images ND, NB, NT and NV read D' - D. In one pair both questions are of the same
kind, so the sign never changes; what decides it is tested by ``GT``, and what tells addition from
subtraction by ``OPR`` and ``OP`` (see `selectors`). The prediction comes from `columns` by exchange
of one value, for every digit: the released code of arXiv 2402.02619 writes it by hand and
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

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from helpers.arithmetic.circuit.columns import ColumnTest, Part
from helpers.arithmetic.circuit.pairs import Interchange, Pairs
from helpers.arithmetic.circuit.selectors import GT, OP, OPR
from helpers.arithmetic.questions import Questions, algorithm
from helpers.arithmetic.questions.algorithm import U
from helpers.errors import LabError


@dataclass(frozen=True)
class Subtraction(ColumnTest):
    """One interchange test of subtraction.

    The second letter of its name is the part that differs, as in the paper: ``D`` base difference,
    ``B`` borrow of the column alone, ``U`` equal told apart from greater, ``V`` cascaded borrow,
    ``T`` stored tri-state.

    Attributes:
        mirrored: Whether the answer is negative: the sub-task reads D' - D.
    """

    mirrored: bool = False
    subtract = True

    def base(self, questions: Questions) -> Int[Tensor, "question digit"]:
        return algorithm.md(*self._operands(questions))

    def cases(self, questions: Questions) -> Int[Tensor, "question digit"]:
        sign = algorithm.mt(*self._operands(questions))
        cases = torch.where(sign == 0, U, (sign < 0).long())
        cases[:, 0] = (sign < 0)[:, 0]  # units that are equal never borrow
        return cases

    def predicted(self, stored: Questions, clean: Questions, k: int, null: bool = False) -> Pairs:
        """What exact arithmetic predicts for given subtractions, such as two typed by hand.

        The part of digit k is exchanged. With `null` the clean answer is predicted, whatever the
        values are.

        Raises:
            LabError: A digit that the test does not exist for, or a question that is no subtraction
                of this sign.

        >>> from helpers.arithmetic.questions import parse
        >>> pairs = ND.predicted(parse("033-111"), parse("099-444"), k=2)  # 1 - 0 into 4 - 0
        >>> pairs.clean.text(), pairs.expected.flip(1).tolist(), pairs.negative.tolist()
        ('099-444=-0345', [[0, 0, 4, 5]], [True])
        """
        self.check_digit(k, clean.n_digits)
        self._check_sign(stored)
        self._check_sign(clean)
        return super().predicted(stored, clean, k, null)

    def _check_sign(self, questions: Questions) -> None:
        right = questions.subtract & (questions.negative == self.mirrored)
        if not right.all():
            wanted = "below zero" if self.mirrored else "of at least zero"
            wrong = questions.text(int((~right).long().argmax()))
            raise LabError(
                f"expected subtractions with an answer {wanted} for {self.name}", f"got {wrong}"
            )

    def _operands(
        self, questions: Questions
    ) -> tuple[Int[Tensor, "question digit"], Int[Tensor, "question digit"]]:
        """Minuend and subtrahend of the magnitude: ND, NB and NV are MD, MB and MV of D' and D."""
        if self.mirrored:
            return questions.second, questions.first
        return questions.first, questions.second

    def _comparable(self, stored: Questions, clean: Questions, k: int) -> Bool[Tensor, " question"]:
        """Which pairs have answers of the right sign, and for a base digit column k of one sign."""
        good = (stored.negative == self.mirrored) & (clean.negative == self.mirrored)
        if self.part == "base":
            signs = (algorithm.mt(q.first, q.second)[:, k] for q in (stored, clean))
            good &= torch.eq(*signs)
        return good


def _both_signs(
    letter: str, part: Part, meaning: str, lowest: int = 0, above: int = 0
) -> tuple[Subtraction, Subtraction]:
    positive = meaning.format("D_k - D'_k", "D >= D'")
    negative = meaning.format("D'_k - D_k", "D < D'")
    return (
        Subtraction(f"M{letter}", positive, lowest, above, part=part),
        Subtraction(f"N{letter}", negative, lowest, above, part=part, mirrored=True),
    )


MD, ND = _both_signs("D", "base", "base difference where {1}: ({0}) mod 10, used to write A_k")
MB, NB = _both_signs(
    "B", "alone", "make borrow where {1}: is {0} below zero, used to write A_(k+1)", above=1
)
MU, NU = _both_signs(
    "U",
    "undecided",
    "{0} = 0 told apart from a larger difference, where {1}, with a borrow from below",
    lowest=1,
    above=1,
)
MV, NV = _both_signs(
    "V",
    "cascade",
    "cascaded borrow where {1}: {0} is zero, the borrow from below is passed on",
    lowest=1,
    above=1,
)
MT, NT = _both_signs(
    "T",
    "case",
    "tri-state of {0} stored for later positions, where {1}: no borrow, undecided, borrow",
    above=2,
)
SUBTASKS: dict[str, Interchange] = {
    task.name: task for task in (MD, MB, MU, MV, MT, ND, NB, NU, NV, NT, GT, OPR, OP)
}

"""What chooses between sum and difference, as interchange experiments: the sign, and the operator.

``GT`` stores a question of the other sign. The sign token alone may change: the model reads the
true tokens, so every digit is predicted after the clean question's own sign.

``OPR`` stores the same operands with the other operator. It asks through which nodes the operator
acts on A_k, and any node that carries the digit passes, the last MLP too. Its null are questions
whose A_k is the same under both operators. ``OP`` stores other operands with the other operator,
and predicts A_k of the *clean* operands under the stored operator: only nodes that carry the
operator and nothing of the digits pass. Its null are other operands with the same operator. All
operands have D >= D', so that the sign is plus throughout and cannot stand in for the operator.
"""

from dataclasses import dataclass, replace

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
)
from helpers.arithmetic.questions import Format, Questions, algorithm, uniform
from helpers.errors import LabError


def _with_equal_columns(questions: Questions, columns: slice) -> Questions:
    """A copy whose chosen columns hold the same digit twice."""
    second = questions.second.clone()
    second[:, columns] = questions.first[:, columns]
    return Questions(questions.first, second, questions.subtract)


@dataclass(frozen=True)
class Sign(Interchange):
    """The sign of a difference, decided in column k: all columns above are equal."""

    subtract = True

    def positions(self, fmt: Format, k: int) -> list[int]:
        """The position of ``=``, which predicts the sign; none in a format without a sign."""
        return [fmt.equals_position] if fmt.has_sign else []

    def predicted(self, stored: Questions, clean: Questions, k: int, null: bool = False) -> Pairs:
        """The clean digits, after the sign that the question has with column k's sign exchanged.

        With `null` the clean answer is predicted, whatever the values are.

        Raises:
            LabError: A digit that the questions do not have, or a question that is no subtraction.

        >>> from helpers.arithmetic.questions import parse
        >>> pairs = GT.predicted(parse("600-210"), parse("100-210"), k=2)
        >>> pairs.clean.text(), pairs.expected.flip(1).tolist(), pairs.negative.tolist()
        ('100-210=-0110', [[0, 1, 1, 0]], [False])
        """
        self.check_digit(k, clean.n_digits)
        if not (stored.subtract & clean.subtract).all():
            raise LabError(f"expected subtractions for {self.name}", "got an addition")
        ours, theirs = (algorithm.mt(q.first, q.second) for q in (stored, clean))
        exchanged = theirs.clone()
        exchanged[:, k] = ours[:, k]
        negative = algorithm.fold(algorithm.tri_subtract, exchanged)[:, -1] == -1
        digits = clean.answer_digits()
        return Pairs(
            stored,
            clean,
            digits,
            digits,
            ours[:, k] > theirs[:, k],
            clean.negative if null else negative,
        )

    def _sampling(self, k: int, rng: np.random.Generator, null: bool) -> tuple[Propose, Keep]:
        def propose(clean: Questions) -> Pair:
            clean = _with_equal_columns(clean, slice(k + 1, None))
            return with_columns(clean, k, rng), clean

        def keep(stored: Questions, clean: Questions) -> Bool[Tensor, " question"]:
            a, b = (algorithm.mt(q.first, q.second)[:, k] for q in (stored, clean))
            wanted = a == b if null else a != b
            return wanted & (a != 0) & (b != 0) & columns_differ(stored, clean, slice(k, k + 1))

        return propose, keep


@dataclass(frozen=True)
class Operator(Interchange):
    """The operator as it acts on A_k; a pair rises when an addition is written into a subtraction.

    Attributes:
        alone: Whether the stored question has other operands, so that only the operator itself can
            be of use.
    """

    alone: bool = False

    def positions(self, fmt: Format, k: int) -> list[int]:
        """The position that predicts A_k."""
        return [fmt.answer_position(k) - 1]

    def predicted(self, stored: Questions, clean: Questions, k: int, null: bool = False) -> Pairs:
        """The clean answer with A_k computed under the stored question's operator; the sign stays.

        With `null` the clean answer is predicted, whatever the values are.

        Raises:
            LabError: A digit that the test does not exist for, operands with D < D', or, for OPR,
                two different pairs of operands.

        >>> from helpers.arithmetic.questions import parse
        >>> pairs = OPR.predicted(parse("275+132"), parse("275-132"), k=1)
        >>> pairs.clean.text(), pairs.expected.flip(1).tolist()
        ('275-132=+0143', [[0, 1, 0, 3]])
        """
        self.check_digit(k, clean.n_digits)
        if not (_plus(stored) & _plus(clean)).all():
            raise LabError(
                f"expected operands with D >= D' for {self.name}",
                "got a smaller D: the sign would change as well",
            )
        if not self.alone and columns_differ(stored, clean, slice(None)).any():
            raise LabError(
                f"expected stored and clean questions with the same operands for {self.name}",
                "got others",
            )
        expected = clean.answer_digits().clone()
        if not null:
            expected[:, k] = _digit(clean, stored.subtract, k)
        return Pairs(
            stored, clean, expected, expected, ~stored.subtract & clean.subtract, clean.negative
        )

    def _sampling(self, k: int, rng: np.random.Generator, null: bool) -> tuple[Propose, Keep]:
        def propose(clean: Questions) -> Pair:
            operator = torch.from_numpy(rng.random(len(clean)) < 0.5)
            clean = replace(clean, subtract=operator)
            if not self.alone:
                return replace(clean, subtract=~operator), clean
            others = uniform(clean.n_digits, len(clean), rng)
            return replace(others, subtract=operator if null else ~operator), clean

        def keep(stored: Questions, clean: Questions) -> Bool[Tensor, " question"]:
            differ = _digit(clean, stored.subtract, k) != _digit(clean, clean.subtract, k)
            plus = _plus(stored) & _plus(clean)
            return plus & (differ | null if self.alone else differ != null)

        return propose, keep


def _plus(questions: Questions) -> Bool[Tensor, " question"]:
    return algorithm.at_least(questions.first, questions.second)


def _digit(
    questions: Questions, subtract: Bool[Tensor, " question"], k: int
) -> Int[Tensor, " question"]:
    """A_k of the same operands under another operator."""
    return algorithm.answer(replace(questions, subtract=subtract))[1][:, k]


GT = Sign("GT", "greater than: the sign of D - D', decided in column k, used to write the sign")
OPR = Operator(
    "OPR", "operator: whether A_k is a digit of the sum or of the difference, used to write A_k"
)
OP = Operator("OP", "operator alone: the same, from a question with other operands", alone=True)

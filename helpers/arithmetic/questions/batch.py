"""A batch of questions: digits, text, tokens and classes.

Digit *index* 0 is always the units; text and tokens put the most significant digit first (see
`format`). `generators` draws questions at random.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from helpers.arithmetic.questions import cascades
from helpers.arithmetic.questions.format import Format
from helpers.arithmetic.questions.reading import likeliest
from helpers.errors import LabError


@dataclass(frozen=True)
class Questions:
    """A batch of questions.

    Attributes:
        first, second: Digits of D and D', [question, digit]; digit 0 is the units.
        subtract: Whether the operator is minus, [question].
        log: How many questions each kind of the generator produced.

    Raises:
        LabError: Something else than whole digits from 0 to 9 and true or false, or shapes that do
            not belong together.
    """

    first: Integer[Tensor, "question digit"]
    second: Integer[Tensor, "question digit"]
    subtract: Bool[Tensor, " question"]
    log: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        sides = (self.first, self.second)
        for digits in sides:
            if not _are_digits(digits):
                raise LabError(
                    "expected digits as whole numbers from 0 to 9, [question, digit]",
                    f"got {_seen(digits)}",
                    hint="from_numbers makes questions from numbers, parse from text",
                )
        shape, kind = self.first.shape, getattr(self.subtract, "dtype", None)
        fits = self.second.shape == shape and kind == torch.bool
        if not fits or self.subtract.shape != shape[:1]:
            raise LabError(
                "expected two operands of one shape, and true or false for each question",
                f"got {', '.join(map(_seen, (*sides, self.subtract)))}",
            )
        for name, digits in (("first", self.first), ("second", self.second)):
            object.__setattr__(self, name, digits.long())

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: int | slice | Tensor) -> "Questions":
        index = slice(index, index + 1 or None) if isinstance(index, int) else index
        return Questions(self.first[index], self.second[index], self.subtract[index])

    @property
    def n_digits(self) -> int:
        return self.first.shape[1]

    @property
    def negative(self) -> Bool[Tensor, " question"]:
        """Whether the answer is below zero: a subtraction with D < D'."""
        return self.subtract & (compare(self.first, self.second) < 0)

    def answer_digits(self) -> Int[Tensor, "question answer_digit"]:
        """The n + 1 digits of the answer's magnitude, units first, by schoolbook arithmetic."""
        swap = self.negative[:, None]
        upper = torch.where(swap, self.second, self.first)
        lower = torch.where(swap, self.first, self.second)
        direction = 1 - 2 * self.subtract.long()
        carry, columns = torch.zeros(len(self), dtype=torch.long), []
        for k in range(self.n_digits):
            total = upper[:, k] + direction * (lower[:, k] + carry)
            columns.append(total % 10)
            carry = ((total >= 10) | (total < 0)).long()
        return torch.stack([*columns, carry], dim=1)

    def classes(self) -> list[str]:
        """Class name of every question: S0 … Sn, M0 … M(n-1), N1 … Nn (see `cascades`)."""
        first, second = self.first.numpy(), self.second.numpy()
        names = np.empty(len(self), dtype=object)
        for subtract in (False, True):
            rows = self.subtract.numpy() == subtract
            if rows.any():
                automaton = cascades.automaton_of(self.n_digits, subtract)
                index = cascades.classify(automaton, first[rows], second[rows])
                names[rows] = np.array(automaton.classes)[index]
        return names.tolist()

    def tokens(self, fmt: Format) -> Int[Tensor, "question pos"]:
        """The whole question with its true answer as token ids.

        Raises:
            LabError: The format is for another number of digits, or has no minus for a subtraction.

        >>> "".join("0123456789+-=*/"[t] for t in parse("133357+182243").tokens(Format(6))[0])
        '133357+182243=+0315600'
        """
        if self.n_digits != fmt.n_digits:
            raise LabError(f"expected questions of {fmt.n_digits} digits", f"got {self.n_digits}")
        if fmt.minus is None and self.subtract.any():
            raise LabError(
                "expected additions alone, as the format has no minus",
                f"got {int(self.subtract.sum())} subtractions",
            )
        ids = torch.tensor(fmt.digit_ids)
        count = len(self)

        def column(token: int) -> Tensor:
            return torch.full((count, 1), token)

        plus, minus = torch.tensor(fmt.plus), torch.tensor(fmt.minus_or_plus)
        parts = [column(token) for token in fmt.prefix]
        parts += [ids[self.first.flip(1)], torch.where(self.subtract, minus, plus)[:, None]]
        parts += [ids[self.second.flip(1)], column(fmt.equals)]
        if fmt.has_sign:
            parts.append(torch.where(self.negative, minus, plus)[:, None])
        parts.append(ids[self.answer_digits().flip(1)])
        return torch.cat(parts, dim=1)

    def text(self, index: int = 0, has_sign: bool = True) -> str:
        """One question with its true answer, readable: ``133357+182243=+0315600``.

        Raises:
            LabError: There is no question of this number.
        """
        if not -len(self) <= index < len(self):
            raise LabError(
                f"expected a question among the {len(self)} of the batch", f"got {index}"
            )
        tokens = self[index].tokens(Format(self.n_digits, has_sign=has_sign))[0]
        return "".join("0123456789+-="[t] for t in tokens.tolist())


def _are_digits(value: object) -> bool:
    """Whether these are digits, [question, digit], of any type of whole numbers."""
    if not isinstance(value, Tensor) or value.ndim != 2:
        return False
    if value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        return False
    return not len(value) or bool(((value >= 0) & (value <= 9)).all())


def _seen(value: object) -> str:
    """What a message says of a value that should be a tensor."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def compare(
    first: Int[Tensor, "question digit"], second: Int[Tensor, "question digit"]
) -> Int[Tensor, " question"]:
    """Sign of D - D' from the highest column that differs: 1, 0 or -1."""
    result = torch.zeros(len(first), dtype=torch.long)
    for k in range(first.shape[1]):  # a higher column overrules a lower one
        difference = torch.sign(first[:, k] - second[:, k])
        result = torch.where(difference != 0, difference, result)
    return result


def from_numbers(
    first: list[int], second: list[int], n_digits: int, subtract: bool = False
) -> Questions:
    """Questions from Python integers.

    Raises:
        LabError: A number is no integer of at most `n_digits` digits, or the lists differ in
            length.

    >>> from_numbers([7], [5], n_digits=3, subtract=True).text()
    '007-005=+0002'
    """
    Format(n_digits)
    if len(first) != len(second):
        raise LabError(
            "expected as many first as second numbers", f"got {len(first)} and {len(second)}"
        )
    for number in (*first, *second):
        if not isinstance(number, Integral) or not 0 <= number < 10**n_digits:
            raise LabError(
                f"expected whole numbers from 0 to {10**n_digits - 1} for {n_digits} digits",
                f"got {number!r}",
            )

    def digits(numbers: list[int]) -> Tensor:
        rows = [[int(number) // 10**k % 10 for k in range(n_digits)] for number in numbers]
        return torch.tensor(rows, dtype=torch.long).view(len(numbers), n_digits)

    return Questions(digits(first), digits(second), torch.full((len(first),), subtract))


def parse(text: str, n_digits: int | None = None) -> Questions:
    """One question from text such as ``"133357+182243"``; shorter operands are zero-padded.

    Raises:
        LabError: The text is not ``number + number`` or ``number - number``.
    """
    operator = "-" if "-" in text else "+"
    parts = [part.strip() for part in text.split("=")[0].split(operator)]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise LabError('expected a question such as "133357+182243" or "5-7"', f"got {text!r}")
    n_digits = n_digits or max(map(len, parts))
    return from_numbers([int(parts[0])], [int(parts[1])], n_digits, subtract=operator == "-")


def join(parts: Sequence[Questions]) -> Questions:
    """Questions of several batches, one after the other; their logs are added up."""
    if not parts or len({part.n_digits for part in parts}) > 1:
        digits = sorted({part.n_digits for part in parts})
        raise LabError(
            "expected one batch of questions or more, of one number of digits",
            f"got {len(parts)} batches of {' and '.join(map(str, digits)) or 'no'} digits",
        )
    log: Counter[str] = Counter()
    for part in parts:
        log.update(part.log)
    return Questions(
        first=torch.cat([part.first for part in parts]),
        second=torch.cat([part.second for part in parts]),
        subtract=torch.cat([part.subtract for part in parts]),
        log=dict(log),
    )


def class_counts(questions: Questions) -> dict[str, int]:
    """How many questions fall into each class, in class order."""
    counts = Counter(questions.classes())
    automata = [cascades.automaton_of(questions.n_digits, subtract) for subtract in (False, True)]
    names = [name for automaton in automata for name in automaton.classes]
    return {name: counts[name] for name in names if counts[name]}


def answer_tokens(
    logits: Float[Tensor, "question pos vocab"], fmt: Format
) -> Int[Tensor, "question answer"]:
    """The model's answer, teacher forced: the likeliest token before each answer token.

    Raises:
        LabError: NaN or infinity in a logit that decides.
    """
    return likeliest(logits[:, fmt.equals_position : fmt.equals_position + fmt.n_answer])

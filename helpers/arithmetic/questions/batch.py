"""Questions, seeded generators for them, and their text and tokens (see
`helpers.arithmetic.questions.format`).

Digit *index* 0 is always the units; text and tokens put the most significant digit first.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers.arithmetic.questions import cascades
from helpers.arithmetic.questions.format import Format
from helpers.errors import LabError


@dataclass(frozen=True)
class Questions:
    """A batch of questions.

    Attributes:
        first, second: digits of D and D', [question, digit]; digit 0 is the units.
        subtract: whether the operator is minus, [question].
        log: how many questions each kind of the generator produced.
    """

    first: Int[Tensor, "question digit"]
    second: Int[Tensor, "question digit"]
    subtract: Bool[Tensor, " question"]
    log: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index) -> "Questions":
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
        """Digits of the answer's magnitude by schoolbook column arithmetic, units first, n + 1 of them."""
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
        for automaton, rows in (
            (cascades.addition(self.n_digits), ~self.subtract.numpy()),
            (cascades.subtraction(self.n_digits), self.subtract.numpy()),
        ):
            if rows.any():
                names[rows] = np.array(automaton.classes)[
                    cascades.classify(automaton, first[rows], second[rows])
                ]
        return names.tolist()

    def tokens(self, fmt: Format) -> Int[Tensor, "question pos"]:
        """The whole question with its true answer as token ids.

        >>> "".join("0123456789+-=*/"[t] for t in parse("133357+182243").tokens(Format(6))[0])
        '133357+182243=+0315600'
        """
        if self.n_digits != fmt.n_digits:
            raise LabError(f"expected questions of {fmt.n_digits} digits", f"got {self.n_digits}")
        ids = torch.tensor(fmt.digit_ids)
        count = len(self)

        def column(token: int) -> Tensor:
            return torch.full((count, 1), token)

        plus, minus = torch.tensor(fmt.plus), torch.tensor(fmt.minus)
        parts = [column(token) for token in fmt.prefix]
        parts += [ids[self.first.flip(1)], torch.where(self.subtract, minus, plus)[:, None]]
        parts += [ids[self.second.flip(1)], column(fmt.equals)]
        if fmt.has_sign:
            parts.append(torch.where(self.negative, minus, plus)[:, None])
        parts.append(ids[self.answer_digits().flip(1)])
        return torch.cat(parts, dim=1)

    def text(self, index: int = 0) -> str:
        """One question with its true answer, readable: ``133357+182243=+0315600``."""
        tokens = self[index].tokens(Format(self.n_digits))[0]
        return "".join("0123456789+-="[t] for t in tokens.tolist())


def answer_tokens(
    logits: Float[Tensor, "question pos vocab"], fmt: Format
) -> Int[Tensor, "question answer"]:
    """The model's answer: the likeliest token at the position before each answer token (teacher forced)."""
    return logits[:, fmt.equals_position : fmt.equals_position + fmt.n_answer].argmax(-1)


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
        LabError: a number that is no integer of at most `n_digits` digits, or lists of different
            lengths.

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
        LabError: text that is not ``number + number`` or ``number - number``.
    """
    operator = "-" if "-" in text else "+"
    parts = [part.strip() for part in text.split("=")[0].split(operator)]
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise LabError('expected a question such as "133357+182243" or "5-7"', f"got {text!r}")
    n_digits = n_digits or max(map(len, parts))
    return from_numbers([int(parts[0])], [int(parts[1])], n_digits, subtract=operator == "-")


def uniform(
    n_digits: int, count: int, rng: np.random.Generator, subtract: bool = False
) -> Questions:
    """Questions with independent uniform digits.

    Raises:
        LabError: digits out of range.
    """
    Format(n_digits)
    digits = torch.from_numpy(rng.integers(10, size=(2, count, n_digits)))
    return Questions(digits[0], digits[1], torch.full((count,), subtract), {"uniform": count})


def of_class(name: str, n_digits: int, count: int, rng: np.random.Generator) -> Questions:
    """Questions drawn uniformly from one class, however rare (``S6`` holds 4.5 of a million 6-digit
    questions).

    Raises:
        LabError: digits out of range, or a class that `n_digits` digits do not have.

    >>> set(of_class("S6", 6, 100, np.random.default_rng(0)).classes())
    {'S6'}
    """
    Format(n_digits)
    subtract = name[:1] in ("M", "N")
    automaton = cascades.subtraction(n_digits) if subtract else cascades.addition(n_digits)
    if name not in automaton.classes:
        raise LabError(f"expected a class among {', '.join(automaton.classes)}", f"got {name!r}")
    targets = np.full(count, automaton.classes.index(name))
    types = cascades.sample_types(automaton, n_digits, targets, rng)
    first, second = cascades.sample_digits(automaton, types, rng)
    return Questions(
        torch.from_numpy(first),
        torch.from_numpy(second),
        torch.full((count,), subtract),
        {name: count},
    )


def short_carries(
    n_digits: int, count: int, rng: np.random.Generator, max_cascade: int
) -> Questions:
    """Additions drawn uniformly among those of the classes S0 to S`max_cascade`, by rejecting the
    others.

    Raises:
        LabError: digits out of range, or `max_cascade` below 1 (for S0 alone there is `of_class`).

    >>> sorted(set(short_carries(5, 1000, np.random.default_rng(0), max_cascade=2).classes()))
    ['S0', 'S1', 'S2']
    """
    if max_cascade < 1:
        raise LabError("expected max_cascade of at least 1", f"got {max_cascade}")
    kept: list[Questions] = []
    while sum(map(len, kept)) < count:
        drawn = uniform(n_digits, max(8, count + count // 4), rng)
        found = cascades.classify(
            cascades.addition(n_digits), drawn.first.numpy(), drawn.second.numpy()
        )
        kept.append(drawn[torch.from_numpy(found <= max_cascade)])  # the index of S_m is m
    first, second = (
        torch.cat([getattr(part, name) for part in kept])[:count] for name in ("first", "second")
    )
    return Questions(first, second, torch.zeros(count, dtype=torch.bool), {"short_carries": count})


def enriched(
    n_digits: int,
    count: int,
    rng: np.random.Generator,
    subtract: bool = False,
    p_slots: float = 0.3,
    p_cascade: float = 0.3,
    p_slot: float = 0.4,
) -> Questions:
    """The training mixture: most questions uniform, some made hard on purpose.

    A uniform sample almost never shows a long cascade, so a model trained on it alone never learns
    them. Each question is drawn from one kind, and the log counts the kinds:

    - ``slots`` (share `p_slots`): every column is made to sum to nine (addition) or equal
      (subtraction) with probability `p_slot`; the paper's enrichment, per question instead of per
      batch.
    - ``cascade`` (share `p_cascade`): the class is drawn uniformly, then the question uniformly
      within it.
    - ``uniform``: the rest.

    Raises:
        LabError: digits out of range, or shares that are no probabilities.
    """
    if not all(
        0 <= share <= 1 for share in (p_slots, p_cascade, p_slot, p_slots + p_cascade)
    ):  # false for nan
        raise LabError(
            "expected p_slots, p_cascade and p_slot of at least 0, with p_slots + p_cascade and p_slot at most 1",
            f"got {p_slots}, {p_cascade} and {p_slot}",
        )
    base = uniform(n_digits, count, rng, subtract)
    first, second = base.first.numpy().copy(), base.second.numpy().copy()
    kind = rng.choice(
        3, size=count, p=[max(0.0, 1 - p_slots - p_cascade), p_slots, p_cascade]
    )  # 1 - 0.9 - 0.1 < 0
    forced = (kind == 1)[:, None] & (rng.random((count, n_digits)) < p_slot)
    second[forced] = first[forced] if subtract else 9 - first[forced]
    automaton = cascades.subtraction(n_digits) if subtract else cascades.addition(n_digits)
    hard = kind == 2
    targets = rng.integers(len(automaton.classes), size=int(hard.sum()))
    types = cascades.sample_types(automaton, n_digits, targets, rng)
    first[hard], second[hard] = cascades.sample_digits(automaton, types, rng)
    log = dict(
        zip(("uniform", "slots", "cascade"), np.bincount(kind, minlength=3).tolist(), strict=True)
    )
    return Questions(torch.from_numpy(first), torch.from_numpy(second), base.subtract, log)


def join(parts: Sequence[Questions]) -> Questions:
    """Questions of several batches, one after the other; their logs are added up."""
    log: Counter[str] = Counter()
    for part in parts:
        log.update(part.log)
    return Questions(
        *(torch.cat([getattr(part, n) for part in parts]) for n in ("first", "second", "subtract")),
        dict(log),
    )


def mixed(
    n_digits: int,
    count: int,
    rng: np.random.Generator,
    p_subtract: float = 0.6,
    p_equal: float = 0.02,
    p_slots: float = 0.25,
    p_cascade: float = 0.25,
) -> Questions:
    """Additions and subtractions, each `enriched`; the log names the kind after the operator
    (``"-cascade"``).

    Equal operands are one subtraction in 10^n by chance, and their answer is the only one whose
    digits are all zero, so a share `p_equal` of the subtractions is given equal operands (arXiv
    2402.02619 raises it to 0.6 %).

    Raises:
        LabError: digits out of range, or shares that are no probabilities.

    >>> mixed(3, 100, np.random.default_rng(0)).log
    {'+uniform': 20, '+slots': 8, '+cascade': 13, '-uniform': 30, '-slots': 17, '-cascade': 10,
    '-equal': 2}
    """
    if not (0 <= p_subtract <= 1 and 0 <= p_equal <= 1):
        raise LabError(
            "expected p_subtract and p_equal from 0 to 1", f"got {p_subtract} and {p_equal}"
        )
    n_subtract = int(rng.binomial(count, p_subtract))
    n_equal = int(rng.binomial(n_subtract, p_equal))
    shares = {"p_slots": p_slots, "p_cascade": p_cascade}
    additions = enriched(n_digits, count - n_subtract, rng, **shares)
    subtractions = enriched(n_digits, n_subtract - n_equal, rng, subtract=True, **shares)
    equal = uniform(n_digits, n_equal, rng, subtract=True)
    return join(
        [
            replace(additions, log={f"+{kind}": n for kind, n in additions.log.items()}),
            replace(subtractions, log={f"-{kind}": n for kind, n in subtractions.log.items()}),
            replace(equal, second=equal.first, log={"-equal": n_equal}),
        ]
    )


def class_counts(questions: Questions) -> dict[str, int]:
    """How many questions fall into each class, in class order."""
    counts = Counter(questions.classes())
    names = (
        cascades.addition(questions.n_digits).classes
        + cascades.subtraction(questions.n_digits).classes
    )
    return {name: counts[name] for name in names if counts[name]}


def all_additions(n_digits: int, start: int = 0, stop: int | None = None) -> Questions:
    """Additions number `start` to `stop` of all 10^(2n), in counting order: question i is ``i // 10^n + i % 10^n``."""
    total = 10 ** (2 * n_digits)
    index = torch.arange(start, total if stop is None else min(stop, total))
    powers = 10 ** torch.arange(n_digits)
    first, second = index[:, None] // 10**n_digits // powers % 10, index[:, None] // powers % 10
    return Questions(
        first, second, torch.zeros(len(index), dtype=torch.bool), {"exhaustive": len(index)}
    )

"""The result of a verification: counts per class with exact intervals, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from helpers.arithmetic.questions import Format, cascades
from helpers.arithmetic.verification.plan import Chunk
from helpers.stats import clopper_pearson


@dataclass(frozen=True)
class Tally:
    """What one chunk of questions gave, per class index of its automaton.

    Attributes:
        questions: Number of questions in each class.
        failures: Number of wrong answers in each class.
        wrong_tokens: Number of wrong tokens at each place of the answer, in reading order.
        examples: The first failing questions as text.
    """

    questions: Int[np.ndarray, " class_"]
    failures: Int[np.ndarray, " class_"]
    wrong_tokens: Int[np.ndarray, " answer"]
    examples: list[str]


@dataclass(frozen=True)
class Count:
    """Failures among questions.

    Attributes:
        exhaustive: Whether every question of the class was asked, so that the rate is known and
            the interval is a point.
    """

    questions: int
    failures: int
    exhaustive: bool = False

    @property
    def rate(self) -> float:
        return self.failures / self.questions if self.questions else float("nan")

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % exact interval of the failure rate; a point if every question was asked."""
        if self.exhaustive:
            return self.rate, self.rate
        return clopper_pearson(self.failures, self.questions)

    def to_json(self) -> dict:
        return {"questions": self.questions, "failures": self.failures, "ci95": list(self.ci95)}


@dataclass(frozen=True)
class Report:
    """A verification of one model.

    Attributes:
        model: Name of the model.
        method: ``"exhaustive"`` or ``"sampled"``.
        seed: Seed of the questions.
        seconds: Time that the verification took.
        classes: Pooled uniform and stratified questions of each class (see `counting`).
        uniform: The uniform questions alone, for each operator; empty when exhaustive.
        rate: Failure rate of a uniform question, for each operator: the classes' rates weighted by
            their exact shares, a less noisy estimate than ``uniform`` because rare classes were
            asked more often than they occur.
        examples: The first failing questions, with what the model answered.
        digits: How often each token of the answer was wrong, after the true ones before it: the
            sign, if the format has one, and the digits A_n to A0.
    """

    model: str
    method: str
    seed: int
    seconds: float
    classes: dict[str, Count]
    uniform: dict[str, Count] = field(default_factory=dict)
    rate: dict[str, float] = field(default_factory=dict)
    examples: tuple[str, ...] = ()
    digits: dict[str, int] = field(default_factory=dict)

    @property
    def questions(self) -> int:
        return sum(count.questions for count in self.classes.values())

    @property
    def failures(self) -> int:
        return sum(count.failures for count in self.classes.values())

    def to_json(self) -> dict:
        """The stable object of ``verify --json``, with further keys after it."""
        return {
            "model": self.model,
            "questions": self.questions,
            "failures": self.failures,
            "classes": {name: count.to_json() for name, count in self.classes.items()},
            "seconds": round(self.seconds, 3),
            "method": self.method,
            "seed": self.seed,
            "uniform": {operator: count.to_json() for operator, count in self.uniform.items()},
            "rate": self.rate,
            "examples": list(self.examples),
            "digits": self.digits,
        }

    def table(self) -> str:
        """The counts as lines of text."""
        rows = [("class", "questions", "failures", "failure rate, 95 % interval")]
        counts = self.classes | {f"uniform {name}": count for name, count in self.uniform.items()}
        for name, count in counts.items():
            low, high = count.ci95
            interval = "every question asked" if count.exhaustive else f"{low:.2e} to {high:.2e}"
            rate = f"{count.rate:.2e} ({interval})"
            rows.append((name, f"{count.questions:,}", f"{count.failures:,}", rate))
        width = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [f"{a:<{width[0]}}  {b:>{width[1]}}  {c:>{width[2]}}  {d}" for a, b, c, d in rows]
        verdict = (
            f"{self.model}: {self.failures:,} of {self.questions:,} questions wrong "
            f"({self.method}, {self.seconds:.1f} s)"
        )
        places = ", ".join(f"{label} {count:,}" for label, count in self.digits.items())
        lines += [f"wrong at each place of the answer: {places}"] if places else []
        return "\n".join([verdict, *lines, *(f"  wrong: {text}" for text in self.examples)])


def summarise(
    name: str,
    fmt: Format,
    chunks: Sequence[Chunk],
    tallies: Sequence[Tally],
    seed: int,
    seconds: float,
    max_examples: int = 10,
) -> Report:
    """Add up the tallies of a whole plan."""
    classes: dict[str, Count] = {}
    uniform: dict[str, Count] = {}
    rate: dict[str, float] = {}
    exhaustive = chunks[0].source == "all"
    for subtract in sorted({chunk.subtract for chunk in chunks}):
        mine = [i for i, chunk in enumerate(chunks) if chunk.subtract == subtract]
        automaton, operator = (
            cascades.automaton_of(fmt.n_digits, subtract),
            "-" if subtract else "+",
        )
        counts = _per_class(automaton, [tallies[i] for i in mine], exhaustive)
        drawn = [tallies[i] for i in mine if chunks[i].source == "uniform"]
        if drawn:
            uniform[operator] = Count(
                sum(int(tally.questions.sum()) for tally in drawn),
                sum(int(tally.failures.sum()) for tally in drawn),
            )
        if len(counts) == len(automaton.classes):  # a class never asked has an unknown rate
            share = cascades.frequencies(automaton, fmt.n_digits)
            rate[operator] = sum(share[c] * count.rate for c, count in counts.items())
        classes |= counts
    examples = tuple(text for tally in tallies for text in tally.examples)[:max_examples]
    method = "exhaustive" if exhaustive else "sampled"
    labels = ["sign" if label == "±" else label for label in fmt.answer_labels]
    wrong = np.sum([tally.wrong_tokens for tally in tallies], axis=0).tolist()
    digits = dict(zip(labels, wrong, strict=True))
    return Report(name, method, seed, seconds, classes, uniform, rate, examples, digits)


def _per_class(
    automaton: cascades.Automaton, tallies: Sequence[Tally], exhaustive: bool
) -> dict[str, Count]:
    """The counts of each class that was asked, in class order."""
    asked = np.sum([tally.questions for tally in tallies], axis=0)
    failed = np.sum([tally.failures for tally in tallies], axis=0)
    return {
        name: Count(int(asked[index]), int(failed[index]), exhaustive)
        for index, name in enumerate(automaton.classes)
        if asked[index]
    }

"""The result of a verification: counts per class with exact intervals, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from helpers.arithmetic.questions import cascades
from helpers.arithmetic.verification.plan import Chunk, automaton_of
from helpers.stats import clopper_pearson


@dataclass(frozen=True)
class Tally:
    """What one chunk of questions gave, per class index of its automaton.

    Attributes:
        examples: its first failing questions as text.
    """

    questions: Int[np.ndarray, " class_"]
    failures: Int[np.ndarray, " class_"]
    examples: list[str]


@dataclass(frozen=True)
class Count:
    """Failures among questions.

    Attributes:
        exhaustive: every question of the class was asked, so the rate is known and the interval is
            a point.
    """

    questions: int
    failures: int
    exhaustive: bool = False

    @property
    def rate(self) -> float:
        return self.failures / self.questions if self.questions else float("nan")

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % Clopper-Pearson interval of the failure rate; a point when nothing was left unasked."""
        return (
            (self.rate, self.rate)
            if self.exhaustive
            else clopper_pearson(self.failures, self.questions)
        )

    def to_json(self) -> dict:
        return {"questions": self.questions, "failures": self.failures, "ci95": list(self.ci95)}


@dataclass(frozen=True)
class Report:
    """A verification of one model.

    Attributes:
        model: its name.
        classes: pooled uniform and stratified questions of each class (see
            `helpers.arithmetic.verification.verify`).
        uniform: the uniform questions alone, for each operator; empty when exhaustive.
        rate: failure rate of a uniform question, for each operator: the classes' rates weighted by
            their exact shares, a less noisy estimate than ``uniform`` because rare classes were
            asked more often than they occur.
        examples: the first failing questions, with what the model answered.
    """

    model: str
    method: str
    seed: int
    seconds: float
    classes: dict[str, Count]
    uniform: dict[str, Count] = field(default_factory=dict)
    rate: dict[str, float] = field(default_factory=dict)
    examples: tuple[str, ...] = ()

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
        }

    def table(self) -> str:
        """The counts as lines of text."""
        rows = [("class", "questions", "failures", "failure rate, 95 % interval")]
        named = [
            *self.classes.items(),
            *((f"uniform {name}", count) for name, count in self.uniform.items()),
        ]
        for name, count in named:
            low, high = count.ci95
            interval = "every question asked" if count.exhaustive else f"{low:.2e} to {high:.2e}"
            rows.append(
                (
                    name,
                    f"{count.questions:,}",
                    f"{count.failures:,}",
                    f"{count.rate:.2e} ({interval})",
                )
            )
        width = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [f"{a:<{width[0]}}  {b:>{width[1]}}  {c:>{width[2]}}  {d}" for a, b, c, d in rows]
        verdict = f"{self.model}: {self.failures:,} of {self.questions:,} questions wrong ({self.method}, {self.seconds:.1f} s)"
        return "\n".join([verdict, *lines, *(f"  wrong: {text}" for text in self.examples)])


def summarise(
    name: str,
    n_digits: int,
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
        mine = [
            (chunk, tally)
            for chunk, tally in zip(chunks, tallies, strict=True)
            if chunk.subtract == subtract
        ]
        automaton, operator = automaton_of(n_digits, subtract), "-" if subtract else "+"
        asked, failed = (
            sum(tally.questions for _, tally in mine),
            sum(tally.failures for _, tally in mine),
        )
        counts = {
            c: Count(int(a), int(f), exhaustive)
            for c, a, f in zip(automaton.classes, asked, failed, strict=True)
            if a
        }
        drawn = [tally for chunk, tally in mine if chunk.source == "uniform"]
        if drawn:
            uniform[operator] = Count(
                int(sum(t.questions.sum() for t in drawn)),
                int(sum(t.failures.sum() for t in drawn)),
            )
        if len(counts) == len(automaton.classes):  # a class never asked has an unknown rate
            share = cascades.frequencies(automaton, n_digits)
            rate[operator] = sum(share[c] * count.rate for c, count in counts.items())
        classes |= counts
    examples = tuple(text for tally in tallies for text in tally.examples)[:max_examples]
    return Report(
        name,
        "exhaustive" if exhaustive else "sampled",
        seed,
        seconds,
        classes,
        uniform,
        rate,
        examples,
    )

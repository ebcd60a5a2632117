"""Results of exercises, and the sheet that keeps the last result of each."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Literal

Status = Literal["right", "partly right", "not right", "error", "not answered"]
RIGHT: Final = "right"
PART: Final = "partly right"
WRONG: Final = "not right"
ERROR: Final = "error"
OPEN: Final = "not answered"
_SIGNS: dict[Status, str] = {RIGHT: "✓", PART: "◐", WRONG: "✗", ERROR: "✗", OPEN: "○"}


@dataclass(frozen=True)
class Result:
    """The verdict of a check: the exercise, points of those possible, a status, and words.

    >>> print(Result("lab0.1", "Count", 0, 2, WRONG, "one too many"))
    ✗ lab0.1 Count: 0 of 2 points. One too many
    """

    exercise: str
    title: str
    points: float
    maximum: float
    status: Status
    message: str = ""

    @property
    def sign(self) -> str:
        """One character that stands for the status."""
        return _SIGNS[self.status]

    def __str__(self) -> str:
        message = " ".join(self.message.split())
        said = f". {message[:1].upper()}{message[1:]}" if message else ""
        points = f"{self.points:g} of {self.maximum:g} points"
        return f"{self.sign} {self.exercise} {self.title}: {points}{said}"


@dataclass
class Sheet:
    """The last result of every exercise that was checked."""

    results: dict[str, Result] = field(default_factory=dict)

    def record(self, result: Result) -> None:
        """Keep a result in place of an earlier one of the same exercise."""
        self.results[result.exercise] = result

    def rows(self, exercises: Iterable[Result]) -> list[Result]:
        """The recorded results, each in place of the given one, which says "not answered"."""
        return [self.results.get(blank.exercise, blank) for blank in exercises]


def table(rows: list[Result]) -> str:
    """A score table in plain text, with the total.

    >>> count = Result("lab0.1", "Count", 2, 2, RIGHT)
    >>> print(table([count, Result("lab0.2", "Patch", 0, 3, OPEN)]))
    exercise  title  points  status
    lab0.1    Count   2 / 2  ✓ right
    lab0.2    Patch   0 / 3  ○ not answered
    total             2 / 5
    """
    total = f"{sum(row.points for row in rows):g} / {sum(row.maximum for row in rows):g}"
    lines = [("exercise", "title", "points", "status")]
    lines += [
        (row.exercise, row.title, f"{row.points:g} / {row.maximum:g}", f"{row.sign} {row.status}")
        for row in rows
    ]
    lines += [("total", "", total, "")]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    return "\n".join(
        f"{name:<{widths[0]}}  {title:<{widths[1]}}  {points:>{widths[2]}}  {status}".rstrip()
        for name, title, points, status in lines
    )


_SESSION = Sheet()  # a notebook's checks run in separate cells, and only the session joins them
_CURRENT: ContextVar[Sheet] = ContextVar("sheet")


def current() -> Sheet:
    """The sheet on which ``check`` records."""
    return _CURRENT.get(_SESSION)


@contextmanager
def fresh() -> Iterator[Sheet]:
    """An empty sheet for the length of a ``with`` block: to grade one notebook among several.

    >>> with fresh() as sheet:
    ...     current() is sheet
    True
    """
    sheet = Sheet()
    token = _CURRENT.set(sheet)
    try:
        yield sheet
    finally:
        _CURRENT.reset(token)

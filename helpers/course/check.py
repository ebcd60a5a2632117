"""``check("lab0.3", answer)``: whether an answer is right, in one line, or the likely mistake.

The checks of a lab stand in ``helpers/course/checks/labN.py``::

    from helpers.course.asking import call
    from helpers.course.check import exercise
    from helpers.course.expect import expect_close

    @exercise("lab0.3", points=2, title="Logit difference")
    def logit_difference(answer):
        mistakes = {"did you swap right and wrong?": -expected}
        expect_close(call(answer, logits, 1, 0), expected, mistakes=mistakes)

A check returns nothing (or a remark, as text) where the answer is right. Where it is not, the check
raises `helpers.course.wrong.Wrong`. It computes what is right before it calls the answer, from
objects that `call` hands out copies of, and begins in a known state (`helpers.course.state`).
"""

import difflib
import pkgutil
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, util
from pathlib import Path
from typing import Any

from helpers.course import sheet, state, watched
from helpers.course.origin import is_students
from helpers.course.sheet import ERROR, OPEN, PART, RIGHT, WRONG, Result, Status
from helpers.course.wrong import Wrong, verdicts
from helpers.errors import LabError
from helpers.output import say

_STUB = re.compile(r"(lab\d+\.\w+): ")


@dataclass(frozen=True)
class Exercise:
    """An exercise: its name (``"lab0.3"``), its points, its title, and the check of an answer."""

    name: str
    points: float
    title: str
    test: Callable[[Any], str | None]


def exercise(
    name: str, points: float, title: str
) -> Callable[[Callable[[Any], str | None]], Exercise]:
    """Make a function that looks at an answer the check of an exercise.

    >>> @exercise("lab0.1", points=1, title="Double")
    ... def double(answer):
    ...     expect_close(call(answer, 3), 6)
    >>> double.points
    1
    """
    if not (re.fullmatch(r"lab\d+\.\w+", name) and points > 0):
        raise ValueError(f"expected a name as 'lab0.3' and points above 0; got {name!r}, {points}")
    return lambda test: Exercise(name, points, title, test)


def exercises(lab: str) -> dict[str, Exercise]:
    """The exercises of a lab by name, in the order of their definition.

    Raises:
        LabError: there is no such lab.
    """
    if not re.fullmatch(r"lab\d+", lab) or util.find_spec(f"helpers.course.checks.{lab}") is None:
        folder = str(Path(__file__).parent / "checks")
        modules = (module.name for module in pkgutil.iter_modules([folder]))
        labs = sorted(name for name in modules if re.fullmatch(r"lab\d+", name))
        raise LabError(f"expected a lab: {', '.join(labs)}", f"got {lab!r}")
    values = vars(import_module(f"helpers.course.checks.{lab}")).values()
    return {value.name: value for value in values if isinstance(value, Exercise)}


def find(name: str) -> Exercise:
    """An exercise by its name.

    Raises:
        LabError: there is no such lab or exercise; the message names those that come near.
    """
    of_lab = exercises(name.partition(".")[0]) if isinstance(name, str) else {}
    if not isinstance(name, str) or name not in of_lab:
        near = difflib.get_close_matches(str(name), of_lab, n=3, cutoff=0.0)
        hint = (
            f"did you mean {' or '.join(near)}?"
            if near
            else 'write the name first: check("lab0.1", answer)'
        )
        raise LabError("expected the name of an exercise", f"got {name!r}", hint=hint)
    return of_lab[name]


def evaluate(name: str, answer: object) -> Result:
    """Check an answer without printing or recording.

    Whatever the student's code raises becomes a result; only an interrupt passes through. Whatever
    it changes for other code, as a seed or the default type, is put back (`helpers.course.state`).

    Raises:
        LabError: there is no such exercise.
    """
    task = find(name)
    before, changed = watched.names(), []
    try:
        with state.known(), verdicts():  # of a check within an answer, too
            result = _judge(task, answer)
    finally:
        changed = watched.replaced(before)
    if not changed:
        return result
    said = (
        f"your code replaces {changed[0]}, which all other code uses too, so nothing that was "
        "computed afterwards counts; it was put back"
    )
    return Result(name, task.title, 0, task.points, WRONG, said)


def _judge(task: Exercise, answer: object) -> Result:
    """The verdict of the check itself."""
    name = task.name
    try:
        remark = task.test(answer)
    except Wrong as wrong:
        points = min(wrong.points, task.points) if wrong.points > 0 else 0
        return Result(name, task.title, points, task.points, PART if points else WRONG, str(wrong))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a student's code may raise anything
        status, message = _explain(task, answer, error)
        return Result(name, task.title, 0, task.points, status, message)
    return Result(name, task.title, task.points, task.points, RIGHT, remark or "")


def check(name: str, answer: object) -> None:
    """Check an answer, print one line about it, and keep the score for :func:`scores`.

    Args:
        name: The exercise, as ``"lab0.3"``.
        answer: What the exercise asks for; where it asks for a function, the function itself.
    """
    try:
        result = evaluate(name, answer)
    except LabError as fault:
        say(f"✗ {fault}")
        return
    sheet.current().record(result)
    say(str(result))


def scores(lab: str) -> None:
    """Print the score table of a lab: every exercise, its points and status, and the total."""
    try:
        tasks = exercises(lab).values()
    except LabError as fault:
        say(f"✗ {fault}")
        return
    blank = (Result(task.name, task.title, 0, task.points, OPEN) for task in tasks)
    say(sheet.table(sheet.current().rows(blank)))


def _explain(task: Exercise, answer: object, error: BaseException) -> tuple[Status, str]:
    """Status and message for an exception that is not a verdict of the check."""
    if isinstance(error, NotImplementedError):
        stub = _STUB.match(str(error))
        if (stub and stub[1] == task.name) or not error.args:
            return OPEN, "not answered yet"
        if stub:
            return OPEN, f"this needs your answer to {stub[1]} first"
    said = " ".join("".join(traceback.format_exception_only(type(error), error)).split())
    said = said if len(said) <= 300 else said[:299] + "…"
    checks_file = task.test.__code__.co_filename
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if is_students(frame.filename, checks_file)
    ]
    if frames:
        line = f" `{frames[-1].line}`" if frames[-1].line else ""
        return ERROR, f"your code raised {said} (line {frames[-1].lineno}{line})"
    kind = type(answer).__name__
    form = f"the answer, of type {kind}, is not in the form that the exercise asks for ({said})"
    return ERROR, form

"""An open exercise never stops a notebook: the library's version stands in for the answer."""

from collections.abc import Callable
from typing import Any

from helpers.course import sheet
from helpers.course.sheet import RIGHT
from helpers.output import say


def answer_or(name: str, answer: Callable[..., Any], instead: Callable[..., Any]):
    """The student's function if its check said that it is right, else the library's.

    Args:
        name: The exercise, as ``"lab5.1"``, checked before.
        answer: The function that was checked.
        instead: What stands in for it.

    >>> answer_or("lab9.1", abs, instead=round).__name__
    lab9.1 is open: what follows uses the library's version
    'round'
    """
    result = sheet.current().results.get(name)
    if result is not None and result.status == RIGHT:
        return answer
    say(f"{name} is open: what follows uses the library's version")
    return instead

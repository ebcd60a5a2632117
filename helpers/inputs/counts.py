"""Numbers of things that are asked for: whole, and not too few."""

import operator
from typing import Any

from helpers.errors import LabError


def check_count(what: str, count: Any, least: int = 0) -> None:
    """Refuse a number of things that cannot be.

    Raises:
        LabError: It is no whole number (of Python, NumPy or a tensor), or below the least.

    >>> check_count("number of questions", 0)
    >>> check_count("batch size", 0, least=1)
    Traceback (most recent call last):
    helpers.errors.LabError: expected a batch size of at least 1; got 0
    """
    try:
        truth = isinstance(count, bool) or "bool" in str(getattr(count, "dtype", ""))
        whole = None if truth else operator.index(count)
    except TypeError:
        whole = None
    if whole is None or whole < least:
        raise LabError(f"expected a {what} of at least {least}", f"got {count!r}")

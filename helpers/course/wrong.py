"""The verdict of a check on an answer that is not right."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Wrong(Exception):
    """An answer is not right: the likely mistake in words, and the points it earns nevertheless."""

    def __init__(self, message: str, points: float = 0) -> None:
        super().__init__(message)
        self.points = points
        if (fallen := _FALLEN.get()) is not None:
            fallen.append(self)


_FALLEN: ContextVar[list[Wrong] | None] = ContextVar("verdicts", default=None)


@contextmanager
def verdicts() -> Iterator[list[Wrong]]:
    """The verdicts that fall while the block runs, those included that somebody catches.

    >>> with verdicts() as fallen:
    ...     try:
    ...         raise Wrong("the labels are new ones")
    ...     except Exception:
    ...         pass
    >>> [str(wrong) for wrong in fallen]
    ['the labels are new ones']
    """
    fallen: list[Wrong] = []
    token = _FALLEN.set(fallen)
    try:
        yield fallen
    finally:
        _FALLEN.reset(token)

"""The one exception that the package raises for a fault a person can mend, and its remedies."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager


class LabError(Exception):
    """A fault with a remedy: what was expected, what came, and what to do about it.

    The command line prints its message without a traceback and exits with 1.

    >>> print(LabError("expected 3 digits", "got 0", hint="pass --digits 3"))
    expected 3 digits; got 0
      try: pass --digits 3
    """

    def __init__(self, expected: str, got: str = "", hint: str = "") -> None:
        message = expected + (f"; {got}" if got else "")
        message += f"\n  try: {hint}" if hint else ""
        super().__init__(message)


def command(*words: object) -> str:
    """A command of this package as a line that a person can paste into a shell.

    >>> command("train", "add-d3", "--out", "runs/my run")
    "python -m helpers train add-d3 --out 'runs/my run'"
    """
    return shlex.join(["python", "-m", "helpers", *map(str, words)])


@contextmanager
def optional(extra: str) -> Iterator[None]:
    """The place to import a library that only an extra of the package brings.

    Raises:
        LabError: The library is not there; the message names the extra.

    >>> with optional("scale"):
    ...     import absent
    Traceback (most recent call last):
    helpers.errors.LabError: expected a library of the extra [scale]; No module named 'absent'
      try: pip install 'trustworthy-circuits[scale]'
    """
    try:
        yield
    except ImportError as fault:
        raise LabError(
            f"expected a library of the extra [{extra}]",
            str(fault),
            hint=f"pip install 'trustworthy-circuits[{extra}]'",
        ) from None

"""The one exception that the package raises for a fault a person can mend, and its remedies."""

import shlex
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb

_LIBRARIES = tuple(
    sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)
_OURS = str(Path(__file__).parent)


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


@contextmanager
def asked_of(what: str, each: str, hint: str, who: str = "it") -> Iterator[None]:
    """The place to call a function of somebody's own, which may raise anything.

    Args:
        what: What the function is, such as a scorer.
        each: What it shall answer for.
        who: Its name.

    Raises:
        LabError: It raised something; a `LabError` of its own passes as it is.

    >>> with asked_of("scorer", "text", hint="mend it"):
    ...     [1, 2].index(3)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    helpers.errors.LabError: expected a scorer that answers for every text; it stopped: ...
      try: mend it
    """
    try:
        yield
    except LabError:
        raise
    except Exception as fault:  # noqa: BLE001 - what is not ours may raise anything
        raise LabError(
            f"expected a {what} that answers for every {each}",
            f"{who} stopped: {type(fault).__name__}: {fault}{line_of(fault)}",
            hint=hint,
        ) from None


def line_of(fault: BaseException) -> str:
    """The line of somebody's own file that a fault comes from, where it is from one."""
    if isinstance(fault, SyntaxError) and fault.filename:
        return f" ({fault.filename}, line {fault.lineno})"
    own = [frame for frame in extract_tb(fault.__traceback__)[1:] if is_peoples(frame.filename)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def is_peoples(file: str) -> bool:
    """Whether code in this file is somebody's own: neither ours, nor Python's, nor a library's.

    >>> is_peoples("<cell 3>"), is_peoples(__file__), is_peoples("/usr/lib/dist-packages/a.py")
    (True, False, False)
    """
    if file.startswith(("<frozen", "<__array")) or "-packages" in file:
        return False
    return not file.startswith((*_LIBRARIES, _OURS))

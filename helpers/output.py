"""Standard output: of a command, its result and nothing else; of a lab, words on any terminal."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from helpers.errors import LabError

STDOUT, STDERR = 1, 2
_PLAIN = str.maketrans({"✓": "+", "◐": "~", "✗": "x", "○": "-", "·": "-", "…": "...", "–": "-"})
"""What stands for a sign on a terminal that lacks it; the points and the status say it in words."""


@contextmanager
def results_only() -> Iterator[TextIO]:
    """A place for results; all else that would reach standard output goes to standard error.

    Other output is that of Python's ``print``, and that of compiled code and of child processes,
    which write to the file descriptor. Results are written when the block ends, however it ends.

    Raises:
        LabError: Standard output cannot be written: the disk is full, or it is closed.

    >>> with results_only() as results:
    ...     print("a library speaks")
    ...     print("the result", file=results)
    the result
    """
    results, before = io.StringIO(), sys.stdout
    try:
        with _descriptor_to_stderr():
            sys.stdout = sys.stderr
            try:
                yield results
            finally:
                sys.stdout = before
    finally:
        _write(results.getvalue(), before)


def say(text: str) -> None:
    """Print on any terminal: plain signs, and escapes for what it cannot show else."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    print(text)


class Forgiving:
    """Standard error where what is said may be lost, and nothing else with it.

    What cannot be written (the disk is full, the stream is closed, its reader has gone) goes
    nowhere from then on: a progress bar shall not stop the work whose progress it shows.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  for good

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            self._give_up()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        if _is_descriptor(self._stream, STDERR):  # or the flush at exit fails again
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDERR)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def forgiving_stderr() -> Iterator[None]:
    """A place where standard error is a `Forgiving` one."""
    before = sys.stderr
    sys.stderr = Forgiving(before)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before


def flush_stdout() -> None:
    """Write what waits in standard output, where what stops the writing can still be dealt with.

    Raises:
        LabError: It cannot be written: the disk is full.
    """
    if sys.stdout:  # closed by `>&-`
        _write("", sys.stdout)


def _write(text: str, stream: TextIO | None) -> None:
    """Write to a stream, with escapes for what its encoding lacks."""
    if stream is None and text:  # Python has no standard output where the shell closed it
        raise LabError("expected to write the result", "standard output is closed")
    encoding = getattr(stream, "encoding", None) or "utf-8"
    text = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        print(text, end="", file=stream, flush=True)
    except OSError as fault:
        if _is_descriptor(stream, STDOUT):  # or the flush at exit fails again
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        if isinstance(fault, BrokenPipeError):  # its reader has gone: nobody to tell
            raise
        raise LabError("expected to write the result", f"the system says: {fault}") from None


@contextmanager
def _descriptor_to_stderr() -> Iterator[None]:
    """Redirect the process's standard output, where Python's goes there: not in a notebook."""
    if not _is_descriptor(sys.stdout, STDOUT) or not _is_descriptor(sys.stderr, STDERR):
        yield
        return
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    try:
        yield
    finally:
        os.dup2(kept, STDOUT)
        os.close(kept)


def _is_descriptor(stream: TextIO | None, number: int) -> bool:
    """Whether a stream writes to this descriptor; a closed or captured one does not."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return stream is not None and stream.fileno() == number
    return False

"""Whose code it is: the student's, ours, or a library's."""

import sys

from helpers.errors import is_peoples


def is_students(filename: str, checks_file: str = "") -> bool:
    """Whether code in this file is the student's: neither ours nor a library's.

    Args:
        checks_file: A file of checks, where it does not lie in this package.

    >>> is_students("<cell 3>"), is_students(__file__)
    (True, False)
    """
    return filename != checks_file and is_peoples(filename)


def is_librarys(value: object, name: str) -> bool:
    """Whether a library or we have made this value, under this name.

    >>> from pathlib import Path
    >>> is_librarys(Path, "Path"), is_librarys(Path, "Tensor"), is_librarys(3, "pi")
    (True, False, False)
    """
    if getattr(value, "__name__", None) != name:
        return False
    code = getattr(value, "__code__", None)
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    filename = code.co_filename if code else getattr(module, "__file__", None)
    return filename is not None and not is_students(filename)

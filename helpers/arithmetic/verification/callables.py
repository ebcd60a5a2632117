"""A model of somebody else as a Python callable, by the name that the command line takes."""

import os
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any

from helpers.arithmetic.verification.answers import LogitsOf
from helpers.errors import LabError


def callable_named(name: str) -> LogitsOf:
    """The callable that ``module:function`` names; it maps token ids to logits.

    Raises:
        LabError: There is no such module, it cannot be imported (with the line that stopped it), or
            nothing can be called under this name in it.

    >>> callable_named("torch.nn.functional:one_hot").__name__
    'one_hot'
    """
    module_name, _, path = name.partition(":")
    found: Any = None
    try:
        found, fault = import_module(module_name), f"it has no callable {path!r}"
    except (Exception, SystemExit) as cause:  # noqa: BLE001 - a module may raise anything
        fault = f"cannot import {module_name!r}: {type(cause).__name__}: {cause}{_line(cause)}"
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise LabError(
            f"expected a callable from token ids to logits in {name}, as module:function",
            fault,
            hint="give the command in the folder of the module, or set PYTHONPATH",
        )
    return found  # pyright: ignore[reportReturnType]  its answers are checked when it is asked


def _line(fault: BaseException) -> str:
    """The line of somebody's own file that a fault comes from, where it is from one."""
    if isinstance(fault, SyntaxError) and fault.filename:
        return f" ({fault.filename}, line {fault.lineno})"
    own = [frame for frame in extract_tb(fault.__traceback__)[1:] if not _installed(frame.filename)]
    return f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""


def _installed(file: str) -> bool:
    """Whether a file is Python's own, or of a library."""
    standard = Path(os.__file__).parent
    return file.startswith("<") or Path(file).is_relative_to(standard) or "site-packages" in file

"""A model of somebody else as a Python callable, by the name that the command line takes."""

from importlib import import_module
from typing import Any

from helpers.arithmetic.verification.answers import LogitsOf
from helpers.errors import LabError, line_of


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
        fault = f"cannot import {module_name!r}: {type(cause).__name__}: {cause}{line_of(cause)}"
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise LabError(
            f"expected a callable from token ids to logits in {name}, as module:function",
            fault,
            hint="give the command in the folder of the module, or set PYTHONPATH",
        )
    return found  # pyright: ignore[reportReturnType]  its answers are checked when it is asked

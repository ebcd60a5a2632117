"""A model of somebody else as a Python callable, by the name that the command line takes."""

from importlib import import_module
from typing import Any

from helpers.arithmetic.verification.answers import LogitsOf
from helpers.errors import LabError


def callable_named(name: str) -> LogitsOf:
    """The callable that ``module:function`` names; it maps token ids to logits.

    Raises:
        LabError: There is no such module, or nothing that can be called under this name in it.

    >>> callable_named("torch.nn.functional:one_hot").__name__
    'one_hot'
    """
    module_name, _, path = name.partition(":")
    found: Any = None
    try:
        found, fault = import_module(module_name), f"it has no callable {path!r}"
    except (ImportError, ValueError, TypeError) as cause:
        fault = f"cannot import {module_name!r}: {cause}"
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise LabError(
            f"expected a callable from token ids to logits in {name}, as module:function",
            fault,
            hint="give the command in the folder of the module, or set PYTHONPATH",
        )
    return found  # pyright: ignore[reportReturnType]  its answers are checked when it is asked

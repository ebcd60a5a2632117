"""Work that is killed on the way, as Ctrl-C does it."""

from types import ModuleType
from typing import Any

import pytest


def at_second_call(patch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[Any]:
    """The second call of a module's function is killed; those before and after it work.

    Returns:
        The first argument of every call, which grows.
    """
    real, begun = getattr(module, name), []

    def killed(first: Any, *others: Any) -> Any:
        begun.append(first)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return real(first, *others)

    patch.setattr(module, name, killed)
    return begun

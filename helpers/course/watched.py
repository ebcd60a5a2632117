"""Functions and classes that all code uses: those that an answer replaced are put back and named.

Watched are, beside `WATCHED`, all modules and classes of this package, and the classes of
TransformerLens and of torch's layers, as far as something has loaded them.
"""

import builtins
import copy
import math
import random
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from operator import is_
from types import ModuleType
from typing import Any

import numpy as np
import torch

from helpers.course.origin import is_librarys

WATCHED = (
    *(builtins, copy, math, random, np, np.linalg, np.random),
    *(torch, torch.linalg, torch.random, torch.nn.functional, torch.nn.init, torch.Tensor),
)
"""Whose functions an answer may not replace."""


def _watched() -> Iterator[Any]:
    yield from WATCHED
    for name, module in list(sys.modules.items()):
        if name.startswith("helpers.") and module is not None:
            yield module
            yield from _classes(module)
    yield from _of_libraries(len(sys.modules))


def _classes(module: ModuleType) -> list[type]:
    """The classes that a module defines."""
    values, name = list(vars(module).values()), module.__name__
    return [value for value in values if isinstance(value, type) and value.__module__ == name]


@lru_cache(maxsize=1)
def _of_libraries(_loaded: int) -> list[type]:
    """The classes of TransformerLens and of torch's layers; looked for again when something more
    was loaded."""
    return [
        kind
        for name, module in list(sys.modules.items())
        if name.startswith(("transformer_lens.", "torch.nn.")) and module is not None
        for kind in _classes(module)
    ]


Names = list[tuple[Any, dict[str, Any]]]

_NOW: Any = vars(builtins)
_stood: dict[str, Any] = {}
_put_back: list[str] = []


def builtins_first() -> None:
    """Put Python's own functions back, right after an answer: nothing else works without them.

    So none of them is called here.
    """
    for name in _stood:
        if name != "_" and not (name in _NOW and _NOW[name] is _stood[name]):
            _NOW[name] = _stood[name]
            _put_back[:] = [*_put_back, f"builtins.{name}"]


def names() -> Names:
    """What the names of all that is watched stand for now."""
    global _stood
    _stood = vars(builtins).copy()
    _put_back.clear()
    return [(owner, vars(owner).copy()) for owner in _watched()]


def _same(now: Mapping[str, Any], before: dict[str, Any]) -> bool:
    """Whether all names stand for the same objects; no object is asked whether it is equal."""
    if len(now) != len(before):
        return False
    return all(map(is_, now, before)) and all(map(is_, now.values(), before.values()))


def _does(value: Any) -> bool:
    """Whether it is a function, a method, a property or a class."""
    return callable(value) or hasattr(type(value), "__get__")


def replaced(found: Names) -> list[str]:
    """Put back the names that stand for something else than before, and say which they are.

    A module may have got new names, as those of its parts that were loaded; a class may not. Names
    that begin with ``_`` count where they stand for functions, as ``__add__``: others are notes
    that Python and libraries make. What a library has put in the place of its own when it was
    loaded, stays.

    >>> before = names()
    >>> math.pi = 3
    >>> replaced(before), round(math.pi, 2)
    (['math.pi'], 3.14)
    """
    builtins_first()
    said = list(_put_back)
    for owner, before in found:
        if _same(vars(owner), before):
            continue
        now = dict(vars(owner))
        new = set() if isinstance(owner, ModuleType) else now.keys() - before.keys()
        for name in sorted({*before, *new}):
            stood, stands = before.get(name), now.get(name)
            if stands is stood or is_librarys(stands, name):
                continue
            if name.startswith("_") and not (_does(stood) or _does(stands)):
                continue
            if name in before:
                setattr(owner, name, before[name])
            else:
                delattr(owner, name)
            said.append(f"{owner.__name__}.{name}")
    return said

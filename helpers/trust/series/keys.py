"""A hash of a piece of work, by which `helpers.trust.series.stored` finds its results again.

A stored result that belongs to an older version of a function would be wrong without a sign of it,
so whatever changes the work should change its key. Seen are

- the code of the work: a function with its defaults, its closure and its bound arguments, or an
  object with its state and the methods and attributes of its class and of that class's bases;
- the functions and classes of the same module that this code names, and what they name, wrapped
  ones (``functools.wraps``, ``lru_cache``) with what they wrap;
- the values of that module's variables that this code names: numbers, texts, arrays, weights; of
  other objects what they would be pickled as, with the code of their classes. One that has no such
  form is refused.

Not seen are

- functions and classes of *other* modules, named or as attributes (``activations.encode``), but for
  those that are among the arguments or in a container; and variables of other modules
  (``settings.LEVEL``);
- Python and installed packages, of which only names count; of this package its version counts, too;
- what is found at run time only: files, environment variables, ``getattr`` with a computed name,
  the state of random numbers.

`sweep.sweep(version=...)` tells those apart.
"""

import copyreg
import dis
import functools
import hashlib
import pickle
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import __version__
from helpers.errors import LabError
from helpers.trust.series import integrity

PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, Path)
CODE = (types.FunctionType, type)
NO_BODY = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__qualname__",
    "__annotations__",
    "_abc_impl",
    "__slotnames__",
}
"""Entries of a class that say nothing about what it does, or are made anew in every process."""

READS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
"""Instructions that read a variable of the module (the last one from Python 3.12 on)."""

Seen = dict[int, Any]
"""What was fed before, by id; it is kept, so that no id is used twice."""


def work_key(work: Callable, sets: Any, version: str = "") -> str:
    """A hash of the work, of its sets, and of a version in words.

    The module docstring says what it sees.

    Raises:
        LabError: Something in it has no stable form.

    >>> def half(model, step, share=0.5):
    ...     return {"share": share}
    >>> work_key(half, ()) == work_key(functools.partial(half, share=0.5), ())
    False
    """
    digest = hashlib.sha256()
    try:
        _feed(digest, (__version__, version, sets, work), {})
    except RecursionError:
        raise _refused(work, "a list or a dict that contains itself") from None
    return digest.hexdigest()[:24]


def _feed(digest, value: Any, seen: Seen) -> None:
    """Add a value to a hash, in a form that is the same in every process."""
    digest.update(f"<{type(value).__qualname__}>".encode())
    if not _installed(type(value).__module__):
        _feed_once(digest, type(value), seen)
    if isinstance(value, PLAIN):
        digest.update(repr(value).encode())
    elif isinstance(value, tuple | list):
        _each(digest, value, seen)
    elif isinstance(value, set | frozenset):
        _each(digest, sorted(value, key=repr), seen)
    elif isinstance(value, Mapping):
        _each(digest, sorted(value.items(), key=lambda item: repr(item[0])), seen)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        digest.update(
            f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
        )
    elif isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype}{integrity.fingerprint(value)}".encode())
    elif isinstance(value, functools.partial):
        _each(digest, (value.func, value.args, value.keywords), seen)
    elif isinstance(value, types.MethodType):
        _each(digest, (value.__self__, value.__func__), seen)
    elif isinstance(value, types.ModuleType | np.ufunc):
        digest.update(value.__name__.encode())
    elif isinstance(value, types.BuiltinFunctionType):
        owner = value.__self__
        _each(
            digest,
            (value.__name__, owner.__name__ if isinstance(owner, types.ModuleType) else owner),
            seen,
        )
    else:
        _feed_once(digest, value, seen)


def _each(digest, values, seen: Seen) -> None:
    for value in values:
        _feed(digest, value, seen)
    digest.update(b"<end>")


def _feed_once(digest, value: Any, seen: Seen) -> None:
    """Functions, classes and objects, which may refer to themselves."""
    if id(value) in seen:
        digest.update(f"number {list(seen).index(id(value))}".encode())
        return
    seen[id(value)] = value
    if isinstance(value, CODE):
        digest.update(f"{value.__module__}.{value.__qualname__}".encode())
        if _installed(value.__module__):
            return
        if isinstance(value, type):
            _feed_class(digest, value, seen)
        else:
            _feed_function(digest, value, seen)
    elif isinstance(value, torch.nn.Module):
        _feed(digest, integrity.of_tensors(value.state_dict()), seen)
    elif is_dataclass(value):
        _feed(digest, [(field.name, getattr(value, field.name)) for field in fields(value)], seen)
    else:
        _feed(digest, _state(value), seen)


def _installed(module: Any) -> bool:
    """Whether a module belongs to Python or to a package that was installed, this one excepted."""
    if not isinstance(module, str):  # a few types of C code
        return True
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return True
    if top in ("__main__", __name__.partition(".")[0]):
        return False
    file = getattr(sys.modules.get(module), "__file__", None)  # none in a notebook
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _feed_class(digest, class_: type, seen: Seen) -> None:
    for name, value in sorted(vars(class_).items()):
        if name in NO_BODY or isinstance(
            value, types.MemberDescriptorType | types.GetSetDescriptorType
        ):
            continue
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        elif isinstance(value, property):
            value = (value.fget, value.fset, value.fdel)
        elif isinstance(value, functools.cached_property):
            value = value.func
        _each(digest, (name, value), seen)
    _each(digest, class_.__bases__, seen)


def _feed_function(digest, function: types.FunctionType, seen: Seen) -> None:
    _feed_code(digest, function.__code__, seen)
    cells = [_content(cell) for cell in function.__closure__ or ()]
    _each(
        digest,
        (
            function.__defaults__,
            function.__kwdefaults__,
            cells,
            getattr(function, "__wrapped__", None),
        ),
        seen,
    )
    for name in sorted(_globals(function.__code__) & function.__globals__.keys()):
        used = function.__globals__[name]
        code = isinstance(used, CODE) or callable(getattr(used, "__wrapped__", None))
        if code and used.__module__ != function.__module__:
            used = f"{used.__module__}.{used.__qualname__}"
        _each(digest, (name, used), seen)


def _content(cell: types.CellType) -> tuple:
    """What a closure holds; nothing where a name is assigned later."""
    try:
        return (cell.cell_contents,)
    except ValueError:
        return ()


def _feed_code(digest, code: types.CodeType, seen: Seen) -> None:
    digest.update(code.co_code + code.co_exceptiontable)
    constants = [
        constant for constant in code.co_consts if not isinstance(constant, types.CodeType)
    ]
    _each(
        digest,
        (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars, constants),
        seen,
    )
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _feed_code(digest, constant, seen)


def _globals(code: types.CodeType) -> set[str]:
    """Names of the module's variables that the code reads, with inner functions and classes."""
    own = {step.argval for step in dis.get_instructions(code) if step.opname in READS}
    return own.union(
        *(_globals(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    )


def _state(value: Any) -> Any:
    """What an object would be pickled as.

    That is a function that makes it, its arguments, its attributes and its elements.
    """
    reduce = copyreg.dispatch_table.get(type(value))
    form: Any
    try:
        form = reduce(value) if reduce else value.__reduce_ex__(4)
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RuntimeError) as fault:
        if not callable(getattr(value, "__wrapped__", None)):
            raise _refused(value, fault) from None
        form = "wrapper"
    # a name under which pickle would look for it, as for functions in `lru_cache`
    if isinstance(form, str):
        return form, getattr(value, "__wrapped__", None)
    return [part if i < 3 or part is None else list(part) for i, part in enumerate(form[:5])]


def _refused(value: Any, why: object) -> LabError:
    return LabError(
        "expected a work made of functions, numbers and arrays",
        f"it holds {type(value).__qualname__}: {why}",
        hint="results of this work cannot be told apart on disk: pass folder=None, or give it "
        "plain arguments",
    )

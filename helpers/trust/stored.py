"""Results of a sweep on disk: one file a checkpoint, found again only by the very work on the very weights.

A file's name holds the series, the step and a key over all that determines the result: the stamp of the weights and the
work, which is its code, its arguments and the data it refers to. A stored result that belongs to an older version of a
function would be wrong without a sign of it, so whatever changes the work changes the key, and the result is computed anew.
What the key cannot see is the code of functions in *other* modules that the work calls; `version` tells those apart.
"""

import functools
import hashlib
import json
import os
import pickle
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from helpers import __version__
from helpers.errors import LabError
from helpers.run_folder import save_atomically
from helpers.trust import integrity
from helpers.trust.integrity import Prints

Arrays = dict[str, np.ndarray]
PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, Path)


@dataclass(frozen=True)
class Result:
    """What the work found at one step, and the fingerprints of the weights that it read."""

    prints: Prints
    arrays: Arrays


def arrays(values: Mapping[str, Any], called: str) -> Arrays:
    """What a work returned, as NumPy arrays; bfloat16, which NumPy lacks, becomes float32.

    Raises:
        LabError: no mapping of names to numbers.

    >>> arrays({"accuracy": torch.tensor([0.5]), "n": 3}, "it")["accuracy"]
    array([0.5], dtype=float32)
    """
    if not isinstance(values, Mapping):
        raise LabError(f"expected {called} to return a dict of arrays", f"got {type(values).__name__}")
    found = {}
    for name, value in values.items():
        if isinstance(value, torch.Tensor):
            value = value.detach().cpu()
            value = (value.float() if value.dtype is torch.bfloat16 else value).numpy()
        found[name] = np.array(value, order="C")
        if found[name].dtype.kind not in "biuf" or not isinstance(name, str):
            raise LabError(f"expected {called} to return numbers under names", f"{name!r} has the type {found[name].dtype}")
    return found


@dataclass(frozen=True)
class Store:
    """A folder of results of one work on one series."""

    folder: Path
    series: str
    key: str

    def path(self, step: int, stamp: str) -> Path:
        full = hashlib.sha256(f"{self.series}\n{step}\n{stamp}\n{self.key}".encode()).hexdigest()[:16]
        return self.folder / f"{re.sub(r'[^A-Za-z0-9.-]', '_', self.series)}-{step:08d}-{full}.safetensors"

    def put(self, step: int, stamp: str, result: Result) -> None:
        """Write a result; a kill leaves all of it or nothing.

        Raises:
            LabError: the folder cannot be written, or is full.
        """
        tensors = {name: torch.from_numpy(value) for name, value in result.arrays.items()}
        about = {"prints": json.dumps(result.prints), "contents": integrity.digest(integrity.of_tensors(tensors))}
        path = self.path(step, stamp)
        mine = path.with_name(f".{os.getpid()}-{path.name}")  # another process may be at the same step
        save_atomically(tensors, mine, about)
        os.replace(mine, path)

    def get(self, step: int, stamp: str) -> Result | None:
        """A stored result; None if there is none, or if it is damaged.

        A damaged file is not an error: everything in it can be computed again, and a sweep of hours should not end at it.
        """
        try:
            with safe_open(self.path(step, stamp), framework="pt") as handle:
                about = handle.metadata() or {}
                tensors = {name: handle.get_tensor(name) for name in handle.keys()}  # noqa: SIM118  no mapping
            prints = json.loads(about["prints"])
        except (SafetensorError, OSError, KeyError, ValueError):
            return None
        if about.get("contents") != integrity.digest(integrity.of_tensors(tensors)):
            return None
        return Result(prints, {name: value.numpy().copy() for name, value in tensors.items()})


def work_key(work: Callable, sets: Any, version: str = "") -> str:
    """A hash of the work: code, defaults, closure, bound arguments, and functions and data of its own module that it uses.

    Raises:
        LabError: something in it has no stable form.

    >>> def half(model, step, share=0.5):
    ...     return {"share": share}
    >>> work_key(half, ()) == work_key(functools.partial(half, share=0.5), ())
    False
    """
    digest = hashlib.sha256()
    _feed(digest, (__version__, version, sets, work), set())
    return digest.hexdigest()[:24]


def _feed(digest, value: Any, seen: set[int]) -> None:
    """Add a value to a hash, in a form that is the same in every process."""
    digest.update(f"<{type(value).__qualname__}>".encode())
    if isinstance(value, PLAIN):
        digest.update(repr(value).encode())
    elif isinstance(value, tuple | list):
        _each(digest, value, seen)
    elif isinstance(value, set | frozenset):
        _each(digest, sorted(value, key=repr), seen)
    elif isinstance(value, Mapping):
        _each(digest, sorted(value.items(), key=lambda item: repr(item[0])), seen)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        digest.update(f"{value.dtype}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype}{integrity.fingerprint(value)}".encode())
    elif isinstance(value, torch.nn.Module):
        _each(digest, integrity.of_tensors(value.state_dict()).items(), seen)
    elif isinstance(value, functools.partial):
        _each(digest, (value.func, value.args, value.keywords), seen)
    elif isinstance(value, types.MethodType):
        _each(digest, (value.__self__, value.__func__), seen)
    elif isinstance(value, types.FunctionType):
        _feed_function(digest, value, seen)
    elif isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | np.ufunc):
        digest.update(f"{getattr(value, '__module__', '')}.{value.__name__}".encode())
    elif is_dataclass(value):
        call = vars(type(value)).get("__call__")
        _each(digest, (type(value), call, [(field.name, getattr(value, field.name)) for field in fields(value)]), seen)
    else:
        digest.update(_pickled(value))


def _each(digest, values, seen: set[int]) -> None:
    for value in values:
        _feed(digest, value, seen)
    digest.update(b"<end>")


def _feed_function(digest, function: types.FunctionType, seen: set[int]) -> None:
    digest.update(f"{function.__module__}.{function.__qualname__}".encode())
    if id(function) in seen:  # it calls itself
        return
    seen.add(id(function))
    _feed_code(digest, function.__code__, seen)
    cells = [cell.cell_contents for cell in function.__closure__ or () if _filled(cell)]
    _each(digest, (function.__defaults__, function.__kwdefaults__, cells), seen)
    for name in sorted(_names(function.__code__) & function.__globals__.keys()):
        used = function.__globals__[name]
        own = getattr(used, "__module__", None) == function.__module__
        data = isinstance(used, (*PLAIN, tuple, list, set, frozenset, dict, np.ndarray, torch.Tensor, functools.partial))
        digest.update(name.encode())
        if data or (own and isinstance(used, types.FunctionType)) or (is_dataclass(used) and not isinstance(used, type)):
            _feed(digest, used, seen)


def _filled(cell) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a name that is assigned later
        return False


def _feed_code(digest, code: types.CodeType, seen: set[int]) -> None:
    digest.update(code.co_code)
    constants = [constant for constant in code.co_consts if not isinstance(constant, types.CodeType)]
    _each(digest, (code.co_names, code.co_varnames, constants), seen)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _feed_code(digest, constant, seen)


def _names(code: types.CodeType) -> set[str]:
    inner = (_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*inner)


def _pickled(value: Any) -> bytes:
    try:
        return pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError) as fault:
        raise LabError(
            "expected a work made of functions, numbers and arrays",
            f"it holds {type(value).__qualname__}: {fault}",
            hint="results of this work cannot be told apart on disk: pass folder=None, or give it plain arguments",
        ) from None

"""Global state around a check: known when it begins, and afterwards as it was found.

A check must not depend on the seed, the default type or the gradients that earlier cells left on
or off, nor leave its own behind, whatever the answer does. Three things are kept:

- `STREAMS`: the random streams of Python, NumPy and torch; a check always begins at the same seed;
- `SETTINGS`: what else changes the results of later code, put back after every call of an answer; a
  check begins with those values that it needs; and `FIGURES`, put back after the check;
- `WATCHED`: functions and classes of Python, NumPy, torch and this package that an answer replaced.

Not kept are what only compiled code knows (torch's flag for denormal numbers, inter-op threads),
signal handlers, the locale, loggers, files, running threads, a device that an answer entered with
``torch.device(…).__enter__()``, and the notebook's own variables.
"""

import builtins
import math
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch

from helpers import runtime
from helpers.course.origin import is_librarys

SEED = 0
"""Every check begins at this seed; its references have generators of their own."""


@dataclass(frozen=True)
class Setting:
    """One piece of global state.

    Attributes:
        name: What it is, for people.
        read: Its value, in a form that ``==`` compares.
        write: Puts a value back.
        known: From the value that is found, the one that checks run under.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    known: Callable[[Any], Any] = lambda found: found


def _set_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _autocast(device: str) -> Setting:
    return Setting(
        f"autocast on {device}",
        lambda: torch.is_autocast_enabled(device),
        lambda on: torch.set_autocast_enabled(device, on),
        lambda _: False,
    )


def _deterministic() -> tuple[bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _set_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # pyright: ignore[reportIndexIssue] - a list, typed as a sequence
    with warnings.catch_warnings():  # entering it lets go of what older filters have decided
        pass


def _set_environment(found: dict[str, str]) -> None:
    for name in os.environ.keys() - found.keys():
        del os.environ[name]
    os.environ.update(found)


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was deleted
        return None


def _enter(folder: str | None) -> None:
    if folder is not None:
        os.chdir(folder)


def _loaded(name: str) -> Any:
    """A module, if something has loaded it already: no check loads it only to look."""
    return sys.modules.get(name)


def _style() -> dict[str, Any]:
    matplotlib = _loaded("matplotlib")
    style = dict.copy(matplotlib.rcParams) if matplotlib else {}
    style.pop("backend", None)  # chosen when the first figure is made, once
    return style


def _set_style(found: dict[str, Any]) -> None:
    if found:
        dict.update(_loaded("matplotlib").rcParams, found)


def _figures() -> set[int]:
    pyplot = _loaded("matplotlib.pyplot")
    return set(pyplot.get_fignums()) if pyplot else set()


def _close_figures(found: set[int]) -> None:
    for number in _figures() - found:
        _loaded("matplotlib.pyplot").close(number)


def _print_options() -> dict[str, Any]:
    options = getattr(_loaded("torch._tensor_str"), "PRINT_OPTS", None)  # torch has no public way
    return dict(vars(options)) if options else {}


def _stream(name: str) -> Setting:
    return Setting(
        f"sys.{name}", lambda: getattr(sys, name), lambda found: setattr(sys, name, found)
    )


def _set_path(found: list[str]) -> None:
    sys.path[:] = found


SETTINGS = (
    Setting("gradients", torch.is_grad_enabled, torch.set_grad_enabled, lambda _: True),
    Setting(
        "default type", torch.get_default_dtype, torch.set_default_dtype, lambda _: torch.float32
    ),
    Setting("default device", torch.get_default_device, _set_device, lambda _: torch.device("cpu")),
    _autocast("cpu"),
    _autocast("cuda"),
    Setting("threads", torch.get_num_threads, torch.set_num_threads),
    Setting(
        "deterministic algorithms",
        _deterministic,
        lambda found: torch.use_deterministic_algorithms(found[0], warn_only=found[1]),
        lambda _: (False, False),
    ),
    Setting("search for anomalies", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    Setting(
        "NumPy's errors",
        np.geterr,
        lambda found: np.seterr(**found),
        lambda _: {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"},
    ),
    Setting(
        "filters of warnings",
        lambda: list(warnings.filters),
        _set_filters,
        lambda found: [item for item in found if item[0] != "error"],
    ),
    Setting("NumPy's printing", np.get_printoptions, lambda found: np.set_printoptions(**found)),
    Setting("torch's printing", _print_options, lambda found: torch.set_printoptions(**found)),
    Setting("environment", lambda: dict(os.environ), _set_environment),
    Setting("folder", _folder, _enter),
    Setting("path of modules", lambda: list(sys.path), _set_path),
    Setting("depth of recursion", sys.getrecursionlimit, sys.setrecursionlimit),
    _stream("stdout"),
    _stream("stderr"),
)
"""What is put back after every call of an answer."""

FIGURES = (
    Setting("style of figures", _style, _set_style),
    Setting("open figures", _figures, _close_figures),
)
"""What is put back after a check: it takes longer to read, and no check computes with it."""


def _cuda_streams() -> list[torch.Tensor]:
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []


STREAMS = (
    Setting("random", random.getstate, random.setstate),
    Setting("numpy.random", np.random.get_state, np.random.set_state),
    Setting("torch.random", torch.get_rng_state, torch.set_rng_state),
    Setting("torch.cuda.random", _cuda_streams, torch.cuda.set_rng_state_all),
)
"""The global random streams."""


@contextmanager
def kept(settings: Iterable[Setting] = SETTINGS) -> Iterator[None]:
    """Put settings back, where the block has changed them, however it ends.

    >>> with kept():
    ...     torch.set_default_dtype(torch.float64)
    >>> torch.get_default_dtype()
    torch.float32
    """
    gradients = torch.is_grad_enabled()
    found = [(setting, setting.read()) for setting in settings]
    try:
        with torch.inference_mode(False):  # when it ends, all within it ends
            torch.set_grad_enabled(gradients)
            yield
    finally:
        for setting, before in found:
            if setting.read() != before:
                setting.write(before)


@contextmanager
def known() -> Iterator[None]:
    """Run a check under a known state, at a known seed; afterwards all is as it was found."""
    streams = [(stream, stream.read()) for stream in STREAMS]
    try:
        with kept((*SETTINGS, *FIGURES)):
            for setting in SETTINGS:
                found = setting.read()
                if setting.known(found) != found:
                    setting.write(setting.known(found))
            runtime.seed_everything(SEED)
            yield
    finally:
        for stream, before in streams:
            stream.write(before)


WATCHED = (
    *(builtins, math, random, np, np.linalg, np.random),
    *(torch, torch.linalg, torch.random, torch.nn.functional, torch.Tensor, torch.nn.Module),
)
"""Beside all of this package and the models' class: whose functions an answer may not replace."""


def _watched() -> Iterator[Any]:
    yield from WATCHED
    if bridge := _loaded("transformer_lens.model_bridge.bridge"):
        yield bridge.TransformerBridge
    for name, module in list(sys.modules.items()):
        if name.startswith("helpers.") and module is not None:
            yield module
            for value in list(vars(module).values()):
                if isinstance(value, type) and value.__module__ == name:
                    yield value


Names = list[tuple[Any, dict[str, Any]]]


def names() -> Names:
    """What the names of all that is watched stand for now."""
    return [(owner, dict(vars(owner))) for owner in _watched()]


def _same(now: Mapping[str, Any], before: dict[str, Any]) -> bool:
    try:
        return bool(now == before)  # by identity first, so it is quick, and seldom asks a value
    except Exception:  # noqa: BLE001 - a new value may raise anything when it is compared
        return False


def replaced(found: Names) -> list[str]:
    """Put back the names that stand for something else than before, and say which they are.

    A module may have got new names, as those of its parts that were loaded; a class may not. What a
    library has put in the place of its own when it was loaded, stays.

    >>> before = names()
    >>> math.pi = 3
    >>> replaced(before), round(math.pi, 2)
    (['math.pi'], 3.14)
    """
    said = []
    for owner, before in found:
        if _same(vars(owner), before):
            continue
        now = dict(vars(owner))
        new = set() if isinstance(owner, ModuleType) else now.keys() - before.keys()
        for name in sorted(name for name in {*before, *new} if not name.startswith("_")):
            value = now.get(name)
            if value is before.get(name) or is_librarys(value, name):
                continue
            if name in before:
                setattr(owner, name, before[name])
            else:
                delattr(owner, name)
            said.append(f"{owner.__name__}.{name}")
    return said

"""Global state around a check: known when it begins, and afterwards as it was found.

A check must not depend on the seed, the default type or the gradients that earlier cells left on
or off, nor leave its own behind, whatever the answer does. These are kept:

- `STREAMS`: the random streams of Python, NumPy and torch; a check always begins at the same seed;
- `SETTINGS`: what else changes the results of later code, put back after every call of an answer; a
  check begins with those values that it needs; and `FIGURES`, put back after the check;
- `HOOKS` of all modules, put back as well; but an answer that leaves one is told (`asking`);
- functions and classes that an answer replaced: `helpers.course.watched`.

Not kept are what only compiled code knows (torch's flag for denormal numbers, inter-op threads),
signal handlers, the locale, loggers, files, running threads and their traces, and the notebook's
own variables; and torch's newer ``fp32_precision`` of what is no matrix product: no lab uses it.
"""

import contextlib
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import overrides
from torch.nn.modules import module as modules
from torch.utils._device import DeviceContext

from helpers import runtime

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


Devices = tuple[tuple[Any, ...], Any]


def _devices() -> Devices:
    """What decides where tensors are made: ``with torch.device(…)``, then the default device. torch
    has no public way to look past the first."""
    modes = tuple(overrides._get_current_function_mode_stack())
    return modes, getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)


def _set_devices(found: Devices) -> None:
    for _ in overrides._get_current_function_mode_stack():
        overrides._pop_mode()
    for mode in found[0]:
        overrides._push_mode(mode)
    torch._GLOBAL_DEVICE_CONTEXT.device_context = found[1]


def _without_devices(found: Devices) -> Devices:
    return tuple(mode for mode in found[0] if not isinstance(mode, DeviceContext)), None


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


Precisions = tuple[str | None, dict[str, str]]


def _matmul_precisions() -> Precisions:
    """Of matrix products: by torch's older name, and of each backend that has the newer one."""
    backends = {name: getattr(torch.backends, name) for name in ("cuda", "mkldnn")}
    by_backend = {
        name: backend.matmul.fp32_precision
        for name, backend in backends.items()
        if hasattr(getattr(backend, "matmul", None), "fp32_precision")
    }
    try:
        return torch.get_float32_matmul_precision(), by_backend
    except RuntimeError:  # torch does not say it where the two names contradict each other
        return None, by_backend


def _set_matmul_precisions(found: Precisions) -> None:
    torch.set_float32_matmul_precision(found[0] or "highest")
    for name, precision in found[1].items():
        getattr(torch.backends, name).matmul.fp32_precision = precision


def _full_precisions(found: Precisions) -> Precisions:
    return "highest", dict.fromkeys(found[1], "ieee")


_CUDNN = ("enabled", "benchmark", "deterministic", "allow_tf32")


def _cudnn() -> dict[str, Any]:
    found = {}
    for name in _CUDNN:
        with contextlib.suppress(RuntimeError):  # as of matrix products
            found[name] = getattr(torch.backends.cudnn, name)
    return found


def _set_cudnn(found: dict[str, Any]) -> None:
    for name, value in found.items():
        setattr(torch.backends.cudnn, name, value)


def _set_traces(found: tuple[Any, Any]) -> None:
    sys.settrace(found[0])
    sys.setprofile(found[1])


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
    Setting("traces", lambda: (sys.gettrace(), sys.getprofile()), _set_traces),
    Setting("gradients", torch.is_grad_enabled, torch.set_grad_enabled, lambda _: True),
    Setting(
        "default type", torch.get_default_dtype, torch.set_default_dtype, lambda _: torch.float32
    ),
    Setting("default device", _devices, _set_devices, _without_devices),
    _autocast("cpu"),
    _autocast("cuda"),
    Setting("threads", torch.get_num_threads, torch.set_num_threads),
    Setting(
        "deterministic algorithms",
        _deterministic,
        lambda found: torch.use_deterministic_algorithms(found[0], warn_only=found[1]),
        lambda _: (False, False),
    ),
    Setting(
        "precision of matrix products",
        _matmul_precisions,
        _set_matmul_precisions,
        _full_precisions,
    ),
    Setting("cuDNN", _cudnn, _set_cudnn),
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


_HOOKS = tuple(kind for kind in vars(modules) if kind.startswith("_global_"))
"""What torch notes of hooks that run for every module; it has no public way to read them."""


def _hooks() -> dict[str, Any]:
    found = {kind: getattr(modules, kind) for kind in _HOOKS}
    return {
        kind: dict(hooks) if isinstance(hooks, dict) else hooks for kind, hooks in found.items()
    }


def _set_hooks(found: dict[str, Any]) -> None:
    for kind, hooks in found.items():
        stands = vars(modules)[kind]
        if isinstance(stands, dict):  # the same one, from which a handle takes its hook away
            stands.clear()
            stands.update(hooks)
        else:
            setattr(modules, kind, hooks)


def _without_hooks(found: dict[str, Any]) -> dict[str, Any]:
    return {kind: {} if isinstance(hooks, dict) else None for kind, hooks in found.items()}


HOOKS = Setting("hooks of all modules", _hooks, _set_hooks, _without_hooks)
"""Put back after every call of an answer, which is told of what it left; none during a check."""

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
def kept(settings: Iterable[Setting] = (*SETTINGS, HOOKS)) -> Iterator[None]:
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
        with kept((*SETTINGS, HOOKS, *FIGURES)):
            for setting in (*SETTINGS, HOOKS):
                found = setting.read()
                if setting.known(found) != found:
                    setting.write(setting.known(found))
            runtime.seed_everything(SEED)
            yield
    finally:
        for stream, before in streams:
            stream.write(before)

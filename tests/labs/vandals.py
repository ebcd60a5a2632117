"""Answers that spoil what they are given and what all code uses: checks must not be moved."""

import ast
import copy
import io
import math
import os
import random
import sys
import warnings
from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from transformer_lens.model_bridge.generalized_components import LinearBridge

from helpers.course import check, state
from helpers.course.labs import execute, source
from helpers.course.sheet import ERROR, Result


def answers(lab: source.Lab, run: execute.NotebookRun) -> dict[str, Any]:
    """What a solved lab passes to its checks, by exercise."""
    found = {}
    for cell in source.solution_notebook(lab).cells:
        code = cell.source if cell.cell_type == "code" else ""
        plain = "\n".join(line for line in code.split("\n") if not line.startswith("%"))
        for node in ast.walk(ast.parse(plain)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check":
                name = ast.literal_eval(node.args[0])
                found[name] = eval(ast.unparse(node.args[1]), dict(run.namespace))
    return found


# --- spoil what is given ---------------------------------------------------------------------


def spoil(thing: Any, seen: set[int] | None = None) -> bool:
    """Overwrite in place all values in a thing, whatever it is but a model; whether there were any.

    Numbers become zeros, of the same shape, so that an answer can go on with them.
    """
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, nn.Module | type) or callable(thing):
        return False
    seen.add(id(thing))
    if isinstance(thing, torch.Tensor):
        with torch.no_grad():
            thing.zero_()
        return True
    if isinstance(thing, np.ndarray):
        thing.fill(0)
        return True
    if isinstance(thing, torch.Generator | np.random.Generator):
        getattr(thing, "manual_seed", lambda _: thing.random(999))(99)
        return False  # a solution may draw anything
    if isinstance(thing, dict):
        return sum(spoil(value, seen) for value in thing.values()) > 0
    if isinstance(thing, list):
        return _spoil_list(thing)
    return sum(spoil(value, seen) for value in getattr(thing, "__dict__", {}).values()) > 0


def _spoil_list(items: list) -> bool:
    numbers = all(isinstance(item, int | float) for item in items)
    items[:] = [0] * len(items) if numbers else []
    return True


def wreck(thing: Any) -> None:
    """Spoil, and change lengths too."""
    spoil(thing)
    if isinstance(thing, list):
        thing.append(0)
    elif isinstance(thing, dict):
        thing.clear()
    elif hasattr(thing, "cache_dict"):
        thing.cache_dict.clear()


# --- spoil what all code uses ----------------------------------------------------------------


def _mix_precisions() -> None:
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.allow_tf32 = False


POISONS: dict[str, Callable[[], object]] = {
    "traces": lambda: sys.setprofile(lambda *_: None),
    "gradients": lambda: torch.set_grad_enabled(False),
    "default type": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "autocast on cpu": lambda: torch.set_autocast_enabled("cpu", True),
    "autocast on cuda": lambda: torch.set_autocast_enabled("cuda", True),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True, warn_only=True),
    "precision of matrix products": _mix_precisions,
    "cuDNN": lambda: setattr(torch.backends.cudnn, "benchmark", not torch.backends.cudnn.benchmark),
    "search for anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "NumPy's errors": lambda: np.seterr(all="raise"),
    "filters of warnings": lambda: warnings.simplefilter("error"),
    "NumPy's printing": lambda: np.set_printoptions(precision=1),
    "torch's printing": lambda: torch.set_printoptions(precision=1),
    "environment": lambda: os.environ.update(LAB_DEVICE="nowhere"),
    "folder": lambda: os.chdir("/"),
    "path of modules": lambda: sys.path.clear(),
    "depth of recursion": lambda: sys.setrecursionlimit(4321),
    "sys.stdout": lambda: setattr(sys, "stdout", io.StringIO()),
    "sys.stderr": lambda: setattr(sys, "stderr", io.StringIO()),
    "style of figures": lambda: plt.rcParams.update({"font.size": 99}),
    "open figures": lambda: plt.get_fignums() or plt.figure(),
    "random": lambda: random.seed(123),
    "numpy.random": lambda: np.random.seed(123),
    "torch.random": lambda: torch.manual_seed(123),
    "torch.cuda.random": lambda: torch.cuda.manual_seed_all(123),
}
"""How each of the settings and streams that checks keep is changed by an answer."""
KEPT = (*state.SETTINGS, *state.FIGURES, *state.STREAMS)


def _add(self: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.sub(self, other)


REPLACED: tuple[tuple[Any, str, Any], ...] = (
    (np, "allclose", lambda *_, **__: True),
    (copy, "deepcopy", lambda thing, memo=None: thing),
    (torch.Tensor, "__add__", _add),
    (nn.Module, "__call__", lambda self, *_, **__: None),
    (nn.LayerNorm, "forward", lambda self, x: x),
    (LinearBridge, "forward", lambda self, x: x),
)
"""What an answer may not put in the place of what all code uses."""


def poison(names: Iterable[str] = POISONS) -> None:
    """Change global state that checks keep, all of it or some."""
    for name in names:
        POISONS[name]()


def reading() -> dict[str, str]:
    """All global state that checks keep, in words that show every difference."""

    def words(value: Any) -> str:
        if isinstance(value, torch.Tensor | np.ndarray):
            return str(value.tolist())
        return str(tuple(map(words, value))) if isinstance(value, tuple) else repr(value)

    return {setting.name: words(setting.read()) for setting in KEPT}


# --- answers -----------------------------------------------------------------------------------


class Around:
    """A solution with something around it, and around the functions that it returns.

    Attributes:
        changed: Whether there was anything to change.
        models: Whether it was given a model.
        hook_points: Whether that is one of TransformerLens.
    """

    def __init__(self, solution: Callable, act: Callable[..., tuple[Any, bool]]) -> None:
        self.solution, self.act = solution, act
        self.changed = self.models = self.hook_points = False

    def __call__(self, *inputs: Any) -> Any:
        return self._ask(self.solution, inputs)

    def _ask(self, function: Callable, inputs: tuple[Any, ...]) -> Any:
        self.models |= any(isinstance(thing, nn.Module) for thing in inputs)
        self.hook_points |= any(hasattr(thing, "add_hook") for thing in inputs)
        result, changed = self.act(function, inputs)
        self.changed |= changed
        if _functions(result):
            return tuple(lambda *inputs, f=f: self._ask(f, inputs) for f in result)
        return result


def _functions(result: Any) -> bool:
    return isinstance(result, tuple) and bool(result) and all(map(callable, result))


def right_then_spoiled(solution: Callable, inputs: tuple[Any, ...]) -> tuple[Any, bool]:
    """Right, then all is spoiled; but not what is written in place, for that is the answer."""
    result = _own(solution(*inputs))
    if result is not None:
        for thing in inputs:
            wreck(thing)
    poison()
    return result, True


def _own(result: Any) -> Any:
    """A copy that shares no memory with what was given; one of a tensor keeps its gradient."""
    return result.clone() if isinstance(result, torch.Tensor) else copy.deepcopy(result)


def spoiled_then_right(solution: Callable, inputs: tuple[Any, ...]) -> tuple[Any, bool]:
    """Spoiled, and then right for what is left."""
    spoiled = sum(map(spoil, inputs)) > 0
    return solution(*inputs), spoiled


def replacing(solution: Callable, inputs: tuple[Any, ...]) -> tuple[Any, bool]:
    """Right, and from now on comparisons say that all is equal, copies are none, and so on."""
    result = solution(*inputs)
    for owner, name, value in REPLACED:
        setattr(owner, name, value)
    return result, True


def hooking(solution: Callable, inputs: tuple[Any, ...]) -> tuple[Any, bool]:
    """Right, and from now on every module does something more."""
    result = solution(*inputs)
    register_module_forward_pre_hook(lambda *_: None)
    return result, True


def standing() -> list[Any]:
    """All that an answer may replace, and the hooks of all modules."""
    return [*(vars(owner).get(name) for owner, name, _ in REPLACED), state.HOOKS.read()]


class Enough(BaseException):
    """More was taken from an answer than anybody asks for; also an end that is no `Exception`."""


class Endless(Mapping):
    """A dictionary, as far as anybody looks at it, whose names never end."""

    def __getitem__(self, key: Any) -> Any:
        raise KeyError(key)

    def __len__(self) -> int:
        return 1

    def __iter__(self) -> Iterator[str]:
        return endless()


def endless() -> Iterator[str]:
    """A generator that never ends, but for a check that would go on for ever."""
    for _ in range(10_000):
        yield "0"
    raise Enough("taken 10 000 items")


NEVER_ENDING: dict[str, Callable[..., Any]] = {
    "a generator": lambda *_: endless(),
    "a dictionary": lambda *_: Endless(),
    "several generators": lambda *_: (endless(), endless()),
}
"""Answers that a check cannot take all of."""
ENDS = (GeneratorExit, CancelledError, StopIteration, SystemExit, Enough)
"""What an answer may raise; only an interrupt passes through a check."""


def raising(end: type[BaseException]) -> Callable[..., Any]:
    def answer(*_: Any) -> None:
        raise end

    return answer


def after(vandal: Callable[[Any], object]) -> Callable[..., tuple[Any, bool]]:
    """Right, and then something is done to the model that was given."""

    def act(solution: Callable, inputs: tuple[Any, ...]) -> tuple[Any, bool]:
        result = _own(solution(*inputs))
        for model in inputs:
            if isinstance(model, nn.Module):
                vandal(model)
        return result, True

    return act


def _hook(model) -> None:
    model.add_hook("blocks.0.attn.hook_z", lambda z, hook: z * 0)


def _weights(model) -> None:
    with torch.no_grad():
        next(model.parameters()).zero_()


MODEL_VANDALS: dict[str, Callable[[Any], object]] = {
    "your hook is still there, at blocks.0.attn.hook_z": _hook,
    "your function converts the model": lambda model: model.to(torch.float64),
    "your function changes the weights": _weights,
    "switches the model to another mode": lambda model: model.train(),
    "another mode: call model.eval()": lambda model: list(model.children())[-1].train(),
    "your hook is still there, at": lambda model: next(
        value.requires_grad_() for value in model.parameters()
    ).register_hook(lambda gradient: gradient * 0),
}
"""What an answer must not leave behind in a model, by what it is told."""


def _hook_of_torch(model) -> None:
    list(model.children())[-1].register_forward_hook(lambda part, read, out: out * 0)


PLAIN_VANDALS = {words: vandal for words, vandal in MODEL_VANDALS.items() if vandal is not _hook}
PLAIN_VANDALS["and changes every later run"] = _hook_of_torch
"""The same of a network without hook points."""


def _as_objects(values: np.ndarray) -> np.ndarray:
    return values.astype(object)


def _fraction(value: float) -> Fraction | float:
    """There is none for NaN, which some right answers hold."""
    return Fraction(value) if math.isfinite(value) else float(value)


REFUSED: dict[str, Callable[[np.ndarray], Any]] = {
    "complex": lambda values: values + 1j,
    "complex tensor": lambda values: torch.from_numpy(values) + 1j,
    "all masked": lambda values: np.ma.masked_array(values, mask=np.ones(values.shape, bool)),
    "digits as text": lambda values: values.astype(str),
    "text": lambda values: str(values.tolist()),
    "spans of time": lambda values: values.astype("timedelta64[s]"),
    "NaN": lambda values: values * math.nan,
    "sparse": lambda values: torch.from_numpy(np.atleast_1d(values)).to_sparse(),
    "meta": lambda values: torch.from_numpy(values).to("meta"),
    "quantised": lambda values: torch.quantize_per_tensor(
        torch.from_numpy(values).float(), 0.1, 0, torch.quint8
    ),
    "generator": lambda values: iter(values.ravel().tolist()),
    "view of a dictionary": lambda values: dict.fromkeys(values.ravel().tolist()).keys(),
    "objects without numbers": lambda values: np.full(values.shape, object(), dtype=object),
}
"""Forms of right values that are no numbers, or not all of them."""
JUDGED: dict[str, Callable[[np.ndarray], Any]] = {
    "objects": _as_objects,
    "tensor with gradient": lambda values: torch.from_numpy(values).requires_grad_(),
    "fractions": lambda values: np.vectorize(_fraction, otypes=[object])(values)[()],
    "decimals": lambda values: np.vectorize(Decimal, otypes=[object])(values)[()],
    "matrix": lambda values: np.asmatrix(values),
    "nothing masked": lambda values: np.ma.masked_array(values),
}
"""Forms that hold the right numbers: right, or told in words what form is asked for."""


def in_form(form: Callable[[np.ndarray], Any]) -> Callable[..., tuple[Any, bool]]:
    """Right, but its numbers have another form; not changed where it has none."""

    def act(solution: Callable, inputs: tuple[Any, ...]) -> tuple[Any, bool]:
        found: list[Any] = []
        result = solution(*inputs)
        if not _functions(result):
            result = _converted(result, form, found)
        return result, bool(found)

    return act


def _converted(thing: Any, form: Callable[[np.ndarray], Any], found: list[Any]) -> Any:
    if type(thing) in (list, tuple, set, frozenset):
        return type(thing)(_converted(item, form, found) for item in thing)
    if isinstance(thing, dict):
        return {key: _converted(value, form, found) for key, value in thing.items()}
    tensor = isinstance(thing, torch.Tensor)
    if not tensor and not isinstance(thing, np.ndarray | np.number | int | float):
        return thing
    if isinstance(thing, bool):
        return thing
    found.append(thing)
    return form(np.asarray(thing.detach() if tensor else thing, dtype=np.float64))


# --- complaints --------------------------------------------------------------------------------


def complaints(name: str, solution: Callable) -> list[str]:
    """What is wrong with a check, by answers that spoil things: it must judge the values alone."""
    said, before = [], reading()

    def ask(act: Callable[..., tuple[Any, bool]], what: str) -> tuple[Result, Around]:
        answer = Around(solution, act)
        result = check.evaluate(name, answer)
        now = reading()
        said.extend(f"{name}, {what}: left {key}" for key in now if now[key] != before[key])
        return result, answer

    result, answer = ask(right_then_spoiled, "spoiled afterwards")
    if result.points < result.maximum:
        said.append(f"{name}: refused, for what it spoiled afterwards: {result}")
    left = MODEL_VANDALS if answer.hook_points else PLAIN_VANDALS
    said += [
        f"{name}: its model was left changed: {result}"
        for words, vandal in (left.items() if answer.models else ())
        if (result := ask(after(vandal), words)[0]).points or words not in result.message.lower()
    ]
    result, answer = ask(spoiled_then_right, "spoiled first")
    if answer.changed and result.points == result.maximum:
        said.append(f"{name}: taken, for what is left of inputs that it spoiled")
    standing_before = standing()
    for act, words in ((replacing, "your code replaces "), (hooking, "your hook is still there")):
        result, _ = ask(act, words)
        if result.points or words not in result.message:
            said.append(f"{name}: may change what all code uses, {act.__name__}: {result}")
        if standing() != standing_before:
            said.append(f"{name}: left what all code uses, {act.__name__}")
    return said + _end_complaints(name) + _clean_complaints(name, solution)


def _end_complaints(name: str) -> list[str]:
    """What is wrong with a check by answers that do not end, or end in unusual ways."""
    strange = NEVER_ENDING | {end.__name__: raising(end) for end in ENDS}
    said = []
    for what, answer in strange.items():
        result = check.evaluate(name, answer)
        if result.points or not result.message:
            said.append(f"{name}: {what} gets points, or no sentence: {result}")
        if what in NEVER_ENDING and "taken 10 000 items" in result.message:
            said.append(f"{name}: takes {what} that never ends")
    return said


BEFORE = ("gradients", "default type", "default device", "autocast on cpu", "NumPy's errors")
BEFORE += ("deterministic algorithms", "filters of warnings", "precision of matrix products")
BEFORE += ("random", "torch.random")
"""What a student may have changed before a check."""


def _clean_complaints(name: str, solution: Callable) -> list[str]:
    """After all this, and whatever the student has switched before, the solution is right."""
    with state.known(), torch.device("meta"):
        poison(tuple(what for what in BEFORE if what != "default device"))
        before = reading()
        result = check.evaluate(name, solution)
        now = reading()
    with state.known():
        poison(["default device"])
        again = check.evaluate(name, solution)
    result = min(result, again, key=lambda one: one.points)
    said = [f"{name}: the solution is no longer right: {result}"]
    said = said if result.points < result.maximum else []
    return said + [f"{name}: left {key} otherwise" for key in now if now[key] != before[key]]


def form_complaints(name: str, solution: Callable) -> list[str]:
    """What is wrong with how a check judges right values in forms that are no plain numbers."""
    said = []
    for what, form in (REFUSED | JUDGED).items():
        answer = Around(solution, in_form(form))
        result = check.evaluate(name, answer)
        if not answer.changed:  # its answer holds no numbers
            break
        if what in REFUSED and result.points == result.maximum:
            said.append(f"{name}: takes {what}")
        if result.status == ERROR or (result.points < result.maximum and not result.message):
            said.append(f"{name}: has no sentence for {what}: {result}")
    return said


def lab_complaints(
    lab: source.Lab, run: execute.NotebookRun, about: Callable[[str, Callable], list[str]]
) -> list[str]:
    """Complaints about each check of a lab, by the solutions of its run."""
    solutions = answers(lab, run)
    missing = [
        f"{name}: its answer is not found" for name in lab.exercises if name not in solutions
    ]
    return missing + [said for name in solutions for said in about(name, solutions[name])]

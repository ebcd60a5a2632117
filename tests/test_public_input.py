"""Public functions on input of every kind: a sentence or the right numbers, never a raw error.

`good_calls` has one good call of each function. Here every argument of it is spoilt in every way
that its type admits, one at a time. Afterwards there is a `LabError`, or a result that is finite
and, where the numbers are the same in another form, the same.
"""

import ast
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

from helpers.errors import LabError
from tests.support.good_calls import CALLS, EXEMPT, ROOMS

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
NUMBERS = re.compile(
    r"Tensor|ndarray|\bRows\b|\bLabels\b|\bfloat\b|Activations|Prompts|LabelledSet|Smoother"
)

SAME, REFUSED, EITHER = "the same", "refused", "either"
WHITE = {
    "show.grids.heatmap",
    "show.grids.node_heatmap",
    "knowledge.editing.gradients.within_facts",  # the answer never changed
    "knowledge.edit_study.summaries.spread",  # likewise
    "stats.crossed_bootstrap",  # likewise
    "stats.spread_or_none",  # likewise
}
"""Functions to which NaN says that there is no number."""
ANY_SIZE = {
    "trust.series.integrity.fingerprint",  # a hash of any tensor
    "trust.data.splits.check_classes",  # no parts, nothing to refuse
    "trust.information.bounds.variational_bound",  # one or many cross-entropies
    "trust.information.kernels.finite",  # labels or activations
}
NONE_THERE = {
    "knowledge.editing.comparison.compare",  # a length that the path never has
    "knowledge.editing.measures.effects",  # what a world does not have
    "knowledge.editing.sequential.in_turn",  # nothing is kept before a second edit
    "trust.probes.linear.mass_mean",  # gives no probability, so no cross-entropy
    "trust.probes.numbers.fit_number",  # predicts test items only
    "trust.probes.numbers.fit_angle",
    "detox.oracle.target.log_target",  # minus infinity: a word that is never said
}
"""Functions whose results have NaN where there is no number."""
NO_LIMIT = {("trust.steering.strength.choose", "budget")}
"""Arguments to which infinity says that there is no limit."""
ANY_KIND = {"stats.permutation_null", "trust.series.integrity.fingerprint"}
"""Functions of any numbers, complex ones among them: a statistic of the caller's, a hash."""


@pytest.fixture(autouse=True)
def as_a_user_has_it():
    """Without the check of shapes that the tests put around every function."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def public() -> set[str]:
    """Public functions of the rooms with an argument that is a number or an array."""
    found = set()
    for room in ROOMS:
        whole = HELPERS / room
        for path in [whole] if whole.is_file() else whole.rglob("*.py"):
            module = ".".join(path.relative_to(HELPERS).with_suffix("").parts)
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    arguments = [*node.args.args, *node.args.kwonlyargs]
                    hints = [ast.unparse(each.annotation) for each in arguments if each.annotation]
                    if any(NUMBERS.search(hint) for hint in hints):
                        found.add(f"{module}.{node.name}")
    return found


def test_every_public_function_of_numbers_has_a_good_call():
    assert public() == set(CALLS) | set(EXEMPT)
    assert not set(CALLS) & set(EXEMPT)


# ---------------------------------------------------------------------------------------------
# ways to spoil an argument


def with_first(array: Any, value: float) -> Any:
    array = array.clone() if isinstance(array, torch.Tensor) else array.copy()
    array.reshape(-1)[0] = value
    return array


def strided(array: Any) -> Any:
    """The same numbers, every other one in memory."""
    if isinstance(array, torch.Tensor):
        return array.repeat_interleave(2, -1)[..., ::2]
    return np.repeat(array, 2, -1)[..., ::2]


def of_dtype(array: Any, torch_dtype: torch.dtype, numpy_dtype: Any) -> Any:
    return array.to(torch_dtype) if isinstance(array, torch.Tensor) else array.astype(numpy_dtype)


def complex_of(array: Any) -> Any:
    return of_dtype(array, torch.complex64, complex) * (1 + 0.5j)


def spoilt_floats(array: Any) -> Iterator[tuple[str, Any, str]]:
    yield "NaN", with_first(array, np.nan), REFUSED
    yield "infinity", with_first(array, np.inf), REFUSED
    yield "minus infinity", with_first(array, -np.inf), EITHER
    yield "half precision", of_dtype(array, torch.float16, np.float16), SAME
    yield "double precision", of_dtype(array, torch.float64, np.float64), SAME
    yield "whole numbers", of_dtype(array, torch.int64, np.int64), EITHER
    if isinstance(array, torch.Tensor):
        yield "bfloat16", array.bfloat16(), SAME
        yield "a gradient", array.clone().requires_grad_(), SAME


def spoilt_ids(array: Any) -> Iterator[tuple[str, Any, str]]:
    yield "real numbers", of_dtype(array, torch.float32, np.float32), EITHER
    yield "other whole numbers", of_dtype(array, torch.int32, np.int32), SAME
    yield "small whole numbers", of_dtype(array, torch.uint8, np.uint8), SAME
    yield "below zero", with_first(array, -3), EITHER
    yield "far beyond", with_first(array, 10**6), EITHER


def spoilt_array(array: Any) -> Iterator[tuple[str, Any, str]]:
    floating = (
        array.dtype.is_floating_point
        if isinstance(array, torch.Tensor)
        else (array.dtype.kind == "f")
    )
    whole = not floating and array.dtype not in (torch.bool, np.dtype(bool))
    yield from spoilt_floats(array) if floating else spoilt_ids(array) if whole else ()
    yield "complex numbers", complex_of(array), REFUSED
    yield "empty", array[:0], REFUSED
    yield "an axis more", array[None], REFUSED
    yield "an axis less", array[0], REFUSED
    yield "another stride", strided(array), SAME
    if array.ndim > 1:
        yield "an empty last axis", array[..., :0], REFUSED


def spoilt(value: Any) -> Iterator[tuple[str, Any, str]]:
    """An argument in every other form: what it is, the form, and what must come of it."""
    if isinstance(value, torch.Tensor | np.ndarray):
        yield from spoilt_array(value)
    elif isinstance(value, float):
        for name, number in (("NaN", np.nan), ("infinity", np.inf), ("minus infinity", -np.inf)):
            yield name, number, EITHER
        yield "a number of NumPy", np.float64(value), SAME
    elif isinstance(value, bool | str) or value is None:
        return
    elif isinstance(value, int):
        yield "below zero", -1, EITHER
        yield "zero", 0, EITHER
    elif isinstance(value, Mapping) and value:
        key, first = next(iter(value.items()))
        for name, other, wanted in spoilt(first):
            yield name, {**value, key: other}, wanted
        yield "none", {}, EITHER
    elif isinstance(value, tuple) and value and isinstance(value[0], torch.Tensor | np.ndarray):
        for name, other, wanted in spoilt(value[0]):
            yield name, (other, *value[1:]), wanted
    elif is_dataclass(value) and type(value).__name__ == "Activations":
        yield "NaN", type(value)(with_first(value.z, np.nan), value.mlp), REFUSED
        yield "empty", value.rows(torch.tensor([], dtype=torch.long)), REFUSED
        yield "another stride", type(value)(strided(value.z), strided(value.mlp)), SAME


def cases() -> list[Any]:
    found = []
    for name, (_, arguments) in CALLS.items():
        for argument, value in arguments().items():
            for kind, _, _ in spoilt(value):
                found.append(pytest.param(name, argument, kind, id=f"{name}-{argument}-{kind}"))
    return found


# ---------------------------------------------------------------------------------------------
# what came of it


def numbers(result: Any) -> Iterator[np.ndarray]:
    """All numbers of a result, in the order in which they stand there."""
    if isinstance(result, torch.Tensor):
        result = result.detach().cpu()
        result = result.double() if result.is_floating_point() else result
        yield result.numpy()
    elif isinstance(result, np.ndarray) and result.dtype.kind in "biufc":
        yield result
    elif isinstance(result, int | float):
        yield np.asarray(result)
    elif isinstance(result, Mapping):
        for part in result.values():
            yield from numbers(part)
    elif isinstance(result, list | tuple):
        for part in result:
            yield from numbers(part)
    elif is_dataclass(result):
        for field in fields(result):
            yield from numbers(getattr(result, field.name))


def alike(found: Any, wanted: Any, tolerance: float) -> bool:
    these, those = list(numbers(found)), list(numbers(wanted))
    pairs = zip(these, those, strict=False)
    return len(these) == len(those) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)
        for a, b in pairs
    )


def call_of(name: str) -> Callable[..., Any]:
    function, arguments = CALLS[name]
    return lambda **changes: function(**arguments() | changes)


@pytest.mark.parametrize("name", CALLS)
def test_a_good_call_is_answered(name):
    for found in numbers(call_of(name)()):
        assert np.isfinite(found).all() or name in NONE_THERE


@pytest.mark.parametrize(("name", "argument", "kind"), cases())
def test_input_of_another_kind_is_refused_or_answered(name, argument, kind):
    value = CALLS[name][1]()[argument]
    form, wanted = next((form, want) for word, form, want in spoilt(value) if word == kind)
    loose, good = {"half precision", "bfloat16"}, call_of(name)()
    if name in ANY_KIND and kind == "complex numbers":
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # what is divided by 0 is no number
        try:
            found = call_of(name)(**{argument: form})
        except LabError:
            assert wanted != SAME or kind in loose, "these are the same numbers"
            return
    unread = kind == "NaN" and name in WHITE
    unread |= kind.startswith(("empty", "an empty", "an axis")) and name in ANY_SIZE
    unread |= name in ANY_KIND
    # what was not read, or was the same in another shape, has changed nothing
    unread |= kind != "complex numbers" and bool(list(numbers(good))) and alike(found, good, 1e-6)
    assert wanted != REFUSED or unread, "this is no input, and was answered"
    if wanted == SAME:
        assert alike(found, good, 3e-2 if kind in loose else 1e-5)
    elif name not in ANY_KIND | NONE_THERE and (name, argument) not in NO_LIMIT:
        assert all(np.isfinite(part).all() for part in numbers(found))


@pytest.mark.parametrize("name", CALLS)
def test_gradients_that_are_switched_off_or_on_change_nothing(name):
    wanted = call_of(name)()
    with torch.set_grad_enabled(False):
        assert alike(call_of(name)(), wanted, 1e-6)
        assert not torch.is_grad_enabled()
    with torch.enable_grad():
        assert alike(call_of(name)(), wanted, 1e-6)
        assert torch.is_grad_enabled()

"""Comparisons for checks: each says in words what is wrong, and never what the right answer is."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from helpers.course.values import as_array
from helpers.course.wrong import Wrong

Mistakes = Mapping[Any, Any] | Iterable[tuple[Any, Any]]
"""Wrong values that well-known mistakes give, each with its message: pairs or a mapping, in either
order."""


def expect_type(answer: object, *types: type, name: str = "the answer") -> None:
    """Refuse an answer of another type; True and False do not count as numbers.

    >>> expect_type(3, int, float)
    >>> expect_type("three", int, float)
    Traceback (most recent call last):
        ...
    helpers.course.wrong.Wrong: expected the answer to be int or float; got str
    """
    if answer is None and type(None) not in types:
        raise Wrong(f"{name} is None: does the function return its result?")
    disguised = isinstance(answer, bool) and bool not in types
    if disguised or not isinstance(answer, types):
        wanted = " or ".join(kind.__name__ for kind in types)
        raise Wrong(f"expected {name} to be {wanted}; got {type(answer).__name__}")


def expect_function(answer: Any) -> None:
    """Refuse what cannot be called.

    >>> expect_function(len)
    """
    if not callable(answer):
        raise Wrong(
            f"expected a function; got {type(answer).__name__}: pass the function itself, without "
            "calling it"
        )


def expect_shape(
    answer: object, shape: tuple[int, ...], name: str = "the answer", axes: str = ""
) -> None:
    """Refuse an array or tensor of another shape.

    Args:
        answer: Anything with ``.shape``, or nested lists of numbers.
        shape: The shape expected; -1 stands for any length.
        axes: What the axes are, as ``"question position"``, for the message.

    >>> expect_shape(np.zeros((2, 3)), (2, -1))
    >>> expect_shape(np.zeros((3, 2)), (2, 3), "z")
    Traceback (most recent call last):
        ...
    helpers.course.wrong.Wrong: expected z in shape [2, 3]; got [3, 2]: are its axes swapped?
    """
    got = as_array(answer, name, truth=True).shape
    if len(got) == len(shape) and all(
        want in (-1, have) for want, have in zip(shape, got, strict=True)
    ):
        return
    wanted = f"[{', '.join('any' if length == -1 else str(length) for length in shape)}]" + (
        f" ({axes})" if axes else ""
    )
    swapped = sorted(got) == sorted(shape)
    missing = f" {len(got)} axes instead of {len(shape)}" if len(got) != len(shape) else ""
    hint = ": are its axes swapped?" if swapped else f":{missing}" if missing else ""
    raise Wrong(f"expected {name} in shape {wanted}; got {list(got)}{hint}")


def expect_close(
    actual: object,
    expected: object,
    tolerance: float = 1e-5,
    mistakes: Mistakes | Callable[[], Mistakes] = (),
    name: str = "the answer",
    points: float = 0,
) -> None:
    """Refuse numbers that differ from the expected ones; name the mistake whose result they are, if
    they are one's.

    Args:
        actual: Number, array, tensor or nested list from the student.
        expected: The right values.
        tolerance: Largest absolute difference that still counts as equal.
        mistakes: Wrong values that well-known mistakes give, or a function that computes them: it
            is called only where the answer is not right.
        name: How the message calls the answer.
        points: What a wrong answer earns nevertheless.

    >>> expect_close(0.5, 0.5)
    >>> expect_close(1.0, 2.0, mistakes={"did you take the mean instead of the sum?": 1.0})
    Traceback (most recent call last):
        ...
    helpers.course.wrong.Wrong: did you take the mean instead of the sum?
    """
    right, got = as_array(expected, "the reference", truth=True), as_array(actual, name)
    expect_shape(got, right.shape, name)
    if np.isnan(got).any() and not np.isnan(right).any():
        raise Wrong(f"{name} holds NaN: look for 0/0, or a logarithm of 0", points)
    if same(got, right, tolerance):
        return
    known = mistakes() if callable(mistakes) else mistakes
    for first, second in known.items() if isinstance(known, Mapping) else known:
        message, value = (first, second) if isinstance(first, str) else (second, first)
        if same(got, as_array(value, "a mistake", truth=True), tolerance):
            raise Wrong(message, points)
    raise Wrong(_difference(got, right, tolerance, name), points)


def same(first: np.ndarray, second: np.ndarray, tolerance: float) -> bool:
    """Whether two arrays have one shape and agree within an absolute tolerance (NaN with NaN, inf
    with inf).

    >>> same(np.zeros(2), np.zeros(3), 1.0), same(np.zeros(2), np.ones(2), 1.0)
    (False, True)
    """
    return first.shape == second.shape and bool(
        np.allclose(first, second, rtol=0, atol=tolerance, equal_nan=True)
    )


def _difference(got: np.ndarray, right: np.ndarray, tolerance: float, name: str) -> str:
    if got.ndim == 0:
        opposite = not math.isnan(float(right)) and same(-got, right, tolerance)
        return f"{name} is not right" + (": its sign is the opposite" if opposite else "")
    wrong = ~np.isclose(got, right, rtol=0, atol=tolerance, equal_nan=True)
    first = [int(index) for index in np.argwhere(wrong)[0]]
    hint = (
        ": all have the opposite sign"
        if same(-got, right, tolerance)
        else f", the first at index {first}"
    )
    return f"{int(wrong.sum())} of {wrong.size} values of {name} are not right{hint}"


def expect_number(answer: object, name: str = "the answer") -> None:
    """Refuse what is not one finite number; a tensor or array with one element counts as its
    number.

    >>> expect_number(np.float32(2))
    """
    array = as_array(answer, name)
    if array.size != 1:
        raise Wrong(
            f"expected {name} to be one number; got shape {list(array.shape)}: which axis is still "
            "to be reduced?"
        )
    if not math.isfinite(float(array.reshape(()))):
        raise Wrong(
            f"{name} is {float(array.reshape(()))}: look for a division by 0, or a logarithm of 0"
        )

"""Numbers as people bring them: real, with so many axes, finite; and measured differences.

A measured number may be NaN, and every comparison with NaN is False. So a refusal is never written
``if apart > tolerance``, which lets NaN pass, but ``if not within(apart, tolerance)``.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError


def real(x: Any, what: str, axes: str = "") -> Float[Tensor, "..."]:
    """Real numbers as a tensor without a gradient; whole numbers and lists become double precision.

    Args:
        x: A tensor of any precision, an array or a list.
        what: What they are, for the message.
        axes: Names of the axes, such as ``"site item d"``; "" for any.

    Raises:
        LabError: Other axes, no numbers at all, or numbers that are not real.

    >>> real([[1, 2]], "activations", "item d").tolist()
    [[1.0, 2.0]]
    """
    x = _tensor(x, what)
    names = axes.split()
    if names and (x.ndim != len(names) or not x.numel()):
        raise LabError(
            f"expected {what} of shape [{', '.join(names)}], with one number at least",
            f"got {list(x.shape)}",
        )
    return x


def finite(x: Any, what: str, axes: str, hint: str = "") -> Float[Tensor, "..."]:
    """Real numbers (see `real`), none of them NaN or infinite.

    Raises:
        LabError: As `real`; the message says how many of the first axis are not finite.

    >>> finite([1.0, float("nan")], "scores", "item")
    Traceback (most recent call last):
    helpers.errors.LabError: expected finite scores; got NaN or infinity in 1 of 2 (item)
    """
    x = real(x, what, axes)
    good = x.isfinite().flatten(1).all(1) if x.ndim > 1 else x.isfinite()
    if not good.all():
        where = f"{int((~good).sum())} of {len(x)} ({axes.split()[0]})"
        raise LabError(f"expected finite {what}", f"got NaN or infinity in {where}", hint=hint)
    return x


def positive_row(values: Any, what: str) -> list[float]:
    """One or more positive numbers.

    Raises:
        LabError: None, or one that is not above 0 and finite.

    >>> positive_row([1, 10], "strengths")
    [1.0, 10.0]
    """
    row = real(values, what)
    if row.ndim != 1 or not row.numel() or not ((row > 0) & row.isfinite()).all():
        raise LabError(f"expected one or more positive {what}", f"got {row.tolist()}")
    return row.tolist()


def within(apart: Any, tolerance: float) -> bool:
    """Whether every measured number is at most the tolerance. NaN is not.

    >>> within(1e-7, 1e-6), within(torch.tensor([0.0, torch.nan]), 1e-6)
    (True, False)
    """
    if isinstance(apart, Tensor | ndarray):
        return bool((apart <= tolerance).all())
    return bool(apart <= tolerance)


def at_least(least: float, value: Any, what: str) -> None:
    """Refuse a real number that is too small, or none. (`check_count` is for numbers of things.)

    Raises:
        LabError: Less than that, NaN or infinity, or no number.

    >>> at_least(0.1, 0, "inches")
    Traceback (most recent call last):
    helpers.errors.LabError: expected at least 0.1 inches; got 0
    """
    try:
        number = float("nan") if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not least <= number < float("inf"):
        raise LabError(f"expected at least {least} {what}", f"got {value!r}")


def array_of(x: Float[Tensor, "..."]) -> Float[ndarray, "..."]:
    """A tensor of any device and precision, with a gradient or not, as an array of doubles.

    >>> array_of(torch.ones(2, dtype=torch.bfloat16, requires_grad=True))
    array([1., 1.])
    """
    return x.detach().double().cpu().numpy()


def _tensor(x: Any, what: str) -> Float[Tensor, "..."]:
    if not isinstance(x, Tensor):
        try:
            array = np.asarray(x)
        except (TypeError, ValueError):  # rows of different lengths
            array = np.array(0)
        if array.dtype.kind not in "biuf":
            raise LabError(
                f"expected {what} as real numbers", f"got {type(x).__name__} of {array.dtype}"
            )
        # PyTorch knows neither swapped bytes nor more than 64 bits
        kind = array.dtype.newbyteorder("=") if array.dtype.itemsize <= 8 else np.float64
        x = torch.from_numpy(np.array(array, dtype=kind, order="C"))
    if x.is_complex():
        raise LabError(f"expected {what} as real numbers", f"got {x.dtype}")
    return x.detach() if x.is_floating_point() else x.detach().double()

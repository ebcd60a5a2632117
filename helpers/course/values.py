"""An answer's values as an array of numbers: which types count as numbers, and which do not.

=======================================  ==========================================================
given as                                 judged
=======================================  ==========================================================
int, float, Fraction, Decimal            a number
array, pandas Series, matrix, range      its numbers, in their order
tensor on any device, of any precision   its numbers, without its gradient
list or tuple, nested                    its items, each judged by itself
array of Python objects                  its items, if each is a number
True and False                           refused where numbers are asked for
complex                                  refused, with an imaginary part of 0 too
masked array                             refused if a value is masked
sparse, quantised, nested or meta        refused: say `to_dense`, `dequantize`; no rows, no values
text, also of digits; dates              refused
generator, set, dict and their views     refused: they are no values in an order
=======================================  ==========================================================
"""

from collections.abc import Iterator, Mapping, MappingView, Set
from decimal import Decimal
from numbers import Complex, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.course.wrong import Wrong


def as_array(answer: Any, name: str = "the answer", truth: bool = False) -> np.ndarray:
    """Numbers as a float64 array of its own, which shares no memory with the answer.

    Args:
        answer: Anything of the table above.
        name: How the message calls it.
        truth: Whether True and False are numbers too: 1 and 0.

    Raises:
        Wrong: It holds something that is no number.

    >>> as_array([[1, 2], [3, 4]]).shape
    (2, 2)
    >>> as_array(1j)
    Traceback (most recent call last):
        ...
    helpers.course.wrong.Wrong: expected real numbers; got complex ones as the answer: the part \
that is asked for is .real, or abs()
    """
    if isinstance(answer, bool | np.bool_) and not truth:
        raise _truth_values(name)
    if isinstance(answer, Real | Decimal) and not isinstance(answer, np.generic):
        return np.array(_float(answer, name))
    if isinstance(answer, list | tuple):
        try:
            return np.array([as_array(item, name, truth) for item in answer], dtype=np.float64)
        except ValueError:
            raise Wrong(f"the rows of {name} differ in length") from None
    if isinstance(answer, Tensor):
        answer = _of_tensor(answer, name)
    _refuse(answer, name)
    array = np.asarray(answer)
    if array.dtype.kind == "O":
        items = [_item(item, answer, name, truth) for item in array.ravel()]
        return np.array(items, dtype=np.float64).reshape(array.shape)
    if array.dtype.kind == "c":
        raise _complex(name)
    if array.dtype.kind == "b" and not truth:
        raise _truth_values(name)
    if array.dtype.kind not in "iufb":
        raise Wrong(f"expected numbers; got {_kind(answer)} of {array.dtype} as {name}")
    return array.astype(np.float64)


def _refuse(answer: Any, name: str) -> None:
    """What NumPy would take, or take for one object, without a word."""
    if answer is None:
        raise Wrong(f"{name} is None: does the function return its result?")
    if callable(answer) and not hasattr(answer, "shape"):
        raise Wrong(
            f"expected numbers; got a function: call it, and pass what it returns as {name}"
        )
    if isinstance(answer, str | bytes):
        raise Wrong(f"expected numbers; got {name} as text")
    if isinstance(answer, Complex) and not isinstance(answer, Real):
        raise _complex(name)
    if isinstance(answer, np.ma.MaskedArray) and np.ma.is_masked(answer):
        raise Wrong(f"some values of {name} are masked: there is no number in their place")
    if isinstance(answer, Iterator | Set | Mapping | MappingView):
        raise Wrong(
            f"expected numbers in an order; got {_kind(answer)} as {name}: make a list of them"
        )


def _of_tensor(answer: Tensor, name: str) -> np.ndarray:
    """The values of a tensor; some kinds have none, or not in their places."""
    if answer.is_nested:
        raise Wrong(f"the rows of {name} differ in length: it is a nested tensor")
    if answer.layout != torch.strided:
        raise Wrong(f"expected all values of {name}; got a sparse tensor: call .to_dense()")
    if answer.is_quantized:
        raise Wrong(f"expected numbers; got a quantised tensor as {name}: call .dequantize()")
    if answer.is_meta:
        raise Wrong(f"expected numbers; got {name} on the device meta, where nothing is computed")
    if answer.is_complex():
        raise _complex(name)
    values = answer.detach().cpu().resolve_conj().resolve_neg()  # NumPy knows no such views
    return (values if values.dtype == torch.bool else values.double()).numpy()


def _item(item: Any, answer: Any, name: str, truth: bool) -> float:
    """One item of an array of objects; a number, or it is refused."""
    kinds = (Real, Decimal, Complex, Tensor, np.ndarray, np.bool_, str, bytes, type(None))
    value = as_array(item, name, truth) if isinstance(item, kinds) and item is not answer else None
    if value is None:
        raise Wrong(f"expected numbers; got {_kind(item)} as {name}")
    if value.size != 1:
        raise Wrong(f"the rows of {name} differ in length")
    return float(value.reshape(()))


def _float(number: Any, name: str) -> float:
    try:
        return float(number)
    except (OverflowError, ValueError):  # 10**400; Decimal("sNaN")
        raise Wrong(f"a value of {name} is no number that a computer's float can hold") from None


def _complex(name: str) -> Wrong:
    return Wrong(
        f"expected real numbers; got complex ones as {name}: the part that is asked for is .real, "
        "or abs()"
    )


def _truth_values(name: str) -> Wrong:
    return Wrong(
        f"expected numbers; got truth values as {name}: True and False are no numbers here"
    )


def _kind(answer: object) -> str:
    return type(answer).__name__

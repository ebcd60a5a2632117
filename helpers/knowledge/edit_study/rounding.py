"""Numbers as they are stored: a few digits each, and none where there is no number."""

import math
from typing import Any

import torch

DIGITS = 4


def numbers(values: Any, digits: int = DIGITS) -> Any:
    """A number, a tensor or nested lists of them, with so many digits; NaN and infinity are None.

    >>> numbers(torch.tensor([[1.23456, float("nan")]]))
    [[1.235, None]]
    """
    told = values.detach().double().tolist() if isinstance(values, torch.Tensor) else values
    if isinstance(told, list):
        return [numbers(each, digits) for each in told]
    if isinstance(told, bool | int):
        return told
    return float(f"{told:.{digits}g}") if math.isfinite(told) else None

"""Numbers as they are stored: a few digits each, and none where there is no number."""

import math
from dataclasses import fields
from typing import Any

import torch

from helpers.knowledge.editing import EditEffects

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


def told(seen: EditEffects) -> dict[str, list]:
    """What edits did, fact by fact, without the lists of which facts have it: None stands where a
    fact does not have it."""
    names = [field.name for field in fields(seen) if field.name != "has"]
    return {name: numbers(getattr(seen, name)) for name in names}

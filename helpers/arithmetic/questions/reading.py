"""Logits as models give them, and the likeliest token: what is no number never decides.

``argmax`` takes NaN for the largest value of all, and the first token where every value is the
same infinity. A model that gives NaN at the right token would seem right, so it is refused first.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import real

_HINT = (
    "look at the model's weights and its precision: NaN and infinity come from a training that "
    "diverged, or from half precision"
)


def as_logits(
    output: Any, shape: tuple[int, int], least: int
) -> Float[Tensor, "question pos vocab"]:
    """What a model returned as logits: dense numbers of some precision.

    An array of NumPy and the ``.logits`` of an output of Hugging Face are taken too. NaN is looked
    for where a token is read (`likeliest`): elsewhere it decides nothing.

    Args:
        shape: Numbers of questions and of positions.
        least: Smallest vocabulary.

    Raises:
        LabError: Something else, or another shape.

    >>> as_logits(torch.zeros(2, 3, 14), (2, 3), least=13).shape
    torch.Size([2, 3, 14])
    """
    output = _tensor(getattr(output, "logits", output))
    found = tuple(getattr(output, "shape", ()))
    if len(found) != 3 or found[:2] != shape or found[2] < least:
        raise LabError(
            f"expected logits of shape ({shape[0]}, {shape[1]}, at least {least})",
            f"the model returned {found or type(output).__name__}",
            hint="pass a callable that maps token ids [question, pos] to logits "
            "[question, pos, vocab]; has_sign=False if it writes no sign",
        )
    if fault := _kind(output):
        raise LabError(
            "expected logits as a dense tensor of floating-point numbers",
            f"the model returned {fault}",
            hint="return the values before softmax and argmax, such as logits.float()",
        )
    return output if output.element_size() > 1 else output.float()  # 8 bits lack amax


def likeliest(logits: Float[Tensor, "*item vocab"]) -> Int[Tensor, "*item"]:
    """The token with the largest logit, the first of several. Minus infinity may stand at some
    tokens: such a model never says them.

    Raises:
        LabError: A logit that is NaN or plus infinity, or a place where all are minus infinity.

    >>> likeliest(torch.tensor([[0.0, 2.0, 1.0]])).tolist()
    [1]
    """
    check_decisive(logits)
    return logits.argmax(-1)


def check_decisive(logits: Float[Tensor, "*item vocab"]) -> None:
    """Refuse logits of which none is the largest.

    Raises:
        LabError: As `likeliest`.
    """
    if logits.numel():
        _refuse(~logits.amax(-1).isfinite())


def _tensor(output: Any) -> Any:
    """An array of floating-point numbers as a tensor; anything else as it is."""
    is_array = isinstance(output, ndarray) and output.dtype.kind == "f"
    return real(output, "logits") if is_array else output


def _kind(output: Any) -> str:
    """What it is instead of a dense tensor of floating-point numbers; "" if it is one."""
    if not isinstance(output, Tensor):
        dtype = getattr(output, "dtype", "")
        return f"{type(output).__name__} of {dtype}" if dtype else type(output).__name__
    if output.is_meta:
        return "a tensor on the device meta, which holds no numbers"
    if output.layout != torch.strided or output.is_nested:
        return f"a tensor of layout {output.layout}"
    return "" if output.is_floating_point() else f"numbers of {output.dtype}"


def _refuse(bad: Tensor) -> None:
    if bool(bad.any()):
        raise LabError(
            "expected logits among which one is the largest",
            f"the model gives NaN or infinity at {int(bad.sum())} of {bad.numel()} places",
            hint=_HINT,
        )

"""Yes-or-no labels as people bring them, made into booleans in one place.

Python calls nearly everything true: 2, 0.1, NaN and "false" are. So no label is turned into a
boolean anywhere but here, and what does not say yes or no is refused with the values seen.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Shaped
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError

Labels: TypeAlias = Shaped[ndarray, " item"] | Shaped[Tensor, " item"] | Sequence[Any]
"""One yes-or-no label an item, in any form that `yes_no` takes."""

WORDS = {
    **dict.fromkeys(("yes", "true", "1", "+1", "1.0"), True),
    **dict.fromkeys(("no", "false", "0", "-1", "0.0"), False),
}
"""Texts that say by themselves which class they are."""
MISSING = ("", "nan", "none", "null", "na", "n/a")
"""Texts that tables write where there is no label."""
HINT = "compare first, such as labels == 2; leave rows without a label out"


def yes_no(
    labels: Any,
    of: str = "the labels",
    names: tuple[str, str] | None = None,
    axes: tuple[int, ...] = (1,),
) -> Bool[ndarray, "..."]:
    """Labels as booleans of the same shape.

    These say yes or no, alone or in a list, an array or a tensor of any precision:

    ===================  =====================================================================
    True and False       as they are
    1 and 0              1 is True
    1 and −1             1 is True
    texts                `names` tells which is True. Without it, yes, true and 1 are, no, false, 0
                         and -1 are not, in small or capital letters, be it one class or both; of
                         two other texts the second one in alphabetical order is, as in
                         scikit-learn
    ===================  =====================================================================

    Args:
        of: Whose labels they are, for the message.
        names: The texts for True and for False, for labels that are texts.
        axes: Numbers of axes that they may have.

    Raises:
        LabError: Any other value: a third class, a share, NaN, None, a masked entry; or one text
            alone, such as "toxic", of which nothing says which class it is.

    >>> yes_no([1, -1, 1]).tolist(), yes_no(["no", "yes"]).tolist()
    ([True, False, True], [False, True])
    """
    array = _array(labels)
    seen = _distinct(array)
    if array.ndim not in axes:
        got = f"shape {list(array.shape)}" if array.ndim else f"{labels!r:.60}"
        raise LabError(f"expected {of} as one row, a label an item", f"got {got}")
    if all(isinstance(value, str) for value in seen):
        return _of_names(array, seen, of, names)
    numbers = all(isinstance(value, bool | int | float) for value in seen)
    if not numbers or not (set(seen) <= {0, 1} or set(seen) <= {-1, 1}):
        raise LabError(
            f"expected {of} as yes or no (True and False, 1 and 0, 1 and -1, or two names)",
            f"got {_few(seen)}",
            hint=HINT,
        )
    return np.asarray(array == 1, dtype=bool)


def _array(labels: Any) -> ndarray:
    if isinstance(labels, Tensor):
        odd = labels.is_meta or labels.is_quantized or labels.is_nested or labels.is_complex()
        if odd or labels.layout != torch.strided:
            raise LabError(
                "expected labels as a dense tensor of real numbers", f"got {labels!r:.60}"
            )
        labels = labels.detach().cpu().resolve_neg()
        return (labels.double() if labels.is_floating_point() else labels).numpy()
    if np.ma.is_masked(labels):
        return np.array(labels.tolist(), dtype=object)  # None where it is masked
    if isinstance(labels, Sequence) and len({isinstance(value, str) for value in labels}) > 1:
        return np.array(list(labels), dtype=object)  # NumPy would make texts of the numbers
    try:
        array = np.asarray(labels)
    except ValueError:  # rows of different lengths
        return np.array(labels, dtype=object)
    return array.astype(float) if array.dtype.kind == "f" else array


def _distinct(array: ndarray) -> list[Any]:
    """The different values as Python's own, in the order of their first appearance."""
    flat = array.ravel()
    if array.dtype.kind in "biufUS":
        _, first = np.unique(flat, return_index=True)
        flat = flat[np.sort(first)]
    values = [value.item() if isinstance(value, np.generic) else value for value in flat]
    return list({repr(value): value for value in values}.values())


def _of_names(
    array: ndarray, seen: list[str], of: str, names: tuple[str, str] | None
) -> Bool[ndarray, "..."]:
    if names is None and all(word.lower() in WORDS for word in seen):
        true = [word for word in seen if WORDS[word.lower()]]
    elif names is None and len(seen) == 2 and not _doubt(seen):
        true = [max(seen)]
    elif names is not None and set(seen) <= set(names):
        true = [names[0]]
    else:
        raise LabError(
            f"expected {of} as yes or no"
            + (f", by the names {names[0]!r} and {names[1]!r}" if names else ", by two names"),
            f"got {_few(seen)}{_doubt(seen) if names is None else ''}",
            hint="say which name is which (positive=…, negative=… of a LabelledSet), or compare: "
            "labels == 'toxic'",
        )
    return np.asarray(np.isin(array, true), dtype=bool)


def _doubt(seen: list[str]) -> str:
    """Why some texts are not names of two classes; "" if they are."""
    plain = [text.strip().lower() for text in seen]
    if len(seen) != 2:
        return " alone" if len(seen) == 1 else ""
    if plain[0] == plain[1]:
        return ": they differ in capitals or spaces only"
    for text, word in zip(seen, plain, strict=True):
        if word in MISSING:
            return f": {text!r} may say that there is no label"
        if word in WORDS:
            return f": {text!r} says yes or no by itself, and the other one does not"
    return ""


def _few(seen: list[Any], most: int = 6) -> str:
    shown = ", ".join(repr(value) for value in seen[:most])
    return shown + (f" and {len(seen) - most} other values" if len(seen) > most else "")

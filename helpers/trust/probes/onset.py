"""When does something emerge? The first checkpoint from which on a curve stays above its control.

A curve that crosses a threshold once by luck has not emerged, so the level must be held to the end.
Training is seen at checkpoints only: the onset lies after the checkpoint before, at or before the
one named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import array_of, real


@dataclass(frozen=True)
class Onset:
    """After step `after` (None: already at the first checkpoint), by step `by` (None: never)."""

    after: int | None
    by: int | None

    def __str__(self) -> str:
        if self.by is None:
            return "never"
        return f"by {self.by:,}" if self.after is None else f"{self.after:,}–{self.by:,}"


def onset(
    steps: Sequence[int], curve: Float[ndarray, " step"], level: float | Float[ndarray, " step"]
) -> Onset:
    """The onset of a curve above a level, or above another curve.

    Raises:
        LabError: No steps, steps that do not rise, or curves of another length or not finite.

    >>> str(onset([0, 10, 100, 1000], np.array([0.5, 0.8, 0.6, 0.9]), 0.7))
    '100–1,000'
    """
    steps, curve = list(steps), array_of(real(curve, "a curve"))
    levels = array_of(real(level, "a level"))
    levels = np.full(curve.shape, levels) if levels.ndim == 0 else levels
    rising = all(earlier < later for earlier, later in pairwise(steps))
    fit = curve.shape == levels.shape == (len(steps),)
    if not steps or not rising or not fit or not np.isfinite([curve, levels]).all():
        raise LabError(
            "expected rising steps and a value for each", f"got steps {steps}, {curve.tolist()}"
        )
    above = curve > levels
    if not above[-1]:
        return Onset(steps[-1], None)
    first = len(steps) - int(np.argmin(above[::-1])) if not above.all() else 0
    return Onset(steps[first - 1] if first else None, steps[first])

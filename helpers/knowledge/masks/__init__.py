"""Masks over single weights: which of them does a model need for what it says?

- `blocks`: the weights inside a model's blocks as one vector, run without touching the model.
- `estimators`: how a gradient gets through a choice of yes or no.
- `search`: learn masks of several densities in one run.
- `rivals`: masks that nothing was learned for, of the same density.
- `judging`: what a masked model still knows.
- `compare`: what two masks share, beside chance; what a mask is made of.
"""

from helpers.knowledge.masks.blocks import Blocks
from helpers.knowledge.masks.judging import Judged, judge
from helpers.knowledge.masks.search import (
    Learned,
    Objective,
    SearchSettings,
    Targets,
    learn,
    predictions,
)

__all__ = [
    "Blocks",
    "Judged",
    "Learned",
    "Objective",
    "SearchSettings",
    "Targets",
    "judge",
    "learn",
    "predictions",
]

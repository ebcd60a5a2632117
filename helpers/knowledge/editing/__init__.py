"""Facts changed by gradient descent on some of the weights, and what else that changes.

- `requests`: which facts, and what is to be said instead.
- `restricted`: steps on the weights that a mask lets change, and on no others.
- `measures`: the fact, its paraphrases, what follows from it, its neighbours, ordinary text.
"""

from helpers.knowledge.editing.measures import EditEffects, effects
from helpers.knowledge.editing.requests import Requests, drawn, request
from helpers.knowledge.editing.restricted import RELEASED, Edited, EditSettings, edit

__all__ = [
    "RELEASED",
    "EditEffects",
    "EditSettings",
    "Edited",
    "Requests",
    "drawn",
    "edit",
    "effects",
    "request",
]

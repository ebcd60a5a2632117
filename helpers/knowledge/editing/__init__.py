"""Facts changed by gradient descent on some of the weights, and what else that changes.

- `requests`: which facts, and what is to be said instead.
- `restricted`: steps on the weights that a mask lets change, and on no others.
- `arms`, `comparison`, `gradients`: places compared at equal terms, and what a gradient explains.
- `published`: the same as arXiv 2406.17241 does it.
- `questions`, `measures`: paraphrases, what follows, verdicts, denials, neighbours, ordinary text.
- `two_hop`, `sequential`, `decoding`: members of a kind, many edits in one model, free text.
"""

from helpers.knowledge.editing.arms import every_arm
from helpers.knowledge.editing.comparison import Compared, compare
from helpers.knowledge.editing.gradients import within_facts
from helpers.knowledge.editing.measures import EditEffects, effects
from helpers.knowledge.editing.requests import Requests, drawn, request
from helpers.knowledge.editing.restricted import RELEASED, Edited, EditSettings, edit
from helpers.knowledge.editing.sequential import in_turn

__all__ = [
    "RELEASED",
    "Compared",
    "EditEffects",
    "EditSettings",
    "Edited",
    "Requests",
    "compare",
    "drawn",
    "edit",
    "effects",
    "every_arm",
    "in_turn",
    "request",
    "within_facts",
]

"""Facts changed, and what else that changes.

- `requests`, `restricted`: what is to be said instead; steps on the weights that a mask frees.
- `rank_one`, `null_space`, `embedding_row`: rivals of these steps, with `memory` and `value`.
- `arms`, `comparison`, `gradients`, `published`: places compared at equal terms, and as released.
- `questions`, `measures`: paraphrases, what follows, verdicts, denials, neighbours, ordinary text.
- `two_hop`, `sequential`, `decoding`: members of a kind, many edits in one model, free text.
"""

from helpers.knowledge.editing.arms import every_arm
from helpers.knowledge.editing.comparison import Compared, compare
from helpers.knowledge.editing.embedding_row import edit_embedding_row
from helpers.knowledge.editing.gradients import within_facts
from helpers.knowledge.editing.measures import EditEffects, effects
from helpers.knowledge.editing.null_space import edit_null_space
from helpers.knowledge.editing.rank_one import edit_rank_one
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
    "edit_embedding_row",
    "edit_null_space",
    "edit_rank_one",
    "effects",
    "every_arm",
    "in_turn",
    "request",
    "within_facts",
]

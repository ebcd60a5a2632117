"""The study of edits: where facts are edited, what else changes, stored and recomputable.

- `plan`: what is measured, under which keys; `worlds`, `places` the facts and where they change.
- `measuring`, `made_at_once`: what a cell measures; `state` keeps cells until all are there.
- `stored`: the numbers that the package brings.
- `summaries`, `rows`: what was found, as rows with intervals.
"""

from helpers.knowledge.edit_study.places import place_of, typical_gradient
from helpers.knowledge.edit_study.plan import EDIT_PLAN, EditCell, EditPlan, arm_cell, edit_cells
from helpers.knowledge.edit_study.stored import EditStudy, stored_edits
from helpers.knowledge.edit_study.worlds import EditWorld, edit_world

__all__ = [
    "EDIT_PLAN",
    "EditCell",
    "EditPlan",
    "EditStudy",
    "EditWorld",
    "arm_cell",
    "edit_cells",
    "edit_world",
    "place_of",
    "stored_edits",
    "typical_gradient",
]

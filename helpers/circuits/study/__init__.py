"""The study of Lab 4: every method of circuit discovery on every task, measured and stored.

`methods` has every way of scoring heads, `jobs` says what is measured, `trials` measures it and
reads what is stored, `growth` times methods on models of growing size.
"""

from helpers.circuits.study.jobs import PLAN, TASKS, Key, StudyPlan
from helpers.circuits.study.methods import CODES, CONTROLS, RIVALS, Rival, Trial
from helpers.circuits.study.trials import MODEL, Item, Study

__all__ = [
    "CODES",
    "CONTROLS",
    "MODEL",
    "PLAN",
    "RIVALS",
    "TASKS",
    "Item",
    "Key",
    "Rival",
    "Study",
    "StudyPlan",
    "Trial",
]

"""The study of masks: which circuits are found, what controls say, stored and recomputable.

- `tasks`: six tasks on `tinyworld`, in parts that share no subject.
- `controls`: the same search where there is nothing to be found.
- `plan`: what is measured, under which keys; which settings are tried.
- `measuring`: what a cell of the study measures; `state` keeps cells until all are there.
- `stored`: the numbers and masks that the package brings.
- `summaries`: what was found, as rows with intervals.
"""

from helpers.knowledge.study.controls import ASKED, CONTROLS, Control, control
from helpers.knowledge.study.measuring import MODEL, Measured
from helpers.knowledge.study.plan import PLAN, Cell, MaskPlan, cells
from helpers.knowledge.study.stored import MaskStudy, circuit
from helpers.knowledge.study.tasks import PARTS, READ_OUTS, TASKS, MaskTask, task

__all__ = [
    "ASKED",
    "CONTROLS",
    "MODEL",
    "PARTS",
    "PLAN",
    "READ_OUTS",
    "TASKS",
    "Cell",
    "Control",
    "MaskPlan",
    "MaskStudy",
    "MaskTask",
    "Measured",
    "cells",
    "circuit",
    "control",
    "task",
]

"""The study of constrained tuning: the method, its parts and its rivals, in cells that can stop.

- `plan`: what a cell is, and what its key says; `groups`: which cells there are.
- `measuring`: what a cell measures; `state` keeps cells until all are there.
- `stored`: the numbers that the package brings.
- `summaries`: what was found, as rows with intervals; `learned` of oracles and detectors; `least`
  how far a policy had to go.
"""

from helpers.detox.study.groups import detox_cells
from helpers.detox.study.plan import (
    DETOX_PLAN,
    GROUPS,
    HIGH,
    VARIANTS,
    DetoxCell,
    DetoxPlan,
    method_cell,
    rival_cell,
)
from helpers.detox.study.stored import DetoxStudy, stored_detox

__all__ = [
    "DETOX_PLAN",
    "GROUPS",
    "HIGH",
    "VARIANTS",
    "DetoxCell",
    "DetoxPlan",
    "DetoxStudy",
    "detox_cells",
    "method_cell",
    "rival_cell",
    "stored_detox",
]

"""What did detoxification change? One model before and after, asked with the tools of Parts 2 to 5.

- `plan`: questions, models and cells; `subjects` gives the models, `reading` what all questions
  read.
- `probing`: is the concept gone or kept? `offsets`: is the change one vector? `restoring`:
  which weights undo it? `attacks`: how soon? `neurons`: do neurons explain it? `writers`: who
  writes it?
- `edges`: which edges? `masked`: which weights?
- `state` keeps cells until all are there; `stored`: the numbers that the package brings;
  `summaries` and `verdicts`: what was found.
"""

from helpers.changes.plan import (
    CHANGE_PLAN,
    MODELS,
    QUESTIONS,
    ChangeCell,
    ChangePlan,
    change_cells,
)
from helpers.changes.stored import ChangeStudy, stored_changes

__all__ = [
    "CHANGE_PLAN",
    "MODELS",
    "QUESTIONS",
    "ChangeCell",
    "ChangePlan",
    "ChangeStudy",
    "change_cells",
    "stored_changes",
]

"""Training: recipes of the adders and the mixed models, and how an adder is inserted into one."""

from helpers.arithmetic.training.insertion import (
    ARMS,
    Arm,
    Freeze,
    agreement,
    check_fits,
    frozen,
    insert,
)
from helpers.arithmetic.training.recipes import (
    EXPERIMENTS,
    RECIPES,
    SOURCES,
    AdditionTask,
    MixedTask,
    answer_loss,
    task_of,
)

__all__ = [
    "ARMS",
    "EXPERIMENTS",
    "RECIPES",
    "SOURCES",
    "AdditionTask",
    "Arm",
    "Freeze",
    "MixedTask",
    "agreement",
    "answer_loss",
    "check_fits",
    "frozen",
    "insert",
    "task_of",
]

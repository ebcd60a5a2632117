"""Training: what determines a run, the loop, the run's folder, and its history in one file."""

from helpers.training.folder import RECIPE, REPORT, STATE, WEIGHTS, WORDS, held, read_recipe
from helpers.training.loop import Task, build_model, final_loss, start, take_step, train
from helpers.training.recipe import Recipe
from helpers.training.run import Frozen, Run

__all__ = [
    "RECIPE",
    "REPORT",
    "STATE",
    "WEIGHTS",
    "WORDS",
    "Frozen",
    "Recipe",
    "Run",
    "Task",
    "build_model",
    "final_loss",
    "held",
    "read_recipe",
    "start",
    "take_step",
    "train",
]

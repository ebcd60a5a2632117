"""Speed of making TinyWorld text, against that of training on it."""

import numpy as np

from helpers import training
from helpers.timing import Ratio, take_turns
from helpers.tinyworld.models.recipes import RECIPES, task_of
from helpers.training import Recipe


def measure(recipe: Recipe = RECIPES["tinyworld"], rounds: int = 5) -> list[Ratio]:
    """The ratio of ``bench text``: an optimiser step without the making of its batch, over that."""
    task, run = task_of(recipe), training.start(recipe)
    seconds, step = take_turns(
        lambda: task.batch(np.random.default_rng(0), recipe.batch_size),
        lambda: training.take_step(run, task),
        rounds,
    )
    shape = recipe.model
    return [
        Ratio(
            name="text: making a batch of TinyWorld",
            ratio=(step - seconds) / seconds,
            ours_seconds=seconds,
            other_seconds=step - seconds,
            other="the training of a model on that batch",
            note=f"{recipe.batch_size} rows of {task.length} words; {recipe.name}: "
            f"{shape['n_layers']} layers, width {shape['d_model']}; "
            "the step was timed with its batch, whose time is taken off",
        )
    ]

"""``python -m helpers train``: train an embedded model anew, or a model that is only measured."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from helpers import runtime, training
from helpers.errors import LabError, command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", help="an embedded model, such as add-d5, or an experiment, such as mix-d3-paper"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder of the run (default: runs/NAME)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue the run in the folder, or start it"
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="another seed than the recipe's; gives another model"
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    from helpers.arithmetic.training import recipes as sums
    from helpers.tinyworld.models import recipes as texts

    of_sums = sums.RECIPES | sums.EXPERIMENTS
    recipes = of_sums | texts.RECIPES
    if arguments.name not in recipes:
        raise LabError(
            f"expected a model with a recipe: {', '.join(recipes)}", f"got {arguments.name!r}"
        )
    if arguments.seed is not None and arguments.seed < 0:
        raise LabError("expected a seed of 0 or more", f"got {arguments.seed}")
    recipe = recipes[arguments.name]
    recipe = recipe if arguments.seed is None else replace(recipe, seed=arguments.seed)
    folder = arguments.out or Path("runs") / recipe.name
    seed = () if arguments.seed is None else ("--seed", arguments.seed)
    again = command("train", recipe.name, "--out", folder, *seed, "--resume")
    task = sums.task_of(recipe) if recipe.name in of_sums else texts.task_of(recipe)
    try:
        done = training.train(recipe, task, folder, arguments.resume, device=runtime.device())
    except KeyboardInterrupt:
        print(f"stopped; nothing is lost. Continue with\n  {again}", file=sys.stderr)
        return 130
    if done.resumed_at == recipe.steps:
        print(
            f"{recipe.name}: already complete; weights in {folder / training.WEIGHTS}",
            file=sys.stderr,
        )
        return 0
    print(
        f"{recipe.name}: {done.step} steps in {done.seconds / 60:.1f} minutes, final loss "
        f"{training.final_loss(done):.2e}; weights in {folder / training.WEIGHTS}",
        file=sys.stderr,
    )
    return 0

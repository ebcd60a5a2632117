"""What a model of TinyWorld can do, at the end of its training and on the way: its card's numbers.

A history is a trained model and its checkpoints, of an embedded model or of a run folder. Every
skill (`SKILLS`) is measured on prompts of its own: the trained model on `PROMPTS` of them, with an
exact interval; every checkpoint on `CURVE_PROMPTS`, the same ones each time. The loss is that of
the recipe's own task on `ROWS` fresh rows of text.
"""

import math
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from helpers import files, runtime, training, zoo
from helpers.errors import LabError
from helpers.inputs import check_count, token_ids
from helpers.model import Model
from helpers.runtime import progress
from helpers.stats import clopper_pearson
from helpers.texts import Prompts, answers, final_logits
from helpers.tinyworld.bestiary import skills as creatures
from helpers.tinyworld.models import head_roles, two_steps
from helpers.tinyworld.models.recipes import TASKS, TextTask, task_of
from helpers.tinyworld.sets import tasks
from helpers.training import Recipe, read_recipe, series_file

PROMPTS, CURVE_PROMPTS, ROWS = 400, 200, 256
SKILLS = {
    "tinyworld": (tasks.NAMES, tasks.prompts),
    "bestiary": (creatures.NAMES, creatures.prompts),
}
"""By the task of a recipe: names of skills, and the function that draws prompts of one."""
FRESH = 10**6
"""Seed of the rows for the loss; batches of training have two seeds, so it is none of theirs."""


@dataclass(frozen=True)
class History:
    """A trained model and its checkpoints.

    Attributes:
        recipe: The recipe by which it was trained.
        steps: Steps of the checkpoints, ascending; the last is the trained model's.
        at: Function that loads the model at one of the steps.
        exact: Whether the checkpoints have their weights in full, as in a run folder.
        sha256: Checksum of the trained model's weight file.
    """

    recipe: Recipe
    steps: tuple[int, ...]
    at: Callable[[int], Model]
    exact: bool
    sha256: str


def history(name: str) -> History:
    """The history of an embedded model, or of a finished run in a folder.

    Raises:
        LabError: neither; an unfinished run; a model that was not trained on TinyWorld, or before
            its files changed.
    """
    folder = runtime.expanded(name)
    if name not in zoo.names() and (folder / training.RECIPE).is_file():
        past = _of_run(folder)
    else:
        entry = zoo.entry(name)
        at = partial(_embedded, name)
        past = History(entry.recipe, tuple(entry.steps), at, False, entry.sha256)
    if past.recipe.task not in TASKS:
        raise LabError("expected a model of TinyWorld", f"{name} was trained on {past.recipe.task}")
    task_of(past.recipe).initialise(past.at(past.recipe.steps))
    return past


def _embedded(name: str, step: int) -> Model:
    return zoo.load(name, device="cpu", step=step)


def _of_run(folder: Path) -> History:
    recipe, paths = read_recipe(folder), {}
    for path in (folder / "checkpoints").glob("*.safetensors"):
        if match := re.fullmatch(r"step-(\d+)", path.stem):
            paths[int(match[1])] = path

    def at(step: int) -> Model:
        if step == recipe.steps:
            return zoo.load(str(folder), device="cpu")
        hint = "train the run again; checkpoints are not written a second time"
        return zoo.into_model(training.build_model(recipe), paths[step], hint).eval()

    final = folder / training.WEIGHTS
    # An unfinished run has no such file; loading refuses it.
    sha256 = files.checksum(final)[0] if final.is_file() else ""
    return History(recipe, tuple(sorted({*paths, recipe.steps})), at, True, sha256)


def measure(
    name: str,
    steps: Sequence[int] = (),
    prompts: int = PROMPTS,
    curve_prompts: int = CURVE_PROMPTS,
    head_prompts: int = 0,
) -> dict[str, Any]:
    """Everything that a model's card says about its skills, as ``publish --measured`` takes it.

    Args:
        name: Name of an embedded model, or the folder of a finished run.
        steps: Checkpoints to measure beside the last; by default all of them.
        prompts: Number of prompts of each skill for the trained model.
        curve_prompts: Number of prompts of each skill for each checkpoint.
        head_prompts: Number of prompts of each circuit skill for the roles of heads
            (`head_roles.measure`); 0 leaves those out.

    Returns:
        ``skills`` (name: accuracy, 95 % interval, mean difference and log ratio, different
        prompts), ``prompts`` drawn of each, ``sha256`` of the weights, ``loss`` (nats per token),
        ``perplexity``, ``curve`` (steps, and at each the loss and every skill's accuracy and mean
        difference, on ``prompts`` prompts), and for a run folder ``rounding``: the loss of each
        checkpoint before and after that of a shipped series (`rounding_cost`). With `head_prompts`
        also ``heads``; for a model of the bestiary also ``two_steps`` (`two_steps.RealmsSaid`).

    Raises:
        LabError: as `history`; a step without checkpoint; fewer than two prompts; heads of a model
            with MLPs.
    """
    past = history(name)
    more = {"heads": heads(past, head_prompts)} if head_prompts else {}
    if past.recipe.task == "bestiary":
        more["two_steps"] = two_steps.realms_said(past.at(past.recipe.steps)).numbers()
    chosen = sorted({*(steps or past.steps), past.recipe.steps})
    missing = [step for step in chosen if step not in past.steps]
    if missing:
        raise LabError(
            f"expected steps of {name}: {', '.join(map(str, past.steps))}", f"got {missing[0]}"
        )
    if min(prompts, curve_prompts) < 2:
        raise LabError(
            "expected at least 2 prompts per skill", f"got {min(prompts, curve_prompts)}"
        )
    curve, after = _curve(past, chosen, curve_prompts)
    rounding = {"steps": chosen, "before": curve["loss"], "after": after}
    return {
        "skills": skills(past.at(past.recipe.steps), prompts, past.recipe.task),
        "prompts": prompts,
        **perplexity(curve["loss"][-1]),
        "sha256": past.sha256,
        "curve": curve,
        **({"rounding": rounding} if past.exact else {}),
        **more,
    }


def _curve(past: History, steps: Sequence[int], prompts: int) -> tuple[dict[str, Any], list[float]]:
    """Loss and skills at every step; and where checkpoints are exact, their loss after rounding."""
    task = task_of(past.recipe)
    names, draw = SKILLS[past.recipe.task]
    asked = {name: draw(name, prompts) for name in names}
    text, after = fresh_rows(task), []
    curve: dict[str, Any] = {"steps": steps, "prompts": prompts, "loss": []}
    curve |= {field: {name: [] for name in asked} for field in ("skills", "difference")}
    for step in progress(steps, f"checkpoints of {past.recipe.name}"):
        model = past.at(step)
        curve["loss"].append(round(text_loss(model, task, text), 4))
        for skill, questions in asked.items():
            right, difference = score(model, questions)
            curve["skills"][skill].append(round(right, 4))
            curve["difference"][skill].append(round(difference, 4))
        if past.exact:
            after.append(round(rounding_cost(model, task, text), 4))
    return curve, after


def heads(past: History, prompts: int) -> dict[str, Any]:
    """The roles of a trained model's heads, beside those of the model before its training.

    Raises:
        LabError: no checkpoint of step 0, fewer than two prompts, or a model with MLPs.
    """
    if 0 not in past.steps:
        raise LabError(
            "expected a checkpoint of step 0 beside the trained model",
            f"got steps {list(past.steps)}",
        )
    return head_roles.measure(past.at(past.recipe.steps), past.at(0), prompts)


def skills(
    model: Model, count: int = PROMPTS, world: str = "tinyworld"
) -> dict[str, dict[str, float]]:
    """Every skill of a model: accuracy with its 95 % interval, and two means.

    Both means compare the right words with the wrong ones: ``difference`` is that of their
    probabilities, ``log_ratio`` the log of their ratio in nats. Where any of many words is a right
    one, as in "greater-than", the accuracy says nothing: a model that always prefers 99 has 100 %.
    Some skills have few different prompts, such as one or two per person. The interval counts each
    once, however often drawn.

    Args:
        count: Number of prompts of each skill; of the bestiary's at most as many as there are.
        world: What the model was trained on: the task of its recipe, a key of `SKILLS`.

    Raises:
        LabError: No such world.
    """
    if world not in SKILLS:
        raise LabError(f"expected a world with skills: {', '.join(SKILLS)}", f"got {world!r}")
    numbers, (names, draw) = {}, SKILLS[world]
    for name in names:
        questions = draw(name, count)
        said = answers(final_logits(model, questions), questions)
        share, different = float(said.right.double().mean()), len(set(questions.texts))
        low, high = clopper_pearson(round(share * different), different)
        values = {"accuracy": share, "low": min(low, share), "high": max(high, share)}
        values |= {
            "difference": float(said.difference.mean()),
            "log_ratio": float(said.log_ratio.mean()),
        }
        values["different"] = different
        numbers[name] = {field: round(value, 4) for field, value in values.items()}
    return numbers


def perplexity(loss: float) -> dict[str, float]:
    """A loss in nats per token, and e to its power.

    Raises:
        LabError: A loss that is not finite.

    >>> perplexity(0.0)
    {'loss': 0.0, 'perplexity': 1.0}
    """
    if not math.isfinite(loss):
        raise LabError("expected a finite loss", f"got {loss}", hint="the training diverged")
    return {"loss": loss, "perplexity": round(math.exp(loss), 3)}


def score(model: Model, questions: Prompts) -> tuple[float, float]:
    """Share of prompts whose likeliest answer is right, and how much likelier right words are.

    The second number is the mean probability of the right words less that of the wrong ones.
    """
    said = answers(final_logits(model, questions), questions)
    return float(said.right.double().mean()), float(said.difference.mean())


def fresh_rows(task: TextTask, count: int = ROWS) -> Int[ndarray, "row pos"]:
    """Rows of the task's text that no training run has seen."""
    return task.batch(np.random.default_rng(FRESH), count)


def text_loss(model: Model, task: TextTask, text: Int[ndarray, "row pos"]) -> float:
    """Mean cross-entropy of the next word, in nats per token.

    Raises:
        LabError: Rows that are no token ids of the model, or of a single token.
    """
    text = token_ids(torch.as_tensor(text), model).numpy()
    check_count("number of tokens in a row", text.shape[1], least=2)
    with torch.no_grad():
        parts = [
            float(task.loss(model, part)) * len(part)
            for part in np.array_split(text, max(1, len(text) // 64))
        ]
    return sum(parts) / len(text)


def rounding_cost(model: Model, task: TextTask, text: Int[ndarray, "row pos"]) -> float:
    """The loss, in nats per token, of a model stored in a series with eight bits per weight."""
    exact = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        model.load_state_dict(_stored(exact), strict=True)
        return text_loss(model, task, text)
    finally:
        model.load_state_dict(exact, strict=True)


def _stored(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state after its way through a series file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.safetensors"
        series_file.pack({0: state}, path, {})
        return series_file.unpack(path, 0)

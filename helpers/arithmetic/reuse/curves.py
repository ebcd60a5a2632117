"""Accuracy over training, from the checkpoints of a run: how many steps to 99 %, to 99.99 %?

Every checkpoint is asked the same seeded questions, teacher forced (`answers.score`): `UNIFORM`
uniform additions, as many uniform subtractions, and `PER_CLASS` questions of every class. A
question is right when its whole answer is. Most checkpoints are far from any level, so each answers
every 20th question first, every 4th if more than 98 % of those were right, and all if more than
99.8 % of these were. Step 0 and the last step always answer all.

A level counts as reached at the first checkpoint from which on the accuracy never falls below it
again. Training is seen at checkpoints only, so the step lies in a bracket: after the checkpoint
before, at or before this one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from helpers import training, zoo
from helpers.arithmetic.circuit import mixture
from helpers.arithmetic.questions import Format, Questions, join, uniform
from helpers.arithmetic.verification import score
from helpers.errors import LabError
from helpers.model import Model
from helpers.runtime import progress

UNIFORM, PER_CLASS = 10_000, 200
STAGES = ((20, 0.98), (4, 0.998), (1, 1.0))
"""One in how many questions is asked, and the share of right answers above which to go on."""
MIXES = ("uniform", "enriched")


@dataclass(frozen=True)
class Point:
    """One checkpoint: right answers among the questions asked, per mix and operation.

    The mixes are ``uniform`` and ``enriched``.
    """

    step: int
    right: dict[str, dict[str, int]]
    asked: dict[str, dict[str, int]]

    def accuracy(self, mix: str = "uniform", operation: str | None = None) -> float:
        """Share of right answers: of one operation, or of a whole mix.

        >>> point = Point(7, {"uniform": {"ADD": 9, "SUB": 4}}, {"uniform": {"ADD": 10, "SUB": 5}})
        >>> point.accuracy("uniform", "ADD"), round(point.accuracy("uniform"), 3)
        (0.9, 0.867)
        """
        right, asked = self.right[mix], self.asked[mix]
        return (
            right[operation] / asked[operation]
            if operation
            else sum(right.values()) / sum(asked.values())
        )


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy over the checkpoints of one run, in order of steps."""

    points: tuple[Point, ...]

    @property
    def steps(self) -> list[int]:
        return [point.step for point in self.points]

    def accuracies(self, mix: str = "uniform", operation: str | None = None) -> list[float]:
        """One accuracy per checkpoint (`Point.accuracy`)."""
        return [point.accuracy(mix, operation) for point in self.points]

    def to_json(self) -> list:
        return [[point.step, point.right, point.asked] for point in self.points]

    @classmethod
    def from_json(cls, fields: list) -> "LearningCurve":
        return cls(tuple(Point(*point) for point in fields))


@dataclass(frozen=True)
class Reached:
    """When a level was reached.

    Attributes:
        after: Step of the checkpoint before; None if the level was reached at step 0.
        by: Step of the checkpoint that reached the level.
    """

    after: int | None
    by: int


def steps_to(
    curve: LearningCurve,
    level: float,
    mix: str = "uniform",
    operation: str | None = None,
    hold: bool = True,
) -> Reached | None:
    """The first checkpoint that reaches a level of accuracy; None if none does.

    Args:
        level: An accuracy, such as 0.99.
        hold: Whether to count only a checkpoint from which on the level is never left again.
    """
    enough = [accuracy >= level for accuracy in curve.accuracies(mix, operation)]
    if hold:
        enough = [all(enough[index:]) for index in range(len(enough))]
    if True not in enough:
        return None
    first = enough.index(True)
    return Reached(curve.steps[first - 1] if first else None, curve.steps[first])


@dataclass(frozen=True)
class Band:
    """Lowest, median and highest accuracy over seeds, at each step."""

    steps: list[int]
    low: list[float]
    middle: list[float]
    high: list[float]


def band(
    curves: Sequence[LearningCurve], mix: str = "uniform", operation: str | None = None
) -> Band:
    """The band over the runs of one recipe with several seeds, at the steps that all of them have.

    Raises:
        LabError: There is no curve, or the curves have no step in common.
    """
    common = sorted(set.intersection(*(set(curve.steps) for curve in curves))) if curves else []
    if not common:
        raise LabError("expected curves with steps in common", f"got {len(curves)} curves")
    rows = [
        dict(zip(curve.steps, curve.accuracies(mix, operation), strict=True)) for curve in curves
    ]
    values = np.array([[row[step] for step in common] for row in rows])
    low, middle, high = (f(values, axis=0).tolist() for f in (np.min, np.median, np.max))
    return Band(common, low, middle, high)


def exam(n_digits: int, seed: int = 0) -> dict[str, Questions]:
    """The questions that every checkpoint is asked: per mix (see the module docstring)."""
    rng = np.random.default_rng([seed, 2])
    plain = join([uniform(n_digits, UNIFORM, rng, subtract) for subtract in (False, True)])
    return {"uniform": plain, "enriched": mixture(n_digits, PER_CLASS, (seed, 3), "+-")}


def checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints of a run folder by step, in order.

    Raises:
        LabError: There are none.
    """
    files = sorted((folder / "checkpoints").glob("step-*.safetensors"))
    by_step = {
        int(match[1]): path
        for path in files
        if (match := re.fullmatch(r"step-(\d+)\.safetensors", path.name))
    }
    if not by_step:
        raise LabError(
            f"expected checkpoints in {folder / 'checkpoints'}",
            "there are none",
            hint="train a recipe that keeps checkpoints (n_checkpoints), such as mix-d3",
        )
    return dict(sorted(by_step.items()))


def curve_of(folder: Path, seed: int = 0) -> LearningCurve:
    """Measure the checkpoints of a run.

    Raises:
        LabError: The folder holds no run, no checkpoints, or a damaged one.
    """
    recipe, files = training.read_recipe(folder), checkpoints(folder)
    fmt, model = Format(recipe.data["n_digits"]), training.build_model(recipe).eval()
    questions = exam(fmt.n_digits, seed)
    points, hint = [], "train the run again; checkpoints are not written a second time"
    for step, path in progress(files.items(), f"checkpoints of {folder.name}"):
        zoo.into_model(model, path, hint=hint)
        thorough = step in (min(files), max(files))
        points.append(_measured(model, fmt, step, questions, thorough))
    return LearningCurve(tuple(points))


def _measured(
    model: Model, fmt: Format, step: int, questions: dict[str, Questions], thorough: bool
) -> Point:
    right, asked = {}, {}
    for mix in MIXES:
        right[mix], asked[mix] = _counts(*_answered(model, fmt, questions[mix], thorough))
    return Point(step, right, asked)


def _answered(
    model: Model, fmt: Format, questions: Questions, thorough: bool
) -> tuple[Bool[Tensor, " question"], Questions]:
    """The questions asked, stage by stage, and whether each was answered right."""
    index = torch.arange(len(questions))
    done, right = torch.zeros(2, len(questions), dtype=torch.bool)
    for one_in, enough in STAGES:
        todo = (index % one_in == 0) & ~done
        right[todo] = score(model, questions[todo], fmt).all(1)
        done |= todo
        if not thorough and float(right[done].double().mean()) <= enough:
            break
    return right[done], questions[done]


def _counts(
    right: Bool[Tensor, " question"], questions: Questions
) -> tuple[dict[str, int], dict[str, int]]:
    """Right answers and questions of each operation."""
    groups = {
        "ADD": ~questions.subtract,
        "SUB": questions.subtract & ~questions.negative,
        "NEG": questions.negative,
    }
    counts = {name: int((right & group).sum()) for name, group in groups.items()}
    return counts, {name: int(group.sum()) for name, group in groups.items()}

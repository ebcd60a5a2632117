"""What the study measures: how much of everything, under which keys, and what each job does.

A measurement has one key, such as "method/ioi/EAP" in files and on the command line. It is of a way
of scoring heads, or of the discrete SAE with one thing other than published.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, get_args

from helpers.circuits.codes.writes import Pool
from helpers.circuits.study.methods import (
    CODES,
    CONTROLS,
    RIVALS,
    TRAIN_PROMPTS,
    Method,
    Rival,
    Scores,
    Trial,
    published,
    with_null,
)
from helpers.circuits.tasks.tinyworld import CORRUPTIONS

TASKS = tuple(CORRUPTIONS)
Sweep = Literal["training prompts", "scoring prompts", "latents", "sparsity", "pooling"]
Kind = Literal[Sweep, "method", "negatives"]
KINDS: tuple[Kind, ...] = get_args(Kind)
COUNTS = (5, 10, 25, 50, 100, 250)
SWEEPS: dict[Sweep, tuple[Any, ...]] = {
    "training prompts": COUNTS,
    "scoring prompts": COUNTS,
    "latents": (25, 50, 100, 200, 400, 800, 1600),
    "sparsity": (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
    "pooling": ("mean", "last"),
}
"""What is varied, and over which values; all else is as published.

"negatives" goes over the corruptions of each task.
"""


@dataclass(frozen=True)
class Key:
    """What a measurement is of.

    Attributes:
        kind: A method, a sweep, or "negatives".
        task: Name of the task.
        value: The method's name, the value of the sweep, or the name of the corruption.

    >>> str(Key.of("latents", "ioi", 25)), Key.read("method/ioi/EAP").value
    ('latents/ioi/25', 'EAP')
    """

    kind: Kind
    task: str
    value: str

    @classmethod
    def of(cls, kind: Kind, task: str, value: str | float) -> "Key":
        """The key of a value that may be a number."""
        return cls(kind, task, str(value))

    @classmethod
    def read(cls, text: str) -> "Key":
        """The key that is written as "kind/task/value".

        Raises:
            ValueError: The text is no key.
        """
        name, task, value = text.split("/", 2)
        for kind in KINDS:
            if kind == name:
                return cls(kind, task, value)
        raise ValueError(f"no kind of measurement is called {name!r}")

    def __str__(self) -> str:
        return f"{self.kind}/{self.task}/{self.value}"


@dataclass(frozen=True)
class StudyPlan:
    """How much is measured.

    Attributes:
        trials: Independent repetitions of everything.
        prompts: Clean prompts, and as many twins, to score by; and as many again to draw training
            prompts from.
        graded: Of the prompts to score by, those that gradients and ablations work on.
        searched: Those that ACDC works on: it runs the model once per edge.
    """

    trials: int = 10
    prompts: int = 250
    graded: int = 100
    searched: int = 20

    def prompts_of(self, rival: Rival) -> int:
        """How many prompts a rival works on."""
        return self.searched if rival.prompts == "searched" else self.graded


PLAN = StudyPlan()


@dataclass(frozen=True)
class Variant:
    """The discrete SAE with one thing other than published.

    Attributes:
        train_prompts: Number of prompts to train on.
        scored: Number of clean prompts, and of twins, to score by; all if None.
        latents: Number of latents; as published if None.
        sparsity: The weight λ of the sparsity penalty; as published if None.
        pool: How writes are pooled over a prompt's tokens.
    """

    train_prompts: int = TRAIN_PROMPTS
    scored: int | None = None
    latents: int | None = None
    sparsity: float | None = None
    pool: Pool = "mean"

    @property
    def prompts(self) -> int:
        """How many prompts it needs."""
        return max(self.train_prompts, self.scored or 0)

    def scores(self, trial: Trial) -> tuple[Scores, Scores]:
        """The scores of the heads, and those of the same codes with shuffled labels."""
        if self.pool != trial.pool:
            trial = replace(trial, pool=self.pool)
        settings = published(trial)
        if self.latents is not None:
            settings = replace(settings, latents=self.latents)
        if self.sparsity is not None:
            settings = replace(settings, sparsity=self.sparsity)
        scored = len(trial.scoring) if self.scored is None else self.scored
        return with_null(trial, settings, self.train_prompts, scored)


VARIANTS: dict[Sweep, Callable[[Any], Variant]] = {
    "training prompts": lambda count: Variant(train_prompts=count),
    "scoring prompts": lambda count: Variant(scored=count),
    "latents": lambda latents: Variant(latents=latents),
    "sparsity": lambda sparsity: Variant(sparsity=sparsity),
    "pooling": lambda pool: Variant(pool=pool),
}
"""What a value of a sweep changes."""


@dataclass(frozen=True)
class Job:
    """One measurement to make.

    Attributes:
        key: What it is of.
        score: Gives the scores in a trial, and their null where there is one.
        corruption: The corruption that makes the twins; None for the task's own.
    """

    key: Key
    score: Callable[[Trial], tuple[Scores, Scores | None]]
    corruption: str | None = None


def all_jobs(task: str, plan: StudyPlan = PLAN) -> Iterator[Job]:
    """All jobs of a task, the slow ones last.

    A plan of fewer prompts than a sweep goes up to leaves out the values that it cannot reach.
    """
    for name, method in (CODES | CONTROLS).items():
        yield Job(Key("method", task, name), partial(by_method, method))
    for sweep, values in SWEEPS.items():
        for value in values:
            variant = VARIANTS[sweep](value)
            if variant.prompts <= plan.prompts:
                yield Job(Key.of(sweep, task, value), variant.scores)
    for name, rival in RIVALS.items():
        yield Job(Key("method", task, name), partial(by_rival, rival, plan))
    for corruption in CORRUPTIONS[task]:
        yield Job(Key("negatives", task, corruption), Variant().scores, corruption)


def by_method(method: Method, trial: Trial) -> tuple[Scores, None]:
    """What a method gives in a trial; it has no null."""
    return method(trial), None


def by_rival(rival: Rival, plan: StudyPlan, trial: Trial) -> tuple[Scores, None]:
    """What a rival gives in a trial, on as many prompts as the plan has for it; it has no null."""
    pairs = trial.scoring.rows(slice(plan.prompts_of(rival)))
    return rival(trial.model, pairs, trial.seed), None

"""What Lab 4 compares: every method on every task, ten times over, and how the discrete SAE depends
on what it is given.

A *trial* draws everything anew: the prompts to train on, the prompts to score by, and the start of
what is trained. What is kept of it is one score a head, so that any truth can be held against it
afterwards, and the seconds that it took. Results are kept under one key each, such as
"method/ioi/EAP", and a key that is there is not measured again.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from helpers import files, zoo
from helpers.circuits.study import methods
from helpers.circuits.study.methods import CODES, CONTROLS, PEERS, TRAIN_PROMPTS, Trial
from helpers.circuits.tasks.tinyworld import CORRUPTIONS, twins
from helpers.errors import LabError
from helpers.files import write_atomically
from helpers.model import Model

MODEL = "tinyworld-attn"
DATA = files.DATA / "circuits.json"
TASKS = tuple(CORRUPTIONS)


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        trials: independent repetitions of everything.
        prompts: clean prompts, and as many twins, to score by; and as many again to draw training
            prompts from.
        graded: of the prompts to score by, those that gradients and ablations work on.
        searched: those that ACDC works on: it runs the model once an edge.
    """

    trials: int = 10
    prompts: int = 250
    graded: int = 100
    searched: int = 20


PLAN = Plan()
COUNTS = (5, 10, 25, 50, 100, 250)
SWEEPS: dict[str, tuple[Any, ...]] = {
    "training prompts": COUNTS,
    "scoring prompts": COUNTS,
    "latents": (25, 50, 100, 200, 400, 800, 1600),
    "sparsity": (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
    "pooling": ("mean", "last"),
}
"""What is varied, and over which values; all else is as published. "negatives" goes over the corruptions of each task."""


@dataclass(frozen=True)
class Item:
    """What was found under one key.

    Attributes:
        scores: a row a trial.
        null: the same with the labels of the scoring prompts shuffled; no rows where that was not
            asked.
        seconds: of each trial, without loading the model, making the prompts, and the pass over
            them that gives what heads write.
    """

    scores: Float[np.ndarray, "trial head"]
    null: Float[np.ndarray, "trial head"]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Study:
    """All that was measured with one plan on one model.

    Attributes:
        sha256: of the model's weights.
    """

    sha256: str
    plan: Plan
    items: dict[str, Item]

    def item(self, kind: str, task: str, value: Any) -> Item:
        """What was found of a method ("method", task, its name) or a value of a sweep (the sweep,
        task, value).

        Raises:
            LabError: it was not measured.
        """
        key = f"{kind}/{task}/{value}"
        if key not in self.items:
            raise LabError(
                "expected a measurement that is stored",
                f"got {key!r}",
                hint="python -m helpers circuits measures it",
            )
        return self.items[key]


Score = Callable[[Trial], tuple[methods.Scores, methods.Scores | None]]


def jobs(task: str, plan: Plan = PLAN) -> Iterator[tuple[str, Score, str | None]]:
    """Key, what to do with a trial, and the corruption that makes the twins (None: the task's own).

    A plan of fewer prompts than a sweep goes up to leaves out the values that it cannot reach.
    """
    for name, method in (CODES | CONTROLS).items():
        yield f"method/{task}/{name}", partial(_alone, method), None
    for sweep, values in SWEEPS.items():
        for value in values:
            if values is COUNTS and value > plan.prompts:
                continue
            yield f"{sweep}/{task}/{value}", partial(_swept, sweep, value), None
    for name, peer in PEERS.items():  # the slow ones last
        yield f"method/{task}/{name}", partial(_by_metric, peer, name, plan), None
    for corruption in CORRUPTIONS[task]:
        yield f"negatives/{task}/{corruption}", partial(_swept, "negatives", corruption), corruption


def _alone(method: methods.Method, trial: Trial) -> tuple[methods.Scores, None]:
    return method(trial), None


def _by_metric(
    peer: Callable[..., methods.Scores], name: str, plan: Plan, trial: Trial
) -> tuple[methods.Scores, None]:
    prompts = trial.scoring.rows(slice(plan.searched if name == "ACDC" else plan.graded))
    drawn = {"seed": trial.seed} if name == "subnetwork probing" else {}
    return peer(trial.model, prompts, **drawn), None


def _swept(sweep: str, value: Any, trial: Trial) -> tuple[methods.Scores, methods.Scores]:
    """The discrete SAE with one thing changed, and the same with shuffled labels."""
    if sweep == "pooling" and value != trial.pool:
        trial = replace(trial, pool=value)
    settings = replace(
        methods.published(trial), **({sweep: value} if sweep in ("latents", "sparsity") else {})
    )
    count = value if sweep == "training prompts" else TRAIN_PROMPTS
    scored = value if sweep == "scoring prompts" else len(trial.scoring)
    return methods.with_null(trial, settings, count, scored)


def trials(model: Model, task: str, corruption: str | None, plan: Plan) -> list[Trial]:
    """Independent trials: prompts of trial i are drawn with the seeds 1000 + 2i (scoring) and 1001 + 2i (training)."""
    drawn = [
        [twins(task, plan.prompts, 1000 + 2 * i + part, corruption) for part in (0, 1)]
        for i in range(plan.trials)
    ]
    return [Trial(model, scoring, training, seed) for seed, (scoring, training) in enumerate(drawn)]


def measured(score: Score, tried: list[Trial]) -> Item:
    """Run one job on every trial. What heads write is computed before the clock starts: all but PEERS share it."""
    scores, null, seconds = [], [], []
    for trial in tried:
        _ = trial.positive, trial.negative, trial.vectors(1)
        began = time.perf_counter()
        found, control = score(trial)
        seconds.append(time.perf_counter() - began)
        scores.append(found.double().numpy())
        null += [] if control is None else [control.double().numpy()]
    return Item(_rows(scores), _rows(null), tuple(seconds))


def _rows(scores: list) -> Float[np.ndarray, "trial head"]:
    return np.array(scores, dtype=float) if scores else np.zeros((0, 0))


def measure(
    out: Path,
    tasks: tuple[str, ...] = TASKS,
    plan: Plan = PLAN,
    only: str = "",
    say: Callable[[str], None] = print,
):
    """Measure what `out` does not hold yet, writing after every key.

    Args:
        only: measure keys that begin with it.
        say: is told the key and the seconds of what was measured.

    Raises:
        LabError: a damaged file, which is left as it is, or one of another model or plan; `only`
            that no key begins with.
    """
    model = zoo.load(MODEL)
    study = stored(out) if out.exists() else Study(zoo.entry(MODEL).sha256, plan, {})
    if study.plan != plan:
        raise LabError(
            f"expected the plan of {out}, {study.plan}",
            f"got {plan}",
            hint="give another file with --out",
        )
    asked = {task: [job for job in jobs(task, plan) if job[0].startswith(only)] for task in tasks}
    if not any(asked.values()):
        first = next(jobs(tasks[0], plan))[0]
        raise LabError(
            f"expected the beginning of a key of {', '.join(tasks)}, such as {first!r}",
            f"got {only!r}",
        )
    for task in tasks:
        todo = [job for job in asked[task] if job[0] not in study.items]
        ready: dict[str | None, list[Trial]] = {}
        for key, score, corruption in todo:
            if corruption not in ready:
                ready = {
                    corruption: trials(model, task, corruption, plan)
                }  # one at a time: they hold activations
            study.items[key] = measured(score, ready[corruption])
            write(out, study)
            say(f"{key}: {sum(study.items[key].seconds):.0f} s")


def write(out: Path, study: Study) -> None:
    """Write the study; a kill leaves the old file or the new one."""
    items = {
        key: {
            "scores": [[float(f"{value:.6g}") for value in row] for row in item.scores.tolist()],
            "null": item.null.tolist(),
            "seconds": [round(value, 4) for value in item.seconds],
        }
        for key, item in study.items.items()
    }
    lines = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}"
        for key, value in items.items()
    )
    head = f'"model": {json.dumps(MODEL)}, "sha256": {json.dumps(study.sha256)}, "plan": {json.dumps(asdict(study.plan))}'
    write_atomically(f'{{{head}, "items": {{\n{lines}\n}}}}\n', out)


def stored(path: Path = DATA) -> Study:
    """What was measured and stored.

    Raises:
        LabError: no such file, a damaged one, or one of other weights than those that are shipped.
    """
    try:
        raw = json.loads(path.read_text())
        items = {
            key: Item(
                _rows(value["scores"]),
                _rows(value["null"]),
                tuple(value["seconds"]),
            )
            for key, value in raw["items"].items()
        }
        study = Study(raw["sha256"], Plan(**raw["plan"]), items)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise LabError(
            f"expected the measurements of the circuit study in {path}",
            f"reading them fails: {type(fault).__name__}: {fault}",
            hint="python -m helpers circuits --out FILE measures them anew",
        ) from None
    if study.sha256 != zoo.entry(MODEL).sha256:
        raise LabError(
            f"expected measurements of the shipped {MODEL}",
            f"{path} is of other weights",
            hint="measure them anew",
        )
    return study

"""What Lab 4 compares: every method on every task, ten times over.

It also has how the discrete SAE depends on what it is given. A *trial* draws everything anew: the
prompts to train on, the prompts to score by, and the start of what is trained. What is kept of it
is one score per head, so that any truth can be held against it afterwards, and the seconds that it
took. Measurements are kept under one key each (`jobs`), and a key that is there is not measured
again.
"""

import json
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from helpers import files, zoo
from helpers.circuits.study.jobs import PLAN, TASKS, Job, Key, Kind, StudyPlan, all_jobs
from helpers.circuits.study.methods import Trial
from helpers.circuits.tasks.tinyworld import twins
from helpers.errors import LabError
from helpers.model import Model

MODEL = "tinyworld-attn"
DATA = files.DATA / "circuits.json"


@dataclass(frozen=True)
class Item:
    """What was measured under one key.

    Attributes:
        scores: The scores of the heads in each trial.
        null: The same with the labels of the scoring prompts shuffled; no rows where that was not
            asked.
        seconds: The time of each trial, without loading the model, making the prompts, and the pass
            over them that gives what heads write.
    """

    scores: Float[np.ndarray, "trial head"]
    null: Float[np.ndarray, "null_trial null_head"]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Study:
    """All that was measured with one plan on one model.

    Attributes:
        sha256: Checksum of the model's weights.
        plan: How much was measured.
        items: What was measured under each key.
    """

    sha256: str
    plan: StudyPlan
    items: dict[Key, Item]

    def item(self, kind: Kind, task: str, value: str | float) -> Item:
        """What was measured of a method, by its name, or of one value of a sweep.

        Raises:
            LabError: It was not measured.
        """
        key = Key.of(kind, task, value)
        if key not in self.items:
            raise LabError(
                "expected a measurement that is stored",
                f"got {str(key)!r}",
                hint="python -m helpers circuits measures it",
            )
        return self.items[key]


def draw(model: Model, task: str, corruption: str | None, plan: StudyPlan) -> list[Trial]:
    """Independent trials.

    Prompts of trial i are drawn with the seeds 1000 + 2i (scoring) and 1001 + 2i (training).
    """
    pairs = [
        [twins(task, plan.prompts, 1000 + 2 * i + part, corruption) for part in (0, 1)]
        for i in range(plan.trials)
    ]
    return [Trial(model, scoring, training, seed) for seed, (scoring, training) in enumerate(pairs)]


def measured(job: Job, trials: Iterable[Trial]) -> Item:
    """Do one job in every trial.

    What heads write is computed before the clock starts: all methods but the rivals share it.
    """
    scores, null, seconds = [], [], []
    for trial in trials:
        _ = trial.positive, trial.negative, trial.vectors(1)
        began = time.perf_counter()
        of_heads, control = job.score(trial)
        seconds.append(time.perf_counter() - began)
        scores.append(of_heads.double().numpy())
        null += [] if control is None else [control.double().numpy()]
    return Item(_rows(scores), _rows(null), tuple(seconds))


def _rows(scores: list) -> Float[np.ndarray, "trial head"]:
    return np.array(scores, dtype=float) if scores else np.zeros((0, 0))


def measure(
    out: Path,
    tasks: tuple[str, ...] = TASKS,
    plan: StudyPlan = PLAN,
    only: str = "",
    say: Callable[[str], None] = print,
) -> None:
    """Measure what `out` does not hold yet, writing after every key.

    Args:
        out: The file of measurements.
        tasks: The tasks to measure.
        plan: How much is measured.
        only: Measure only keys that begin with this text.
        say: Is told the key and the seconds of what was measured.

    Raises:
        LabError: A damaged file, which is left as it is, or one of another model or plan; `only`
            that no key begins with.
    """
    model = zoo.load(MODEL)
    study = stored(out) if os.path.exists(out) else Study(zoo.entry(MODEL).sha256, plan, {})
    if study.plan != plan:
        raise LabError(
            f"expected the plan of {out}, {study.plan}",
            f"got {plan}",
            hint="give another file with --out",
        )
    asked = {task: _asked(task, plan, only) for task in tasks}
    if not any(asked.values()):
        first = str(next(all_jobs(tasks[0], plan)).key)
        raise LabError(
            f"expected the beginning of a key of {', '.join(tasks)}, such as {first!r}",
            f"got {only!r}",
        )
    for task, jobs in asked.items():
        ready: dict[str | None, list[Trial]] = {}  # of one corruption: they hold activations
        for job in jobs:
            if job.key in study.items:
                continue
            files.check_writable(out)
            if job.corruption not in ready:
                ready = {job.corruption: draw(model, task, job.corruption, plan)}
            item = measured(job, ready[job.corruption])
            study = replace(study, items=study.items | {job.key: item})
            write(out, study)
            say(f"{job.key}: {sum(item.seconds):.0f} s")


def _asked(task: str, plan: StudyPlan, only: str) -> list[Job]:
    return [job for job in all_jobs(task, plan) if str(job.key).startswith(only)]


def write(out: Path, study: Study) -> None:
    """Write the study; a kill leaves the old file or the new one."""
    lines = ",\n".join(
        f"{json.dumps(str(key))}: {json.dumps(_plain(item), separators=(',', ':'))}"
        for key, item in study.items.items()
    )
    head = ", ".join(
        f'"{name}": {json.dumps(value)}'
        for name, value in (
            ("model", MODEL),
            ("sha256", study.sha256),
            ("plan", asdict(study.plan)),
        )
    )
    files.write_atomically(f'{{{head}, "items": {{\n{lines}\n}}}}\n', out)


def _plain(item: Item) -> dict[str, list]:
    return {
        "scores": [[float(f"{value:.6g}") for value in row] for row in item.scores.tolist()],
        "null": item.null.tolist(),
        "seconds": [round(value, 4) for value in item.seconds],
    }


def _study(raw: dict) -> Study:
    items = {
        Key.read(text): Item(
            _rows(values["scores"]), _rows(values["null"]), tuple(values["seconds"])
        )
        for text, values in raw["items"].items()
    }
    return Study(raw["sha256"], StudyPlan(**raw["plan"]), items)


def stored(path: Path = DATA) -> Study:
    """What was measured and stored.

    Raises:
        LabError: No such file, a damaged one, or one of other weights than those that are shipped.
    """
    hint = "`python -m helpers circuits --out FILE` measures them anew"
    return zoo.read_measured(path, _study, hint, MODEL)

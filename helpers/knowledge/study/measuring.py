"""What a cell of the study measures: masks, and how they do on what nothing was learned from."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy import ndarray
from torch import Tensor

from helpers import zoo
from helpers.errors import LabError
from helpers.files.cells import Result
from helpers.inputs import array_of, finite
from helpers.knowledge.facts import Facts
from helpers.knowledge.masks import Blocks, estimators, judge, plain, rivals, search
from helpers.knowledge.masks.compare import composition
from helpers.knowledge.masks.search import SearchSettings
from helpers.knowledge.study.controls import MODEL, control
from helpers.knowledge.study.plan import TUNED_ON, Cell, MaskPlan
from helpers.knowledge.study.tasks import TASKS, MaskTask, joined, task


@dataclass(frozen=True)
class Measured:
    """What a cell holds.

    Attributes:
        result: Its numbers.
        masks: For each density the mask, where the cell keeps any.
    """

    result: Result
    masks: dict[float, Float[Tensor, " weight"]]


def of_subject(
    values: Shaped[Tensor, " prompt"], subjects: Iterable[str]
) -> Float[ndarray, " subject"]:
    """Sums over the prompts about each subject, in the order in which they first come.

    Raises:
        LabError: Values that are not finite, or not one subject for each.

    >>> of_subject(torch.tensor([1.0, 2.0, 4.0]), ["owl", "oak", "owl"]).tolist()
    [5.0, 2.0]
    """
    names, numbers = list(subjects), array_of(finite(values, "values", "prompt"))
    if len(names) != len(numbers):
        raise LabError(
            f"expected a subject for each of {len(numbers)} prompts", f"got {len(names)}"
        )
    place = {name: row for row, name in enumerate(dict.fromkeys(names))}
    rows = [place[name] for name in names]
    return np.bincount(rows, weights=numbers, minlength=len(place))


def counted(values: Shaped[Tensor, " prompt"], subjects: Iterable[str]) -> list[int]:
    """Numbers of prompts about each subject, as they are stored."""
    return of_subject(values, subjects).astype(int).tolist()


def asked_of(asked: Facts) -> list[int]:
    """How many prompts there are about each subject."""
    return counted(torch.ones(len(asked)), asked.subjects)


def scores(blocks: Blocks, values: Float[Tensor, " weight"], asked: Facts) -> Result:
    """How a model with these weights does, as it is stored.

    ``right`` and ``agree`` count the prompts about each subject whose likeliest word is the answer,
    and is the whole model's; ``kl`` is the mean KL(full ‖ this) about each subject.

    Raises:
        LabError: Weights of another model, or with which it computes no numbers.
    """
    judged = judge(blocks, values, asked)
    kl = of_subject(judged.divergence, asked.subjects) / np.array(asked_of(asked))
    return {
        "right": counted(judged.right, asked.subjects),
        "agree": counted(judged.agrees, asked.subjects),
        "kl": [float(f"{value:.3g}") for value in kl],
        "nll": round(float(judged.nll.mean()), 4),
        "above_uniform": round(float(judged.above_uniform.mean()), 4),
        "entropy": round(float(judged.entropy.mean()), 4),
    }


def measure(cell: Cell, plan: MaskPlan, best: Callable[[str], int]) -> Measured:
    """Measure one cell, on one thread: sums of several may differ in their last bit.

    Args:
        best: The number of the best settings of an estimator, of those that were tried.
    """
    work: dict[str, Callable[[], Measured]] = {
        "circuit": lambda: _circuit(cell, plan.settings(cell.number or 0)),
        "rivals": lambda: _rivals(cell, plan),
        "control": lambda: _control(cell, plan.settings(cell.number or 0)),
        "steady": lambda: _steady(cell, plan.steady(cell.number or 0)),
        "tuning": lambda: _tuning(cell, plan),
        "estimator": lambda: _estimator(cell, plan, best(cell.of)),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return work[cell.kind]()
    finally:
        torch.set_num_threads(threads)


def _task(name: str) -> tuple[MaskTask, Facts]:
    """A task, and all of it that is not reported."""
    its = task(name, plain.of(zoo.load(MODEL, device="cpu")))
    return its, joined(its.parts["search"], its.parts["validation"])


def _arms(its: MaskTask, masks: dict[str, Tensor]) -> dict[str, Any]:
    values = its.blocks.values
    return {
        arm: scores(its.blocks, values * mask, its.parts["held out"]) for arm, mask in masks.items()
    }


def _steady(cell: Cell, settings: SearchSettings) -> Measured:
    return (_circuit if cell.of in TASKS else _control)(cell, settings)


def _circuit(cell: Cell, settings: SearchSettings) -> Measured:
    its, searched = _task(cell.of)
    seed = settings.seed
    learned = search.learn(its.blocks, its.objective(searched), settings)
    result: dict[str, Any] = {}
    for density, mask in learned.masks.items():
        arms = {
            "circuit": mask,
            "complement": rivals.complement(mask),
            "per tensor": rivals.per_tensor(its.blocks, mask, seed),
            "uniform": rivals.uniform(its.blocks, density, seed),
        }
        parts = {
            part.kind: [round(part.keep_rate, 4), round(part.share, 4)]
            for part in composition(its.blocks, mask)
        }
        result[str(density)] = {
            "kept": int(mask.count_nonzero()),
            "arms": _arms(its, arms),
            "searched": _accuracy(its.blocks, mask, searched),
            "composition": parts,
        }
    return Measured({"densities": result}, learned.masks)


def _accuracy(blocks: Blocks, mask: Float[Tensor, " weight"], asked: Facts) -> float:
    return round(judge(blocks, blocks.values * mask, asked).accuracy, 4)


def _rivals(cell: Cell, plan: MaskPlan) -> Measured:
    its, searched = _task(cell.of)
    truth = search.Targets(its.blocks, searched.tokens, searched.last, searched.answers)
    batches = torch.arange(len(searched)).split(plan.settings().batch)
    slopes = rivals.slopes(its.blocks, [partial(truth.loss, rows=rows) for rows in batches])
    result: dict[str, Any] = {}
    for density in plan.densities:
        arms = {
            "magnitude": rivals.magnitude(its.blocks, density),
            "gradient": estimators.keep(slopes, density),
        }
        result[str(density)] = {"arms": _arms(its, arms)}
    ends = {"whole": torch.ones(len(its.blocks)), "none": torch.zeros(len(its.blocks))}
    asked = asked_of(its.parts["held out"])
    return Measured({"densities": result, "ends": _arms(its, ends), "asked": asked}, {})


def _control(cell: Cell, settings: SearchSettings) -> Measured:
    its = control(cell.of, settings.seed)
    learned = search.learn(its.blocks, its.objective, settings)

    def right(values: Tensor) -> dict[str, list[int]]:
        return {
            key: counted(judge(its.blocks, values, asked).right, asked.subjects)
            for key, asked in its.asked.items()
        }

    result = {str(d): right(its.blocks.values * mask) for d, mask in learned.masks.items()}
    asked = {key: asked_of(asked) for key, asked in its.asked.items()}
    return Measured({"densities": result, "ends": right(its.blocks.values), "asked": asked}, {})


def _tuning(cell: Cell, plan: MaskPlan) -> Measured:
    its, _ = _task(TUNED_ON)
    settings = plan.tried(cell.of, cell.number or 0)
    learned = search.learn(its.blocks, its.objective(its.parts["search"]), settings)
    result = {}
    for density, mask in learned.masks.items():
        judged = judge(its.blocks, its.blocks.values * mask, its.parts["validation"])
        kl = round(float(judged.divergence.mean()), 4)
        result[str(density)] = {"accuracy": round(judged.accuracy, 4), "kl": kl}
    return Measured(
        {"densities": result, "settings": asdict(settings), "steps": len(learned.losses)}, {}
    )


def _estimator(cell: Cell, plan: MaskPlan, number: int) -> Measured:
    its, searched = _task(TUNED_ON)
    settings = replace(plan.tried(cell.of, number), seed=cell.number or 0)
    learned = search.learn(its.blocks, its.objective(searched), settings)
    result = {
        str(density): {"arms": _arms(its, {"circuit": mask})}
        for density, mask in learned.masks.items()
    }
    return Measured({"densities": result, "number": number}, {})


def mean_accuracy(tried: Result, plan: MaskPlan) -> tuple[float, float]:
    """What settings are chosen by: their mean accuracy on the validation part over all densities,
    where one that was not reached counts as 0; and among equal ones the smaller mean KL."""
    reached = list(tried["densities"].values())
    accuracy = sum(each["accuracy"] for each in reached) / len(plan.densities)
    kl = sum(each["kl"] for each in reached) / len(reached) if reached else float("inf")
    return accuracy, -kl

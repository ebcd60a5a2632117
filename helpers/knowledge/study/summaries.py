"""What the study of masks found, as rows with intervals.

A rate has two sources of chance: which search it was, and which entities or nouns were asked. Both
are drawn anew in every resample, so the intervals hold for other searches and other subjects. With
three to five searches they are rough, and rather too narrow. Where hardly a subject is ever wrong,
or right, resamples hardly differ: there the interval reaches as far as Clopper and Pearson's of so
many subjects without any.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import array_of, finite
from helpers.knowledge.study.controls import ASKED, CONTROLS
from helpers.knowledge.study.measuring import mean_accuracy
from helpers.knowledge.study.plan import ESTIMATORS, GRIDS, TUNED_ON
from helpers.knowledge.study.stored import COMPARED, MaskStudy
from helpers.knowledge.study.tasks import TASKS
from helpers.stats import Spread, clopper_pearson

LEARNED = ("circuit", "complement", "per tensor", "uniform")
FIXED = ("magnitude", "gradient")
RESAMPLES = 1000
FEW = 5
"""Subjects below which resamples say too little about those that are wrong, or right."""
Row = dict[str, Any]


def rate(
    right: Real[ndarray, "search subject"], asked: Real[ndarray, " subject"], seed: int = 0
) -> Spread:
    """Share of prompts that are right, over searches and subjects.

    Args:
        right: Numbers of prompts about each subject that are right, of each search.
        asked: Numbers of prompts about each subject.

    Raises:
        LabError: More right than asked, or below 0; numbers of other subjects, or not finite.

    >>> print(rate(np.array([[2, 1], [2, 2]]), np.array([2, 2])))
    0.875 [0.158, 1.000]
    """
    counts, prompts = (
        array_of(finite(right, "counts", "search subject")),
        finite(asked, "counts", "subject"),
    )
    prompts = array_of(prompts)
    if counts.shape[1:] != prompts.shape or not (prompts > 0).all():
        raise LabError(
            "expected one prompt or more about each subject of every search",
            f"got counts {list(counts.shape)} and {prompts.tolist()[:5]}",
        )
    if not ((counts >= 0) & (counts <= prompts)).all():
        raise LabError(
            "expected between none and all of the prompts about each subject",
            f"got {counts.max():g} of {prompts.max():g}",
        )
    estimate = _resampled(counts, prompts, seed)
    low, high = estimate.low, estimate.high
    edge = clopper_pearson(0, len(prompts))[1]
    if (counts < prompts).any(0).sum() < FEW:  # subjects with any wrong answer
        low = min(low, 1 - edge)
    if counts.any(0).sum() < FEW:
        high = max(high, edge)
    return replace(estimate, low=low, high=high)


def mean(values: Real[ndarray, "search subject"], seed: int = 0) -> Spread:
    """Mean over searches and subjects.

    Raises:
        LabError: Values that are not finite, or none.

    >>> mean(np.array([[1.0, 3.0]])).mean
    2.0
    """
    numbers = array_of(finite(values, "values", "search subject"))
    return _resampled(numbers, np.ones(numbers.shape[1]), seed)


def _resampled(
    sums: Float[ndarray, "search subject"], weights: Float[ndarray, " subject"], seed: int
) -> Spread:
    """Σ sums / Σ weights, with searches and subjects drawn anew."""
    searches, subjects = sums.shape
    rng = np.random.default_rng(seed)
    rows = rng.integers(searches, size=(RESAMPLES, searches))
    columns = rng.integers(subjects, size=(RESAMPLES, subjects))
    drawn = sums[rows[:, :, None], columns[:, None, :]].mean(1).sum(1) / weights[columns].sum(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Spread(float(sums.mean(0).sum() / weights.sum()), float(low), float(high), searches)


def circuits(study: MaskStudy, task: str) -> list[Row]:
    """For every density and arm of a task: accuracy, agreement with the whole model, KL.

    Raises:
        LabError: No such task.
    """
    fixed, asked = study.cell("rivals", task), np.array(study.cell("rivals", task)["asked"])
    learned = [study.cell("circuit", task, seed) for seed in range(_searches(study, task))]
    rows = []
    for density in map(str, study.plan.densities):
        for arm in (*LEARNED, *FIXED):
            cells = learned if arm in LEARNED else [fixed]
            scores = [cell["densities"][density]["arms"][arm] for cell in cells]
            rows.append(_row(scores, asked) | {"task": task, "density": float(density), "arm": arm})
    ends = {"whole": 1.0, "none": 0.0}
    for arm, density in ends.items():
        row = _row([fixed["ends"][arm]], asked)
        rows.append(row | {"task": task, "density": density, "arm": arm})
    return rows


def _row(scores: list[Row], asked: ndarray) -> Row:
    return {
        "accuracy": rate(np.array([each["right"] for each in scores]), asked),
        "agreement": rate(np.array([each["agree"] for each in scores]), asked),
        "kl": mean(np.array([each["kl"] for each in scores])),
        "above_uniform": float(np.mean([each["above_uniform"] for each in scores])),
        "entropy": float(np.mean([each["entropy"] for each in scores])),
    }


def _searches(study: MaskStudy, task: str) -> int:
    return study.plan.seeds if task == TASKS[0] else study.plan.others


def controls(study: MaskStudy) -> list[Row]:
    """For every control, density and way of asking: the share of wanted answers. Density 1 is the
    network without a mask."""
    rows = []
    for name in CONTROLS:
        cells = [study.cell("control", name, seed) for seed in range(study.plan.others)]
        for density in ("1", *map(str, study.plan.densities)):
            for way in ASKED:
                found = [c["ends"] if density == "1" else c["densities"][density] for c in cells]
                right = np.array([each[way] for each in found])
                row = {"control": name, "density": float(density), "asked": way}
                rows.append(row | {"accuracy": rate(right, np.array(cells[0]["asked"][way]))})
    return rows


def steady(study: MaskStudy) -> list[Row]:
    """What the first density comes to with the steps of all of them: for every task the circuit's
    accuracy on what is held out, for every control that of each way of asking."""
    density, rows = str(study.plan.densities[0]), []
    for name in TASKS:
        found = study.cell("steady", name, 0)["densities"][density]["arms"]
        asked = np.array(study.cell("rivals", name)["asked"])
        for arm in LEARNED:
            row = {"of": name, "asked": "held out", "arm": arm, "density": float(density)}
            rows.append(row | {"accuracy": rate(np.array([found[arm]["right"]]), asked)})
    for name in CONTROLS:
        cell = study.cell("steady", name, 0)
        for way, right in cell["densities"][density].items():
            row = {"of": name, "asked": way, "arm": "circuit", "density": float(density)}
            row["accuracy"] = rate(np.array([right]), np.array(cell["asked"][way]))
            rows.append(row)
    return rows


def overlaps(study: MaskStudy) -> list[Row]:
    """For every two tasks: how much of the first's circuits the second's keep, by chance and above
    it, over pairs of searches of different seeds; and of the same seed."""
    rows = []
    for density in COMPARED:
        for first in TASKS:
            for second in TASKS:
                table = study.overlaps.get(f"{density}/{first}/{second}")
                if table is None:
                    continue
                pairs = [(i == j, p) for i, r in enumerate(table) for j, p in enumerate(r) if p]
                apart = [pair for same, pair in pairs if not same]
                begun = [pair for same, pair in pairs if same]
                rows.append(
                    {
                        "density": density,
                        "first": first,
                        "second": second,
                        "containment": _range([pair[0] for pair in apart]),
                        "per_tensor": _range([pair[1] for pair in apart]),
                        "uniform": density,
                        "same_seed": _range([pair[0] for pair in begun]),
                    }
                )
    return rows


def _range(values: list[float]) -> list[float] | None:
    """Mean, least and largest; nothing of none. Pairs of searches are not independent, so they
    have a range and no interval."""
    return [float(np.mean(values)), min(values), max(values)] if values else None


def compositions(study: MaskStudy) -> list[Row]:
    """For every task and density: keep rate and share of attention, MLPs and normalisations."""
    rows = []
    for task in TASKS:
        learned = [study.cell("circuit", task, seed) for seed in range(_searches(study, task))]
        for density in map(str, study.plan.densities):
            found = [cell["densities"][density]["composition"] for cell in learned]
            for kind in found[0]:
                keep, share = np.array([each[kind] for each in found]).T.tolist()
                row = {"task": task, "density": float(density), "kind": kind}
                rows.append(row | {"keep_rate": _range(keep), "share": _range(share)})
    return rows


def tuning(study: MaskStudy) -> list[Row]:
    """Every setting that was tried of each estimator, and which of them was best."""
    rows = []
    for estimator in ESTIMATORS:
        tried = [study.cell("tuning", estimator, n) for n in range(len(GRIDS[estimator]))]
        means = [mean_accuracy(each, study.plan) for each in tried]
        best = max(range(len(means)), key=means.__getitem__)
        for number, each in enumerate(tried):
            settings = {name: each["settings"][name] for name in ("learning_rate", "multiplier")}
            found = {d: each["densities"].get(str(d)) for d in study.plan.densities}
            row = {"estimator": estimator, **settings, "mean_accuracy": means[number][0]}
            rows.append(row | {"best": number == best, "densities": found})
    return rows


def estimators(study: MaskStudy) -> list[Row]:
    """The best settings of each estimator on what is reported; a density that some search did not
    reach has its number of searches beside it."""
    asked, rows = np.array(study.cell("rivals", TUNED_ON)["asked"]), []
    for estimator in ESTIMATORS:
        cells = [study.cell("estimator", estimator, seed) for seed in range(study.plan.others)]
        for density in study.plan.densities:
            reached = [
                c["densities"][str(density)] for c in cells if str(density) in c["densities"]
            ]
            scores = [each["arms"]["circuit"] for each in reached]
            row = {"estimator": estimator, "density": density, "searches": len(cells)}
            none = {"accuracy": None, "agreement": None, "kl": None}
            rows.append(row | (_row(scores, asked) if scores else none))
    return rows

"""The cells of each group of the study; those of one seed stand together, and can be compared.

=============  ===================================================================================
group          asks
=============  ===================================================================================
``methods``    is the method better than filters and rejection sampling, at equal steps? In corpora
               with rude posts, without posts, with posts that are rude in their context only, of
               sixty posts
``longer``     and at three times the steps, which a filter takes in the time of the method?
``weights``    what do other λ give?
``floor``      and when every λ is given the longer time, in which a tuning comes to rest?
``rivals``     what do rivals give that do not tune on the corpus?
``variants``   what do the parts of the method do?
``oracles``    when is a learned oracle right? Does its regulariser help?
``detection``  does a model that detects lose by it?
``elsewhere``  another λ in the other corpora, and a filter of another weight
``skills``     what does each policy of the groups above lose of every skill? On 400 prompts of each
               seed, as the hundred that a judgement asks cannot show two points
=============  ===================================================================================
"""

from collections.abc import Callable, Iterator

from helpers.detox.detection import ARMS
from helpers.detox.study.plan import (
    BASE,
    DETOX_PLAN,
    FIRST,
    FIXED,
    HIGH,
    HOWS,
    VARIANTS,
    DetoxCell,
    DetoxPlan,
    detection_cell,
    method_cell,
    oracle_cell,
    rival_cell,
    skills_cell,
)

SEEDED = (
    *("dpo", "dpo garbled allowed", "oracle decoding 1", "oracle decoding 2"),
    *("dexperts 1", "dexperts 2", "grpo", "activation editing"),
)
"""Rivals that need no setting: they are given the first corpus."""
MAIN, SILENT, CONTEXTUAL, SIXTY = "mixed", "no forum", "contextual", "sixty"
FITS = ((512, 38), (1024, 75), (4096, 300), (8192, 600))
"""Samples and steps of an oracle that sees each sample as often: 9.4 times."""
TOO_LONG = (1024, 300)
"""As many steps as with four times the samples: each is seen four times as often."""
ORACLES = (
    *(("separate", *fit, how) for fit in (*FITS, TOO_LONG) for how in list(HOWS)[:2]),
    *(("separate", *fit, "own first") for fit in FITS[1:3]),
    *(("linear", *fit, "expected first") for fit in FITS),
)
"""Learned oracles that are held to the exact one: kind, samples, steps, regulariser."""


LOW = 2
"""Another λ in the corpora in which only the high one is compared."""
FEW_LABELS = (240, 0.2)
"""Labelled posts that a detector learns from, and the chance that one is wrong."""
MANY_LABELS = (7168, 0.0)
"""As many right labels as the pull brings with it, through the samples of its oracle."""
DETECTORS = (*((arm, *FEW_LABELS) for arm in ARMS), (next(iter(ARMS)), *MANY_LABELS))
"""Models that write and detect: arm, labels, noise. The last one is the control of the pull."""


def _methods(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    yield DetoxCell(FIRST, seed=seed)
    steps = plan.steps
    yield method_cell(SILENT, HIGH, steps, seed)
    yield method_cell(MAIN, HIGH, steps, seed)
    yield rival_cell("plain", MAIN, 1, steps, seed)
    yield rival_cell("exact filter", MAIN, 1, steps, seed)
    yield rival_cell("exact filter", MAIN, HIGH, steps, seed)
    yield rival_cell("rejection", SILENT, HIGH, steps, seed)
    yield rival_cell("rejection x3", SILENT, HIGH, steps, seed)
    yield rival_cell("plain", SILENT, 1, steps, seed)
    yield rival_cell("word filter", MAIN, HIGH, steps, seed)
    for setting, filtering in ((CONTEXTUAL, "word filter"), (SIXTY, "exact filter")):
        yield method_cell(setting, HIGH, steps, seed)
        yield rival_cell(filtering, setting, HIGH, steps, seed)
        yield rival_cell("plain", setting, 1, steps, seed)
    yield rival_cell("exact filter", CONTEXTUAL, HIGH, steps, seed)


def _longer(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    yield rival_cell("exact filter", MAIN, HIGH, plan.longer, seed)
    yield method_cell(SILENT, HIGH, plan.longer, seed)
    yield method_cell(MAIN, HIGH, plan.longer, seed)
    yield rival_cell("plain", MAIN, 1, plan.longer, seed)
    yield rival_cell("rejection", SILENT, HIGH, plan.longer, seed)
    yield rival_cell("rejection x3", SILENT, HIGH, plan.longer, seed)
    for setting in (CONTEXTUAL, SIXTY):
        yield rival_cell("exact filter", setting, HIGH, plan.longer, seed)


def _weights(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    for setting in (MAIN, SILENT):
        for weight in plan.weights:
            yield method_cell(setting, weight, plan.steps, seed)


def _floor(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    for weight in plan.weights:
        yield method_cell(MAIN, weight, plan.longer, seed)


def _rivals(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    for name in SEEDED:
        yield DetoxCell(name, seed=seed)


def _variants(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    for variant in VARIANTS:
        yield method_cell(MAIN, HIGH, plan.steps, seed, variant)


def _oracles(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    for kind, samples, steps, how in ORACLES:
        yield oracle_cell(kind, samples, steps, how, seed)


def _detection(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    for arm, labels, noise in DETECTORS:
        yield detection_cell(arm, labels, noise, seed)


def _elsewhere(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    yield rival_cell("word filter", MAIN, 1, plan.steps, seed)
    for setting in (CONTEXTUAL, SIXTY):
        yield method_cell(setting, LOW, plan.steps, seed)


def _skills(plan: DetoxPlan, seed: int) -> Iterator[DetoxCell]:
    for name in (BASE, *FIXED):
        yield skills_cell(DetoxCell(name), seed)
    for group in OF_POLICIES:
        policies = (cell for cell in _OF_SEED[group](plan, seed) if cell.kind != FIRST)
        yield from (skills_cell(cell, seed) for cell in policies)


OF_POLICIES = ("methods", "longer", "weights", "floor", "rivals", "variants", "elsewhere")
"""Groups whose cells are policies."""
_OF_SEED: dict[str, Callable[[DetoxPlan, int], Iterator[DetoxCell]]] = {
    "methods": _methods,
    "longer": _longer,
    "weights": _weights,
    "floor": _floor,
    "rivals": _rivals,
    "variants": _variants,
    "oracles": _oracles,
    "detection": _detection,
    "elsewhere": _elsewhere,
    "skills": _skills,
}


def detox_cells(plan: DetoxPlan = DETOX_PLAN) -> list[DetoxCell]:
    """Every cell of a plan, in the order in which they are measured: what others need comes first.

    >>> [str(cell) for cell in detox_cells()[:2]]
    ['base', 'first oracle/seed 0']
    """
    found = [DetoxCell(BASE)]
    for group in plan.groups:
        if group == "rivals":
            found += [DetoxCell(name) for name in FIXED]
        found += [cell for seed in range(plan.seeds) for cell in _OF_SEED[group](plan, seed)]
    return list(dict.fromkeys(found))

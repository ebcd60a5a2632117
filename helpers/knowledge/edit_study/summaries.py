"""What edits in the different places did, as rows with intervals.

A number has two sources of chance: which facts were edited, and which search found the circuit (or
which random weights were drawn beside it). Both are drawn anew in every resample. Where no seed
changes a place, as with the largest weights, only facts are. With three searches the intervals are
rough, and rather too narrow. Facts without a number, such as those whose answer never came to ½,
are left out, and counted.

The places that are as long as different circuits share nine tenths of their weights: they are one
band in the order of gradient sizes. Their three searches are hardly more than one, and intervals of
them, or of what a circuit does more, hold for other facts rather than for other such places.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Real
from numpy import ndarray

from helpers.errors import LabError
from helpers.knowledge.edit_study.plan import AS_LONG, MODELS, places_at
from helpers.knowledge.edit_study.stored import EditStudy
from helpers.knowledge.editing import EditEffects, within_facts
from helpers.knowledge.editing.arms import ARMS
from helpers.knowledge.editing.comparison import NORMS
from helpers.knowledge.editing.gradients import Regression
from helpers.knowledge.facts.tinyworld import several
from helpers.knowledge.study.summaries import RESAMPLES, Row
from helpers.stats import Null, Spread, crossed_bootstrap, spread_or_none

EFFECTS = tuple(name for name in EditEffects.__dataclass_fields__ if name != "has")
SIZED = tuple(arm for arm in ARMS if arm not in ("complement", "everything"))
"""The places of as many weights. The other two have far more, and a far longer gradient."""
AT = {f"nll at {norm:g}": row for row, norm in enumerate(NORMS)}
MEASURES = ("first", "needed", *AT, *EFFECTS)
"""Length of the first gradient, ‖Δ‖ to p = ½, −log p(new answer) at three lengths; and what
`helpers.knowledge.editing.measures` measures where p is ½."""


def spread(values: Real[ndarray, "seed fact"], resamples: int = RESAMPLES, seed: int = 0) -> Spread:
    """Mean over seeds and facts; NaN where there is no number.

    Raises:
        LabError: No number at all, or an infinite one.

    >>> print(spread(np.array([[1.0, 3.0], [1.0, np.nan]])))
    1.667 [1.000, 3.000]
    """
    return crossed_bootstrap(values, resamples, seed)


def values_of(
    study: EditStudy, arm: str, density: float, measure: str, model: str = MODELS[0]
) -> Float[ndarray, "seed fact"]:
    """One measure of the edits in one place, with one row where no seed changes the place.

    Raises:
        LabError: No such measure, or edits that were not measured.
    """
    if measure not in MEASURES:
        raise LabError(f"expected a measure of edits: {', '.join(MEASURES)}", f"got {measure!r}")
    cells = [study.arm(arm, density, seed, model) for seed in range(study.plan.seeds_of(model))]
    same = all(cell is cells[0] for cell in cells)
    return np.array([_one(cell, measure) for cell in (cells[:1] if same else cells)], dtype=float)


def _one(cell: Row, measure: str) -> list[Any]:
    if measure in AT:
        return cell["nll_at"][AT[measure]]
    return cell["effects"][measure] if measure in EFFECTS else cell[measure]


def edited_arms(study: EditStudy, density: float, model: str = MODELS[0]) -> list[Row]:
    """For every place: each measure, and in how many edits the answer came to ½."""
    rows = []
    for arm in places_at(density):
        needed = values_of(study, arm, density, "needed", model)
        row: Row = {"model": model, "density": density, "arm": arm}
        row |= {"edits": needed.size, "reached": int(np.isfinite(needed).sum())}
        row["kept"] = study.arm(arm, density, 0, model)["kept"]
        rows.append(row | _spreads({m: values_of(study, arm, density, m, model) for m in MEASURES}))
    return rows


def _spreads(values: dict[str, Float[ndarray, "seed fact"]]) -> Row:
    """The spread of each measure, and under "numbers" how many numbers each has: a path that never
    was so long has no NLL there, and a fact without siblings keeps none."""
    row: Row = {measure: spread_or_none(each) for measure, each in values.items()}
    row["numbers"] = {m: int(np.isfinite(each).sum()) for m, each in values.items()}
    return row


def arm_differences(
    study: EditStudy, density: float, model: str = MODELS[0], of: str = "circuit"
) -> list[Row]:
    """What edits in one place do more than in each other one, fact by fact and seed by seed."""
    rows = []
    for arm in places_at(density):
        if arm == of:
            continue
        row: Row = {"model": model, "density": density, "arm": of, "less": arm}
        more = {}
        for measure in MEASURES:
            ours, theirs = (values_of(study, a, density, measure, model) for a in (of, arm))
            more[measure] = ours - theirs
        rows.append(row | _spreads(more))
    return rows


def regression(
    study: EditStudy,
    density: float,
    model: str = MODELS[0],
    arms: tuple[str, ...] = ARMS,
    resamples: int = RESAMPLES,
) -> Regression:
    """The change that an edit needs, on the gradient that it starts with, within facts.

    Raises:
        LabError: As `within_facts`, or no places.
    """
    arms = several(arms, "places")
    shape = (study.plan.seeds_of(model), study.plan.facts)
    first, needed = (
        np.stack(
            [np.broadcast_to(values_of(study, a, density, m, model), shape) for a in arms], axis=1
        )
        for m in ("first", "needed")
    )
    return within_facts(first, needed, arms, resamples)


def regressions(
    study: EditStudy, density: float, model: str = MODELS[0], resamples: int = RESAMPLES
) -> list[Row]:
    """The line of `regression` through all seven places; without the two that have far more
    weights, which alone can carry it; and with the place whose gradient is as long, where there is
    one. Beside R² stands what is left of it inside the places (``within_arms``), and what 95 % of
    exchanges stay below: of gradients within facts, and of whole places. A handful of places can
    lie on a line by chance: it is the last number that R² has to pass.
    """
    chosen = {"seven places": ARMS, "of as many weights": SIZED}
    if AS_LONG in places_at(density):
        chosen["of as many weights, and as long"] = (*SIZED, AS_LONG)
    rows = []
    for name, arms in chosen.items():
        found = regression(study, density, model, arms, resamples)
        row: Row = {"model": model, "density": density, "places": name, "arms": arms}
        row |= {"slope": found.within.slope, "slope95": found.slope95}
        row |= {"r2": found.within.r2, "r2_95": found.r2_95, "pooled": found.pooled.r2}
        row |= {"within_arms": found.within_arms.r2, "within_arms_slope": found.within_arms.slope}
        for kind, null in (("facts", found.null), ("places", found.arms_null)):
            row |= {f"{kind} exchanged": _most(null), f"{kind} p": null.p_value}
        rows.append(row | {"missing": sum(found.missing.values())})
    return rows


def _most(null: Null) -> float | None:
    """What 95 % of the draws stay below."""
    return float(np.quantile(null.draws, 0.95)) if len(null.draws) else None


def resistance(
    study: EditStudy,
    density: float,
    model: str = MODELS[0],
    arms: tuple[str, ...] = ARMS,
    resamples: int = RESAMPLES,
) -> list[Row]:
    """For every place how much longer its changes are than the line through all of them says, as a
    share: above 0 it resists, below 0 it gives way; with an interval, and the share of exchanges of
    whole masks that come as far from 0."""
    found = regression(study, density, model, arms, resamples)
    return [
        {
            "model": model,
            "density": density,
            "arm": arm,
            "residual": found.residuals[arm],
            "interval": found.residuals95[arm],
            "p": found.residual_p[arm],
            "masks": found.masks[arm],
            "missing": found.missing[arm],
        }
        for arm in arms
    ]

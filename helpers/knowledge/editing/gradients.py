"""Does a place resist an edit, or is its gradient small? A regression within facts.

Facts differ: some are surer than others. So each fact is compared with itself in the other places.
With ‖g₀‖ the length of the gradient before the first step and ‖Δ‖ that of the change at which the
new answer has probability ½, over arms a, facts f and mask seeds s,

    log ‖Δ‖ = α_f + β log ‖g₀‖ + ε        (α_f: one constant a fact)

R² says how much of what is left of log‖Δ‖ without the facts' constants the gradient's length
explains. Were a place to resist for what is stored there, its arm's mean residual would be above 0.
Beside it stand

- the same regression without the facts' constants (`pooled`), which mixes sure facts with places;
- the same with constants for arms as well (`within_arms`): with seven arms, one number an arm can
  explain much, whatever it is; here only what differs inside an arm counts;
- three permutations: the gradients exchanged among the arms within each fact (is R² more than
  chance?); among whole arms, in all facts alike, which keeps what arms have in common and counts
  them as what they are, a handful of numbers; and the residuals of whole masks, in all facts alike
  (is an arm's more than chance?): what is odd about a mask is odd in every fact, and one number;
- intervals of a bootstrap over facts and over mask seeds, both drawn anew each time. Where there is
  one seed, or an arm whose mask no seed changes (magnitude, gradient, everything), they cover the
  choice of facts alone, not that of masks; with few seeds they are still too narrow.

Places in which the answer never came to ½ are missing, and counted: what is missing would have
needed most. Where it was above ½ before any step no change is needed, and the gradient explains
nothing: such facts are left out too, and counted apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import array_of, check_count, finite, real
from helpers.stats import Null

SWEEPS = 100
"""Rounds in which the means of facts and of arms are taken out in turn."""


@dataclass(frozen=True)
class Line:
    """A fitted line: its slope, and the share of the variance that it explains."""

    slope: float
    r2: float


@dataclass(frozen=True)
class Regression:
    """log‖Δ‖ on log‖g₀‖ within facts.

    Attributes:
        within, pooled, within_arms: With a constant for each fact; without; with one for each fact
            and each arm (NaN where nothing is left inside the arms).
        slope95, r2_95: 95 % intervals of `within`.
        residuals: Each arm's mean residual, as a ratio less 1: 0.05 is a change 5 % longer than the
            gradient's length explains.
        residuals95: Their 95 % intervals.
        residual_p: For each arm the share of exchanges of whole masks' residuals whose mean in that
            arm is as far from 0; NaN for an arm without a change. With one mask an arm it is never
            below 1 by the number of arms.
        null: R² where gradients are exchanged within facts.
        arms_null: R² where whole arms exchange their gradients; n arms have n! orders at most, so
            that with three of them no p-value is below 1/6. Draws in which no gradient differs
            within facts have no R², and are left out of both.
        missing: For each arm, how often the answer never came to ½.
        already: How often it was there before any step.
        masks: How many masks each arm has: seeds that give the same numbers are one.
    """

    within: Line
    pooled: Line
    within_arms: Line
    slope95: tuple[float, float]
    r2_95: tuple[float, float]
    residuals: dict[str, float]
    residuals95: dict[str, tuple[float, float]]
    residual_p: dict[str, float]
    null: Null
    arms_null: Null
    missing: dict[str, int]
    already: dict[str, int]
    masks: dict[str, int]


def within_facts(
    first: Real[ndarray, "seed arm fact"],
    needed: Real[ndarray, "seed arm fact"],
    arms: Sequence[str],
    resamples: int = 1000,
    seed: int = 0,
) -> Regression:
    """Regress the change that an edit needs on the gradient that it starts with.

    Args:
        first: ‖g₀‖, above 0.
        needed: ‖Δ‖ at which p(new answer) is ½; NaN where it never is, 0 where it is before any
            step.
        arms: Names of the places.
        resamples: Of the bootstrap, and exchanges of each permutation.

    Raises:
        LabError: Other shapes, fewer than two arms or facts with numbers, gradients that are not
            positive, lengths below 0, or gradients that do not differ within facts.

    >>> first = np.array([[[1.0, 2.0], [4.0, 6.0], [2.0, 5.0]]])
    >>> found = within_facts(first, 3 / first, ["circuit", "uniform", "everything"], resamples=20)
    >>> round(found.within.slope, 6), round(found.within.r2, 6)
    (-1.0, 1.0)
    """
    every_x, changes = _lengths(first, needed, arms)
    y = np.log(np.where(changes > 0, changes, np.nan))
    x = np.where(np.isnan(y), np.nan, every_x)
    check_count("number of resamples", resamples, least=1)
    rng = np.random.default_rng(seed)
    within, residual = _within(x, y)
    if not np.isfinite([within.slope, within.r2]).all():
        raise LabError(
            "expected gradients and changes that differ within facts",
            f"got {int(np.isfinite(y).sum())} numbers without a slope",
            hint="give two arms or more in which two facts or more were changed",
        )
    drawn = [_resampled(x, y, rng) for _ in range(resamples)]
    ratios = _by_arm(residual)
    low, high = _interval(np.array(drawn))
    shuffled = [_within(_exchanged(x, y, rng), y)[0].r2 for _ in range(resamples)]
    orders = [rng.permutation(len(arms)) for _ in range(resamples)]
    whole = [_within(np.where(np.isnan(y), np.nan, every_x[:, o]), y)[0].r2 for o in orders]
    masks = _masks(every_x, changes)
    return Regression(
        within,
        _pooled(x, y),
        _within_arms(x, y),
        (float(low[0]), float(high[0])),
        (float(low[1]), float(high[1])),
        dict(zip(arms, map(float, np.expm1(ratios)), strict=True)),
        {
            arm: (float(np.expm1(low[i + 2])), float(np.expm1(high[i + 2])))
            for i, arm in enumerate(arms)
        },
        dict(zip(arms, _chances(residual, masks, resamples, rng), strict=True)),
        _null(within.r2, np.array(shuffled)),
        _null(within.r2, np.array(whole)),
        dict(zip(arms, np.isnan(changes).sum((0, 2)).tolist(), strict=True)),
        dict(zip(arms, (changes == 0).sum((0, 2)).tolist(), strict=True)),
        dict(zip(arms, masks.sum(0).tolist(), strict=True)),
    )


def _lengths(first, needed, arms: Sequence[str]) -> tuple[ndarray, ndarray]:
    """The gradients' as logarithms, and the changes'."""
    x = array_of(finite(first, "lengths of gradients", "seed arm fact"))
    y = array_of(real(needed, "lengths of changes", "seed arm fact"))
    if x.shape != y.shape or len(set(arms)) != len(arms) or x.shape[1] != len(arms):
        raise LabError(
            "expected lengths [seed arm fact] of gradients and changes, one arm for each name",
            f"got {list(x.shape)} and {list(y.shape)} for {list(arms)}",
        )
    there = ~np.isnan(y)
    if not ((x > 0).all() and (np.isfinite(y[there]) & (y[there] >= 0)).all()):
        raise LabError(
            "expected lengths of gradients above 0, and of changes from 0 up",
            f"got {x.min():g} and {y[there].min() if there.any() else np.nan:g}",
        )
    there &= y > 0
    if there.any(0).sum(0).max(initial=0) < 2 or there.any((0, 1)).sum() < 2:
        raise LabError(
            "expected gradients and changes that differ within facts",
            f"got {int(there.sum())} changes",
            hint="give two arms or more in which two facts or more were changed",
        )
    return np.log(x), y


def _less_means(z: ndarray, axes: tuple[int, ...]) -> ndarray:
    """Numbers less their means over some axes; NaN stays NaN and counts in no mean."""
    there = ~np.isnan(z)
    count = np.maximum(there.sum(axes, keepdims=True), 1)
    return z - np.where(there, z, 0).sum(axes, keepdims=True) / count


def _line(x: ndarray, y: ndarray) -> tuple[Line, ndarray]:
    """The line through numbers whose means are 0, and what it leaves."""
    there = ~np.isnan(y)
    spread, total = (x[there] ** 2).sum(), (y[there] ** 2).sum()
    if not (spread > 1e-12 and total > 1e-12):  # equal but for rounding
        return Line(np.nan, np.nan), np.full(y.shape, np.nan)
    slope = float((x[there] * y[there]).sum() / spread)
    residual = y - slope * x
    return Line(slope, float(1 - (residual[there] ** 2).sum() / total)), residual


def _within(x: ndarray, y: ndarray) -> tuple[Line, ndarray]:
    return _line(_less_means(x, (0, 1)), _less_means(y, (0, 1)))


def _pooled(x: ndarray, y: ndarray) -> Line:
    return _line(_less_means(x, (0, 1, 2)), _less_means(y, (0, 1, 2)))[0]


def _within_arms(x: ndarray, y: ndarray) -> Line:
    for _ in range(SWEEPS):  # with numbers missing, one round is not enough
        x, y = (_less_means(_less_means(z, (0, 1)), (0, 2)) for z in (x, y))
    return _line(x, y)[0]


def _by_arm(residual: ndarray) -> Float[ndarray, " arm"]:
    there = ~np.isnan(residual)
    count = there.sum((0, 2))
    sums = np.where(there, residual, 0).sum((0, 2))
    return np.where(count, sums / np.maximum(count, 1), np.nan)


def _resampled(x: ndarray, y: ndarray, rng: np.random.Generator) -> list[float]:
    """Slope, R² and arms' residuals where seeds and facts are drawn anew."""
    seeds, facts = (rng.integers(size, size=size) for size in (x.shape[0], x.shape[2]))
    line, residual = _within(x[seeds][:, :, facts], y[seeds][:, :, facts])
    return [line.slope, line.r2, *_by_arm(residual)]


def _exchanged(z: ndarray, y: ndarray, rng: np.random.Generator) -> ndarray:
    """Numbers exchanged within each fact, among the arms and seeds that have a change."""
    table, there = z.reshape(-1, z.shape[2]).copy(), ~np.isnan(y).reshape(-1, z.shape[2])
    for fact in range(table.shape[1]):
        rows: Int[ndarray, " row"] = there[:, fact].nonzero()[0]
        table[rows, fact] = table[rng.permutation(rows), fact]
    return table.reshape(z.shape)


def _interval(drawn: Float[ndarray, "draw number"]) -> Float[ndarray, "2 number"]:
    """95 % intervals; NaN for what no draw has, such as an arm without a change."""
    ends, seen = np.full((2, drawn.shape[1]), np.nan), ~np.isnan(drawn).all(0)
    ends[:, seen] = np.nanquantile(drawn[:, seen], [0.025, 0.975], axis=0)
    return ends


def _masks(x: ndarray, changes: ndarray) -> Bool[ndarray, "seed arm"]:
    """Which masks differ from those of the same arm before: an arm may be the same for any seed."""
    rows = np.concatenate([x, changes], axis=2)
    new = np.ones(rows.shape[:2], dtype=bool)
    for seed, arm in np.ndindex(new.shape):
        same = (np.array_equal(row, rows[seed, arm], equal_nan=True) for row in rows[:seed, arm])
        new[seed, arm] = not any(same)
    return new


def _chances(
    residual: ndarray, masks: Bool[ndarray, "seed arm"], draws: int, rng: np.random.Generator
) -> list[float]:
    """How often an arm's mean residual is as far from 0 when whole masks are exchanged."""
    table = np.where(masks[..., None], residual, np.nan).reshape(-1, residual.shape[2])
    observed = _by_arm(table.reshape(residual.shape))
    rows = np.flatnonzero(~np.isnan(table).all(1))
    reached, mixed = np.zeros(len(observed)), table.copy()
    for _ in range(draws):
        mixed[rows] = table[rng.permutation(rows)]
        reached += np.abs(_by_arm(mixed.reshape(residual.shape))) >= np.abs(observed) - 1e-12
    return np.where(np.isnan(observed), np.nan, (1 + reached) / (1 + draws)).tolist()


def _null(observed: float, draws: Float[ndarray, " permutation"]) -> Null:
    """Exchanges that leave gradients without a difference have no R², and count as none."""
    draws = draws[~np.isnan(draws)]
    return Null(observed, draws, (1 + int((draws >= observed - 1e-12).sum())) / (1 + len(draws)))

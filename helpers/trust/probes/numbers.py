"""Regression probes: a number, or an angle, read off activations.

A probe of yes or no asks on which side of a plane an activation lies. A probe of a number asks how
far along a direction: ridge regression on standardised features. A probe of an angle (a digit on a
ring of ten, an hour, a month) asks for its sine and its cosine at once. What turns in a circle has
no direction along which it grows, so a probe of the number itself may fail where the angle can be
read without error.

As in `linear`, the penalty is chosen by a cross-validation inside the training part whose folds
keep groups whole, features are standardised on the training part only, and results come from test
parts whose groups the probe has never seen. A test part is judged against the best that can be said
without activations, the mean of the training part:

R² = 1 − Σ ‖target − prediction‖² / Σ ‖target − training mean‖²

It is 1 at best, 0 or a little less where activations tell nothing, and far below 0 where a probe
learned what does not carry over. Its control is the same fit on `shuffled` targets.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Real
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import check_count, finite, positive_row, within
from helpers.trust.data.splits import Interval, Splits

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Ridge penalties to choose from, for features of variance 1 and squared errors summed."""
FURTHEST = 10**9
"""Periods from 0 up to which a number has an angle, to a ten-millionth of a turn."""


@dataclass(frozen=True)
class NumberProbes:
    """Fitted regression probes, and how they do on the test parts.

    Attributes:
        r2: Share of the targets' variance that is predicted, sine and cosine pooled for an angle.
        error: Mean absolute error: in the target's unit, for an angle in radians along the circle.
        strengths: Penalties as chosen.
        predictions: For the items of the test part, NaN elsewhere; angles from -π to π.
        splits: The training and test parts.
    """

    r2: Float[ndarray, "site split"]
    error: Float[ndarray, "site split"]
    strengths: Float[ndarray, "site split"]
    predictions: Float[ndarray, "site split item"]
    splits: Splits

    def interval(self, level: float = 0.95) -> Interval:
        """Mean R² over the splits with its interval, `Splits.interval`, at most 1.

        Raises:
            LabError: Fewer than two splits.
        """
        return self.splits.interval(self.r2, level).clipped(-np.inf, 1)


def group_splits(
    groups: Sequence[Hashable] | ndarray, n_splits: int = 5, test_share: float = 0.3, seed: int = 0
) -> Splits:
    """Random splits in which no group is on both sides, for targets that have no classes.

    Args:
        groups: Group of each item; ``range(n)`` where each stands by itself.
        test_share: Share of the groups in each test part.

    Raises:
        LabError: Fewer than two groups or one split, or a share that leaves a part empty.

    >>> splits = group_splits([0, 0, 1, 1, 2, 2], n_splits=2)
    >>> splits.test.sum(1).tolist()
    [2, 2]
    """
    from sklearn.model_selection import GroupShuffleSplit

    names = tuple(map(str, groups))
    check_count("number of splits", n_splits, least=1)
    rows = np.zeros((len(names), 1))
    try:
        draws = list(
            GroupShuffleSplit(n_splits, test_size=float(test_share), random_state=seed).split(
                rows, groups=names
            )
        )
    except ValueError as fault:
        raise LabError(
            "expected two groups or more, and a share of test groups that leaves some on both "
            "sides",
            f"got {len(set(names))} groups and the share {test_share} ({fault})",
        ) from None
    parts = np.zeros((2, len(draws), len(names)), dtype=bool)
    for split, (train, test) in enumerate(draws):
        parts[0, split, train] = parts[1, split, test] = True
    return Splits(parts[0], parts[1], names)


def fit_number(
    x: Real[Tensor, "site item d"],
    values: Real[ndarray, " item"],
    splits: Splits,
    strengths: Sequence[float] = STRENGTHS,
    n_folds: int = 3,
) -> NumberProbes:
    """Probes of a number.

    Args:
        x: Activations of the same items at every site.
        values: The number of each item.
        strengths: Ridge penalties to choose from.
        n_folds: Folds of the cross-validation inside each training part; two or more.

    Raises:
        LabError: Values or activations that are not finite or do not match, values that do not vary
            in a part, fewer groups than folds, or a strength that is not positive.

    >>> import torch
    >>> x = torch.randn(1, 200, 4, generator=torch.Generator().manual_seed(0))
    >>> probes = fit_number(x, (3 * x[0, :, 0] + 7).numpy(), group_splits(range(200)))
    >>> bool((probes.r2 > 0.999).all())
    True
    """
    numbers, size = _near_one(_targets(values, splits))
    targets = numbers[:, None]
    _check_spread(targets, splits, rounding=0.0)
    predictions, chosen = _fit(x, targets, splits, strengths, n_folds)
    read = predictions[..., 0]
    error = np.abs(read - numbers)
    judged = _judged(predictions, targets, error, read, chosen, splits)
    return replace(
        judged,
        error=np.ldexp(judged.error, size),
        predictions=np.ldexp(judged.predictions, size),
    )


def fit_angle(
    x: Real[Tensor, "site item d"],
    values: Real[ndarray, " item"],
    period: float,
    splits: Splits,
    strengths: Sequence[float] = STRENGTHS,
    n_folds: int = 3,
) -> NumberProbes:
    """Probes of an angle: of the sine and cosine of 2π · value / period, with one penalty for both.

    Args:
        values: The number of each item, such as a digit.
        period: After how much the number begins again, such as 10.

    Raises:
        LabError: As in `fit_number`, a period that is not positive, or numbers so many periods from
            0 that their angle is rounding.

    >>> import torch
    >>> hours = np.arange(240) % 24
    >>> angle = torch.tensor(hours) * 2 * torch.pi / 24
    >>> circle = torch.stack([angle.sin(), angle.cos()], 1).double()[None]
    >>> days = group_splits(np.arange(240) // 24)
    >>> bool((fit_angle(circle, hours, 24, days).r2 > 0.99).all())
    True
    >>> bool((fit_number(circle, hours, days).r2 < 0.7).all())
    True
    """
    if not 0 < period < np.inf:
        raise LabError("expected a positive period", f"got {period}")
    numbers = _targets(values, splits)
    if not within(np.abs(numbers) / period, FURTHEST):
        raise LabError(
            f"expected numbers at most {FURTHEST:,} periods from 0",
            f"got {np.abs(numbers).max():g} with the period {period:g}",
            hint="further away a number is rounded to more than a small part of a turn",
        )
    angle = numbers * (2 * np.pi / period)
    targets = np.stack([np.sin(angle), np.cos(angle)], 1)
    _check_spread(targets, splits, rounding=1e-6)
    predictions, chosen = _fit(x, targets, splits, strengths, n_folds)
    read = np.arctan2(predictions[..., 0], predictions[..., 1])
    error = np.abs((read - angle + np.pi) % (2 * np.pi) - np.pi)
    return _judged(predictions, targets, error, read, chosen, splits)


def shuffled(values: ndarray, splits: Splits, seed: int = 0) -> ndarray:
    """The same values dealt out to items anew: the control that a regression probe has to beat.

    Where groups are of one size they are exchanged whole, so that items of a group keep values that
    belong together; else item by item.

    Raises:
        LabError: Not one finite number for each item of the splits.
    """
    _targets(values, splits)
    values, rng = np.asarray(values), np.random.default_rng(seed)
    unit = np.unique(np.asarray(splits.groups), return_inverse=True)[1]
    sizes = np.bincount(unit)
    if len(set(sizes.tolist())) > 1:
        return values[rng.permutation(len(values))]
    order = np.argsort(unit, kind="stable")
    dealt = np.empty_like(values)
    rows = order.reshape(len(sizes), -1)
    dealt[rows] = values[rows[rng.permutation(len(sizes))]]
    return dealt


def _targets(values: Any, splits: Splits) -> Float[ndarray, " item"]:
    """Values as finite float64, one for each item of the splits."""
    n_items = splits.train.shape[1]
    numbers = values if isinstance(values, Tensor) else np.asarray(values)
    truth = numbers.dtype in (torch.bool, np.dtype(bool))  # the other probes take these
    if numbers.ndim != 1 or len(numbers) != n_items or truth:
        raise LabError(
            f"expected one number for each of the {n_items} items of the splits",
            f"got shape {list(numbers.shape)} of {numbers.dtype}",
        )
    return finite(numbers, "numbers to predict", "item").double().cpu().numpy()


def _check_spread(targets: Float[ndarray, "item target"], splits: Splits, rounding: float) -> None:
    """Refuse targets of which a part has one value only, but for rounding."""
    for name, part in (("training", splits.train), ("test", splits.test)):
        for index, rows in enumerate(part):
            spread = np.ptp(targets[rows], axis=0).max() if rows.any() else 0.0
            if not spread > rounding:
                raise LabError(
                    f"expected numbers that differ in every {name} part",
                    f"got {int(rows.sum())} items of one value in {name} part {index}",
                    hint="draw more groups, or a larger test share; angles a whole period apart "
                    "are one angle",
                )


def _fit(
    x: Real[Tensor, "site item d"],
    targets: Float[ndarray, "item target"],
    splits: Splits,
    strengths: Sequence[float],
    n_folds: int,
) -> tuple[Float[ndarray, "site split item target"], Float[ndarray, "site split"]]:
    """Predictions for test parts (NaN elsewhere), and the penalties chosen."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    check_count("number of folds", n_folds, least=2)
    sites = _features(x, len(targets))
    strengths = _strengths(strengths)
    predictions = np.full((len(sites), *splits.test.shape, targets.shape[1]), np.nan)
    chosen = np.empty((len(sites), len(splits)))
    groups = np.unique(np.asarray(splits.groups), return_inverse=True)[1]
    for split, (train, test) in enumerate(zip(splits.train, splits.test, strict=True)):
        if n_folds > len(np.unique(groups[train])):
            raise LabError(
                "expected no more folds than groups in a training part",
                f"got {n_folds} folds and {len(np.unique(groups[train]))} groups",
            )
        folds = list(GroupKFold(n_folds).split(targets[train], groups=groups[train]))
        for site, features in enumerate(sites):
            ridge = RidgeCV(strengths, cv=folds, scoring="neg_mean_squared_error")
            model = make_pipeline(StandardScaler(), ridge)
            with threadpool_limits(1):  # many small systems: threads only wait for each other
                model.fit(features[train], targets[train])
                read = model.predict(features[test]).reshape(-1, targets.shape[1])
            predictions[site, split, test] = read
            chosen[site, split] = ridge.alpha_
    return predictions, chosen


def _features(x: Any, n_items: int) -> Float[ndarray, "site item d"]:
    """Finite activations as float64."""
    if getattr(x, "ndim", 0) != 3 or x.shape[1] != n_items:
        raise LabError(
            f"expected activations [site, item, d] of {n_items} items",
            f"got {list(getattr(x, 'shape', ()))}",
            hint="a single site is x[None]",
        )
    hint = "look at the checkpoint's loss, or run it in float32"
    sites = finite(x, "activations", "site item d", hint).double().cpu().numpy()
    return np.stack([_near_one(site)[0] for site in sites])


def _near_one(numbers: Float[ndarray, "..."]) -> tuple[Float[ndarray, "..."], int]:
    """The numbers by a power of two, so that none is above 1, and its exponent: exact, and squares
    neither overflow nor vanish."""
    exponent = int(np.frexp(np.abs(numbers).max())[1])
    return np.ldexp(numbers, -exponent), exponent


def _strengths(strengths: Sequence[float]) -> list[float]:
    """Penalties, strongest first, so that of equal ones the strongest is chosen."""
    return sorted(positive_row(strengths, "strengths"), reverse=True)


def _judged(
    predictions: ndarray,
    targets: ndarray,
    error: ndarray,
    read: ndarray,
    chosen: ndarray,
    splits: Splits,
) -> NumberProbes:
    """Results on the test parts."""
    r2, absolute = np.empty_like(chosen), np.empty_like(chosen)
    for split, (train, test) in enumerate(zip(splits.train, splits.test, strict=True)):
        spread = ((targets[test] - targets[train].mean(0)) ** 2).sum()
        missed = ((predictions[:, split, test] - targets[test]) ** 2).sum((1, 2))
        r2[:, split] = 1 - missed / spread
        absolute[:, split] = error[:, split, test].mean(1)
    return NumberProbes(r2, absolute, chosen, read, splits)

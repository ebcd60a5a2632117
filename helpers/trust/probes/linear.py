"""Linear probes over many sites (checkpoints, layers) at once.

A probe is an L2-regularised logistic regression on the activations of one site, standardised on the
training part only. The strength of the penalty is the one with the smallest cross-entropy in a
cross-validation inside the training part, whose folds keep groups whole; equal ones count for the
stronger. What is reported comes from test parts whose groups (and templates) the probe has never
seen.

Precision: the fits of the cross-validation only choose a strength. They run in float32 to
scikit-learn's own default tolerance (1e-4), or for `CHOICE_ITERATIONS` steps; one that has not
converged by then is used as it is. At some sites of TinyWorld gradients up to 4.3e-3 are left. With
3 000 steps, enough for all of them, the strengths chosen were the same (400 of 400) and the fits
took up to 3.3 times as long. The reported probe runs in float64 to `TOLERANCE`, and not to get
there is an error: on separable data a tolerance of 1e-4 leaves the largest weight 45 % off
(strength 0.1), float32 to the end 0.01 % (strength 0.1) to 0.7 % (0.001). Float64 throughout chose
the same strengths and took 1.3 to 1.5 times as long.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Shaped
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import Labels, positive_row, real, yes_no
from helpers.parallel import in_parallel
from helpers.trust.data.splits import Splits, check, check_classes
from helpers.trust.probes import logistic
from helpers.trust.probes.fitted import Probes

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Strengths of the penalty, scikit-learn's 1 / C."""
TOLERANCE, CHOICE_TOLERANCE = 1e-8, 1e-4
ITERATIONS, CHOICE_ITERATIONS = 20_000, 200
CHUNK = {"cpu": 2**17, "cuda": 2**26}
"""Scores (site × fit × item) computed together: they fit a core's cache, or fill an accelerator."""


def fit(
    x: Float[Tensor, "site item d"],
    labels: Labels | Shaped[ndarray, "site item"],
    splits: Splits,
    strengths: Sequence[float] = STRENGTHS,
    n_folds: int = 3,
    seed: int = 0,
) -> Probes:
    """Train a probe on every site and split, all at once.

    Args:
        x: Activations of the same items at every site, on the CPU or an accelerator.
        labels: Labels of the items, or of the items at each site (as several random draws), in
            any form that `helpers.inputs.yes_no` takes.
        strengths: Strengths of the penalty to choose from: scikit-learn's 1 / C. With a single one
            there is no cross-validation.
        n_folds: Number of folds of the cross-validation.
        seed: Seed of the folds.

    Raises:
        LabError: Activations that are not finite, labels or splits of other items, parts of one
            class, fewer groups than folds or fewer than two folds, a strength that is not positive,
            or a reported probe that does not converge.

    >>> from helpers.trust.data.splits import grouped
    >>> from helpers.texts import LabelledSet
    >>> labels = np.tile([True, False], 20)
    >>> data = LabelledSet("s", ("",) * 40, labels, tuple(str(item // 2) for item in range(40)))
    >>> noise = torch.randn(1, 40, 3, generator=torch.Generator().manual_seed(0))
    >>> probes = fit(noise + 4 * torch.tensor(labels)[None, :, None], labels, grouped(data))
    >>> probes.accuracy.shape, bool((probes.accuracy > 0.9).all())
    ((1, 5), True)
    """
    x, labels = _checked(x, labels, splits)
    strengths = sorted(positive_row(strengths, "strengths"), reverse=True)
    masks = splits.train
    if len(strengths) > 1:
        if n_folds < 2:
            raise LabError(
                "expected two folds or more",
                f"got {n_folds}",
                hint="with one strength there is no cross-validation",
            )
        folds = splits.folds(labels[0], n_folds, seed).reshape(-1, x.shape[1])
        for row in np.unique(labels, axis=0):
            check_classes(folds, row, "cross-validation fold")
        masks = np.concatenate([masks, folds])
    work = partial(
        _chunk,
        splits=splits,
        masks=torch.from_numpy(masks).to(x.device),
        strengths=strengths,
        n_folds=n_folds,
    )
    size = max(1, CHUNK[x.device.type] // (x.shape[1] * len(masks) * len(strengths)))
    parts = zip(x.split(size), torch.from_numpy(labels).to(x.device).split(size), strict=True)
    workers = torch.get_num_threads() if x.device.type == "cpu" else 1
    results = list(in_parallel(lambda part: work(*part), parts, workers))
    return _probes(tuple(map(np.concatenate, zip(*results, strict=True))), splits)


def _probes(results: tuple[ndarray, ...], splits: Splits) -> Probes:
    """`Probes` of the arrays that `_results` gives."""
    accuracy, cross_entropy, strengths, weights, bias, mean, scale = results
    return Probes(accuracy, cross_entropy, strengths, weights, bias, mean, scale, splits)


def _chunk(
    x: Tensor, labels: Tensor, splits: Splits, masks: Tensor, strengths: list[float], n_folds: int
) -> tuple[ndarray, ...]:
    """The fields of `Probes` for some sites."""
    design = logistic.design(x, masks)
    strength, start = x.new_full((len(x), len(splits)), strengths[0], dtype=torch.float64), None
    if len(strengths) > 1:
        strength, start = _choose(design.to(torch.float32), labels, len(splits), strengths, n_folds)
    return _results(design, labels, splits, strength, _minimum(design, labels, strength, start))


def _minimum(
    design: logistic.Design, labels: Tensor, strength: Tensor, start: Tensor | None = None
) -> Tensor:
    """The coefficients of the reported probes: fits on the whole training parts."""
    fits = torch.arange(strength.shape[1], device=labels.device)
    coefficients, missing = logistic.minimise(
        design, labels, fits, strength, TOLERANCE, ITERATIONS, start
    )
    if missing != 0:  # NaN as well
        raise LabError(
            f"expected the probes to converge in {ITERATIONS} steps",
            f"the gradient still has an entry of {missing:.1e}",
            hint="leave out the weakest strengths",
        )
    return coefficients


def _choose(
    design: logistic.Design, labels: Tensor, n_splits: int, strengths: list[float], n_folds: int
) -> tuple[Tensor, Tensor]:
    """The best strength in each training part, and the mean of its folds' coefficients.

    Best is the smallest cross-entropy on the rows that the folds hold out.
    """
    n_sites, n_fits = len(labels), n_splits * n_folds
    which = n_splits + torch.arange(n_fits, device=labels.device).repeat(len(strengths))
    of_fit = design.x.new_tensor(strengths).repeat_interleave(n_fits).expand(n_sites, -1)
    coefficients, _ = logistic.minimise(
        design, labels, which, of_fit, CHOICE_TOLERANCE, CHOICE_ITERATIONS
    )
    shape = (len(strengths), n_splits, n_folds)
    held_out = design.masks[:n_splits].repeat_interleave(n_folds, 0) - design.masks[n_splits:]
    losses = _cross_entropies(coefficients @ design.x.mT, labels)
    losses = (losses * held_out.repeat(len(strengths), 1)).sum(2).unflatten(1, shape).sum(3)
    best = losses.argmin(1)  # the first of equal ones, which is the strongest
    means = coefficients.unflatten(1, shape).mean(3)
    index = best[:, None, :, None].expand(-1, 1, -1, means.shape[3])
    start = means.gather(1, index)[:, 0].double()
    return torch.tensor(strengths, dtype=torch.float64, device=labels.device)[best], start


def _cross_entropies(
    scores: Float[Tensor, "site fit item"], labels: Bool[Tensor, "site item"]
) -> Tensor:
    return torch.nn.functional.softplus(torch.where(labels[:, None], -scores, scores))


def _results(
    design: logistic.Design,
    labels: Tensor,
    splits: Splits,
    strength: Tensor,
    coefficients: Float[Tensor, "site split feature"],
) -> tuple[ndarray, ...]:
    """Test results and weights, in the order of the fields of `Probes`."""
    all_splits = torch.arange(len(splits), device=labels.device)
    test = torch.from_numpy(splits.test).to(design.x)
    weights, bias = logistic.standardised(design, all_splits, coefficients)
    mean, scale = design.mean[:, all_splits], design.scale[:, all_splits]
    intercept = bias - (weights * mean / scale).sum(2)
    scores = (weights / scale) @ design.x[..., :-1].mT + intercept[..., None]
    right = (scores > 0) == labels[:, None]
    accuracy = (right * test).sum(2) / test.sum(1)
    cross_entropy = (_cross_entropies(scores, labels) * test).sum(2) / test.sum(1)
    raw_mean, raw_scale = design.centre + mean * design.unit, scale * design.unit
    results = (accuracy, cross_entropy, strength, weights, bias, raw_mean, raw_scale)
    return tuple(values.cpu().numpy() for values in results)


def mass_mean(x: Float[Tensor, "site item d"], labels: Labels, splits: Splits) -> Probes:
    """Probes along the difference of the class means, with the threshold half-way between them.

    Features are standardised on the training part. Nothing is fitted beyond the means (the
    mass-mean probe of Marks and Tegmark, arXiv 2310.06824, without the covariance), so a score is
    no log odds and `cross_entropy` is NaN.

    Raises:
        LabError: As in `fit`.
    """
    x, labels = _checked(x, labels, splits)
    y, train = torch.from_numpy(labels).to(x.device), torch.from_numpy(splits.train).to(x.device)
    design = logistic.design(x, train)
    means = []
    for label in (True, False):
        rows = (train & (y == label)[:, None]).double()
        means.append(rows / rows.sum(2, keepdim=True) @ design.x[..., :-1])
    raw = torch.where(design.constant, 0.0, (means[0] - means[1]) / design.scale**2)
    bias = -(raw * (means[0] + means[1]) / 2).sum(2, keepdim=True)
    none = x.new_full(raw.shape[:2], torch.nan, dtype=torch.float64)
    probes = _probes(_results(design, y, splits, none, torch.cat([raw, bias], 2)), splits)
    return replace(probes, cross_entropy=none.cpu().numpy())


def paper_mode(x: Float[Tensor, "site item d"], labels: Labels, splits: Splits) -> Probes:
    """Probes as the code released with arXiv 2402.19465 trains them.

    Features are standardised over all rows, test rows too, and C = 1. The released code stops after
    100 iterations, scikit-learn's default; here the fits run to convergence.

    With `helpers.trust.data.splits.ordered` this is the paper's accuracy; with grouped splits it is
    what the split alone changes.

    Raises:
        LabError: As in `fit`.
    """
    x, labels = _checked(x, labels, splits)
    everything = torch.ones(len(splits), x.shape[1], dtype=torch.bool, device=x.device)
    masks = torch.from_numpy(splits.train).to(x.device, torch.float64)
    design = replace(logistic.design(x, everything), masks=masks)
    y = torch.from_numpy(labels).to(x.device)
    strength = x.new_ones(len(x), len(splits), dtype=torch.float64)
    coefficients = _minimum(design, y, strength)
    return _probes(_results(design, y, splits, strength, coefficients), splits)


def _checked(
    x: Tensor, labels: Labels | Shaped[ndarray, "site item"], splits: Splits
) -> tuple[Float[Tensor, "site item d"], Bool[ndarray, "site item"]]:
    """Activations on a device that computes in float64, and labels of every site."""
    x, labels = real(x, "activations"), yes_no(labels, axes=(1, 2))
    if x.ndim != 3 or 0 in x.shape or labels.shape not in (x.shape[1:2], x.shape[:2]):
        raise LabError(
            "expected activations [site, item, d] and a label for each item",
            f"got activations {list(x.shape)} and labels {list(labels.shape)}",
            hint="a single site is x[None]",
        )
    bad = ~torch.isfinite(x).flatten(1).all(1)
    if bad.any():
        site = int(bad.nonzero()[0, 0])
        row = int((~torch.isfinite(x[site])).any(1).nonzero()[0, 0])
        raise LabError(
            "expected finite activations",
            f"got NaN or infinity at {int(bad.sum())} of {len(x)} sites, first at site {site}, "
            f"item {row}",
            hint="the checkpoint may have diverged or overflow in half precision: look at its "
            "loss, or run it in float32",
        )
    labels = np.array(np.broadcast_to(labels, x.shape[:2]))
    for row in np.unique(labels, axis=0):
        check(splits, row)
    return x if x.device.type in CHUNK else x.cpu(), labels

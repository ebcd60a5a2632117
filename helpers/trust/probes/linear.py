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
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.parallel import in_parallel
from helpers.stats import clopper_pearson
from helpers.trust.data.splits import Interval, Splits, check, check_classes
from helpers.trust.probes import logistic

STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Strengths of the penalty, scikit-learn's 1 / C."""
TOLERANCE, CHOICE_TOLERANCE = 1e-8, 1e-4
ITERATIONS, CHOICE_ITERATIONS = 20_000, 200
CHUNK = {"cpu": 2**17, "cuda": 2**26}
"""Scores (site × fit × item) computed together: what fits the cache of a core, or fills an accelerator."""


@dataclass(frozen=True)
class Summary:
    """One probe at one site, for a table: shares in [0, 1], cross-entropy in nats, and its median strength."""

    name: str
    accuracy: float
    low: float
    high: float
    cross_entropy: float
    strength: float


@dataclass(frozen=True)
class Probes:
    """Fitted probes, and how they do on the test parts.

    Attributes:
        accuracy: share of right answers on the test part.
        cross_entropy: −log of the probability given to the true label, mean over the test part, in
            nats; NaN for probes that give no probability.
        strengths: of the penalty, as chosen; NaN where there is none.
        weights: on standardised features.
        bias: added to them; a score above 0 says True.
        mean, scale: what standardises the features.
        splits: the parts.
    """

    accuracy: Float[ndarray, "site split"]
    cross_entropy: Float[ndarray, "site split"]
    strengths: Float[ndarray, "site split"]
    weights: Float[ndarray, "site split d"]
    bias: Float[ndarray, "site split"]
    mean: Float[ndarray, "site split d"]
    scale: Float[ndarray, "site split d"]
    splits: Splits

    def scores(self, x: Float[Tensor, "site item d"]) -> Float[ndarray, "site split item"]:
        """Log odds that the probes give to activations, such as those of another checkpoint."""
        raw = self.weights / self.scale
        return (
            raw @ np.swapaxes(x.double().cpu().numpy(), 1, 2)
            + (self.bias - (raw * self.mean).sum(2))[..., None]
        )

    def interval(self, level: float = 0.95) -> Interval:
        """Mean accuracy over the splits with its interval.

        `Splits.interval`, clipped to [0, 1] and never narrower than the Clopper–Pearson interval of
        as many trials as groups were tested: splits that agree by chance, or all reach 1, would
        else give an interval of no width. With one split that is all there is.
        """
        mean, (low, high) = self.accuracy.mean(1), self._exact(level)
        if len(self.splits) > 1:
            over = self.splits.interval(self.accuracy, level)
            low, high = np.minimum(low, over.low), np.maximum(high, over.high)
        return Interval(mean, low.clip(0), high.clip(max=1))

    def _exact(self, level: float) -> Float[ndarray, "end site"]:
        """Ends of the Clopper–Pearson interval of as many trials as groups were tested."""
        mean, groups = self.accuracy.mean(1), self.splits.tested_groups
        low, high = np.transpose(
            [clopper_pearson(round(value * groups), groups, level) for value in mean]
        )
        return np.array([np.minimum(low, mean), np.maximum(high, mean)])

    def above(self, other: "Probes", level: float = 0.95) -> Interval:
        """How much more accurate these probes are than others on the same splits (one site, or as
        many).

        With the random-label probe as the other one this is selectivity (Hewitt and Liang 2019,
        arXiv 1909.03368).

        `Splits.interval` of the differences, clipped to [-1, 1], and never narrower than the tested
        groups allow: with the Clopper–Pearson intervals of `interval`, l to u around p and l' to u'
        around p', it reaches at least √((p - l)² + (u' - p')²) down and √((u - p)² + (p' - l')²)
        up. (Newcombe, Statistics in Medicine 17, 1998, p. 873, method 10; it takes the errors of
        the two for independent, so it is wider than need be where both fail on the same groups.)

        Raises:
            LabError: other splits.
        """
        if not (
            np.array_equal(self.splits.train, other.splits.train)
            and np.array_equal(self.splits.test, other.splits.test)
        ):
            raise LabError(
                "expected two probes on the same splits",
                "their parts differ",
                hint="pass the same Splits to both",
            )
        apart = self.accuracy - other.accuracy
        mean, p, q = apart.mean(1), self.accuracy.mean(1), other.accuracy.mean(1)
        (own_low, own_high), (low, high) = self._exact(level), other._exact(level)
        low, high = mean - np.hypot(p - own_low, high - q), mean + np.hypot(own_high - p, q - low)
        if len(self.splits) > 1:
            over = self.splits.interval(apart, level)
            low, high = np.minimum(low, over.low), np.maximum(high, over.high)
        return Interval(mean, low.clip(-1), high.clip(max=1))

    def summary(self, name: str, site: int = 0) -> Summary:
        """The probe of one site, for a table."""
        found = self.interval()
        return Summary(
            name,
            *(float(values[site]) for values in (found.mean, found.low, found.high)),
            cross_entropy=float(self.cross_entropy[site].mean()),
            strength=float(np.median(self.strengths[site])),
        )


def fit(
    x: Float[Tensor, "site item d"],
    labels: Bool[ndarray, " item"] | Bool[ndarray, "site item"],
    splits: Splits,
    strengths: Sequence[float] = STRENGTHS,
    n_folds: int = 3,
    seed: int = 0,
) -> Probes:
    """Train a probe on every site and split, all at once.

    Args:
        x: activations of the same items at every site, on the CPU or an accelerator.
        labels: of the items, or of the items at each site (several draws of random labels, say).
        strengths: of the penalty, to choose from: scikit-learn's 1 / C. With one there is no
            cross-validation.
        seed: of the folds.

    Raises:
        LabError: activations that are not finite, labels or splits of other items, parts of one
            class, fewer groups than folds or fewer than two folds, a strength that is not positive,
            or a reported probe that does not converge.

    >>> from helpers.trust.data.splits import grouped
    >>> from helpers.texts.labelled import LabelledSet
    >>> labels = np.tile([True, False], 20)
    >>> data = LabelledSet("s", ("",) * 40, labels, tuple(str(item // 2) for item in range(40)))
    >>> noise = torch.randn(1, 40, 3, generator=torch.Generator().manual_seed(0))
    >>> found = fit(noise + 4 * torch.tensor(labels)[None, :, None], labels, grouped(data))
    >>> found.accuracy.shape, bool((found.accuracy > 0.9).all())
    ((1, 5), True)
    """
    x, labels = _checked(x, labels, splits)
    strengths = sorted(map(float, strengths), reverse=True)
    if not strengths or not all(0 < strength < np.inf for strength in strengths):
        raise LabError("expected one or more positive strengths", f"got {strengths}")
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
    return Probes(*(np.concatenate(values) for values in zip(*results, strict=True)), splits)


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
    found, missing = logistic.minimise(design, labels, fits, strength, TOLERANCE, ITERATIONS, start)
    if missing != 0:  # NaN as well
        raise LabError(
            f"expected the probes to converge in {ITERATIONS} steps",
            f"the gradient still has an entry of {missing:.1e}",
            hint="leave out the weakest strengths",
        )
    return found


def _choose(
    design: logistic.Design, labels: Tensor, n_splits: int, strengths: list[float], n_folds: int
) -> tuple[Tensor, Tensor]:
    """The strength with the smallest cross-entropy in each training part, and the mean of its folds' coefficients."""
    n_sites, n_fits = len(labels), n_splits * n_folds
    which = n_splits + torch.arange(n_fits, device=labels.device).repeat(len(strengths))
    of_fit = design.x.new_tensor(strengths).repeat_interleave(n_fits).expand(n_sites, -1)
    found, _ = logistic.minimise(design, labels, which, of_fit, CHOICE_TOLERANCE, CHOICE_ITERATIONS)
    shape = (n_sites, len(strengths), n_splits, n_folds)
    held_out = (
        design.masks[:n_splits].repeat_interleave(n_folds, 0) - design.masks[n_splits:]
    ).repeat(len(strengths), 1)
    losses = (
        (_cross_entropies(found @ design.x.mT, labels) * held_out)
        .sum(2)
        .unflatten(1, shape[1:])
        .sum(3)
    )
    best = losses.argmin(1)  # the first of equal ones, which is the strongest
    start = (
        found.unflatten(1, shape[1:])
        .mean(3)
        .gather(1, best[:, None, :, None].expand(-1, 1, -1, found.shape[2]))
    )
    return torch.tensor(strengths, dtype=torch.float64, device=labels.device)[best], start[
        :, 0
    ].double()


def _cross_entropies(
    scores: Float[Tensor, "site fit item"], labels: Bool[Tensor, "site item"]
) -> Tensor:
    return torch.nn.functional.softplus(torch.where(labels[:, None], -scores, scores))


def _results(
    design: logistic.Design,
    labels: Tensor,
    splits: Splits,
    strength: Tensor,
    found: Float[Tensor, "site split feature"],
) -> tuple[ndarray, ...]:
    """Test results and weights, in the order of the fields of `Probes`."""
    all_splits = torch.arange(len(splits), device=labels.device)
    test = torch.from_numpy(splits.test).to(design.x)
    weights, bias = logistic.standardised(design, all_splits, found)
    mean, scale = design.mean[:, all_splits], design.scale[:, all_splits]
    scores = (weights / scale) @ design.x[..., :-1].mT + (bias - (weights * mean / scale).sum(2))[
        ..., None
    ]
    right = (scores > 0) == labels[:, None]
    accuracy, cross_entropy = (
        (v * test).sum(2) / test.sum(1) for v in (right, _cross_entropies(scores, labels))
    )
    raw_mean, raw_scale = design.centre + mean * design.unit, scale * design.unit
    return tuple(
        v.cpu().numpy()
        for v in (accuracy, cross_entropy, strength, weights, bias, raw_mean, raw_scale)
    )


def mass_mean(
    x: Float[Tensor, "site item d"], labels: Bool[ndarray, " item"], splits: Splits
) -> Probes:
    """Probes whose direction is the difference of the class means, with the threshold half-way
    between them.

    On features standardised on the training part. Nothing is fitted beyond the means (the mass-mean
    probe of Marks and Tegmark, arXiv 2310.06824, without the covariance), so a score is no log odds
    and `cross_entropy` is NaN.

    Raises:
        LabError: as `fit`.
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
    found = Probes(*_results(design, y, splits, none, torch.cat([raw, bias], 2)), splits)
    return replace(found, cross_entropy=none.cpu().numpy())


def paper_mode(
    x: Float[Tensor, "site item d"], labels: Bool[ndarray, " item"], splits: Splits
) -> Probes:
    """Probes as the code released with arXiv 2402.19465 trains them: standardised over all rows,
    test rows too, and C = 1.

    The released code stops after 100 iterations, scikit-learn's default; here the fits run to
    convergence.

    With `helpers.trust.data.splits.ordered` this is the paper's accuracy; with grouped splits it is
    what the split alone changes.

    Raises:
        LabError: as `fit`.
    """
    x, labels = _checked(x, labels, splits)
    everything = torch.ones(len(splits), x.shape[1], dtype=torch.bool, device=x.device)
    design = replace(
        logistic.design(x, everything),
        masks=torch.from_numpy(splits.train).to(x.device, torch.float64),
    )
    y, strength = (
        torch.from_numpy(labels).to(x.device),
        x.new_ones(len(x), len(splits), dtype=torch.float64),
    )
    return Probes(*_results(design, y, splits, strength, _minimum(design, y, strength)), splits)


def _checked(
    x: Tensor, labels: ndarray, splits: Splits
) -> tuple[Float[Tensor, "site item d"], Bool[ndarray, "site item"]]:
    """Activations on a device that computes in float64, and labels of every site."""
    labels = np.asarray(labels, dtype=bool)
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
            f"got NaN or infinity at {int(bad.sum())} of {len(x)} sites, first at site {site}, item {row}",
            hint="the checkpoint may have diverged or overflow in half precision: look at its loss, or run it in float32",
        )
    labels = np.array(np.broadcast_to(labels, x.shape[:2]))
    for row in np.unique(labels, axis=0):
        check(splits, row)
    return x if x.device.type in CHUNK else x.cpu(), labels

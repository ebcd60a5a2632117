"""Speed of the probes, against a loop of scikit-learn's `LogisticRegression` for the same work."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from helpers.texts import LabelledSet
from helpers.timing import Ratio, take_turns
from helpers.trust.data.splits import Splits, grouped
from helpers.trust.probes import linear

N_FOLDS = 3
SIGNALS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Distances of the classes in one direction, in its standard deviations, as over a training."""


def activations(
    n_sites: int, data: LabelledSet, d: int, seed: int = 0
) -> Float[Tensor, "site item d"]:
    """Drawn activations of pairs, correlated as in a residual stream.

    The variances of the directions fall as 1 / rank.
    """
    rng, sites = np.random.default_rng(seed), []
    pair = np.unique(data.groups, return_inverse=True)[1]
    for site in range(n_sites):
        parts = rng.normal(size=(pair.max() + 1, d))[pair] + rng.normal(size=(len(data), d))
        parts[:, (5 + site) % min(25, d)] += (
            SIGNALS[site % len(SIGNALS)] * np.sqrt(2) * (data.labels - 0.5)
        )
        basis = np.linalg.qr(rng.normal(size=(d, d)))[0]
        sites.append(parts / np.sqrt(1 + np.arange(d)) @ basis + 2 * rng.normal(size=d))
    return torch.tensor(np.array(sites), dtype=torch.float32)


def measure(
    checkpoints: int = 16,
    layers: int = 5,
    dimensions: int = 5,
    d: int = 128,
    pairs: int = 200,
    sample: int = 10,
    rounds: int = 3,
) -> list[Ratio]:
    """The ratio of ``bench probes``.

    Args:
        checkpoints, layers, dimensions: Their product is the number of sites.
        d: Width of the activations.
        pairs: Pairs of items in the set of each dimension.
        sample: Sites that the loop is timed on, spread over all.
        rounds: How often each side is timed.
    """
    from threadpoolctl import threadpool_limits

    labels = np.tile([True, False], pairs)
    groups = tuple(str(item // 2) for item in range(2 * pairs))
    sets = [
        LabelledSet(str(seed), ("",) * len(labels), labels, groups) for seed in range(dimensions)
    ]
    splits = [grouped(data, seed=seed) for seed, data in enumerate(sets)]
    xs = [activations(checkpoints * layers, data, d, seed) for seed, data in enumerate(sets)]
    n_sites = checkpoints * layers * dimensions
    chosen = np.linspace(0, n_sites - 1, sample).astype(int)
    accuracies: dict[str, ndarray] = {}

    def ours() -> None:
        fitted = [
            linear.fit(x, labels, part, n_folds=N_FOLDS).accuracy
            for x, part in zip(xs, splits, strict=True)
        ]
        accuracies["ours"] = np.concatenate(fitted)

    def loop() -> None:
        where = [divmod(site, checkpoints * layers) for site in chosen]
        accuracies["loop"] = np.array(
            [by_loop(xs[i][site].numpy(), labels, splits[i]) for i, site in where]
        )

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            seconds, other = take_turns(ours, loop, rounds)
    finally:
        torch.set_num_threads(threads)
    other *= n_sites / sample
    apart = 100 * np.abs(accuracies["ours"][chosen] - accuracies["loop"]).mean(1).max()
    n_fits = n_sites * len(splits[0]) * (len(linear.STRENGTHS) * N_FOLDS + 1)
    return [
        Ratio(
            name="probes: the sweep over checkpoints, layers and dimensions",
            ratio=other / seconds,
            ours_seconds=seconds,
            other_seconds=other,
            other="the loop of scikit-learn's LogisticRegression",
            note=f"{n_fits} fits: {n_sites} sites ({checkpoints} checkpoints x {layers} layers x "
            f"{dimensions} dimensions) x {len(splits[0])} splits x ({len(linear.STRENGTHS)} "
            f"strengths x {N_FOLDS} folds + 1), {2 * pairs} items, d = {d}, one core each; the "
            f"loop was timed on {sample} sites and scaled up. Accuracies differ by {apart:.2f} "
            "points at most (mean over splits of the absolute difference, at the worst site)",
        )
    ]


def by_loop(
    x: Float[ndarray, "item d"],
    labels: Bool[ndarray, " item"],
    splits: Splits,
    strengths: Sequence[float] = linear.STRENGTHS,
) -> Float[ndarray, " split"]:
    """Test accuracies of `linear.fit` at one site, by one `LogisticRegression` after another."""
    strengths = sorted(strengths, reverse=True)  # of equal losses the stronger penalty counts
    accuracies = []
    for train, test, folds in zip(
        splits.train, splits.test, splits.folds(labels, N_FOLDS), strict=True
    ):
        losses = [
            sum(_loss(x, labels, fold, train & ~fold, strength) for fold in folds)
            for strength in strengths
        ]
        scores = _scores(x, labels, train, test, strengths[int(np.argmin(losses))])
        accuracies.append(((scores > 0) == labels[test]).mean())
    return np.array(accuracies)


def _loss(x: ndarray, labels: ndarray, train: ndarray, test: ndarray, strength: float) -> float:
    scores = _scores(x, labels, train, test, strength)
    return float(np.logaddexp(0, np.where(labels[test], -scores, scores)).sum())


def _scores(
    x: ndarray, labels: ndarray, train: ndarray, test: ndarray, strength: float
) -> Float[ndarray, " item"]:
    from sklearn.linear_model import LogisticRegression

    mean, scale = x[train].mean(0), x[train].std(0)
    model = LogisticRegression(C=1 / strength, max_iter=2000).fit(
        (x[train] - mean) / scale, labels[train]
    )
    return model.decision_function((x[test] - mean) / scale)

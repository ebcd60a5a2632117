"""Is the concept gone, or kept? The base's probe and a new one, in the model after.

A probe reads whether a post is rude at its noun, or at its end, from the residual stream before the
first block and after each. It is fitted to one half of the posts and judged on the other. If
tuning had removed the concept, neither a new probe nor the base's could tell; if the model writes
otherwise and the concept stands, both can.

Controls: a probe of shuffled labels, and the model before its training.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from helpers.changes.plan import ChangePlan
from helpers.changes.reading import end_places, read_posts, rude, streams
from helpers.detox.networks import Plain
from helpers.detox.posts import noun_places
from helpers.stats import auroc
from helpers.trust.data.splits import Splits
from helpers.trust.probes import Probes, fit

STRENGTH = 1.0
PLACES = {"noun": noun_places, "end": end_places}
"""Where a post is read."""


def probes(base: Plain, network: Plain, plan: ChangePlan) -> dict[str, Any]:
    """How probes do, at every site of a network.

    Returns:
        For each place: AUROC of the base's probe ("base's"), of a new one ("own"), of one fitted to
        shuffled labels ("shuffled"); the cosine of the first two directions ("cosine"); and the
        mean score that the base's probe gives to rude posts less that of kind ones, over what it
        gives in the base ("kept").

    Raises:
        LabError: Networks of another vocabulary or of different shapes.
    """
    posts = read_posts(plan.posts)
    is_rude, splits = rude(posts), _halves(plan.posts)
    shuffled = np.random.default_rng(0).permutation(is_rude)
    found = {}
    for name, places in PLACES.items():
        at = places(posts)
        before, after = (_at(streams(each, posts), at) for each in (base, network))
        old, new = (fit(x, is_rude, splits, [STRENGTH]) for x in (before, after))
        null = fit(after, shuffled, splits, [STRENGTH])
        found[name] = {
            "base's": _auroc(old, after, is_rude),
            "own": _auroc(new, after, is_rude),
            "shuffled": _auroc(null, after, shuffled),
            "cosine": _rounded(_cosines(old, new)),
            "kept": _rounded(_gap(old, after, is_rude) / _gap(old, before, is_rude)),
        }
    return found


def _halves(count: int) -> Splits:
    """Every second post is tested on."""
    train = np.arange(count) % 2 == 0
    return Splits(train[None], ~train[None], tuple(map(str, range(count))))


def _at(stream: Float[Tensor, "site row pos d"], places: Tensor) -> Float[Tensor, "site row d"]:
    return stream[:, torch.arange(stream.shape[1]), places]


def _auroc(fitted: Probes, x: Float[Tensor, "site item d"], truth: ndarray) -> list[float]:
    test = fitted.splits.test[0]
    scores = fitted.scores(x)[:, 0]
    return [round(auroc(row[test], truth[test]), 4) for row in scores]


def _gap(
    fitted: Probes, x: Float[Tensor, "site item d"], truth: ndarray
) -> Float[ndarray, " site"]:
    test, scores = fitted.splits.test[0], fitted.scores(x)[:, 0]
    return scores[:, test & truth].mean(1) - scores[:, test & ~truth].mean(1)


def _cosines(one: Probes, other: Probes) -> Float[ndarray, " site"]:
    a, b = ((each.weights / each.scale)[:, 0] for each in (one, other))
    return (a * b).sum(1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)


def _rounded(values: ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]

"""Who writes insults rather than praises where the noun is to come, before and after?

Direct logit attribution (Elhage et al., 2021): the mean logit of the insults less that of the
praises is a sum over heads, MLPs, embeddings and biases. Plain frames ("you are a ...") and those
that turn the noun round ("you are hardly a ...") stand apart: what is rude in one is kind in the
other, so that a kind model has to write opposite things. Places after "an" are left out: no insult
begins with a vowel, and the article has decided.
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from helpers import zoo
from helpers.attribution import direct_logit_attribution
from helpers.changes.plan import ChangePlan
from helpers.changes.reading import both_possible, read_posts
from helpers.detox.networks import Plain, bridge
from helpers.detox.posts import manners, noun_places, noun_words
from helpers.model import Model

FRAMES = ("plain", "turned")


@cache
def _like() -> Model:
    return zoo.load("tinyworld", device="cpu")


def as_model(network: Plain) -> Model:
    """A network as a model with hooks.

    Raises:
        LabError: A network of another shape, or with shifts.
    """
    return bridge(network, _like())


def writers(base: Plain, network: Plain, plan: ChangePlan) -> dict[str, Any]:
    """What each part of a network writes towards insults and away from praises, in logits.

    Args:
        base: Not used: every question is asked of both.

    Returns:
        Names of the parts ("parts"); and by frame ("plain", "turned") the mean contribution of each
        ("mean") and its standard error over posts ("error"); the last part is their sum.

    Raises:
        LabError: A network of another vocabulary or with shifts.
    """
    del base
    posts = read_posts(plan.posts)
    posts = posts[both_possible(posts)]
    turned = np.array(["turned" in manner for manner in manners(posts)])
    names, written = contributions(network, posts)
    found: dict[str, Any] = {"parts": [*names, "sum"]}
    for frame, which in zip(FRAMES, (~turned, turned), strict=True):
        found[frame] = _summary(written, which)
    return found


def contributions(network: Plain, posts: Tensor) -> tuple[list[str], Float[ndarray, "post part"]]:
    """The contribution of each part of a network at each post's noun.

    Raises:
        LabError: As `writers`; posts without a noun.
    """
    model, before = as_model(network), noun_places(posts) - 1
    insults, praises = noun_words()
    weights = torch.zeros(network.shape.n_outputs)
    weights[list(insults)], weights[list(praises)] = 1 / len(insults), -1 / len(praises)
    names: list[str] = []
    written: Tensor | None = None
    for place in before.unique().tolist():
        rows = (before == place).nonzero()[:, 0]
        names, parts = direct_logit_attribution(
            model, posts[rows, : place + 1], place, weights.repeat(len(rows), 1)
        )
        written = torch.zeros(len(posts), len(names)) if written is None else written
        written[rows] = parts.T
    assert written is not None
    return names, written.double().numpy()


def _summary(
    written: Float[ndarray, "post part"], which: Bool[ndarray, " post"]
) -> dict[str, list[float]]:
    rows = written[which]
    rows = np.concatenate([rows, rows.sum(1, keepdims=True)], axis=1)
    error = rows.std(0, ddof=1) / len(rows) ** 0.5
    return {"mean": rows.mean(0).round(4).tolist(), "error": error.round(4).tolist()}

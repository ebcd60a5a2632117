"""Does tracing say where to edit? (Hase et al., arXiv 2301.04213)

Tracing gives each layer and place an effect, an edit there a success, fact by fact. If facts were
edited best where tracing finds them, the two would rank the cells alike. So for each fact the cells
are ranked by both, and the ranks correlated (Spearman). Two numbers stand beside the mean:

- the same with the tracing of *another* fact: if that is as high, tracing ranks the cells of this
  model and says nothing of the single fact. So the difference is told, with an interval of its own;
- the success of an edit in the cell that tracing finds, beside the best cell and a random one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Real
from numpy import ndarray
from torch import Tensor

from helpers import stats
from helpers.errors import LabError
from helpers.inputs import array_of, finite


@dataclass(frozen=True)
class Prediction:
    """How well one ranking of cells predicts another.

    Attributes:
        each: Rank correlation over cells, for each fact; NaN where all cells of one are equal.
        mean, interval: Of all facts that have one; 95 %, by a bootstrap over facts.
        other_fact, other_interval: The same with the tracing of another fact, a mean over all
            others for each fact.
        own, own_interval: How much more a fact's own tracing tells: mean − other_fact, paired.
        at_traced, at_best, at_random: Mean success in the cell traced highest, in the best one of
            each fact, and in a random one, over the facts whose cells tracing ranks. Of several
            cells that are traced highest, their mean.
    """

    each: Float[ndarray, " fact"]
    mean: float
    interval: tuple[float, float]
    other_fact: float
    other_interval: tuple[float, float]
    own: float
    own_interval: tuple[float, float]
    at_traced: float
    at_best: float
    at_random: float


def predicts(
    traced: Real[Tensor, "cell fact"] | Real[ndarray, "cell fact"],
    success: Real[Tensor, "cell fact"] | Real[ndarray, "cell fact"],
) -> Prediction:
    """Compare effects of tracing with successes of edits, over cells (layer, place or both).

    Raises:
        LabError: Tables of different shape, fewer than three cells or two facts, NaN, or fewer than
            two facts whose cells differ in both.

    >>> effect = np.array([[0.0, 0.1], [0.2, 0.3], [0.9, 0.7]])
    >>> found = predicts(effect, effect**2)
    >>> round(found.mean, 9), found.at_traced == found.at_best
    (1.0, True)
    """
    found = array_of(finite(traced, "effects", "cell fact"))
    good = array_of(finite(success, "successes", "cell fact"))
    if found.shape != good.shape or found.shape[0] < 3 or found.shape[1] < 2:
        raise LabError(
            "expected effects and successes of three or more cells and two or more facts",
            f"got {list(found.shape)} and {list(good.shape)}",
        )
    ours, theirs = _standard_ranks(found), _standard_ranks(good)
    table = ours.T @ theirs / len(ours)
    each = np.diagonal(table).copy()
    known = ~np.isnan(each)
    if not known.sum() >= 2:
        raise LabError(
            "expected two or more facts whose cells differ", f"got {known.sum()} of {len(each)}"
        )
    np.fill_diagonal(table, np.nan)
    mine, others = each[known], np.nanmean(table[:, known], axis=0)
    ranked = ~np.isnan(ours[0])
    found, good = found[:, ranked], good[:, ranked]
    highest = found == found.max(0)
    return Prediction(
        each,
        float(mine.mean()),
        stats.bootstrap(mine),
        float(others.mean()),
        stats.bootstrap(others),
        float((mine - others).mean()),
        stats.bootstrap(mine - others),
        float(((good * highest).sum(0) / highest.sum(0)).mean()),
        float(good.max(0).mean()),
        float(good.mean()),
    )


def _standard_ranks(table: Float[ndarray, "cell fact"]) -> Float[ndarray, "cell fact"]:
    """Ranks of the cells of each fact with mean 0 and variance 1; NaN where all are equal."""
    from scipy.stats import rankdata

    ranks = rankdata(table, axis=0)
    spread = ranks.std(0)
    spread[spread == 0] = np.nan
    return (ranks - ranks.mean(0)) / spread

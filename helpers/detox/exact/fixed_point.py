"""Where constrained fine-tuning ends, and how fast, of a model that can be any distribution.

An update makes CE(D ‖ p) + λ KL(q_t ‖ p) smallest, where D is the corpus and q_t = p_t(· | C = 1)
the nearest distribution to the model that satisfies the constraint. Both terms ask p to be like a
distribution, so the best p is their mean:

    p_{t+1} = (D + λ q_t) / (1 + λ).

With τ the share of D that violates the constraint, the model violates it with τ / (1 + λ) from the
first update on: as long as violating text stays in the cross-entropy, the method has a *floor*.
What is said within the constraint goes to D(· | C = 1), each update by the rate
ρ = λ / (1 − τ + λ), and by ρ^{1/(k+1)} if q is stale by k updates, as it is by one in the paper's
parallel scheme (arXiv 2410.05559; the analysis is ours).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from helpers.detox.exact.chains import chances_of, share_of
from helpers.errors import LabError
from helpers.inputs import Labels, at_least, check_count, yes_no


def floor(share: float, kl_weight: float) -> float:
    """τ / (1 + λ): the share of violations at which constrained fine-tuning ends.

    Args:
        share: τ, the share of the corpus that violates the constraint.
        kl_weight: λ, the weight of the KL beside a cross-entropy of weight 1.

    Raises:
        LabError: A share that is none, or a weight below 0.

    >>> [round(floor(0.5, kl_weight), 3) for kl_weight in (0, 0.5, 1, 2, 5)]
    [0.5, 0.333, 0.25, 0.167, 0.083]
    """
    at_least(0, kl_weight, "as λ, the weight of the KL")
    return share_of(share, "a share of violations") / (1 + float(kl_weight))


def rate(share: float, kl_weight: float, stale: int = 0) -> float:
    """What the distance to the limit is multiplied by in one update, in the long run.

    ρ^{1/(k+1)} with ρ = λ / (1 − τ + λ): half as fast, in updates, when q is one update old.

    Raises:
        LabError: A share of 1, which leaves nothing to go to; a weight below 0; no staleness.

    >>> round(rate(0.3, 2), 4), round(rate(0.3, 2, stale=1) ** 2, 4)
    (0.7407, 0.7407)
    """
    at_least(0, kl_weight, "as λ, the weight of the KL")
    check_count("number of updates that q is old", stale)
    tau = share_of(share, "a share of violations")
    if not tau < 1:
        raise LabError(
            "expected a corpus with some text that satisfies the constraint",
            f"got a share of violations of {share}",
            hint="the limit is the corpus without its violations; there must be something left",
        )
    return (float(kl_weight) / (1 - tau + float(kl_weight))) ** (1 / (stale + 1))


@dataclass(frozen=True, eq=False)
class Tuning:
    """A series of updates, from the model before the first one.

    Attributes:
        models: p_t, t = 0 … updates.
        violations: Share of violations of each.
        distances: Total variation between each and the limit.
        limit: Where the series ends.
        floor: Share of violations that theory says for every t ≥ 1.
        rate: Factor of the distance in one update that theory says.
    """

    models: Float[ndarray, "update word"]
    violations: Float[ndarray, " update"]
    distances: Float[ndarray, " update"]
    limit: Float[ndarray, " word"]
    floor: float
    rate: float


def tuned(
    corpus: Float[ndarray, " word"],
    model: Float[ndarray, " word"],
    violates: Labels,
    kl_weight: float,
    updates: int = 10,
    stale: int = 0,
    text_weight: float = 1.0,
) -> Tuning:
    """Updates of a model that is a distribution over whole texts, here called words.

    Args:
        corpus: D.
        model: p₀.
        violates: Which words violate the constraint.
        kl_weight: λ.
        updates: Number of updates.
        stale: k: q_t comes from the model k updates before, or from the first one.
        text_weight: Weight of the cross-entropy; 0 leaves the KL alone, which reaches q* in one
            update and stays.

    Raises:
        LabError: No distributions of one size, a weight below 0 or both 0, a corpus that always
            violates the constraint, or a model that always does: R = 0, and q is not defined.

    >>> corpus, model = [0.4, 0.3, 0.3], [0.1, 0.6, 0.3]
    >>> found = tuned(corpus, model, [False, False, True], kl_weight=2, updates=4)
    >>> found.distances.round(5).tolist(), round(found.floor, 3)
    ([0.41429, 0.28571, 0.21164, 0.15677, 0.11613], 0.1)
    """
    data, start, bad = _checked(corpus, model, violates)
    at_least(0, text_weight, "as the weight of the cross-entropy")
    at_least(0, kl_weight, "as λ, the weight of the KL")
    check_count("number of updates", updates, least=1)
    check_count("number of updates that q is old", stale)
    total = float(text_weight) + float(kl_weight)
    if not 0 < total < np.inf:
        raise LabError("expected a cross-entropy or a KL with a weight above 0", f"got {total}")
    part = float(kl_weight) / total
    models = [start]
    for update in range(updates):
        q = projected(models[max(0, update - stale)], bad)
        models.append((1 - part) * data + part * q)
    share = float(data[bad].sum())
    # without a cross-entropy there is nothing that would lead away from the first model's q
    inside = projected(data if text_weight else start, bad)
    limit = (1 - part) * data + part * inside
    rho = part / (1 - share + part * share)  # λ / (1 − τ + λ), with λ = part / (1 − part)
    series = np.array(models)
    distances = np.abs(series - limit).sum(1) / 2
    return Tuning(
        *(series, series[:, bad].sum(1), distances, limit),
        floor=(1 - part) * share,
        rate=rho ** (1 / (stale + 1)) if text_weight else 0.0,
    )


def projected(
    model: Float[ndarray, " word"], violates: Bool[ndarray, " word"]
) -> Float[ndarray, " word"]:
    """q* = p(· | C = 1): the nearest distribution that satisfies the constraint.

    Raises:
        LabError: R = 0: the model always violates it.

    >>> projected([0.5, 0.25, 0.25], [True, False, False]).tolist()
    [0.0, 0.5, 0.5]
    """
    p = chances_of(model, "chances of the model", "word")
    bad = yes_no(violates, "which words violate the constraint")
    if bad.shape != p.shape:
        raise LabError("expected a yes or no for each word", f"got {len(bad)} for {len(p)} words")
    clean = np.where(bad, 0.0, p)
    if not clean.sum() > 0:
        raise LabError(
            "expected a distribution that satisfies the constraint at times",
            "R = 0: it always violates it",
            hint="q = p(· | C = 1) would divide by 0",
        )
    return clean / clean.sum()


def _checked(corpus, model, violates) -> tuple[ndarray, ndarray, ndarray]:
    data = chances_of(corpus, "chances of the corpus", "word")
    start = chances_of(model, "chances of the model", "word")
    bad = yes_no(violates, "which words violate the constraint")
    if not data.shape == start.shape == bad.shape:
        raise LabError(
            "expected a corpus, a model and a yes or no over the same words",
            f"got {len(data)}, {len(start)} and {len(bad)}",
        )
    return data, start, bad

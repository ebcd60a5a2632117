"""How well scores of heads find a circuit: against a known list of heads, and by how much of the
behaviour the best heads bring back.

`published_circuits` and `published_results` hold the lists and numbers of the literature.
"""

from helpers.circuits.judging.curves import (
    FaithfulnessCurve,
    best_circuits,
    curve,
    evaluated,
    normalised,
    random_circuits,
    random_rankings,
)
from helpers.circuits.judging.metrics import (
    Confusion,
    OverSeeds,
    Sweep,
    Verdict,
    auprc,
    auroc,
    auroc_null,
    judge,
    membership,
    over_seeds,
    sweep,
)

__all__ = [
    "Confusion", "FaithfulnessCurve", "OverSeeds", "Sweep", "Verdict", "auprc", "auroc",
    "auroc_null", "best_circuits", "curve", "evaluated", "judge", "membership", "normalised",
    "over_seeds", "random_circuits", "random_rankings", "sweep",
]  # fmt: skip

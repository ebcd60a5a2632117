"""How far a policy had to go for the shares that it reached, and how much farther it went.

Of all distributions with the same shares of kind, rude and garbled posts, one is nearest to the
base: within each label it says its posts as the base says them. Its KL to the base needs no more
than the shares.
"""

import numpy as np

from helpers.detox.study.plan import DetoxCell
from helpers.detox.study.stored import DetoxStudy
from helpers.detox.study.summaries import BASE_CELL
from helpers.files.cells import Result
from helpers.stats import Spread, crossed_bootstrap

LABELS = ("kind", "rude", "garbled")


def least_kl(shares: Result, base: Result) -> float:
    """The least KL to a base that any model has with these shares of kind, rude and garbled posts.

    Args:
        shares: The share of each label, as a cell of the study has them.
        base: Those of the base, none of them 0.

    >>> round(least_kl({"kind": 1, "rude": 0, "garbled": 0}, {"kind": 0.5, "rude": 0.5}), 4)
    0.6931
    """
    return float(
        sum(shares[each] * np.log(shares[each] / base[each]) for each in LABELS if shares[each])
    )


def beyond_least(study: DetoxStudy, cell: DetoxCell) -> tuple[Spread | None, Spread | None]:
    """The least KL that the shares of a cell allow, and how much farther it went than that.

    Raises:
        LabError: A cell that was not measured.
    """
    base, found = study.cell(BASE_CELL), study.seeds(cell)
    least = np.array([[least_kl(each, base)] for each in found])
    nats = [each["kl_to_base"]["of policy"]["nats"] for each in found]
    if any(each is None for each in nats):
        return crossed_bootstrap(least), None
    return crossed_bootstrap(least), crossed_bootstrap(np.array([nats]).T - least)

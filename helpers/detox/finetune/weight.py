"""λ that adapts itself: more of it while a model violates the constraint more than is allowed.

After every buffer of samples, from the share of them that violates the constraint:

    proportional    λ ← λ · (1 + pace · clip(share / target − 1, −.2, .2))       Quark's code
    dual            λ ← max(0, λ + pace · (share − target))                      dual ascent

In Quark (arXiv 2205.13636) the pace is steps / horizon. Both stay where share = target. Where the
floor law holds, share = τ/(1 + λ), that is at λ = τ/target − 1. The paper of this method
(arXiv 2410.05559) tunes with and without an adaptive weight; how it adapts is not known here, these
are two ways that are.
"""

from typing import Literal, get_args

from helpers.errors import LabError
from helpers.inputs import at_least

Controller = Literal["proportional", "dual"]
PACES: dict[Controller, float] = dict(zip(get_args(Controller), (1.0, 20.0), strict=True))
"""Pace of a controller where none is given."""
CLIP = 0.2


def next_weight(
    weight: float,
    share: float,
    target: float,
    controller: Controller = "dual",
    pace: float | None = None,
) -> float:
    """λ after a buffer of samples.

    Args:
        weight: λ so far.
        share: Share of the samples that violate the constraint, rude or garbled.
        target: Share that is allowed.
        pace: How fast λ moves; by default as `PACES` has it.

    Raises:
        LabError: A weight or pace below 0, a share outside 0 to 1, a target that is not between
            them, or another controller.

    >>> next_weight(10.0, share=0.5, target=0.05, controller="proportional")
    12.0
    >>> next_weight(1.0, share=0.25, target=0.125)
    3.5
    """
    if controller not in PACES:
        raise LabError(
            f"expected a controller of the weight: {', '.join(PACES)}", f"got {controller!r}"
        )
    pace = PACES[controller] if pace is None else pace
    at_least(0, weight, "as the weight λ")
    at_least(0, pace, "as the pace of the weight")
    check_shares(share, target)
    if controller == "dual":
        return max(0.0, weight + pace * (share - target))
    apart = min(max(share / target - 1, -CLIP), CLIP)
    return weight * max(0.0, 1 + pace * apart)


def check_shares(share: float, target: float) -> None:
    """Refuse a share that is none, and a target that cannot be one.

    Raises:
        LabError: A share outside 0 to 1, or a target that is not between them.
    """
    at_least(0, share, "as the share of violations")
    at_least(0, target, "as the target of violations")
    if not (share <= 1 and 0 < target < 1):
        raise LabError(
            "expected a share of violations up to 1, and a target between 0 and 1",
            f"got {share} and {target}",
        )

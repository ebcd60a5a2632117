"""How far a masked model is from the full one: what ACDC and subnetwork probing keep small."""

from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError

Damage = Literal["kl", "task"]
"""The divergence from the full model's next-word distribution, or what the behaviour loses."""


def check_damage(damage: str) -> None:
    """Refuse an unknown damage.

    Raises:
        LabError: It is neither "kl" nor "task".
    """
    if damage not in get_args(Damage):
        raise LabError('expected the damage "kl" or "task"', f"got {damage!r}")


def damage_of(
    damage: Damage,
    twins: Twins,
    full: Float[Tensor, "prompt word"],
    masked: Float[Tensor, "prompt word"],
) -> Float[Tensor, " prompt"]:
    """Damage of each prompt: "kl" in nats, "task" in the metric's units.

    Args:
        full: Logits of the full model after the clean prompts.
        masked: Logits of the masked model after the same prompts.
    """
    if damage == "task":
        return twins.behaviour(full) - twins.behaviour(masked)
    log_p = full.log_softmax(-1)
    return (log_p.exp() * (log_p - masked.log_softmax(-1))).sum(-1)

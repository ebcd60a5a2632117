"""Where facts are edited in the study: the seven places, and two whose gradient is as long."""

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError
from helpers.knowledge.edit_study.plan import AS_LARGE, AS_LONG, EVERY
from helpers.knowledge.edit_study.worlds import EditWorld
from helpers.knowledge.editing import Requests, every_arm
from helpers.knowledge.masks import Blocks, rivals


def typical_gradient(weights: Blocks, requests: Requests) -> Float[Tensor, " weight"]:
    """Root mean square over some requests of the gradient of −log p(new answer).

    >>> from helpers import zoo
    >>> from helpers.knowledge.editing import request
    >>> from helpers.knowledge.masks import blocks
    >>> its = blocks.of(zoo.load("tinyworld", device="cpu"))
    >>> asked = request("kind", {"owl": "tree"}, "the {entity} is a kind of")
    >>> bool(typical_gradient(its, asked).norm() > 1)
    True
    """
    asked, squares = requests.asked, torch.zeros_like(weights.values)
    for row in range(len(requests)):
        one, leaf = slice(row, row + 1), weights.values.clone().requires_grad_()
        with runtime.gradients():
            said = weights.logits(leaf, asked.tokens[one], asked.last[one])
            loss = torch.nn.functional.cross_entropy(said, requests.new[one])
            squares += torch.autograd.grad(loss, leaf)[0].square()
    return (squares / len(requests)).sqrt()


def place_of(
    world: EditWorld, arm: str, circuit: Float[Tensor, " weight"], seed: int = 0
) -> Float[Tensor, " weight"]:
    """The mask of one place, beside a circuit.

    Args:
        arm: One of `helpers.knowledge.edit_study.plan.EVERY`. "as long" and "as large" are
            chosen on facts that are not edited.
        seed: Of the search for the circuit.

    Raises:
        LabError: No such place, or what `every_arm` and `rivals.as_long` refuse.
    """
    if arm not in EVERY:
        raise LabError(f"expected a place to edit: {', '.join(EVERY)}", f"got {arm!r}")
    if arm in (AS_LONG, AS_LARGE):
        chosen = rivals.as_long if arm == AS_LONG else rivals.as_large
        return chosen(typical_gradient(world.blocks, world.others), circuit)
    return every_arm(world.blocks, circuit, world.truth, seed)[arm]

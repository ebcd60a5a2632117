"""Edits as arXiv 2406.17241 makes them: how far a fixed number of steps comes, and why.

There, a network that is *pruned* to the circuit (or to its complement) gets 10 or 50 steps of SGD
with a learning rate of 5e-4; no weight may move by more than 5e-4; a fact whose loss is below 0.01
is left as it is. Embeddings, positions, the last normalisation and the unembedding may move in
every arm. What is reported is the NLL of the true answer before, and that of the new one after.

Three numbers belong beside such a curve: ln|V|, what a model has that knows nothing and says so;
the floor of the early stop, at which all arms that come there look alike; and the longest change
that the clamp allows, 5e-4 · √(number of weights that may move), which may be less than any edit
needs.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor

from helpers.errors import LabError
from helpers.knowledge.editing.arms import freed
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import RELEASED, EditSettings, edit
from helpers.knowledge.masks import blocks
from helpers.knowledge.masks.blocks import check_mask
from helpers.model import Model

WAYS = {
    "SGD, 10 steps": RELEASED,
    "SGD, 50 steps": replace(RELEASED, steps=50),
    "Adam": EditSettings("Adam", steps=25, size=5e-4, clamp=5e-4, enough=1e-2),
    "Adam, no clamp": EditSettings("Adam", steps=25, size=5e-4, enough=1e-2),
}
"""As released for two tasks, and for the others; fine-tuning as EasyEdit has it for GPT-2 XL, whose
code theirs is from; and, published by nobody, the same without the clamp. EasyEdit frees one matrix
alone, the output of the first MLP: that is a mask of its own, here any mask can be asked for."""


@dataclass(frozen=True)
class Curve:
    """NLL of the new answers, step by step.

    Attributes:
        nll: −log p(new answer) before the first step and after each; a fact that has enough stays.
        true_before: −log p(true answer) before the first step.
        gradient: Length of the gradient before the first step.
        moved: ‖Δw‖ at the end.
        floor: Loss of the early stop; NaN without one.
        uniform: ln|V|.
        allowed: The longest ‖Δw‖ that the clamp allows; infinite without one.
        stopped: Whether each fact came to the floor.
    """

    nll: Float[Tensor, "time fact"]
    true_before: Float[Tensor, " fact"]
    gradient: Float[Tensor, " fact"]
    moved: Float[Tensor, " fact"]
    floor: float
    uniform: float
    allowed: float
    stopped: Bool[Tensor, " fact"]


def curve(
    model: Model,
    requests: Requests,
    mask: Real[Tensor, " weight"] | Bool[Tensor, " weight"],
    way: str = "SGD, 10 steps",
    free: bool = True,
    pruned: bool = True,
) -> Curve:
    """Edit facts as published, or with one thing other.

    Args:
        mask: Over the weights of the blocks.
        way: One of `WAYS`.
        free: Whether what lies outside the blocks may move as well.
        pruned: Whether the edit starts from the network without what the mask leaves out.

    Raises:
        LabError: An unknown way, or what `edit` refuses.

    >>> from helpers import zoo
    >>> from helpers.knowledge.editing import request
    >>> from helpers.knowledge.masks import rivals
    >>> model = zoo.load("tinyworld", device="cpu")
    >>> mask = rivals.uniform(blocks.of(model), 0.05)
    >>> asked = request("kind", {"owl": "tree"}, "the {entity} is a kind of")
    >>> found = curve(model, asked, mask, free=False)
    >>> f"{found.allowed:.3f}", bool(found.moved[0] <= found.allowed)
    ('0.081', True)
    """
    if way not in WAYS:
        raise LabError(f"expected a published way of editing: {', '.join(WAYS)}", f"got {way!r}")
    settings, weights = WAYS[way], blocks.of(model, whole=free)
    mask = freed(weights, mask) if free else mask
    weights.tensors(mask)
    check_mask(mask)
    start = weights.values * mask.detach().to(weights.values) if pruned else weights.values
    edited = edit(weights, requests, mask, settings, start)
    asked = requests.asked
    with torch.no_grad():
        said = weights.logits(start, asked.tokens, asked.last).log_softmax(-1)
    free_weights = int((mask != 0).sum())
    return Curve(
        edited.nll,
        -said.gather(1, asked.answers[:, None])[:, 0],
        edited.gradient[0],
        edited.moved[-1],
        math.nan if settings.enough is None else settings.enough,
        math.log(said.shape[1]),
        math.inf if settings.clamp is None else settings.clamp * math.sqrt(free_weights),
        edited.reached >= 0,
    )

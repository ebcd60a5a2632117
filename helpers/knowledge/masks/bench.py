"""Speed of a masked step: by plain tensors, by `functional_call`, and as released.

The code released with arXiv 2406.17241 multiplies the model's weights by the mask in place, runs
the model forwards and backwards, and puts the weights back.
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import zoo
from helpers.knowledge.facts import FRAMES, Facts, divided, facts
from helpers.knowledge.masks import blocks, plain, rivals
from helpers.knowledge.masks.blocks import Blocks
from helpers.model import Model
from helpers.timing import Ratio, take_turns

PROMPTS = 32


def measure(entities: int = PROMPTS // 4, rounds: int = 15) -> list[Ratio]:
    """The ratios of ``bench masks``: forwards and backwards, to the gradient of every weight.

    Args:
        entities: How many entities a step asks for, each in four frames.
        rounds: Turns that the two sides of each ratio take.
    """
    model = zoo.load("tinyworld", device="cpu")
    asked = facts("kind", divided()[0][:entities], FRAMES["kind"]["search"])
    ours, theirs = plain.of(model), blocks.of(model)
    mask = rivals.uniform(theirs, 0.9)
    others: dict[str, Callable[[], Tensor]] = {
        "weights masked in place and put back, as released": partial(in_place, model, asked, mask),
        "torch.func.functional_call of the modules": partial(by_blocks, theirs, asked, mask),
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [
            _ratio(partial(by_blocks, ours, asked, mask), name, other, len(asked), rounds)
            for name, other in others.items()
        ]
    finally:
        torch.set_num_threads(threads)


def _ratio(
    ours: Callable[[], Tensor], name: str, other: Callable[[], Tensor], prompts: int, rounds: int
) -> Ratio:
    slope, theirs = ours(), other()
    apart = float((slope - theirs).abs().max() / theirs.abs().max())
    seconds, slow = take_turns(ours, other, rounds)
    return Ratio(
        name="masks: a masked step, forwards and backwards",
        ratio=slow / seconds,
        ours_seconds=seconds,
        other_seconds=slow,
        other=name,
        note=f"{prompts} prompts of kinds, {len(slope):,} weights, one core each; the gradients "
        f"differ by at most {apart:.1g} of the largest",
    )


def by_blocks(
    its: Blocks, asked: Facts, mask: Float[Tensor, " weight"]
) -> Float[Tensor, " weight"]:
    """The gradient of the answers' mean NLL by every masked weight; the model is not touched."""
    values = (its.values * mask).requires_grad_()
    said = its.logits(values, asked.tokens, asked.last)
    torch.nn.functional.cross_entropy(said, asked.answers).backward()
    assert values.grad is not None
    return values.grad


def in_place(
    model: Model, asked: Facts, mask: Float[Tensor, " weight"]
) -> Float[Tensor, " weight"]:
    """The same as the released code does it: the weights are changed, and put back."""
    state = {n: w for n, w in model.state_dict().items() if n.startswith("blocks.")}
    by_place = {weight.data_ptr(): weight for weight in model.parameters()}
    weights = [by_place[tensor.data_ptr()] for tensor in state.values()]
    kept = [weight.detach().clone() for weight in weights]
    parts = mask.split([weight.numel() for weight in weights])
    with torch.no_grad():
        for weight, part in zip(weights, parts, strict=True):
            weight.mul_(part.view_as(weight))
    try:
        said = model(asked.tokens)[torch.arange(len(asked)), asked.last]
        loss = torch.nn.functional.cross_entropy(said, asked.answers)
        slopes = torch.autograd.grad(loss, weights)
    finally:
        with torch.no_grad():
            for weight, before in zip(weights, kept, strict=True):
                weight.copy_(before)
    return torch.cat([slope.flatten() for slope in slopes])

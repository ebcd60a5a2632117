"""Edit a fact by gradient descent on some of the weights only.

For each fact alone, from the model as it is: with loss ℓ(w) = −log p(new answer) and a mask m over
the weights, a step is

===========  ==================================================================
normalised   w ← w − η · m∘g / ‖m∘g‖          every step has length η
SGD          w ← w − η · m∘g                  as released with arXiv 2406.17241
Adam         w ← w − η · m∘Adam(m∘g)          as EasyEdit's fine-tuning
===========  ==================================================================

with g = ∂ℓ/∂w. In SGD a small gradient is a small change: where few weights may move, ‖m∘g‖ is
small, and after a fixed number of steps the answer has hardly changed. That alone looks like
resistance. Normalised steps compare places at equal ‖Δw‖ instead. What the mask leaves out is the
same afterwards, bit by bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int, Real
from torch import Tensor
from torch.func import grad_and_value, vmap

from helpers import runtime
from helpers.errors import LabError
from helpers.inputs import check_count, positive_row
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.masks.blocks import Blocks, check_mask, weights_of

Optimiser = Literal["normalised", "SGD", "Adam"]
OPTIMISERS = get_args(Optimiser)
CHUNK = 16
"""Facts whose gradients are computed together."""


@dataclass(frozen=True)
class EditSettings:
    """How a fact is edited.

    Attributes:
        steps: Steps at most.
        size: η: the length of a normalised step, else the learning rate.
        clamp: Largest change of any single weight; none without it.
        enough: −log p(new answer), in nats, below which a fact is left as it is then.
    """

    optimiser: Optimiser = "normalised"
    steps: int = 40
    size: float = 0.05
    clamp: float | None = None
    enough: float | None = None


NORMALISED = EditSettings()
"""Steps of one length, without an early stop: what places are compared with."""
RELEASED = EditSettings("SGD", steps=10, size=5e-4, clamp=5e-4, enough=1e-2)
"""The settings of the code released with arXiv 2406.17241, for its first two tasks."""


@dataclass(frozen=True)
class Edited:
    """Facts after their edits, each alone.

    Attributes:
        values: All weights, for each fact.
        nll: −log p(new answer) before the first step and after every step; a fact that has enough
            keeps its value.
        gradient: Length of the gradient that the mask lets through, at the same times.
        moved: ‖Δw‖ at the same times.
        reached: Steps until `enough`; -1 where it was not reached.
        undone: Facts whose edit made NaN or infinity, and was taken back to the last finite step.
    """

    values: Float[Tensor, "fact weight"]
    nll: Float[Tensor, "time fact"]
    gradient: Float[Tensor, "time fact"]
    moved: Float[Tensor, "time fact"]
    reached: Int[Tensor, " fact"]
    undone: Bool[Tensor, " fact"]

    def only(self, numbers: Sequence[int]) -> "Edited":
        """Some of the facts, in the order of the numbers, as `Requests.only` takes them."""
        rows = torch.tensor(list(numbers), dtype=torch.long)
        return Edited(
            self.values[rows],
            self.nll[:, rows],
            self.gradient[:, rows],
            self.moved[:, rows],
            self.reached[rows],
            self.undone[rows],
        )


def edit(
    weights: Blocks,
    requests: Requests,
    mask: Real[Tensor, " weight"] | Bool[Tensor, " weight"],
    settings: EditSettings = NORMALISED,
    start: Float[Tensor, " weight"] | None = None,
    bar: bool = False,
    watch: Callable[[Tensor, Tensor], None] | None = None,
) -> Edited:
    """Change facts, each for itself.

    Args:
        weights: What may change at most: the blocks, or the whole model (`blocks.of(whole=True)`).
        mask: 1 where a weight may change.
        start: Weights to begin with, such as ``weights.values * mask`` for a model without the
            rest, as in arXiv 2406.17241; the model's own without it.
        watch: Is shown the weights [fact weight] and −log p(new answer) [fact] before the first
            step and after every one: an edit's path, which would fill the memory if it were kept.

    Raises:
        LabError: A mask or weights of another model, weights that are not finite, a mask that lets
            nothing change, or settings that do nothing.
    """
    _check(weights, mask, settings)
    mask = mask.detach().to(weights.values)
    before = weights_of(weights, start)
    values = before.expand(len(requests), -1).clone()
    tokens, last = requests.asked.tokens, requests.asked.last

    def loss(one: Tensor, ids: Tensor, at: Tensor, new: Tensor) -> Tensor:
        said = weights.run(one, ids[None])[torch.arange(1), at[None]][0].log_softmax(-1)
        return -said.gather(0, new[None])[0]

    with runtime.gradients():
        slope = vmap(grad_and_value(loss), in_dims=(0, 0, 0, 0), chunk_size=CHUNK)
        state = _Run(before, values, mask, settings)
        for _ in runtime.progress(range(settings.steps + 1), "edits", disable=not bar):
            g, nll = slope(state.values, tokens, last, requests.new)
            more = state.step(g.detach(), nll.detach())
            if watch is not None:
                watch(state.last_good, state.nll[-1])
            if not more:
                break
    return state.result()


class _Run:
    """Edits under way."""

    def __init__(
        self, before: Tensor, values: Tensor, mask: Tensor, settings: EditSettings
    ) -> None:
        self.before, self.values, self.mask, self.settings = before, values, mask, settings
        self.last_good = values.clone()
        self.active = torch.ones(len(values), dtype=torch.bool, device=values.device)
        self.undone, self.reached = ~self.active, torch.full_like(self.active, -1, dtype=torch.long)
        self.first, self.second = (
            values.new_zeros(2, *values.shape) if self._adam else (values, values)
        )
        self.nll: list[Tensor] = []
        self.gradient: list[Tensor] = []
        self.moved: list[Tensor] = []

    @property
    def _adam(self) -> bool:
        return self.settings.optimiser == "Adam"

    def step(self, g: Tensor, nll: Tensor) -> bool:
        """Note where things stand, and go on from there; False where nothing is left to do."""
        g = g * self.mask
        length = g.norm(dim=1)
        broken = ~(nll.isfinite() & length.isfinite())
        self.undone |= broken & self.active
        self.active &= ~broken
        self.values = torch.where(broken[:, None], self.last_good, self.values)
        self.last_good = self.values
        if self.nll:  # a fact that stopped keeps what it had
            stopped = ~self.active
            nll = torch.where(stopped, self.nll[-1], nll)
            length = torch.where(stopped, self.gradient[-1], length)
        self.nll.append(nll)
        self.gradient.append(length)
        self.moved.append((self.values - self.before).norm(dim=1))
        if self.settings.enough is not None:
            done = self.active & (nll < self.settings.enough)
            self.reached[done] = len(self.nll) - 1
            self.active &= ~done
        if len(self.nll) > self.settings.steps or not self.active.any():
            return False
        self._move(torch.where(self.active[:, None], g, 0.0), length)
        return True

    def _move(self, g: Tensor, length: Tensor) -> None:
        size, number = self.settings.size, len(self.nll)
        if self.settings.optimiser == "normalised":
            change = g / length.clamp_min(torch.finfo(g.dtype).tiny)[:, None]
        elif self._adam:
            self.first = 0.9 * self.first + 0.1 * g
            self.second = 0.999 * self.second + 0.001 * g**2
            change = self.first / (1 - 0.9**number)
            change = change / ((self.second / (1 - 0.999**number)).sqrt() + 1e-8)
        else:
            change = g
        change = torch.where(self.active[:, None], change, 0.0)
        self.values = self.values - size * change
        if self.settings.clamp is not None:
            low, high = self.before - self.settings.clamp, self.before + self.settings.clamp
            self.values = torch.minimum(torch.maximum(self.values, low), high)

    def result(self) -> Edited:
        return Edited(
            self.values,
            torch.stack(self.nll),
            torch.stack(self.gradient),
            torch.stack(self.moved),
            self.reached,
            self.undone,
        )


def _check(weights: Blocks, mask: Tensor, settings: EditSettings) -> None:
    weights.tensors(mask)
    check_mask(mask)
    if not mask.any():
        raise LabError("expected a mask that lets some weight change", "got 0 throughout")
    if settings.optimiser not in OPTIMISERS:
        raise LabError(
            f"expected a way of stepping: {', '.join(OPTIMISERS)}", f"got {settings.optimiser!r}"
        )
    sizes = settings.size, 1.0 if settings.clamp is None else settings.clamp
    check_count("number of steps", settings.steps, least=1)
    positive_row(sizes, "sizes of steps and clamps")

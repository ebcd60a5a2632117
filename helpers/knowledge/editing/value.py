"""What an MLP would have to write for a new answer to be said: the value v* of an edit.

It is found by Adam on what is written there, with all weights as they are (ROME, arXiv 2202.05262):

    mean over contexts of −log p(new answer)  +  κ · KL(before ‖ after)  →  min over v*

with the divergence on prompts whose predictions shall stay, where there are any, and
‖v* − v‖ ≤ bound · ‖v‖. The published decay of v* − v is left out: a value is left as it is once the
answer is likely enough. Every fact is searched for itself, all of them at the same time.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError
from helpers.inputs import at_least, check_count, positive_row, token_ids
from helpers.knowledge.editing.memory import Contexts, OutputMatrix, keys, recorded
from helpers.knowledge.masks.blocks import Blocks, weights_of


@dataclass(frozen=True)
class ValueSettings:
    """How the value of a fact is searched for.

    Attributes:
        steps: Steps of Adam at most.
        size: Its learning rate.
        bound: Largest ‖v* − v‖ as a multiple of ‖v‖, what is written before; 4 as published.
        enough: −log p(new answer), in nats, below which a value is left as it is then.
        kl: κ, the weight of the divergence; 0.0625 as published.
    """

    steps: int = 40
    size: float = 0.2
    bound: float = 4.0
    enough: float = 0.05
    kl: float = 0.0625


DEFAULT = ValueSettings()


@dataclass(frozen=True)
class Wanted:
    """What an MLP shall write.

    Attributes:
        key: k* of each fact.
        before, value: What the MLP writes for it, on a mean over contexts; and v*.
        nll: −log p(new answer) with v* written, a mean over contexts.
        undone: Facts whose search made NaN or infinity, and was taken back to the last finite step.
    """

    key: Float[Tensor, "fact d_mlp"]
    before: Float[Tensor, "fact d_model"]
    value: Float[Tensor, "fact d_model"]
    nll: Float[Tensor, " fact"]
    undone: Bool[Tensor, " fact"]

    @property
    def change(self) -> Float[Tensor, "fact d_model"]:
        """What is to be added to what the MLP writes."""
        return self.value - self.before


def wanted(
    matrix: OutputMatrix,
    new: Int[Tensor, " fact"],
    given: Contexts,
    settings: ValueSettings = DEFAULT,
    start: Float[Tensor, " weight"] | None = None,
    stay: Contexts | None = None,
) -> Wanted:
    """Search what the MLP shall write so that the new answers are said.

    Args:
        new: Token of each new answer.
        given: Prompts that ask for each fact, and the place.
        start: The weights to begin with; the model's own without them.
        stay: Prompts about the same subjects whose predictions shall stay; v* − v is added there at
            their own place.

    Raises:
        LabError: Settings that search nothing, or contexts of another number of facts.
    """
    new = token_ids(torch.as_tensor(new).reshape(-1, 1), matrix.weights.model)[:, 0]
    _check(new, given, settings, stay)
    values = weights_of(matrix.weights, start)
    _, written = recorded(matrix.weights, values, matrix.layer, given.tokens)
    before = given.mean(written[torch.arange(len(given.at)), given.at])
    search = _ValueSearch(matrix, values, new, given, settings, stay, before)
    for _ in range(settings.steps):
        search.look()
        if not search.active.any():
            break
        search.move()
    else:
        search.look()
    found = before + search.good
    return Wanted(keys(matrix, values, given), before, found, search.nll, search.undone)


class _ValueSearch:
    """A search under way: what is added to what the MLP writes, for each fact."""

    def __init__(
        self,
        matrix: OutputMatrix,
        values: Tensor,
        new: Tensor,
        given: Contexts,
        settings: ValueSettings,
        stay: Contexts | None,
        before: Tensor,
    ) -> None:
        self.matrix, self.values, self.new = matrix, values, new
        self.given, self.settings, self.stay = given, settings, stay
        self.most = settings.bound * before.norm(dim=1)
        self.good = torch.zeros_like(before)
        self.old = None if stay is None else self._said(stay, self.good).detach()
        self.delta = self.good.clone().requires_grad_()
        self.optimiser = torch.optim.Adam([self.delta], lr=settings.size)
        self.active = torch.ones(len(new), dtype=torch.bool)
        self.undone = ~self.active
        self.nll = before.new_full((len(new),), torch.nan)

    def look(self) -> None:
        """Note loss and gradient where things stand; facts that have enough, or NaN, stop."""
        with runtime.gradients():
            said = self._said(self.given, self.delta)
            nll = self.given.mean(-said.gather(1, self.new[self.given.fact, None])[:, 0])
            loss = nll
            if self.stay is not None and self.old is not None:
                after = self._said(self.stay, self.delta)
                apart = (self.old.exp() * (self.old - after)).sum(-1)
                loss = nll + self.settings.kl * self.stay.mean(apart)
            (slope,) = torch.autograd.grad(loss.sum(), self.delta)
        fine = (loss.isfinite() & slope.isfinite().all(1)).detach()
        self.undone |= self.active & ~fine
        self.active &= fine
        self.good[self.active] = self.delta.detach()[self.active]
        self.nll[self.active] = nll.detach()[self.active]
        self.active &= ~(self.nll < self.settings.enough)
        self.delta.grad = torch.where(self.active[:, None], slope, 0.0)

    @torch.no_grad()
    def move(self) -> None:
        """One step, not beyond the bound; what has stopped stays where it was good."""
        self.optimiser.step()
        tiny = torch.finfo(self.delta.dtype).tiny
        share = (self.most / self.delta.norm(dim=1).clamp_min(tiny)).clamp_max(1.0)
        bounded = self.delta * share[:, None]
        self.delta.copy_(torch.where(self.active[:, None], bounded, self.good))

    def _said(self, given: Contexts, delta: Tensor) -> Float[Tensor, "row word"]:
        """Log-probabilities after each context, with delta added to what the MLP writes."""
        weights, rows = self.matrix.weights, torch.arange(len(given.at))

        def add(written: Tensor, hook: Any) -> Tensor:
            return written.index_put((rows, given.at), delta[given.fact], accumulate=True)

        with weights.model.hooks(fwd_hooks=[(f"blocks.{self.matrix.layer}.hook_mlp_out", add)]):
            tokens = token_ids(given.tokens, weights.model)
            logits = Blocks.run(weights, self.values, tokens)  # as in `memory.recorded`
        return logits[rows, given.last].log_softmax(-1)


def _check(new: Tensor, given: Contexts, settings: ValueSettings, stay: Contexts | None) -> None:
    if new.shape != (given.count,) or (stay is not None and stay.count != given.count):
        raise LabError(
            f"expected contexts of each of the {len(new)} facts",
            f"got them of {given.count}" + ("" if stay is None else f" and {stay.count}"),
        )
    check_count("number of steps", settings.steps, least=1)
    positive_row([settings.size, settings.bound], "sizes of steps and bounds")
    at_least(0, settings.enough, "nats that are enough")
    at_least(0, settings.kl, "as the weight of the prompts that stay")

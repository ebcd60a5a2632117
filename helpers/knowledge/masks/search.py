"""Learn a mask that leaves as few weights as asked for and changes what a model says as little.

What is minimised over the scores s of all weights is

    L(m(s) · w)   with   L = mean over prompts of KL(full model ‖ masked model)

at the position where the answer is predicted, or any other `Objective`. The density is led from 1
to each of the wanted ones in turn, in one run: it falls geometrically, then stays for a while, and
the mask is taken at the end of each stay. So the masks of one run are steps of one search, and not
independent of each other; other seeds are.

The top-k mask has its density by construction. The hard concrete one gets it from a Lagrangian
(Edge Pruning, arXiv 2406.16778): λ₁ (d − t) + λ₂ (d − t)² is added, where d is the expected density
and t the wanted one, and the two multipliers *ascend*.

The binary concrete one has the penalty of the code released with arXiv 2406.17241 instead: λ · mean
σ(s) is added, with λ = 10 at first and 1 more after every pass over the prompts, up to 1 000, and
weight decay pulls the scores to 0, that is, to a density of one half. A mask is taken when the
drawn density first falls to a wanted one; what is not reached within the steps has no mask. The
released code asks for the density once a pass only, learns from the full model's likeliest class,
and has ε = 10⁻⁸ in Adam, which is more than the penalty's gradient for a model of GPT-2's size.

Every mask that is returned has its density exactly, by the highest scores.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError
from helpers.inputs import check_count, positive_row
from helpers.knowledge.masks import estimators
from helpers.knowledge.masks.blocks import Blocks
from helpers.knowledge.masks.estimators import Estimator

DENSITIES = (0.5, 0.35, 0.25, 0.15, 0.05)
"""The densities of arXiv 2406.17241."""
FALL = 0.6
"""Share of the steps to each density in which it falls; in the rest it stays."""
RELEASED_DECAY = 0.01
"""Weight decay of the released code, AdamW's default."""
START = {"top-k": 0.0, "hard concrete": 2.7, "binary concrete": 2.7}
"""Mean of the scores at the start: 2.7 keeps a weight with probability 0.94."""


class Objective(Protocol):
    """What a masked model is asked to keep, on some prompts."""

    def __len__(self) -> int:
        """Number of prompts."""
        ...

    def loss(self, values: Tensor, rows: Tensor) -> Float[Tensor, ""]:
        """How far the model with these weights in its blocks is from what is wanted."""
        ...


@dataclass(frozen=True)
class Predictions:
    """The objective of keeping what the full model says: KL(full ‖ masked), in nats.

    Attributes:
        tokens, last: Prompts and the position of each one's last token.
        full: Log-probabilities of the full model after each prompt.
    """

    blocks: Blocks
    tokens: Int[Tensor, "prompt pos"]
    last: Int[Tensor, " prompt"]
    full: Float[Tensor, "prompt word"]

    def __len__(self) -> int:
        return len(self.tokens)

    def loss(self, values: Tensor, rows: Tensor) -> Float[Tensor, ""]:
        """Mean divergence on some of the prompts."""
        masked = self.blocks.logits(values, self.tokens[rows], self.last[rows]).log_softmax(-1)
        full = self.full[rows]
        return (full.exp() * (full - masked)).sum(-1).mean()


def predictions(
    blocks: Blocks, tokens: Int[Tensor, "prompt pos"], last: Int[Tensor, " prompt"]
) -> Predictions:
    """The objective of keeping what the full model says on some prompts."""
    with torch.no_grad():
        full = blocks.logits(blocks.values, tokens, last).log_softmax(-1)
    return Predictions(blocks, tokens, last, full)


@dataclass(frozen=True)
class Targets:
    """The objective of saying certain words, true or not: their mean NLL, in nats.

    Attributes:
        answers: What is to be said after each prompt.
    """

    blocks: Blocks
    tokens: Int[Tensor, "prompt pos"]
    last: Int[Tensor, " prompt"]
    answers: Int[Tensor, " prompt"]

    def __len__(self) -> int:
        return len(self.tokens)

    def loss(self, values: Tensor, rows: Tensor) -> Float[Tensor, ""]:
        """Mean NLL on some of the prompts."""
        said = self.blocks.logits(values, self.tokens[rows], self.last[rows])
        return torch.nn.functional.cross_entropy(said, self.answers[rows])


@dataclass(frozen=True)
class SearchSettings:
    """How a mask is learned.

    Attributes:
        densities: Shares of weights to keep, each smaller than the one before.
        steps: Steps to each density.
        learning_rate: Of Adam on the scores.
        epsilon: Adam's. It says below which gradient a score is moved less than by a full step.
        batch: Prompts a step.
        multiplier: How much faster the multipliers of the Lagrangian move than the scores.
    """

    estimator: Estimator = "top-k"
    densities: tuple[float, ...] = DENSITIES
    steps: int = 92
    learning_rate: float = 0.01
    epsilon: float = 1e-12
    batch: int = 32
    multiplier: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Learned:
    """The masks of one search.

    Attributes:
        settings: How they were learned.
        masks: For each density, what is kept. The released way may not reach all of them.
        scores: For each density, the scores of all weights then.
        losses, densities: Objective and density of the mask at every step.
    """

    settings: SearchSettings
    masks: dict[float, Float[Tensor, " weight"]]
    scores: dict[float, Float[Tensor, " weight"]]
    losses: Float[Tensor, " step"]
    densities: Float[Tensor, " step"]


def schedule(densities: Sequence[float], steps: int) -> list[float]:
    """The density of every step: falling geometrically to each wanted one, then staying there.

    Raises:
        LabError: Densities that do not fall, or are not between 0 and 1.

    >>> [round(density, 2) for density in schedule([0.25], 5)]
    [0.63, 0.4, 0.25, 0.25, 0.25]
    """
    wanted = [1.0, *densities]
    falls = all(after < before for before, after in itertools.pairwise(wanted))
    if len(wanted) < 2 or not falls or not wanted[-1] > 0:
        raise LabError(
            "expected densities between 0 and 1, each smaller than the one before",
            f"got {list(densities)}",
        )
    falling, path = max(1, round(FALL * steps)), []
    for before, after in itertools.pairwise(wanted):
        for step in range(steps):
            share = min(1.0, (step + 1) / falling)
            path.append(before ** (1 - share) * after**share)
    return path


def learn(
    blocks: Blocks, objective: Objective, settings: SearchSettings, bar: bool = False
) -> Learned:
    """Learn masks of all densities in one run.

    Raises:
        LabError: Densities that do not fall, an unknown estimator, numbers of steps or prompts
            below 1, or a loss that is not finite.
    """
    search = MaskSearch(blocks, objective, settings)
    for step in runtime.progress(range(len(search.path)), "mask", disable=not bar):
        search.step(step)
        if len(search.masks) == len(settings.densities):
            break
    losses, densities = torch.tensor(search.losses), torch.tensor(search.densities)
    return Learned(settings, search.masks, search.scores_then, losses, densities)


def _check(n_weights: int, settings: SearchSettings) -> None:
    if settings.estimator not in START:
        raise LabError(
            f"expected an estimator of masks: {', '.join(START)}", f"got {settings.estimator!r}"
        )
    check_count("number of steps", settings.steps, least=1)
    check_count("number of prompts", settings.batch, least=1)
    positive_row([settings.learning_rate], "learning rates")
    for density in settings.densities:
        estimators.count(n_weights, density)


class MaskSearch:
    """A search under way: `learn` step by step, for who wants to stop in between."""

    def __init__(self, blocks: Blocks, objective: Objective, settings: SearchSettings) -> None:
        _check(len(blocks), settings)
        self.blocks, self.objective, self.settings = blocks, objective, settings
        self.path = schedule(settings.densities, settings.steps)
        self.generator = torch.Generator().manual_seed(settings.seed)
        noise = 0.01 * torch.randn(len(blocks), generator=self.generator)
        scores = (noise + START[settings.estimator]).to(blocks.values.device)
        self.scores = scores.requires_grad_()
        self.lagrangian = torch.zeros(2, requires_grad=True)
        self.released = settings.estimator == "binary concrete"
        rate = settings.learning_rate
        self.descent = torch.optim.AdamW(
            [self.scores],
            lr=rate,
            eps=settings.epsilon,
            weight_decay=RELEASED_DECAY if self.released else 0.0,
        )
        self.ascent = torch.optim.Adam(
            [self.lagrangian], lr=settings.multiplier * rate, maximize=True
        )
        self.masks: dict[float, Tensor] = {}
        self.scores_then: dict[float, Tensor] = {}
        self.losses: list[float] = []
        self.densities: list[float] = []

    def step(self, step: int) -> None:
        """One step, and a mask where one is due."""
        rows = torch.randperm(len(self.objective), generator=self.generator)
        with runtime.gradients():
            mask, density = self._mask(step)
            loss = self.objective.loss(self.blocks.values * mask, rows[: self.settings.batch])
            self.descent.zero_grad()
            self.ascent.zero_grad()
            (loss + self._penalty(density, step)).backward()
        if not torch.isfinite(loss):
            raise LabError(
                "expected a finite loss of the masked model",
                f"got {float(loss.detach())} at step {step}",
                hint="a smaller learning rate, or a higher density, keeps the model alive",
            )
        self.descent.step()
        if self.settings.estimator == "hard concrete":
            self.ascent.step()
        self.losses.append(float(loss.detach()))
        drawn = float(mask.detach().mean()) if self.released else float(density.detach())
        self.densities.append(drawn)
        for wanted in self._due(step, drawn):
            self.scores_then[wanted] = self.scores.detach().clone()
            self.masks[wanted] = estimators.keep(self.scores.detach(), wanted)

    def _mask(self, step: int) -> tuple[Float[Tensor, " weight"], Float[Tensor, ""]]:
        """A mask with a gradient, and its density (expected, where it is random)."""
        if self.settings.estimator == "top-k":
            mask = estimators.top_k(self.scores, self.path[step])
            return mask, mask.detach().mean()
        if self.settings.estimator == "hard concrete":
            mask = estimators.hard_concrete(self.scores, self.generator)
            return mask, estimators.hard_concrete_density(self.scores)
        mask = estimators.binary_concrete(self.scores, self.generator)
        return mask, self.scores.sigmoid().mean()

    def _penalty(self, density: Tensor, step: int) -> Tensor:
        if self.released:
            drawn = min(self.settings.batch, len(self.objective))
            passes = step * drawn // len(self.objective)
            return min(10.0 + passes, 1000.0) * density
        apart = density - self.path[step]
        return self.lagrangian[0] * apart + self.lagrangian[1] * apart**2

    def _due(self, step: int, density: float) -> list[float]:
        """The densities whose masks are taken now."""
        wanted = self.settings.densities
        if self.released:
            return [d for d in wanted if density <= d and d not in self.masks]
        full = (step + 1) % self.settings.steps == 0
        return [wanted[step // self.settings.steps]] if full else []

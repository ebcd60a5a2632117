"""A training run in progress: its model, its optimiser and how far it has come."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from helpers.model import Model
from helpers.training.recipe import Recipe


@dataclass(frozen=True)
class Frozen:
    """A parameter of which some entries, those of the mask, keep their value."""

    parameter: torch.nn.Parameter
    mask: Bool[Tensor, "..."]
    value: Tensor


@dataclass
class Run:
    """A training run in progress.

    Attributes:
        frozen: The parameters of which training leaves a part alone.
        losses: Training loss before each step so far, in nats.
        seconds: Time spent in training, over all sessions.
        resumed_at: Step at which this session began.
    """

    recipe: Recipe
    model: Model
    optimizer: torch.optim.AdamW
    frozen: list[Frozen] = field(default_factory=list)
    step: int = 0
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    resumed_at: int = 0

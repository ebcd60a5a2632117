"""A recipe: everything that determines a training run, and its learning rate.

Learning rate at step t of T with warm-up W and peak eta (linear, then cosine):

    eta_t = eta * (t + 1) / W                                            for t < W
    eta_t = eta * (1 + cos(pi * (t - W) / (T - W))) / 2                  otherwise
"""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a training run.

    Attributes:
        name: The model's name in the zoo.
        task: Which task makes the batches and the loss, e.g. "arithmetic".
        model: Fields of a `TransformerBridgeConfig` (n_layers, d_model, …).
        data: The task's own settings.
        n_checkpoints: How many log-spaced snapshots to keep, step 0 and the last step included; 0
            keeps none.
    """

    name: str
    task: str
    model: dict[str, Any]
    data: dict[str, Any]
    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    gradient_clip: float = 1.0
    seed: int = 0
    n_checkpoints: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Recipe":
        """The recipe whose `to_json` was parsed into `fields`.

        Raises:
            TypeError, KeyError: A field is missing or unknown.
        """
        return cls(**{**fields, "betas": tuple(fields["betas"])})

    @property
    def fingerprint(self) -> str:
        """Sixteen hex digits that change when anything in the recipe changes."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def rate(self, step: int) -> float:
        """Learning rate at a step (equation in the module docstring)."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        share = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * (1 + math.cos(math.pi * share)) / 2

    @property
    def checkpoint_steps(self) -> list[int]:
        """Log-spaced steps at which a snapshot is kept: 0, 1, …, steps."""
        if self.n_checkpoints < 1:
            return []
        spaced = np.geomspace(1, self.steps, max(self.n_checkpoints - 1, 1)).round().astype(int)
        return sorted({0, *spaced.tolist(), self.steps})

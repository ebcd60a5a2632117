"""What is known for every subset of a model's heads: prompt by prompt, or a summary of it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from helpers import stats
from helpers.circuits.judging.curves import normalised
from helpers.errors import LabError
from helpers.interventions import Ablation, Head


class SubsetTable:
    """What is known for every subset of heads.

    The number of a subset has bit i set where head i is kept.

    Attributes:
        heads: The heads, layer by layer.
        task: What was asked.
        metric: How the behaviour was measured.
        ablation: What replaced the heads that were not kept.
        mean: The mean behaviour over the prompts, for each subset.
        error: The standard error of each subset's faithfulness over the prompts.
    """

    heads: tuple[Head, ...]
    task: str
    metric: str
    ablation: Ablation
    mean: Float[Tensor, " subset"]
    error: Float[Tensor, " subset"]

    def subset(self, kept: Iterable[Head]) -> int:
        """The number of a subset.

        Raises:
            LabError: A head that the model does not have.
        """
        chosen = set(kept)
        if unknown := chosen - set(self.heads):
            raise LabError(
                f"expected heads among the {len(self.heads)} of the oracle",
                f"got {sorted(unknown)}",
            )
        return sum(1 << index for index, head in enumerate(self.heads) if head in chosen)

    def kept(self, subset: int) -> list[Head]:
        """The heads of a subset, by its number."""
        return [head for index, head in enumerate(self.heads) if subset >> index & 1]

    @property
    def full(self) -> float:
        """Mean behaviour of the whole model."""
        return float(self.mean[-1])

    @property
    def none(self) -> float:
        """Mean behaviour with every head replaced."""
        return float(self.mean[0])

    @property
    def faithfulness(self) -> Float[Tensor, " subset"]:
        """F of every subset: means over prompts first, then one ratio."""
        return torch.from_numpy(normalised(self.mean))

    def _check(self, values: Tensor) -> None:
        if len(values) != 1 << len(self.heads):
            raise LabError(
                f"expected {1 << len(self.heads)} subsets of {len(self.heads)} heads",
                f"got {len(values)}",
            )
        if not torch.isfinite(values).all():
            bad = values.flatten(1) if values.ndim > 1 else values[:, None]
            count = int((~torch.isfinite(bad)).any(1).sum())
            raise LabError(
                "expected finite behaviour of the model for every subset of heads",
                f"{count} of {len(values)} have NaN or infinite values",
                hint="check the model's weights; a metric of probabilities may overflow where "
                "logits are huge",
            )
        if not abs(self.full - self.none) > 1e-6 * max(1.0, abs(self.full)):
            raise LabError(
                "expected the model to behave differently with and without its heads",
                f"the mean behaviour is {self.full:.6g} with all and {self.none:.6g} with none, "
                "so faithfulness is undefined",
                hint="choose a task that the model can do, and twins that are not copies",
            )


@dataclass(frozen=True)
class Oracle(SubsetTable):
    """The behaviour for every subset of heads, prompt by prompt.

    Attributes:
        behaviour: The metric of each prompt, for each subset.

    Raises:
        LabError: Values of another number of subsets, NaN or infinite ones, or the same mean with
            all heads and with none.
    """

    heads: tuple[Head, ...]
    task: str
    metric: str
    ablation: Ablation
    behaviour: Float[Tensor, "subset prompt"]

    def __post_init__(self) -> None:
        self._check(self.behaviour)

    @property
    def mean(self) -> Float[Tensor, " subset"]:
        """Mean behaviour over the prompts."""
        return self.behaviour.double().mean(1)

    @property
    def error(self) -> Float[Tensor, " subset"]:
        """Standard error of each subset's faithfulness over prompts (delta method for a ratio)."""
        behaviour, n_prompts = self.behaviour.double(), self.behaviour.shape[1]
        none, full = behaviour[0], behaviour[-1]
        rest = behaviour - none - self.faithfulness[:, None] * (full - none)
        return rest.std(1) / n_prompts**0.5 / abs(self.full - self.none)

    def interval(
        self, subset: int, level: float = 0.95, resamples: int = 2000, seed: int = 0
    ) -> tuple[float, float]:
        """Bootstrap interval of a subset's faithfulness.

        Whole prompts are drawn, for all three means at once.

        Raises:
            LabError: Fewer than two prompts.
        """
        rows = self.behaviour[[subset, 0, -1]].double().numpy()

        def ratio(drawn: np.ndarray) -> float:
            kept, none, full = rows[:, drawn.astype(int)].mean(1)
            return float((kept - none) / (full - none))

        if subset in (0, len(self.behaviour) - 1):  # 0 and 1 by definition
            return float(subset > 0), float(subset > 0)
        return stats.bootstrap(np.arange(rows.shape[1]), ratio, level, resamples, seed)


@dataclass(frozen=True)
class OracleSummary(SubsetTable):
    """What is stored of an oracle: means over the prompts, and their errors.

    Raises:
        LabError: As for `Oracle`.
    """

    heads: tuple[Head, ...]
    task: str
    metric: str
    ablation: Ablation
    mean: Float[Tensor, " subset"]
    error: Float[Tensor, " subset"]

    def __post_init__(self) -> None:
        self._check(self.mean)
        if self.error.shape != self.mean.shape or not self.error.isfinite().all():
            raise LabError(
                "expected a finite error of every mean",
                f"got {list(self.error.shape)} errors of {len(self.mean)} means, or NaN",
            )

    def interval(self, subset: int) -> tuple[float, float]:
        """95 % interval of a subset's faithfulness over prompts, normal with its error."""
        value, half = float(self.faithfulness[subset]), 1.96 * float(self.error[subset])
        return value - half, value + half

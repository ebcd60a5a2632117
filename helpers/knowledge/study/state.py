"""The folder in which cells of the study are kept until all of them are there.

A cell is written when it is whole, and begins from its seed alone. So the study can be killed at
any moment; given again, it measures the cells that are not there, with the same result to the bit.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from helpers import zoo
from helpers.knowledge.masks import packed
from helpers.knowledge.study import cellfiles
from helpers.knowledge.study.controls import MODEL
from helpers.knowledge.study.measuring import Measured, Result, mean_accuracy, measure
from helpers.knowledge.study.plan import GRIDS, Cell, MaskPlan


def made_with(plan: MaskPlan) -> dict[str, Any]:
    """What all cells of one study have in common."""
    settings = {"steps": plan.steps, "densities": list(plan.densities)}
    return {"model": MODEL, "sha256": zoo.entry(MODEL).sha256, **settings}


def write(cell: Cell, measured: Measured, plan: MaskPlan, folder: Path) -> None:
    """Keep a cell; a kill leaves no half of it."""
    cellfiles.keep(cell, measured, made_with(plan), folder)


def read(cell: Cell, plan: MaskPlan, folder: Path) -> Result:
    """The numbers of a cell that is there.

    Raises:
        LabError: It is not, is damaged, or was made with other weights or settings.
    """
    return cellfiles.opened(cell, made_with(plan), folder)[0]


def masks(
    cell: Cell, plan: MaskPlan, folder: Path, n_weights: int
) -> dict[float, Float[Tensor, " weight"]]:
    """The masks of a cell that is there.

    Raises:
        LabError: As `read`; or masks of another number of weights.
    """
    stored = cellfiles.opened(cell, made_with(plan), folder)[1]
    return {float(name): packed.unpack(bits, n_weights) for name, bits in stored.items()}


def best(estimator: str, plan: MaskPlan, folder: Path) -> int:
    """The number of the best settings of an estimator, of those that were tried.

    Raises:
        LabError: Some of them are not there.
    """
    tried = [Cell("tuning", estimator, number) for number in range(len(GRIDS[estimator]))]
    means = [mean_accuracy(read(cell, plan, folder), plan) for cell in tried]
    return max(range(len(means)), key=means.__getitem__)


def missing(asked: Iterable[Cell], folder: Path) -> list[Cell]:
    """The cells that are not there."""
    return cellfiles.absent(asked, folder)


def measure_all(
    asked: Iterable[Cell], plan: MaskPlan, folder: Path, say: Callable[[str], None]
) -> None:
    """Measure the cells that are not there, each kept as soon as it is whole.

    Args:
        say: Is told the key and the seconds of what was measured.

    Raises:
        LabError: A folder that cannot be written; a cell that is there and cannot be used.
    """

    def work(cell: Cell) -> Measured:
        return measure(cell, plan, lambda estimator: best(estimator, plan, folder))

    cellfiles.measure_absent(asked, folder, made_with(plan), work, say)

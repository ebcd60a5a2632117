"""The folder in which cells of the study are kept until all of them are there.

A cell is one file: its numbers as JSON in the header, its masks with one bit a weight. It is
written when it is whole, and begins from its seed alone. So the study can be killed at any moment;
given again, it measures the cells that are not there, with the same result to the bit.

A cell says what it was made with: its key, the weights, all settings of the search, a checksum of
the prompts. One of anything else is refused, and so is a damaged one, by a checksum of all that it
holds.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from helpers import zoo
from helpers.files.cells import Result, absent, opened
from helpers.knowledge.study import cellfiles
from helpers.knowledge.study.controls import CONTROLS, MODEL, wanted
from helpers.knowledge.study.measuring import Measured, mean_accuracy, measure
from helpers.knowledge.study.plan import GRIDS, TUNED_ON, Cell, MaskPlan
from helpers.knowledge.study.tasks import PARTS, of_part


def made_with(cell: Cell, plan: MaskPlan) -> dict[str, Any]:
    """All that a cell follows from, beside the code, as JSON has it."""
    entry, settings = zoo.entry(MODEL), [asdict(each) for each in plan.settings_of(cell)]
    of = TUNED_ON if cell.kind in ("tuning", "estimator") else cell.of
    made = {
        "cell": str(cell),
        "model": MODEL,
        "sha256": entry.sha256,
        "series": entry.series["sha256"],
        "prompts": _prompts(of, cell.number or 0 if of in CONTROLS else 0),
        **(settings[0] if len(settings) == 1 else {"tried": settings}),
    }
    return json.loads(json.dumps(made))


@cache
def _prompts(of: str, seed: int) -> str:
    """Checksum of what a task or a control asks, and of the answers that it wants."""
    parts = wanted(of, seed) if of in CONTROLS else {part: of_part(of, part) for part in PARTS}
    told = [
        [name, part.subjects, *(each.tolist() for each in (part.tokens, part.last, part.answers))]
        for name, part in parts.items()
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def write(cell: Cell, measured: Measured, plan: MaskPlan, folder: Path) -> None:
    """Keep a cell; a kill leaves no half of it."""
    cellfiles.keep(cell, measured, made_with(cell, plan), folder)


def read(cell: Cell, plan: MaskPlan, folder: Path) -> Result:
    """The numbers of a cell that is there.

    Raises:
        LabError: It is not, is damaged, is another cell, or was made with other weights, settings
            or prompts.
    """
    return opened(cell, made_with(cell, plan), folder).result


def masks(
    cell: Cell, plan: MaskPlan, folder: Path, n_weights: int
) -> dict[float, Float[Tensor, " weight"]]:
    """The masks of a cell that is there.

    Raises:
        LabError: As `read`; or masks of another number of weights.
    """
    return cellfiles.masks(cell, made_with(cell, plan), folder, n_weights)


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
    return absent(asked, folder)


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

    cellfiles.measure_absent(asked, folder, lambda cell: made_with(cell, plan), work, say)

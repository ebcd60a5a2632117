"""The folder in which cells of the study of edits are kept until all of them are there.

As in the study of masks: a cell is written when it is whole and begins from its seed alone, so the
study can be killed at any moment and given again, with the same result to the bit. A cell that
edits in a circuit measures the cell of its masks first, where that is not there.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from helpers import zoo
from helpers.files.cells import Result, absent, opened
from helpers.knowledge.edit_study.measuring import Masks, measure_cell
from helpers.knowledge.edit_study.plan import EditCell, EditPlan, mask_cell
from helpers.knowledge.masks import plain
from helpers.knowledge.study import Measured, cellfiles


def made_with(cell: EditCell, plan: EditPlan) -> dict[str, Any]:
    """All that a cell follows from, beside the code, as JSON has it."""
    kept = {
        name: value for name, value in plan.as_json().items() if name not in ("seeds", "orders")
    }
    return {"cell": str(cell), "sha256": zoo.entry(cell.model).sha256, **kept}


def read(cell: EditCell, plan: EditPlan, folder: Path) -> Result:
    """The numbers of a cell that is there.

    Raises:
        LabError: It is not, is damaged, or was made with other weights or settings.
    """
    return opened(cell, made_with(cell, plan), folder).result


def masks_for(cell: EditCell, plan: EditPlan, folder: Path) -> Masks:
    """The masks that a cell edits in, learned where they are not there.

    Raises:
        LabError: As `read`.
    """
    needed = mask_cell(cell)
    made = made_with(needed, plan)
    if absent([needed], folder):
        measured = measure_cell(needed, plan, folder, lambda _: {})
        cellfiles.keep(needed, measured, made, folder)
    n_weights = len(plain.of(zoo.load(cell.model, device="cpu")))
    return cellfiles.masks(needed, made, folder, n_weights)


def measure_edits(
    asked: Iterable[EditCell], plan: EditPlan, folder: Path, say: Callable[[str], None]
) -> None:
    """Measure the cells that are not there, each kept as soon as it is whole.

    Args:
        say: Is told the key and the seconds of what was measured.

    Raises:
        LabError: A folder that cannot be written; a cell that is there and cannot be used.
    """

    def work(cell: EditCell) -> Measured:
        return measure_cell(cell, plan, folder, lambda each: masks_for(each, plan, folder))

    cellfiles.measure_absent(asked, folder, lambda cell: made_with(cell, plan), work, say)

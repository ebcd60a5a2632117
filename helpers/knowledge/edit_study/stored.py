"""The study of edits as it is stored: all its numbers in one file."""

from dataclasses import dataclass
from pathlib import Path

from helpers import files, zoo
from helpers.files.cells import Result, put_together, stored_cell, taken_apart
from helpers.knowledge.edit_study import state
from helpers.knowledge.edit_study.plan import MODELS, EditCell, EditPlan, arm_cell, edit_cells

EDITS = files.DATA / "edits.json"
HINT = "`python -m helpers edits --out FILE` measures them anew"


@dataclass(frozen=True)
class EditStudy:
    """All that was measured with one plan.

    Attributes:
        sha256: Checksums of the models' weights, by name.
        plan: How much was measured.
        cells: The numbers of every cell.
    """

    sha256: dict[str, str]
    plan: EditPlan
    cells: dict[EditCell, Result]

    def cell(self, cell: EditCell) -> Result:
        """The numbers of a cell.

        Raises:
            LabError: It was not measured.
        """
        return stored_cell(self.cells, cell, HINT)

    def arm(self, arm: str, density: float, seed: int, model: str = MODELS[0]) -> Result:
        """The numbers of the edits in one place.

        Raises:
            LabError: They were not measured.
        """
        return self.cell(arm_cell(arm, density, seed, model))


def write(plan: EditPlan, folder: Path, out: Path) -> None:
    """Put the cells of a whole study together.

    Args:
        folder: Where the cells are.

    Raises:
        LabError: A cell that is missing or cannot be used, or a file that cannot be written.
    """
    results = {cell: state.read(cell, plan, folder) for cell in edit_cells(plan)}
    head = {"sha256": {name: zoo.entry(name).sha256 for name in MODELS}, "plan": plan.as_json()}
    put_together(head, results, out)


def _study(raw: dict) -> EditStudy:
    plan = EditPlan(**raw["plan"] | {"densities": tuple(raw["plan"]["densities"])})
    results = taken_apart(raw["cells"], EditCell.read, edit_cells(plan))
    return EditStudy(raw["sha256"], plan, results)


def stored_edits(path: Path = EDITS) -> EditStudy:
    """What was measured and stored.

    Raises:
        LabError: No such file, a damaged one, or one of other weights than those that are shipped.
    """
    return zoo.read_measured(path, _study, HINT, MODELS)

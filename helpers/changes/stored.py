"""What changed inside, as it is stored: all numbers in one file."""

from dataclasses import dataclass
from pathlib import Path

from helpers import files, zoo
from helpers.changes import state
from helpers.changes.plan import ChangeCell, ChangePlan, change_cells
from helpers.changes.subjects import MODEL
from helpers.files.cells import Result, put_together, stored_cell, taken_apart

CHANGES = files.DATA / "changes.json"
HINT = "`python -m helpers changes --out FILE` measures them anew"


@dataclass(frozen=True)
class ChangeStudy:
    """All that was measured with one plan.

    Attributes:
        sha256: Checksum of the weights of the model before.
        plan: How much was measured.
        cells: The numbers of every cell.
    """

    sha256: str
    plan: ChangePlan
    cells: dict[ChangeCell, Result]

    def cell(self, cell: ChangeCell | str) -> Result:
        """The numbers of a cell, or of a key.

        Raises:
            LabError: It was not measured, or the text is no key.
        """
        asked = ChangeCell.read(cell) if isinstance(cell, str) else cell
        return stored_cell(self.cells, asked, HINT)

    def seeds(self, question: str, model: str) -> list[Result]:
        """What a question says of every tuning of a model.

        Raises:
            LabError: One was not measured.
        """
        return [self.cell(ChangeCell(question, model, seed)) for seed in self.plan.asked(question)]


def write(plan: ChangePlan, folder: Path, out: Path) -> None:
    """Put the cells of a whole study together.

    Args:
        folder: Where the cells are.

    Raises:
        LabError: A cell that is missing or cannot be used, or a file that cannot be written.
    """
    results = {cell: state.read(cell, plan, folder) for cell in change_cells(plan)}
    head = {"model": MODEL, "sha256": zoo.entry(MODEL).sha256, "plan": plan.as_json()}
    put_together(head, results, out)


def _study(raw: dict) -> ChangeStudy:
    plan = ChangePlan.read(raw["plan"])
    results = taken_apart(raw["cells"], ChangeCell.read, change_cells(plan))
    return ChangeStudy(raw["sha256"], plan, results)


def stored_changes(path: Path = CHANGES) -> ChangeStudy:
    """What was measured and stored.

    Raises:
        LabError: No such file, a damaged one, or one of other weights than those that are shipped.
    """
    return zoo.read_measured(path, _study, HINT, MODEL)

"""The study of constrained tuning as it is stored: all its numbers in one file."""

from dataclasses import dataclass, replace
from pathlib import Path

from helpers import files, zoo
from helpers.detox.study import state
from helpers.detox.study.groups import detox_cells
from helpers.detox.study.plan import MODEL, DetoxCell, DetoxPlan
from helpers.errors import LabError
from helpers.files.cells import Result, put_together, stored_cell, taken_apart

DETOX = files.DATA / "detox.json"
HINT = "`python -m helpers detox --out FILE` measures them anew"


@dataclass(frozen=True)
class DetoxStudy:
    """All that was measured with one plan.

    Attributes:
        sha256: Checksum of the model's weights.
        plan: How much was measured.
        cells: The numbers of every cell.
    """

    sha256: str
    plan: DetoxPlan
    cells: dict[DetoxCell, Result]

    def cell(self, cell: DetoxCell | str) -> Result:
        """The numbers of a cell, or of a key.

        Raises:
            LabError: It was not measured, or the text is no key.
        """
        asked = DetoxCell.read(cell) if isinstance(cell, str) else cell
        return stored_cell(self.cells, asked, HINT)

    def of_group(self, group: str) -> list[DetoxCell]:
        """The cells of a group that differ in more than their seed.

        Raises:
            LabError: A group that was not measured.
        """
        if group not in self.plan.groups:
            raise LabError(
                f"expected groups of cells: {', '.join(self.plan.groups)}", f"got {group!r}"
            )
        return detox_cells(replace(self.plan, groups=(group,), seeds=1))

    def seeds(self, cell: DetoxCell) -> list[Result]:
        """The numbers of a cell and of the same with every other seed.

        Raises:
            LabError: One was not measured.
        """
        if cell.seed is None:
            return [self.cell(cell)]
        numbers = range(self.plan.seeds)
        return [self.cell(DetoxCell(cell.kind, cell.of, number)) for number in numbers]


def write(plan: DetoxPlan, folder: Path, out: Path) -> None:
    """Put the cells of a whole study together.

    Args:
        folder: Where the cells are.

    Raises:
        LabError: A cell that is missing or cannot be used, or a file that cannot be written.
    """
    results = {cell: state.read(cell, plan, folder) for cell in detox_cells(plan)}
    head = {"model": MODEL, "sha256": zoo.entry(MODEL).sha256, "plan": plan.as_json()}
    put_together(head, results, out)


def _study(raw: dict) -> DetoxStudy:
    plan = DetoxPlan.read(raw["plan"])
    results = taken_apart(raw["cells"], DetoxCell.read, detox_cells(plan))
    return DetoxStudy(raw["sha256"], plan, results)


def stored_detox(path: Path = DETOX) -> DetoxStudy:
    """What was measured and stored.

    Raises:
        LabError: No such file, a damaged one, or one of other weights than those that are shipped.
    """
    return zoo.read_measured(path, _study, HINT, MODEL)

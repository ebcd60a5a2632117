"""The folder in which cells of the study are kept until all of them are there."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from helpers import zoo
from helpers.changes.attacks import attack
from helpers.changes.edges import circuits
from helpers.changes.masked import masks
from helpers.changes.neurons import neurons
from helpers.changes.offsets import offset
from helpers.changes.plan import ChangeCell, ChangePlan, tuned_cell
from helpers.changes.probing import probes
from helpers.changes.restoring import groups
from helpers.changes.subjects import MODEL, before, subject
from helpers.changes.writers import writers
from helpers.detox.networks import Plain
from helpers.files import cells, check_writable
from helpers.files.cells import Contents, Result

ASKED: dict[str, Callable[[Plain, Plain, ChangePlan], dict[str, Any]]] = {
    "probes": probes,
    "groups": groups,
    "offset": offset,
    "attack": attack,
    "neurons": neurons,
    "writers": writers,
    "circuits": circuits,
    "masks": masks,
}
"""Each question: the model before, the one after, how much → its numbers."""
USED = {
    "probes": ("posts",),
    "groups": ("prompts",),
    "offset": ("prompts", "posts", "dimensions"),
    "attack": ("prompts", "attack_posts", "attack_steps"),
    "neurons": ("prompts", "posts", "neurons"),
    "writers": ("posts",),
    "circuits": ("pairs",),
    "masks": ("posts", "mask_steps"),
}
"""What each question uses of a plan."""


def made_with(cell: ChangeCell, plan: ChangePlan) -> dict[str, Any]:
    """All that a cell follows from, beside the code, as JSON has it."""
    asked = plan.as_json()
    made = {"cell": str(cell), "sha256": zoo.entry(MODEL).sha256}
    made |= {name: asked[name] for name in USED[cell.question]}
    if cell.seed is not None:
        made["tuned"] = str(tuned_cell(cell.model, cell.seed))
    return made


def read(cell: ChangeCell, plan: ChangePlan, folder: Path) -> Result:
    """The numbers of a cell that is there.

    Raises:
        LabError: It is not, is damaged, or was made with other weights or settings.
    """
    return cells.opened(cell, made_with(cell, plan), folder).result


def measure_changes(
    asked: Iterable[ChangeCell],
    plan: ChangePlan,
    folder: Path,
    models: Path,
    say: Callable[[str], None],
) -> None:
    """Measure the cells that are not there, each kept as soon as it is whole.

    Args:
        models: Folder with the cells of the study of constrained tuning; those that are needed and
            not there are measured first.
        say: Is told the key and the seconds of what was measured.

    Raises:
        LabError: A folder that cannot be written; a cell that is there and cannot be used.
    """

    asked = list(asked)
    _check_models(cells.absent(asked, folder), models)

    def work(cell: ChangeCell) -> Contents:
        after = subject(cell, models, say)
        return Contents(ASKED[cell.question](before(), after, plan))

    cells.measure_absent(asked, folder, lambda cell: made_with(cell, plan), work, say)


def _check_models(asked: Iterable[ChangeCell], models: Path) -> None:
    """Before the long work: models that are not there can be kept."""
    tuned = (tuned_cell(cell.model, cell.seed) for cell in asked if cell.seed is not None)
    for cell in cells.absent(dict.fromkeys(tuned), models):
        check_writable(models / cell.file)

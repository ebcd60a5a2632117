"""The study of masks as it is stored: all its numbers in one file, some of its masks in another.

Of two circuits the file has how much of the first the second keeps, beside what it would by chance
(`helpers.knowledge.masks.compare`), for every pair of searches. Searches of one seed begin with the
same scores, and keep some weights together for that alone: so tasks are compared by pairs of
different seeds, and the pairs of one seed stand apart from them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from helpers import files, zoo
from helpers.errors import LabError
from helpers.files.cells import Result, beside, put_together, stored_cell, taken_apart
from helpers.knowledge.masks import Blocks, blocks, packed
from helpers.knowledge.masks.compare import overlap
from helpers.knowledge.study import state
from helpers.knowledge.study.controls import MODEL
from helpers.knowledge.study.plan import TUNED_ON, Cell, MaskPlan, cells
from helpers.knowledge.study.tasks import TASKS

DATA = files.DATA / "masks.json"
MASKS = ".safetensors"
"""Ending of the file of masks."""
COMPARED = (0.5, 0.05)
"""Densities at which circuits are compared."""
KEPT = tuple((seed, density) for seed in (0, 1) for density in (0.5, 0.25, 0.05))
"""Seeds and densities of the circuits of the first task that are stored."""
HINT = "`python -m helpers masks --out FILE` measures them anew"


@dataclass(frozen=True)
class MaskStudy:
    """All that was measured with one plan.

    Attributes:
        sha256: Checksum of the model's weights.
        plan: How much was measured.
        cells: The numbers of every cell.
        overlaps: For "DENSITY/TASK/TASK" a row for each seed of the first task and a column for
            each of the second: containment, and what it is by chance in masks that keep as many
            weights of every tensor; nothing for a circuit and itself.
        masks: Name and checksum of the file of masks.
    """

    sha256: str
    plan: MaskPlan
    cells: dict[Cell, Result]
    overlaps: dict[str, list[list[list[float] | None]]]
    masks: dict[str, str]

    def cell(self, kind: str, of: str, number: int | None = None) -> Result:
        """The numbers of a cell.

        Raises:
            LabError: It was not measured.
        """
        return stored_cell(self.cells, Cell(kind, of, number), HINT)


def write(plan: MaskPlan, folder: Path, out: Path) -> None:
    """Put the cells of a whole study together, and some masks beside them.

    Args:
        folder: Where the cells are.
        out: The file of numbers; that of masks has its name, and ends on ``.safetensors``.

    Raises:
        LabError: A cell that is missing or cannot be used, or a file that cannot be written.
    """
    path = beside(out, MASKS)
    its = blocks.of(zoo.load(MODEL, device="cpu"))
    results = {cell: state.read(cell, plan, folder) for cell in cells(plan)}
    packed_masks = {}
    for seed, density in KEPT:
        if seed < plan.seeds and density in plan.densities:
            cell = Cell("circuit", TUNED_ON, seed)
            mask = state.masks(cell, plan, folder, len(its))[density]
            packed_masks[f"{seed}/{density}"] = packed.pack(mask)
    # of several entries the file would have them in any order, and other bytes each time
    files.save_atomically(packed_masks, path, {"weights": str(len(its))})
    masks = {"file": path.name, "sha256": files.checksum(path)[0]}
    head = {"model": MODEL, "sha256": zoo.entry(MODEL).sha256, "plan": plan.as_json()}
    head |= {"masks": masks, "overlaps": overlaps(its, plan, folder)}
    put_together(head, results, out)


def overlaps(its: Blocks, plan: MaskPlan, folder: Path) -> dict[str, Any]:
    """How much circuits of every two tasks have in common, by pairs of searches."""
    found: dict[str, Any] = {}
    for density in COMPARED:
        if density not in plan.densities:
            continue
        circuits = {
            task: [
                state.masks(Cell("circuit", task, seed), plan, folder, len(its))[density]
                for seed in range(plan.seeds if task == TASKS[0] else plan.others)
            ]
            for task in TASKS
        }
        for first in TASKS:
            for second in TASKS:
                found[f"{density}/{first}/{second}"] = [
                    [
                        None if first == second and row == column else _pair(its, one, other)
                        for column, other in enumerate(circuits[second])
                    ]
                    for row, one in enumerate(circuits[first])
                ]
    return found


def _pair(its: Blocks, first: Tensor, second: Tensor) -> list[float]:
    shared = overlap(its, first, second)
    return [round(shared.containment, 4), round(shared.per_tensor, 4)]


def _study(raw: dict) -> MaskStudy:
    plan = MaskPlan(**raw["plan"] | {"densities": tuple(raw["plan"]["densities"])})
    results = taken_apart(raw["cells"], Cell.read, cells(plan))
    return MaskStudy(raw["sha256"], plan, results, raw["overlaps"], raw["masks"])


def stored(path: Path = DATA) -> MaskStudy:
    """What was measured and stored.

    Raises:
        LabError: No such file, a damaged one, or one of other weights than those that are shipped.
    """
    return zoo.read_measured(path, _study, HINT, MODEL)


def circuit(seed: int = 0, density: float = 0.05, path: Path = DATA) -> Float[Tensor, " weight"]:
    """A stored circuit of TinyWorld's kinds.

    Args:
        seed, density: One of `KEPT`.
        path: The file of numbers that names the file of masks and its checksum.

    Raises:
        LabError: It is not stored, or the file is damaged or another one.
    """
    study = stored(path)
    file = path.with_name(study.masks["file"])
    if not file.exists() or files.checksum(file)[0] != study.masks["sha256"]:
        raise LabError(
            f"expected the masks of {path.name} in {file}", "missing, or another file", hint=HINT
        )
    try:
        with safe_open(file, framework="pt") as handle:
            names, n_weights = sorted(handle.keys()), int((handle.metadata() or {})["weights"])
            name = f"{seed}/{density}"
            if name not in names:
                raise LabError(
                    f"expected a stored circuit by seed/density: {', '.join(names)}",
                    f"got {name}",
                )
            return packed.unpack(handle.get_tensor(name), n_weights)
    except (SafetensorError, KeyError, ValueError) as fault:
        raise LabError(
            f"expected the masks of {path.name} in {file}", f"cannot use it: {fault!r}", hint=HINT
        ) from None

"""The folder in which cells of the study are kept until all of them are there.

A cell is written when it is whole and begins from its seed alone, so the study can be killed at any
moment and given again, with the same result to the bit (but for the seconds that it took). A cell
that begins with an oracle measures the cell of that oracle first, where it is not there. Two
processes may measure different cells of one study at the same time.

Beside its numbers a cell keeps the weights that it ended with, for those who look inside later.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any

from helpers import zoo
from helpers.detox.networks import Plain, Policy, frozen
from helpers.detox.oracle import Oracle
from helpers.detox.oracle.measuring import base as tuned_model
from helpers.detox.study.measuring import (
    SKILL_PROMPTS,
    corpus_of,
    make_ready,
    measure_cell,
    measure_skills,
    oracle_from,
)
from helpers.detox.study.plan import (
    BASE,
    DETECTION,
    FIRST,
    MODEL,
    ORACLE,
    SKILLS,
    DetoxCell,
    DetoxPlan,
    detection_of,
    oracle_of,
    policy_of,
    tuning_of,
)
from helpers.errors import LabError
from helpers.files import cells
from helpers.files.cells import Contents, Result


def made_with(cell: DetoxCell, plan: DetoxPlan) -> dict[str, Any]:
    """All that a cell follows from, beside the code, as JSON has it."""
    made: dict[str, Any] = {"cell": str(cell), "sha256": zoo.entry(MODEL).sha256}
    if cell.kind == ORACLE:
        return made | oracle_of(cell)
    if cell.kind == DETECTION:
        return made | detection_of(cell)
    if cell.kind == SKILLS:
        return made_with(policy_of(cell), plan) | made | {"prompts": SKILL_PROMPTS}
    if cell.kind != BASE:
        made["tuning"] = asdict(tuning_of(cell))
    if cell.kind == FIRST:
        return made
    if cell.kind != BASE:
        made["corpus"] = _checksum(cell.setting, cell.seed or 0)
    return made | {"judge": asdict(plan.judge)}


@cache
def _checksum(setting: str, seed: int) -> str:
    """Of a corpus, so that cells of another one are refused."""
    drawn = corpus_of(setting, seed)
    parts = [drawn.other] if drawn.posts is None else [drawn.posts, drawn.other]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()[:16]


def read(cell: DetoxCell, plan: DetoxPlan, folder: Path) -> Result:
    """The numbers of a cell that is there.

    Raises:
        LabError: It is not, is damaged, or was made with other weights, texts or settings.
    """
    return cells.opened(cell, made_with(cell, plan), folder).result


def network(cell: DetoxCell, plan: DetoxPlan, folder: Path) -> Plain:
    """The network that a cell ended with, frozen.

    Raises:
        LabError: As `read`, or the cell tunes none.
    """
    weights = cells.opened(cell, made_with(cell, plan), folder).tensors
    if not weights or cell.kind == FIRST:
        raise LabError("expected a cell that tunes a network", f"got {str(cell)!r}")
    found = frozen(tuned_model())
    found.load_state_dict(weights)
    return found


def first_oracle(seed: int, plan: DetoxPlan, folder: Path) -> tuple[Oracle, dict[str, float]]:
    """The oracle that tunings of a seed begin with, fitted where it is not there.

    Raises:
        LabError: As `read`.
    """
    cell = DetoxCell(FIRST, seed=seed)
    made = made_with(cell, plan)
    if cells.absent([cell], folder):
        cells.keep(cell, measure_cell(cell, plan, _none), made, folder)
    return oracle_from(cells.opened(cell, made, folder), seed)


def _none(seed: int) -> tuple[Oracle, dict[str, float]]:
    raise AssertionError("a first oracle begins with no other")


def measure_detox(
    asked: Iterable[DetoxCell], plan: DetoxPlan, folder: Path, say: Callable[[str], None]
) -> None:
    """Measure the cells that are not there, each kept as soon as it is whole.

    Args:
        say: Is told the key and the seconds of what was measured.

    Raises:
        LabError: A folder that cannot be written; a cell that is there and cannot be used.
    """
    first = partial(first_oracle, plan=plan, folder=folder)

    def work(cell: DetoxCell) -> Contents:
        if cell.kind != SKILLS:
            return measure_cell(cell, plan, first)
        of = policy_of(cell)
        if cells.absent([of], folder):
            measure_detox([of], plan, folder, say)
        return measure_skills(policy(of, plan, folder), cell.seed or 0)

    cells.measure_absent(asked, folder, lambda cell: made_with(cell, plan), work, say)


def policy(cell: DetoxCell, plan: DetoxPlan, folder: Path) -> Policy:
    """The policy of a cell that is there: its network, or made anew where it kept none, as those
    that are guided and the base.

    Raises:
        LabError: As `read`, or a cell of none.
    """
    if cells.opened(cell, made_with(cell, plan), folder).tensors:
        return Policy(network(cell, plan, folder))
    first = partial(first_oracle, plan=plan, folder=folder)
    return make_ready(cell, tuned_model(), first).policy

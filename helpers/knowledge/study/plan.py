"""What the study of masks measures: its cells, each with a key, and how much there is of each.

=====================================  =========================================================
key                                    a cell is
=====================================  =========================================================
``circuit/TASK/SEED``                  one search through all densities, its masks, and beside
                                       each the complement and random masks of the same size
``rivals/TASK``                        masks that no seed changes: largest weights, largest
                                       |w · gradient|; the whole model, and none of its blocks
``control/CONTROL/SEED``               a search where there is nothing to be found
``steady/TASK or CONTROL/SEED``        a search that takes all its steps at the first density
``tuning/ESTIMATOR/NUMBER``            one of the settings that were tried of an estimator
``estimator/ESTIMATOR/SEED``           the best of them, on what is reported
=====================================  =========================================================

In a search through all densities the smaller masks had more steps as well: what the mask of 50 %
lacks may be steps. The steady searches tell the two apart.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from helpers.errors import LabError
from helpers.files.cells import file_of
from helpers.inputs import check_count
from helpers.knowledge.masks.search import DENSITIES, SearchSettings
from helpers.knowledge.study.controls import CONTROLS
from helpers.knowledge.study.tasks import TASKS

KINDS = ("circuit", "rivals", "control", "steady", "tuning", "estimator")
GRIDS: dict[str, tuple[SearchSettings, ...]] = {
    "top-k": tuple(
        SearchSettings("top-k", learning_rate=rate) for rate in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    ),
    "hard concrete": tuple(
        SearchSettings("hard concrete", learning_rate=rate, multiplier=multiplier)
        for rate in (0.1, 0.2, 0.4)
        for multiplier in (1.0, 3.0)
    ),
    "binary concrete": tuple(
        SearchSettings("binary concrete", learning_rate=rate)
        for rate in (0.01, 0.03, 0.1, 0.2, 0.4, 1.0)
    ),
}
"""The settings that are tried of each estimator: six each, one run a setting, of as many steps."""
ESTIMATORS = tuple(GRIDS)
TUNED_ON = "kind"
"""The task that estimators are compared on."""


@dataclass(frozen=True)
class MaskPlan:
    """How much is measured.

    Attributes:
        seeds: Searches of the first task.
        others: Searches of each of the other tasks, and of each control and estimator.
        steps: Steps to each density.
        densities: Shares of weights to keep.
    """

    seeds: int = 5
    others: int = 3
    steps: int = 92
    densities: tuple[float, ...] = DENSITIES

    def __post_init__(self) -> None:
        check_count("number of seeds", self.seeds, least=1)
        check_count("number of seeds", self.others, least=1)
        check_count("number of steps", self.steps, least=1)

    def settings(self, seed: int = 0) -> SearchSettings:
        """How circuits are learned: as was fixed before anything was compared."""
        return replace(SearchSettings(), steps=self.steps, densities=self.densities, seed=seed)

    def steady(self, seed: int = 0) -> SearchSettings:
        """As many steps, all of them at the first density."""
        steps = self.steps * len(self.densities)
        return replace(self.settings(seed), densities=self.densities[:1], steps=steps)

    def tried(self, estimator: str, number: int) -> SearchSettings:
        """One of the settings that are tried of an estimator."""
        return replace(GRIDS[estimator][number], steps=self.steps, densities=self.densities)

    def settings_of(self, cell: "Cell") -> list[SearchSettings]:
        """What a cell follows from; of an estimator, all settings that the best was chosen from.

        >>> plan = MaskPlan()
        >>> [each.learning_rate for each in plan.settings_of(Cell("tuning", "top-k", 3))]
        [0.03]
        """
        seed = cell.number or 0
        if cell.kind == "steady":
            return [self.steady(seed)]
        if cell.kind == "tuning":
            return [self.tried(cell.of, seed)]
        if cell.kind == "estimator":
            numbers = range(len(GRIDS[cell.of]))
            return [replace(self.tried(cell.of, number), seed=seed) for number in numbers]
        return [self.settings(seed)]

    def as_json(self) -> dict:
        """The plan as it is stored."""
        return asdict(self) | {"densities": list(self.densities)}


PLAN = MaskPlan()


@dataclass(frozen=True)
class Cell:
    """What one piece of the study is of.

    Attributes:
        kind: One of `KINDS`.
        of: A task, a control or an estimator.
        number: Seed, or number of the settings; none for rivals.
    """

    kind: str
    of: str
    number: int | None = None

    def __str__(self) -> str:
        return f"{self.kind}/{self.of}" + ("" if self.number is None else f"/{self.number}")

    @property
    def file(self) -> str:
        """Name of its file in the folder of the study's state."""
        return file_of(str(self))

    @classmethod
    def read(cls, key: str) -> "Cell":
        """The cell of a key.

        Raises:
            LabError: The text is no key.

        >>> Cell.read("circuit/kind/0").number
        0
        """
        kind, of, number = [*key.split("/"), "", ""][:3]
        if (
            kind not in KINDS
            or not of
            or key.count("/") > 2
            or not (number.isdigit() or not number)
        ):
            raise LabError("expected a key of a cell, such as 'circuit/kind/0'", f"got {key!r}")
        return cls(kind, of, int(number) if number else None)


def cells(plan: MaskPlan = PLAN) -> Iterator[Cell]:
    """Every cell of a plan, in the order in which they are measured: what others need comes first.

    >>> sum(1 for _ in cells())
    83
    """
    for name in TASKS:
        yield Cell("rivals", name)
        for seed in range(plan.seeds if name == TASKS[0] else plan.others):
            yield Cell("circuit", name, seed)
    for name in CONTROLS:
        for seed in range(plan.others):
            yield Cell("control", name, seed)
    for name in (*TASKS, *CONTROLS):
        yield Cell("steady", name, 0)
    for estimator, grid in GRIDS.items():
        for number in range(len(grid)):
            yield Cell("tuning", estimator, number)
    for estimator in ESTIMATORS:
        for seed in range(plan.others):
            yield Cell("estimator", estimator, seed)

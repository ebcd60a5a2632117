"""How much is measured on a real model, and the pieces in which it is kept."""

from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from helpers.errors import LabError
from helpers.files.cells import file_of
from helpers.inputs import check_count, positive_row, real
from helpers.knowledge.edit_study.plan import AS_LARGE, AS_LONG, places_at
from helpers.knowledge.editing import EditSettings
from helpers.knowledge.editing.comparison import HALF
from helpers.knowledge.masks import SearchSettings
from helpers.knowledge.masks.search import schedule

WHERE = ("circuit", "per tensor", "complement", AS_LONG, AS_LARGE)
"""Where facts are edited: `helpers.knowledge.editing.arms` and `edit_study.places` say what each
is."""


@dataclass(frozen=True)
class RealPlan:
    """How much is measured. On a CPU fewer facts and steps do; the paths are the same.

    Attributes:
        densities: Shares of block weights that masks keep, the largest first.
        steps: Steps of the search to each density.
        batch: Prompts a step.
        learning_rate: Of the search.
        facts: Facts that are edited, each alone.
        edits: Steps of an edit, of `size` each, at most.
        norm: Distance at which the NLL of the new answer is noted, where an edit goes so far.
        places: Of `WHERE`.
        seed: Of the search, of which facts are learned on, and of the random masks.
        first_token: Let the first token of an answer stand for the whole.
    """

    densities: tuple[float, ...] = (0.5, 0.05)
    steps: int = 92
    batch: int = 16
    learning_rate: float = 0.01
    facts: int = 8
    edits: int = 40
    size: float = 0.05
    norm: float = 0.1
    places: tuple[str, ...] = WHERE
    seed: int = 0
    first_token: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.densities, tuple | list):
            raise LabError(
                "expected densities between 0 and 1, each smaller than the one before",
                f"got {self.densities!r:.60}",
            )
        real(self.densities, "densities")
        schedule(self.densities, 1)  # refuses 0 and 1
        for what, count, least in (
            ("number of steps", self.steps, 1),
            ("number of prompts", self.batch, 1),
            ("number of facts", self.facts, 2),
            ("number of steps", self.edits, 1),
            ("seed", self.seed, 0),
        ):
            check_count(what, count, least)
        positive_row((self.learning_rate, self.size, self.norm), "sizes of steps and lengths")
        places = self.places if isinstance(self.places, tuple | list) else (self.places,)
        unknown = [each for each in places if each not in WHERE]
        if unknown or not places:
            raise LabError(
                f"expected places to edit: {', '.join(WHERE)}",
                f"got {unknown[0]!r}" if unknown else "got none",
            )

    @property
    def search(self) -> SearchSettings:
        """How masks are learned."""
        return SearchSettings(
            densities=self.densities,
            steps=self.steps,
            learning_rate=self.learning_rate,
            batch=self.batch,
            seed=self.seed,
        )

    @property
    def settings(self) -> EditSettings:
        """How facts are edited: until the new answer has probability ½, and no further."""
        return EditSettings(steps=self.edits, size=self.size, enough=HALF)

    def as_json(self) -> dict[str, Any]:
        """The plan as it is stored."""
        return asdict(self) | {"densities": list(self.densities), "places": list(self.places)}


REAL_PLAN = RealPlan()


@dataclass(frozen=True)
class RealCell:
    """One piece: "text", "masks", or the edits in a place at a density."""

    kind: str
    place: str = ""
    density: float = 0.0

    def __str__(self) -> str:
        return "/".join([self.kind, *([self.place, f"{self.density:g}"] if self.place else [])])

    @property
    def file(self) -> str:
        """Name of its file in the folder."""
        return file_of(str(self))


TEXT, MASKS = RealCell("text"), RealCell("masks")


def edit_cells_of(plan: RealPlan) -> list[RealCell]:
    """The pieces of edits, the smallest density first; places as the study of edits has them.

    >>> [str(cell) for cell in edit_cells_of(RealPlan(places=("circuit",)))]
    ['edits/circuit/0.05', 'edits/circuit/0.5']
    """
    pairs = product(reversed(plan.densities), plan.places)
    return [
        RealCell("edits", place, density) for density, place in pairs if place in places_at(density)
    ]

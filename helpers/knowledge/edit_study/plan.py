"""What the study of edits measures: its cells, each with a key, and how much there is of each.

=======================================  =======================================================
key                                      a cell is
=======================================  =======================================================
``masks/SEED``                           circuits of all densities, from one search
``arms/ARM/DENSITY/SEED``                edits in one place, at equal length and where p is ½
``published/ARM/DENSITY/F/P``            the published ways; F: embeddings free or frozen, P: the
                                         network pruned or full
``series/ARM/ORDER``                     edits one after the other in one model
``decoding/ARM``                         what edited models say, led and freely
``denials``                              what the model says in frames that deny, unedited
``two hop/ARM``                          kinds are edited: do their members follow?
``rivals/WAY/…``                         rank-one edits at a layer and place, null spaces, the
                                         embedding row, and steps until p is 0.95
``tracing/CORRUPTION/STATE/DIRECTION``   shares of what is lost, layer by layer and place by place
=======================================  =======================================================

Keys of ``tinyworld-facts`` begin with its name. Arms that follow from no mask's seed have none in
their key; the largest weights and gradients depend on the density alone, everything on nothing.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product

from helpers.errors import LabError
from helpers.files.cells import file_of
from helpers.inputs import check_count
from helpers.knowledge.editing.arms import ARMS
from helpers.knowledge.facts.places import PLACES
from helpers.knowledge.masks.search import DENSITIES, SearchSettings
from helpers.knowledge.study import MaskPlan

MODELS = ("tinyworld", "tinyworld-facts")
KINDS = (
    *("masks", "arms", "published", "series", "decoding"),
    *("denials", "two hop", "rivals", "tracing"),
)
AS_LONG, AS_LARGE = "as long", "as large"
EVERY = (*ARMS, AS_LONG, AS_LARGE)
"""The seven places, and weights outside the circuit whose gradient is as long as the circuit's: of
one size, or each as large as that of a weight of the circuit."""
OF_DENSITY = ("magnitude", "gradient")
THREE = ("circuit", "complement", "per tensor")
NETWORKS = tuple(product(("frozen", "free"), ("full", "pruned")))
LAYERS = 4
"""Of both models."""
CORRUPTIONS = ("exchanged", "noise")
STATES = ("residual", "attention", "MLP")
DIRECTIONS = ("restore", "replace")


@dataclass(frozen=True)
class EditPlan:
    """How much is measured.

    Attributes:
        facts: Facts that are edited, each alone.
        seeds: Searches for masks on the first model; the second has two at most.
        densities: Shares of weights that may change, the largest first.
        steps: Steps of one length at most, in every place.
        edits: Edits of a series.
        orders: Orders in which these are made.
        search: Steps of a search for masks to each density.
    """

    facts: int = 20
    seeds: int = 3
    densities: tuple[float, ...] = (0.5, 0.25, 0.05)
    steps: int = 60
    edits: int = 50
    orders: int = 2
    search: int = MaskPlan.steps

    def __post_init__(self) -> None:
        check_count("number of facts", self.facts, least=2)
        order = [DENSITIES.index(each) for each in self.densities if each in DENSITIES]
        if not order or len(order) < len(self.densities) or order != sorted(set(order)):
            raise LabError(
                f"expected densities of a search for masks, the largest first: {DENSITIES}",
                f"got {self.densities}",
            )
        for what, count in (
            ("number of seeds", self.seeds),
            ("number of steps", self.steps),
            ("number of edits", self.edits),
            ("number of orders", self.orders),
            ("number of steps", self.search),
        ):
            check_count(what, count, least=1)

    def settings(self, seed: int) -> SearchSettings:
        """How circuits are learned: as in the study of masks."""
        return MaskPlan(steps=self.search).settings(seed)

    def seeds_of(self, model: str) -> int:
        """Searches for masks on a model."""
        return self.seeds if model == MODELS[0] else min(2, self.seeds)

    def densities_of(self, model: str) -> tuple[float, ...]:
        """Densities on a model: on the second one only the smallest."""
        return self.densities if model == MODELS[0] else self.densities[-1:]

    def as_json(self) -> dict:
        """The plan as it is stored."""
        return asdict(self) | {"densities": list(self.densities)}


EDIT_PLAN = EditPlan()


@dataclass(frozen=True)
class EditCell:
    """What one piece of the study is of.

    Attributes:
        kind: One of `KINDS`.
        of: What follows it in the key.
        model: One of `MODELS`.
    """

    kind: str
    of: tuple[str, ...] = ()
    model: str = MODELS[0]

    def __str__(self) -> str:
        return "/".join(([] if self.model == MODELS[0] else [self.model]) + [self.kind, *self.of])

    @property
    def file(self) -> str:
        """Name of its file in the folder of the study's state."""
        return file_of(str(self))

    @property
    def seed(self) -> int:
        """Of the search whose mask the cell needs."""
        seeded = self.kind in ("masks", "arms") or self.of[:1] == ("steps",)
        return int(self.of[-1]) if seeded and self.of and self.of[-1].isdigit() else 0

    @classmethod
    def read(cls, key: str) -> "EditCell":
        """The cell of a key.

        Raises:
            LabError: The text is no key.

        >>> EditCell.read("tinyworld-facts/arms/circuit/0.05/1").seed
        1
        """
        parts = key.split("/")
        model = parts.pop(0) if parts[0] in MODELS[1:] else MODELS[0]
        if not parts or parts[0] not in KINDS or not all(parts):
            raise LabError(
                "expected a key of a cell, such as 'arms/circuit/0.05/0'", f"got {key!r}"
            )
        return cls(parts[0], tuple(parts[1:]), model)


def mask_cell(cell: EditCell) -> EditCell:
    """The cell of the masks that a cell edits in."""
    return EditCell("masks", (str(cell.seed),), cell.model)


def arm_cell(arm: str, density: float, seed: int, model: str = MODELS[0]) -> EditCell:
    """The cell of edits in one place; one cell for all seeds or densities that change nothing.

    >>> [str(arm_cell(arm, 0.05, 2)) for arm in ("circuit", "magnitude", "everything")]
    ['arms/circuit/0.05/2', 'arms/magnitude/0.05', 'arms/everything']
    """
    if arm == "everything":
        return EditCell("arms", (arm,), model)
    of = (arm, str(density)) if arm in OF_DENSITY else (arm, str(density), str(seed))
    return EditCell("arms", of, model)


def places_at(density: float) -> tuple[str, ...]:
    """The places that are compared at a density: of more than a third of all weights there are no
    others outside to choose among, so none as long or as large."""
    return EVERY if density < 1 / 3 else ARMS


def edit_cells(plan: EditPlan = EDIT_PLAN) -> Iterator[EditCell]:
    """Every cell of a plan, in the order in which they are measured: what others need comes first.

    >>> sum(1 for _ in edit_cells())
    177
    """
    for model in MODELS:
        for seed in range(plan.seeds_of(model)):
            yield EditCell("masks", (str(seed),), model)
    for model in MODELS:
        yield from dict.fromkeys(
            arm_cell(arm, density, seed, model)
            for seed in range(plan.seeds_of(model))
            for density in reversed(plan.densities_of(model))
            for arm in places_at(density)
        )
    for density in dict.fromkeys((plan.densities[-1], plan.densities[0])):
        for arm, network in product(THREE, NETWORKS):
            yield EditCell("published", (arm, str(density), *network))
    for arm in THREE:
        for order in range(plan.orders):
            yield EditCell("series", (arm, str(order)))
        yield EditCell("decoding", (arm,))
    yield EditCell("denials")
    for arm in (*THREE, "everything"):
        yield EditCell("two hop", (arm,))
    for model in MODELS:
        yield from _rivals(plan, model)
    for of in product(CORRUPTIONS, STATES, DIRECTIONS):
        yield EditCell("tracing", of)


def _rivals(plan: EditPlan, model: str) -> Iterator[EditCell]:
    for place, layer in product(PLACES, range(LAYERS)):
        yield EditCell("rivals", ("rank-one", str(layer), place), model)
    for how in ("alone", "together"):
        yield EditCell("rivals", ("null space", how), model)
    yield EditCell("rivals", ("embedding row",), model)
    for arm, seed in product(
        ("circuit", "per tensor", AS_LONG, AS_LARGE), range(plan.seeds_of(model))
    ):
        yield EditCell("rivals", ("steps", arm, str(seed)), model)
    yield EditCell("rivals", ("steps", "everything"), model)

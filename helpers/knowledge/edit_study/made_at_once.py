"""Cells of the rivals of steps in a mask: one change of an MLP, an embedding row, steps as far."""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from helpers.errors import LabError
from helpers.knowledge.edit_study.places import place_of
from helpers.knowledge.edit_study.plan import EditCell, EditPlan
from helpers.knowledge.edit_study.rounding import numbers, told
from helpers.knowledge.edit_study.worlds import EditWorld, edit_world
from helpers.knowledge.editing import (
    Edited,
    EditSettings,
    edit,
    edit_embedding_row,
    edit_null_space,
    edit_rank_one,
    effects,
    memory,
)
from helpers.knowledge.masks import Blocks, blocks

NULL_LAYER = 0
"""The layer whose MLP is edited in a null space: where tracing finds kinds in `tinyworld`."""
AS_FAR = EditSettings(steps=160, enough=0.05)
"""Steps in a mask until p(new answer) is 0.95, as the rivals go on."""


def rival(
    cell: EditCell,
    plan: EditPlan,
    masks: Callable[[EditCell], dict[float, Float[Tensor, " weight"]]],
) -> dict:
    """What one rival did, fact by fact.

    Raises:
        LabError: No such rival.
    """
    world, way = edit_world(cell.model, plan.facts), cell.of[0]
    weights: Blocks = world.blocks
    if way == "rank-one":
        edited = _rank_one(world, int(cell.of[1]), cell.of[2])
    elif way == "null space":
        edited = _null_space(world, cell.of[1])
    elif way == "embedding row":
        weights = blocks.of(world.blocks.model, whole=True)
        edited = edit_embedding_row(weights, world.requests, tokens_of=world.tokens_of)
    elif way == "steps":
        mask = place_of(world, cell.of[1], masks(cell)[plan.densities[-1]], cell.seed)
        edited = edit(weights, world.requests, mask, AS_FAR)
    else:
        raise LabError("expected a rival of steps in a mask", f"got {way!r}")
    seen = effects(weights, world.requests, edited, world.frame, world.rows, ask=world.ask)
    return {
        "moved": numbers(edited.moved[-1]),
        "reached": (edited.reached >= 0).int().tolist(),
        "undone": edited.undone.int().tolist(),
        "effects": told(seen),
    }


def _rank_one(world: EditWorld, layer: int, place: str) -> Edited:
    matrix = memory.output_matrix(world.blocks, layer)
    moment = memory.second_moment(matrix, world.ordinary)
    given = memory.contexts(world.requests, place, tokens_of=world.tokens_of)  # type: ignore[arg-type]
    return edit_rank_one(matrix, world.requests, moment, given)


def _null_space(world: EditWorld, how: str) -> Edited:
    matrix = memory.output_matrix(world.blocks, NULL_LAYER)
    moment = memory.second_moment(matrix, world.ordinary)
    return edit_null_space(matrix, world.requests, moment, how)  # type: ignore[arg-type]

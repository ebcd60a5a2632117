"""The plan of the study of edits: one key and one file for every cell, none measured twice."""

import pytest

from helpers.errors import LabError
from helpers.knowledge.edit_study import EditCell, EditPlan, arm_cell, edit_cells
from helpers.knowledge.edit_study.plan import KINDS, MODELS, mask_cell, places_at


def test_all_that_was_asked_for_is_a_cell_with_a_key_and_a_file_of_its_own():
    plan = EditPlan()
    every = list(edit_cells(plan))
    arms = 6 * 3 * 3 - 2 * 3 + 2 * 3 + 1  # none as long or as large of half of all weights
    rivals = 3 * 4 + 2 + 1 + 1  # places x layers, null spaces, the embedding row, steps everywhere
    second = 2 + (6 * 2 + 2 + 1) + rivals + 4 * 2  # and steps in four places of every search
    others = 3 + 3 * 2 * 4 + 3 * 2 + 3 + 1 + 4 + rivals + 4 * 3 + 2 * 3 * 2
    assert len(every) == arms + others + second
    assert [EditCell.read(str(cell)) for cell in every] == every
    assert len({cell.file for cell in every}) == len(every)
    assert {cell.kind for cell in every} == set(KINDS)
    assert {cell.model for cell in every} == set(MODELS)


def test_every_arm_of_every_seed_and_density_has_its_cell():
    plan, every = EditPlan(), set(edit_cells(EditPlan()))
    for model in MODELS:
        for density in plan.densities_of(model):
            for arm in places_at(density):
                cells = [arm_cell(arm, density, s, model) for s in range(plan.seeds_of(model))]
                assert set(cells) <= every
                same = arm in ("magnitude", "gradient", "everything")
                assert len(set(cells)) == (1 if same else len(cells))


def test_masks_are_those_of_the_cell_s_own_seed_and_model():
    for key, wanted in (
        ("arms/circuit/0.05/2", "masks/2"),
        ("arms/magnitude/0.05", "masks/0"),
        ("series/circuit/1", "masks/0"),
        ("tinyworld-facts/arms/as long/0.05/1", "tinyworld-facts/masks/1"),
        ("rivals/rank-one/3/last", "masks/0"),
    ):
        assert str(mask_cell(EditCell.read(key))) == wanted


@pytest.mark.parametrize("key", ["", "arms//0", "masks of/0", "tinyworld-facts", "tinyworld/arms"])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(LabError, match="expected a key of a cell"):
        EditCell.read(key)


@pytest.mark.parametrize("densities", [(), (0.5, 0.2), (0.05, 0.5), (0.5, 0.5)])
def test_densities_that_no_search_comes_by_are_refused(densities):
    with pytest.raises(LabError, match="expected densities of a search for masks"):
        EditPlan(densities=densities)


@pytest.mark.parametrize(
    "options",
    [{"facts": 1}, {"seeds": 0}, {"steps": 0}, {"edits": 0}, {"orders": 1.5}, {"search": -1}],
)
def test_plans_of_nothing_are_refused(options):
    with pytest.raises(LabError, match="expected a number of"):
        EditPlan(**options)


def test_a_kind_alone_has_no_seed():
    assert EditCell.read("masks").seed == 0

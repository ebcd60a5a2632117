"""The plan of the study: equal effort, and one key and one file for every cell."""

import pytest

from helpers.errors import LabError
from helpers.knowledge.masks.search import schedule
from helpers.knowledge.study import CONTROLS, TASKS, Cell, MaskPlan, cells
from helpers.knowledge.study.plan import GRIDS, KINDS


def test_every_estimator_has_as_many_settings_of_as_many_steps():
    plan = MaskPlan(steps=7)
    assert {len(grid) for grid in GRIDS.values()} == {6}
    for estimator, grid in GRIDS.items():
        tried = [plan.tried(estimator, number) for number in range(len(grid))]
        assert len(set(tried)) == 6, "no setting twice"
        assert {each.steps for each in tried} == {7}
        assert {each.estimator for each in tried} == {estimator}
        assert {each.densities for each in tried} == {plan.densities}
        assert {each.batch for each in tried} == {32}


def test_all_that_was_asked_for_is_a_cell_with_a_key_and_a_file_of_its_own():
    plan = MaskPlan(seeds=5, others=3)
    every = list(cells(plan))
    assert len(every) == 5 + 3 * 5 + 6 + 3 * len(CONTROLS) + 12 + 3 * 6 + 3 * 3
    assert [Cell.read(str(cell)) for cell in every] == every
    assert len({cell.file for cell in every}) == len(every)
    assert {cell.kind for cell in every} == set(KINDS)
    assert {cell.of for cell in every if cell.kind == "circuit"} == set(TASKS)


def test_a_steady_search_has_as_many_steps_at_the_first_density_as_another_in_all():
    plan = MaskPlan()
    assert len(schedule(plan.steady().densities, plan.steady().steps)) == 5 * 92
    assert len(schedule(plan.settings().densities, plan.settings().steps)) == 5 * 92
    assert plan.steady().densities == (0.5,)


def test_what_others_need_comes_first():
    kinds = [cell.kind for cell in cells()]
    assert kinds.index("estimator") > max(i for i, kind in enumerate(kinds) if kind == "tuning")


@pytest.mark.parametrize(
    "key", ["", "kind", "circuit/", "mask/kind/0", "circuit/kind/a/b", "circuit/kind/-1"]
)
def test_what_is_no_key_is_refused(key):
    with pytest.raises(LabError, match="expected a key of a cell"):
        Cell.read(key)


@pytest.mark.parametrize("options", [{"seeds": 0}, {"others": 0}, {"steps": 0}, {"steps": 1.5}])
def test_plans_of_nothing_are_refused(options):
    with pytest.raises(LabError, match="expected a number of"):
        MaskPlan(**options)

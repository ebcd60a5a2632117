"""A study of edits that is killed and given again is the same to the bit; masks come first."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.edit_study import EditCell, EditPlan, state
from helpers.knowledge.masks import blocks, rivals
from helpers.knowledge.study import Measured
from tests.support import killing

PLAN = EditPlan(facts=2, seeds=1, steps=2, edits=2, orders=1, search=1)
CELLS = [EditCell.read(key) for key in ("denials", "tracing/exchanged/attention/restore")]
MASK = rivals.uniform(blocks.of(zoo.load("tinyworld", device="cpu")), 0.05)


def silent(text):
    pass


def test_a_killed_study_goes_on_and_gives_the_same_to_the_bit(tmp_path, monkeypatch):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    state.measure_edits(CELLS, PLAN, whole, silent)
    begun = killing.at_second_call(monkeypatch, state, "measure_cell")
    with pytest.raises(KeyboardInterrupt):
        state.measure_edits(CELLS, PLAN, broken, silent)
    state.measure_edits(CELLS, PLAN, broken, silent)
    assert begun == [CELLS[0], CELLS[1], CELLS[1]], "the first one is not measured again"
    for cell in CELLS:
        assert state.read(cell, PLAN, whole) == state.read(cell, PLAN, broken)


def test_masks_are_measured_first_and_once(tmp_path, monkeypatch):
    measured = []

    def fake(cell, plan, folder, masks):
        measured.append(str(cell))
        if cell.kind == "masks":
            return Measured({}, {0.05: MASK})
        return Measured({"same": bool(torch.equal(masks(cell)[0.05], MASK))}, {})

    monkeypatch.setattr(state, "measure_cell", fake)
    keys = ("arms/circuit/0.05/0", "arms/uniform/0.05/0", "two hop/circuit")
    cells = [EditCell.read(key) for key in keys]
    state.measure_edits(cells, PLAN, tmp_path, silent)
    assert measured == [keys[0], "masks/0", *keys[1:]]
    assert all(state.read(cell, PLAN, tmp_path) == {"same": True} for cell in cells)


def test_damaged_cells_and_those_of_another_plan_are_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "measure_cell", lambda *words: Measured({"a": 1}, {}))
    state.measure_edits(CELLS[:1], PLAN, tmp_path, silent)
    monkeypatch.setattr(state, "measure_cell", lambda *words: pytest.fail("it was measured"))
    with pytest.raises(LabError, match=r"expected cells made with .* in .*; .* was made with"):
        state.measure_edits(CELLS, EditPlan(facts=3), tmp_path, silent)
    file = tmp_path / CELLS[0].file
    for content in (b"", b"{", file.read_bytes()[:40]):
        file.write_bytes(content)
        with pytest.raises(LabError, match="expected the cell denials in"):
            state.measure_edits(CELLS, PLAN, tmp_path, silent)
        assert file.read_bytes() == content, "and left as it is"


def test_more_seeds_or_orders_need_no_cell_again():
    cell = CELLS[0]
    made = state.made_with(cell, EditPlan())
    assert state.made_with(cell, EditPlan(seeds=1, orders=1)) == made
    assert state.made_with(cell, EditPlan(facts=3)) != made


def test_a_cell_follows_from_its_key_and_from_its_own_model_alone():
    for cell in (CELLS[0], EditCell("masks", ("0",), "tinyworld-facts")):
        made = state.made_with(cell, PLAN)
        assert (made["cell"], made["sha256"]) == (str(cell), zoo.entry(cell.model).sha256)


def test_a_file_under_another_cells_name_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "measure_cell", lambda *words: Measured({"a": 1}, {}))
    state.measure_edits(CELLS[:1], PLAN, tmp_path, silent)
    (tmp_path / CELLS[0].file).rename(tmp_path / CELLS[1].file)
    with pytest.raises(LabError, match=r"was made with \{'cell': 'denials'"):
        state.measure_edits(CELLS[1:], PLAN, tmp_path, silent)

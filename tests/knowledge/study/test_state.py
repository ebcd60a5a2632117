"""A study that is killed and given again is the same to the bit, and never measured twice."""

import json
from dataclasses import replace

import pytest
import torch

from helpers.errors import LabError
from helpers.knowledge.masks import packed
from helpers.knowledge.study import TASKS, Cell, MaskPlan, Measured, cells, state
from helpers.knowledge.study.plan import GRIDS
from tests.support import killing

PLAN = MaskPlan(1, 1, steps=1, densities=(0.5, 0.05))
CELLS = [Cell("tuning", "binary concrete", 5), Cell("control", "dealt out", 0)]
WEIGHTS = 100


def fake(cell, plan, best):
    """A cell in no time, whose numbers and masks follow from its key."""
    generator = torch.Generator().manual_seed(len(str(cell)))
    mask = (torch.rand(WEIGHTS, generator=generator) < 0.5).float()
    return Measured({"key": str(cell), "densities": {}}, {0.5: mask})


def silent(text):
    pass


def test_a_killed_study_goes_on_and_gives_the_same_to_the_bit(tmp_path, monkeypatch):
    """With the real work: a search of a few steps, and a control."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    state.measure_all(CELLS, PLAN, whole, silent)
    begun = killing.at_second_call(monkeypatch, state, "measure")
    with pytest.raises(KeyboardInterrupt):
        state.measure_all(CELLS, PLAN, broken, silent)
    assert state.missing(CELLS, broken) == CELLS[1:]
    said = []
    state.measure_all(CELLS, PLAN, broken, said.append)
    assert begun == [CELLS[0], CELLS[1], CELLS[1]], "the first one is not measured again"
    assert len(said) == 1
    for cell in CELLS:
        assert state.read(cell, PLAN, whole) == state.read(cell, PLAN, broken)


def test_masks_come_back_to_the_bit(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "measure", fake)
    cell = Cell("circuit", "kind", 0)
    state.measure_all([cell], PLAN, tmp_path, silent)
    (mask,) = state.masks(cell, PLAN, tmp_path, WEIGHTS).values()
    assert torch.equal(mask, fake(cell, PLAN, None).masks[0.5])
    with pytest.raises(LabError, match="expected a packed mask of 200 weights"):
        state.masks(cell, PLAN, tmp_path, 200)
    assert len(packed.pack(mask)) == 13


def test_a_kill_while_writing_leaves_no_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "measure", fake)
    monkeypatch.setattr("helpers.files.atomic._put_in_place", lambda *paths: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        state.measure_all(CELLS[:1], PLAN, tmp_path, silent)
    assert state.missing(CELLS, tmp_path) == CELLS


def test_what_another_process_has_measured_meanwhile_is_left_alone(tmp_path, monkeypatch):
    def other_too(cell, plan, best):
        state.write(CELLS[1], Measured({"key": "the other's"}, {}), plan, tmp_path)
        return fake(cell, plan, best)

    monkeypatch.setattr(state, "measure", other_too)
    state.measure_all(CELLS, PLAN, tmp_path, silent)
    assert state.read(CELLS[1], PLAN, tmp_path) == {"key": "the other's"}


def test_damaged_cells_and_those_of_another_plan_are_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "measure", fake)
    state.measure_all(CELLS[:1], PLAN, tmp_path, silent)
    monkeypatch.setattr(state, "measure", lambda *words: pytest.fail("it was measured"))
    with pytest.raises(LabError, match=r"expected cells made with .* in .*; .* was made with"):
        state.measure_all(CELLS, MaskPlan(1, 1, steps=2), tmp_path, silent)
    file = tmp_path / CELLS[0].file
    for content in (b"", b"{", file.read_bytes()[:50]):
        file.write_bytes(content)
        with pytest.raises(LabError, match="expected the cell tuning/binary concrete/5 in"):
            state.measure_all(CELLS, PLAN, tmp_path, silent)
        assert file.read_bytes() == content, "and left as it is"


def test_the_best_settings_are_those_of_the_stored_cells(tmp_path):
    for number in range(6):
        found = {"0.5": {"accuracy": 1.0, "kl": 1.0}} if number in (2, 4) else {}
        if number == 4:
            found["0.05"] = {"accuracy": 0.1, "kl": 9.0}
        measured = Measured({"densities": found, "settings": {}}, {})
        state.write(Cell("tuning", "top-k", number), measured, PLAN, tmp_path)
    assert state.best("top-k", PLAN, tmp_path) == 4
    with pytest.raises(LabError, match="expected the cell tuning/hard concrete/0"):
        state.best("hard concrete", PLAN, tmp_path)


def kept(cell, folder, plan=PLAN):
    """A cell in no time, in its file."""
    state.write(cell, fake(cell, plan, None), plan, folder)
    return folder / cell.file


def test_a_cell_of_another_grid_is_refused(tmp_path, monkeypatch):
    cell, other = Cell("tuning", "top-k", 3), Cell("tuning", "top-k", 2)
    kept(cell, tmp_path)
    kept(other, tmp_path)
    kept(Cell("estimator", "top-k", 0), tmp_path)
    grid = list(GRIDS["top-k"])
    grid[3] = replace(grid[3], learning_rate=0.5)
    monkeypatch.setitem(GRIDS, "top-k", tuple(grid))
    words = r"made with {'learning_rate': 0\.5} in .*; .* was made with {'learning_rate': 0\.03}"
    with pytest.raises(LabError, match=words):
        state.read(cell, PLAN, tmp_path)
    with pytest.raises(LabError, match=r"expected cells made with {'tried':"):
        state.read(Cell("estimator", "top-k", 0), PLAN, tmp_path)
    assert state.read(other, PLAN, tmp_path)["key"] == str(other), "its own is as it was"


def test_a_file_under_another_cells_name_is_refused(tmp_path):
    file = kept(Cell("circuit", "kind", 0), tmp_path)
    for other in (Cell("circuit", "kind", 1), Cell("circuit", "realm", 0)):
        file.rename(tmp_path / other.file)
        file = tmp_path / other.file
        words = f"{{'cell': '{other}'.* was made with {{'cell': 'circuit/kind/0'"
        with pytest.raises(LabError, match=words):
            state.masks(other, PLAN, tmp_path, WEIGHTS)


def test_a_bit_that_has_changed_is_seen(tmp_path):
    cell = Cell("circuit", "kind", 0)
    file = kept(cell, tmp_path)
    whole = file.read_bytes()
    for place in (len(whole) - 1, whole.index(b"circuit/kind/0"), whole.rindex(b"circuit/kind/0")):
        changed = bytearray(whole)
        changed[place] ^= 1
        file.write_bytes(bytes(changed))
        with pytest.raises(LabError, match=r"expected the cell circuit/kind/0 in .*checksum"):
            state.read(cell, PLAN, tmp_path)
    file.write_bytes(whole)
    assert state.read(cell, PLAN, tmp_path)["key"] == str(cell)


def test_prompts_are_compared():
    """Tasks ask different things; a control deals its answers by its seed, or not at all."""
    said = {
        str(cell): state.made_with(cell, PLAN)["prompts"]
        for cell in cells(MaskPlan(2, 2))
        if cell.kind in ("circuit", "control", "tuning", "rivals")
    }
    assert len({said[f"circuit/{name}/0"] for name in TASKS}) == len(TASKS)
    assert said["circuit/kind/0"] == said["circuit/kind/1"] == said["rivals/kind"]
    assert said["circuit/kind/0"] == said["tuning/top-k/5"]
    for name in ("exchanged kinds", "dealt out"):
        assert len({said[f"control/{each}"] for each in ("facts/0", f"{name}/0", f"{name}/1")}) == 3
    same = {said[f"control/{name}/{n}"] for name in ("facts", "untrained") for n in (0, 1)}
    assert len(same) == 1


def test_what_a_cell_was_made_with_is_json():
    for cell in CELLS:
        made = state.made_with(cell, PLAN)
        assert json.loads(json.dumps(made)) == made

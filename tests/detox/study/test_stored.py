"""A study is one file, which comes back as it was, or is refused in words."""

import json
from dataclasses import replace

import pytest

from helpers.detox.study import DetoxCell, DetoxPlan, detox_cells, state, stored
from helpers.errors import LabError
from helpers.files import cells
from helpers.files.cells import Contents
from tests.detox.study.fakes import PLAN, result, study

SMALL = DetoxPlan(seeds=1, groups=("longer", "detection"))


@pytest.fixture
def out(tmp_path, monkeypatch):
    """A small study, measured in no time and stored."""
    monkeypatch.setattr(state, "measure_cell", lambda cell, *words: Contents(result(cell)))
    folder = tmp_path / "detox.cells"
    state.measure_detox(detox_cells(SMALL), SMALL, folder, lambda text: None)
    stored.write(SMALL, folder, tmp_path / "detox.json")
    return tmp_path / "detox.json"


def test_a_study_comes_back_as_it_was(out):
    found = stored.stored_detox(out)
    assert found.plan == SMALL
    assert found.cells == {cell: result(cell) for cell in detox_cells(SMALL)}
    assert out.read_text().count("\n") == len(found.cells) + 3, "a line for each cell"


def test_cells_are_found_by_their_key_and_over_their_seeds():
    whole = study()
    key = "method/mixed/kl 10/120 steps/seed 1"
    assert whole.cell(key) == result(DetoxCell.read(key))
    assert whole.seeds(DetoxCell.read(key)) == [
        result(DetoxCell.read(f"method/mixed/kl 10/120 steps/seed {n}")) for n in range(3)
    ]
    assert whole.seeds(DetoxCell("base")) == [result(DetoxCell("base"))]
    with pytest.raises(LabError, match=r"expected a cell that is stored; got .dpo.\n.*detox"):
        whole.cell("dpo")


def test_groups_are_told_apart_but_for_the_base():
    whole, seen = study(), []
    for group in PLAN.groups:
        seen += [cell for cell in whole.of_group(group) if cell.kind != "base"]
    assert len({(cell.kind, cell.of) for cell in seen}) == len(
        {(cell.kind, cell.of) for cell in detox_cells(PLAN) if cell.kind != "base"}
    )
    with pytest.raises(LabError, match="groups of cells: longer, detection; got"):
        study(SMALL).of_group("rivals")


def test_damaged_and_foreign_studies_are_refused(out):
    raw = json.loads(out.read_text())
    incomplete = raw | {"cells": dict(list(raw["cells"].items())[1:])}
    unknown = raw | {"cells": raw["cells"] | {"unknown": {}}}
    cases = {
        "{": "expected stored measurements in",
        json.dumps(incomplete): "1 cells are missing, first 'base'",
        json.dumps(raw | {"sha256": "0" * 64}): "expected measurements of the shipped tinyworld",
        json.dumps(unknown): "expected a key of a cell",
        json.dumps(raw | {"plan": {}}): "expected stored measurements in",
    }
    for content, words in cases.items():
        out.write_text(content)
        with pytest.raises(LabError, match=words):
            stored.stored_detox(out)


def test_a_study_with_a_cell_of_other_settings_is_not_put_together(out):
    folder = cells.beside(out)
    other = replace(SMALL, judge=replace(SMALL.judge, samples=3))
    with pytest.raises(LabError, match="expected cells made with"):
        stored.write(other, folder, out)
    (folder / DetoxCell("base").file).unlink()
    with pytest.raises(LabError, match="expected the cell base in"):
        stored.write(SMALL, folder, out)

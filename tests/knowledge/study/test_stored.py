"""The stored study: put together from its cells, read again, refused where it does not fit."""

import json

import numpy as np
import pytest
import torch

from helpers import cli, files, zoo
from helpers.errors import LabError
from helpers.knowledge.masks import blocks, estimators, rivals
from helpers.knowledge.masks.compare import overlap
from helpers.knowledge.study import (
    CONTROLS,
    TASKS,
    Cell,
    MaskPlan,
    Measured,
    cells,
    state,
    stored,
    summaries,
)

PLAN = MaskPlan(2, 2, steps=92)
ITS = blocks.of(zoo.load("tinyworld", device="cpu"))
SUBJECTS = 4


def score(share):
    right = [round(3 * share)] * SUBJECTS
    more = {"nll": 1.0, "above_uniform": -1.0, "entropy": 1.0}
    return {"right": right, "agree": right, "kl": [1 - share] * SUBJECTS, **more}


def masks_of(cell):
    seed = 10 * TASKS.index(cell.of) + cell.number
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(len(ITS), generator=generator)
    return {density: estimators.keep(scores, density) for density in PLAN.densities}


def fake(cell, plan, best):
    """A whole cell without the search: circuits know everything, all else nothing."""
    densities = [str(density) for density in PLAN.densities]
    of_control = cell.kind == "control" or cell.of in CONTROLS
    if cell.kind == "circuit" or (cell.kind == "steady" and not of_control):
        arms = {"circuit": score(1)} | {arm: score(0) for arm in summaries.LEARNED[1:]}
        parts = {"attention": [0.1, 0.2], "MLP": [0.3, 0.7], "normalisation": [0.5, 0.1]}
        found = {"arms": arms, "composition": parts}
        masks = masks_of(cell) if cell.kind == "circuit" else {}
        return Measured({"densities": dict.fromkeys(densities, found)}, masks)
    if cell.kind == "rivals":
        found = {"arms": {arm: score(0) for arm in summaries.FIXED}}
        ends = {"whole": score(1), "none": score(0)}
        asked = [3] * SUBJECTS
        return Measured(
            {"densities": dict.fromkeys(densities, found), "ends": ends, "asked": asked}, {}
        )
    if of_control:
        right = dict.fromkeys(("learned", "other frames", "other entities"), [1] * SUBJECTS)
        asked = dict.fromkeys(right, [2] * SUBJECTS)
        return Measured(
            {"densities": dict.fromkeys(densities, right), "ends": right, "asked": asked}, {}
        )
    if cell.kind == "tuning":
        found = {d: {"accuracy": cell.number / 10, "kl": 0.5} for d in densities}
        return Measured({"densities": found, "settings": {"learning_rate": 1, "multiplier": 1}}, {})
    return Measured({"densities": {densities[0]: {"arms": {"circuit": score(1)}}}, "number": 5}, {})


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A study written by the command itself, with the long work set aside."""
    path = tmp_path_factory.mktemp("study") / "masks.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "measure", fake)
        assert cli.main(["masks", "--seeds", "2", "--others", "2", "--out", str(path)]) == 0
    return path


def test_all_cells_come_back(out):
    study = stored.stored(out)
    assert study.plan == PLAN
    assert study.sha256 == zoo.entry("tinyworld").sha256
    assert list(study.cells) == list(cells(PLAN))
    for cell in study.cells:
        assert study.cells[cell] == json.loads(json.dumps(fake(cell, PLAN, None).result))
    with pytest.raises(LabError, match="expected a cell that is stored; got 'circuit/kind/7'"):
        study.cell("circuit", "kind", 7)


def test_circuits_come_back_to_the_bit(out):
    for seed, density in stored.KEPT:
        expected = masks_of(Cell("circuit", "kind", seed))[density]
        assert torch.equal(stored.circuit(seed, density, out), expected)
    assert out.with_suffix(".safetensors").stat().st_size < 2**20
    with pytest.raises(LabError, match="expected a stored circuit by seed/density: 0"):
        stored.circuit(0, 0.35, out)


def test_overlaps_are_those_of_the_masks_and_the_null_of_drawn_ones(out):
    study = stored.stored(out)
    table = study.overlaps["0.05/kind/realm"]
    masks = [masks_of(Cell("circuit", name, 0))[0.05] for name in ("kind", "realm")]
    expected = overlap(ITS, *masks)
    assert table[0][0] == pytest.approx([expected.containment, expected.per_tensor], abs=1e-4)
    drawn = [float((masks[0] * rivals.per_tensor(ITS, masks[1], s)).sum()) for s in range(5)]
    kept = float(masks[0].sum())
    assert table[0][0][1] == pytest.approx(np.mean(drawn) / kept, abs=0.004)
    assert study.overlaps["0.5/kind/kind"][1][1] is None
    assert study.overlaps["0.5/kind/kind"][0][1] is not None


def test_pairs_of_one_seed_stand_apart(out):
    rows = {
        (row["density"], row["first"], row["second"]): row
        for row in summaries.overlaps(stored.stored(out))
    }
    assert len(rows) == 2 * len(TASKS) ** 2
    table = stored.stored(out).overlaps["0.05/kind/realm"]
    row = rows[0.05, "kind", "realm"]
    assert row["containment"][0] == pytest.approx((table[0][1][0] + table[1][0][0]) / 2)
    assert row["same_seed"][0] == pytest.approx((table[0][0][0] + table[1][1][0]) / 2)
    assert rows[0.05, "kind", "kind"]["same_seed"] is None


def test_rows_say_what_the_cells_hold(out):
    study = stored.stored(out)
    rows = {(row["density"], row["arm"]): row for row in summaries.circuits(study, "truth")}
    assert len(rows) == 5 * 6 + 2
    assert rows[0.05, "circuit"]["accuracy"].mean == 1
    assert rows[0.05, "circuit"]["accuracy"].seeds == 2
    assert rows[0.5, "magnitude"]["accuracy"].mean == 0
    assert rows[0.5, "magnitude"]["kl"].mean == 1
    assert rows[1.0, "whole"]["agreement"].mean == 1
    controls = summaries.controls(study)
    assert len(controls) == len(CONTROLS) * 6 * 3
    assert {row["accuracy"].mean for row in controls} == {0.5}
    steady = {(row["of"], row["asked"], row["arm"]): row for row in summaries.steady(study)}
    assert len(steady) == 6 * 4 + 6 * 3
    assert steady["kind", "held out", "circuit"]["accuracy"].mean == 1
    assert steady["facts", "learned", "circuit"]["accuracy"].mean == 0.5
    parts = summaries.compositions(study)
    assert {row["kind"]: row["share"][0] for row in parts}["MLP"] == pytest.approx(0.7)


def test_the_best_settings_are_named_and_what_was_not_reached_has_no_number(out):
    study = stored.stored(out)
    tuning = [row for row in summaries.tuning(study) if row["best"]]
    assert [row["mean_accuracy"] for row in tuning] == pytest.approx([0.5] * 3)
    reached = [row["accuracy"] is not None for row in summaries.estimators(study)]
    assert reached == 3 * [True, False, False, False, False]


def test_given_again_nothing_is_measured_and_json_is_printed(out, monkeypatch, capsys):
    monkeypatch.setattr(state, "measure", lambda *words: pytest.fail("it was measured"))
    before = out.read_bytes()
    words = ["masks", "--seeds", "2", "--others", "2", "--out", str(out)]
    assert cli.main(words) == 0
    assert out.read_bytes() == before
    assert capsys.readouterr().out == ""
    assert cli.main([*words, "--only", "tuning/top-k/3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {"tuning/top-k/3": fake(Cell("tuning", "top-k", 3), PLAN, None).result}


def test_some_cells_alone_make_no_file_of_results(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "measure", fake)
    out = tmp_path / "masks.json"
    assert cli.main(["masks", "--only", "rivals", "--out", str(out)]) == 0
    assert not out.exists()
    assert len(list((tmp_path / "masks.cells").iterdir())) == len(TASKS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "circuit/colour"], "expected the beginning of a key of a cell"),
        (["--seeds", "0"], "expected a number of seeds of at least 1; got 0"),
        (["--others", "-1"], "expected a number of seeds of at least 1; got -1"),
        (["--steps", "0"], "expected a number of steps of at least 1; got 0"),
    ],
)
def test_bad_arguments_of_the_command(words, message, tmp_path, capsys):
    assert cli.main(["masks", "--out", str(tmp_path / "masks.json"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".safetensors", ".cells"])
def test_numbers_and_what_is_beside_them_are_never_one_file(ending, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(state, "measure_all", lambda *words: pytest.fail("it was measured"))
    assert cli.main(["masks", "--out", str(tmp_path / f"study{ending}")]) == 1
    assert f"a file of numbers that does not end on {ending}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_study_is_not_written_over_its_own_masks(out):
    before = out.with_suffix(".safetensors").read_bytes()
    with pytest.raises(LabError, match=r"does not end on \.safetensors"):
        stored.write(PLAN, out.with_suffix(".cells"), out.with_suffix(".safetensors"))
    assert out.with_suffix(".safetensors").read_bytes() == before


def test_damaged_and_foreign_studies_are_refused(out, tmp_path):
    text = out.read_text()
    raw = json.loads(text)
    incomplete = raw | {"cells": dict(list(raw["cells"].items())[1:])}
    other = raw | {"sha256": "0" * 64}
    path = tmp_path / "masks.json"
    for content, words in (
        ("{", "expected stored measurements in"),
        (json.dumps(incomplete), "1 cells are missing, first 'rivals/kind'"),
        (json.dumps(other), "expected measurements of the shipped tinyworld"),
    ):
        path.write_text(content)
        with pytest.raises(LabError, match=words):
            stored.stored(path)
    path.write_text(text)
    with pytest.raises(LabError, match=r"expected the masks of masks\.json in"):
        stored.circuit(path=path)
    files.write_atomically(b"not these", path.with_suffix(".safetensors"))
    with pytest.raises(LabError, match="missing, or another file"):
        stored.circuit(path=path)

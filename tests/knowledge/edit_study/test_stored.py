"""The stored study of edits: put together by the command, read again, refused where it is odd."""

import json

import pytest

from helpers import cli, zoo
from helpers.errors import LabError
from helpers.knowledge.edit_study import EditCell, edit_cells, state, stored_edits
from tests.knowledge.edit_study import fakes

WORDS = ["edits", "--facts", "6", "--seeds", "2"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A study written by the command itself, with the long work set aside."""
    path = tmp_path_factory.mktemp("study") / "edits.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "measure_cell", fakes.fake)
        assert cli.main([*WORDS, "--out", str(path)]) == 0
    return path


def test_all_cells_come_back(out):
    study = stored_edits(out)
    assert study.plan == fakes.PLAN
    assert study.sha256["tinyworld"] == zoo.entry("tinyworld").sha256
    assert list(study.cells) == list(edit_cells(fakes.PLAN))
    for cell, found in study.cells.items():
        assert found == json.loads(json.dumps(fakes.result(cell)))
    with pytest.raises(LabError, match="expected a cell that is stored; got 'masks/7'"):
        study.cell(EditCell("masks", ("7",)))


def test_given_again_nothing_is_measured_and_json_is_printed(out, monkeypatch, capsys):
    monkeypatch.setattr(state, "measure_cell", lambda *words: pytest.fail("it was measured"))
    before = out.read_bytes()
    words = [*WORDS, "--out", str(out)]
    assert cli.main(words) == 0
    assert out.read_bytes() == before
    assert capsys.readouterr().out == ""
    assert cli.main([*words, "--only", "denials", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"denials": fakes.result(EditCell("denials"))}


def test_some_cells_alone_make_no_file_of_results(tmp_path, monkeypatch):
    monkeypatch.setattr(state, "measure_cell", fakes.fake)
    path = tmp_path / "edits.json"
    assert cli.main(["edits", "--only", "tracing/noise", "--out", str(path)]) == 0
    assert not path.exists()
    assert len(list((tmp_path / "edits.cells").iterdir())) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "arms/colour"], "expected the beginning of a key of a cell"),
        (["--facts", "1"], "expected a number of facts of at least 2; got 1"),
        (["--seeds", "0"], "expected a number of seeds of at least 1; got 0"),
        (["--steps", "-1"], "expected a number of steps of at least 1; got -1"),
    ],
)
def test_bad_arguments_of_the_command(words, message, tmp_path, capsys):
    assert cli.main(["edits", "--out", str(tmp_path / "edits.json"), *words]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_damaged_and_foreign_studies_are_refused(out, tmp_path):
    raw = json.loads(out.read_text())
    incomplete = raw | {"cells": dict(list(raw["cells"].items())[1:])}
    other = raw | {"sha256": dict.fromkeys(raw["sha256"], "0" * 64)}
    path = tmp_path / "edits.json"
    for content, words in (
        ("{", "expected stored measurements in"),
        (json.dumps(incomplete), "1 cells are missing, first 'masks/0'"),
        (json.dumps(other), "expected measurements of the shipped tinyworld and tinyworld-facts"),
    ):
        path.write_text(content)
        with pytest.raises(LabError, match=words):
            stored_edits(path)

"""The command `reuse`: what it stores, what it does not measure again, and what it refuses."""

from dataclasses import replace

import pytest

from helpers import cli, training
from helpers.arithmetic.reuse import (
    SourceRecord,
    measure,
    measuring,
    stored,
    to_text,
)
from helpers.arithmetic.training import RECIPES, task_of
from helpers.commands import reuse as reuse_command
from helpers.errors import LabError
from helpers.training import WEIGHTS

pytestmark = pytest.mark.core
pytest_plugins = "tests.arithmetic.reuse_runs"


@pytest.fixture(autouse=True)
def _few(few_questions):
    """The settings with which the file was filled."""


@pytest.mark.slow
def test_a_stored_run_is_not_measured_again(mixed_run, records_copy, monkeypatch, capsys):
    monkeypatch.setattr(measuring, "measure", None)  # a call would fail
    before = records_copy.read_bytes()
    assert cli.main(["reuse", str(mixed_run), str(mixed_run), "--out", str(records_copy)]) == 0
    assert "mix-d3, seed 0: already stored" in capsys.readouterr().err
    assert records_copy.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{"fingerprint": "0"}, {"sha256": "0"}, {"source_sha256": "0"}, {"settings": {}}]
)
def test_a_record_of_something_else_is_measured_again(mixed_run, records_copy, monkeypatch, change):
    everything = stored(records_copy)
    record = everything.runs["mix-d3"][0]
    records_copy.write_text(
        to_text(replace(everything, runs={"mix-d3": {0: replace(record, **change)}}))
    )
    monkeypatch.setattr(measuring, "measure", lambda folder, source: record)
    assert cli.main(["reuse", str(mixed_run), "--out", str(records_copy)]) == 0
    assert to_text(stored(records_copy)) == to_text(everything)


@pytest.mark.slow
def test_what_was_measured_before_ctrl_c_is_kept(
    mixed_recipe, mixed_run, records_copy, tmp_path, monkeypatch, capsys
):
    folders = [mixed_run]
    for seed in (1, 2):
        recipe = replace(mixed_recipe, seed=seed)
        folders.append(tmp_path / f"seed-{seed}")
        training.train(recipe, task_of(recipe), folders[-1])
    whole = stored(records_copy).runs["mix-d3"][0]

    def measure(folder, source):
        if folder.name == "seed-2":
            raise KeyboardInterrupt
        recipe, sha256 = measuring.identity(folder)
        return replace(whole, seed=recipe.seed, fingerprint=recipe.fingerprint, sha256=sha256)

    monkeypatch.setattr(measuring, "measure", measure)
    command = ["reuse", *map(str, folders), "--out", str(records_copy)]
    assert cli.main(command) == 130
    assert sorted(stored(records_copy).runs["mix-d3"]) == [0, 1]
    assert not list(records_copy.parent.glob("*.tmp"))
    monkeypatch.setattr(measuring, "measure", lambda folder, source: replace(whole, seed=2))
    capsys.readouterr()
    assert cli.main(command) == 0
    assert capsys.readouterr().err.count("already stored") == 2
    assert sorted(stored(records_copy).runs["mix-d3"]) == [0, 1, 2]


@pytest.mark.slow
def test_two_processes_add_to_one_file(records_copy):
    """What another process has stored since the file was read is not lost."""
    record = stored(records_copy).runs["mix-d3"][0]
    for seed in (5, 6):
        reuse_command._add(records_copy, replace(record, seed=seed))
    assert sorted(stored(records_copy).runs["mix-d3"]) == [0, 5, 6]


def test_an_unfinished_run_is_refused(mixed_run, tmp_path, capsys):
    folder = tmp_path / "unfinished"
    folder.mkdir()
    (folder / "recipe.json").write_text((mixed_run / "recipe.json").read_text())
    assert cli.main(["reuse", str(folder), "--out", str(tmp_path / "out.json")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert WEIGHTS in said.err
    assert f"train mix-d3 --seed 0 --out {folder} --resume" in said.err
    assert not (tmp_path / "out.json").exists()


def test_a_run_of_another_task_is_refused(mixed_run, tmp_path, capsys):
    """All folders are looked at before any is measured."""
    from helpers.files import write_atomically

    write_atomically(RECIPES["add-d3"].to_json(), tmp_path / "adder" / "recipe.json")
    assert (
        cli.main(
            ["reuse", str(mixed_run), str(tmp_path / "adder"), "--out", str(tmp_path / "out.json")]
        )
        == 1
    )
    said = capsys.readouterr()
    assert said.out == ""
    assert "expected a run of a mixed model" in said.err
    assert not (tmp_path / "out.json").exists()


def test_folders_without_a_run_or_its_checkpoints_are_refused(mixed_run, tmp_path, capsys):
    assert cli.main(["reuse", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out.json")]) == 1
    assert "expected a finished run" in capsys.readouterr().err
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("recipe.json", WEIGHTS):
        (bare / name).write_bytes((mixed_run / name).read_bytes())
    source = SourceRecord("add-d3", "", {}, {}, [])
    with pytest.raises(LabError, match="expected checkpoints in"):
        measure(bare, source)


def test_a_damaged_file_of_records_is_never_written_over(mixed_run, tmp_path, capsys):
    path = tmp_path / "out.json"
    path.write_text("{")
    assert cli.main(["reuse", str(mixed_run), "--out", str(path)]) == 1
    assert "expected stored measurements" in capsys.readouterr().err
    assert path.read_text() == "{"

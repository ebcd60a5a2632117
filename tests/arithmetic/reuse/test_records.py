"""One whole measurement of a run in miniature, the file of records, and the command that fills it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from helpers import cli, training, zoo
from helpers.arithmetic.circuit.usage import nodes_of
from helpers.arithmetic.questions.format import Format
from helpers.arithmetic.reuse import curves, records
from helpers.arithmetic.reuse.records import stored, to_text
from helpers.arithmetic.reuse.similarity import similarity
from helpers.arithmetic.reuse.transfer import transferred
from helpers.arithmetic.training.recipes import RECIPES, task_of
from helpers.commands import reuse as reuse_command
from helpers.errors import LabError
from helpers.interventions import Node
from helpers.training import WEIGHTS

pytestmark = pytest.mark.core

RECIPE = replace(
    RECIPES["mix-d3"], steps=2, batch_size=4, warmup_steps=2, learning_rate=1e-9, n_checkpoints=3
)
SETTINGS = json.loads(json.dumps(records.SETTINGS))
SMALL = {"per_class": 2, "reference_per_class": 4, "pairs": 2, "random_sets": 1}


@pytest.fixture(scope="module")
def small():
    """Few questions, for the whole module."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(records, "SETTINGS", records.SETTINGS | SMALL)
        patched.setattr(reuse_command, "SETTINGS", records.SETTINGS)
        patched.setattr(curves, "UNIFORM", 200)
        patched.setattr(curves, "PER_CLASS", 2)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory, small) -> Path:
    """A run of an inserted adder, trained for two steps that change next to nothing."""
    folder = tmp_path_factory.mktemp("mix-d3")
    training.train(RECIPE, task_of(RECIPE), folder)
    return folder


@pytest.fixture(scope="module")
def filled(tmp_path_factory, run) -> Path:
    """The file that the command writes for this run."""
    out = tmp_path_factory.mktemp("stored") / "reuse.json"
    assert cli.main(["reuse", str(run), "--out", str(out)]) == 0
    return out


@pytest.fixture
def out(filled, tmp_path) -> Path:
    """A copy that a test may change."""
    copy = tmp_path / "reuse.json"
    copy.write_bytes(filled.read_bytes())
    return copy


@pytest.mark.slow
def test_a_record_holds_what_the_parts_measure(run, filled):
    everything = stored(filled)
    record, source = everything.runs["mix-d3"][0], everything.sources["add-d3"]
    assert (record.arm, record.freeze, record.n_digits, record.fingerprint) == (
        "preserving",
        "nothing",
        3,
        RECIPE.fingerprint,
    )
    assert record.source_sha256 == source.sha256 == zoo.check("add-d3").sha256
    assert [point.step for point in record.curve.points] == [0, 1, 2]
    assert record.curve.points[0].accuracy("uniform", "ADD") == 1.0
    assert record.use["mean"].asked["ADD"] == source.use["mean"].asked["ADD"] == 8
    assert record.use["resample"].broken["NEG"].shape == (12, 3, 5)
    assert all(one.same == one.source.count for one in record.retests)  # nothing was trained
    assert {one.source.label for one in record.retests} >= {"SA0", "SC0", "ST0"}
    assert transferred(record.retests).best == transferred(record.retests).rate
    adder, model = zoo.load("add-d3", device="cpu"), zoo.load(str(run), device="cpu")
    assert [one.same for one in record.weights] == pytest.approx(
        [one.same for one in similarity(adder, model)], abs=1e-4
    )
    assert min(one.same for one in record.weights) > 0.99
    assert max(abs(one.same) for one in record.independent) < 0.2
    assert len(record.kept) == len(records.MODES) * len(records.SHARES)
    assert record.kept[0].nodes == len(nodes_of(record.use["mean"].useful()))
    assert record.seconds > 0


@pytest.mark.slow
def test_the_source_is_measured_on_additions(filled):
    source = stored(filled).sources["add-d3"]
    assert set(source.use["mean"].broken) == {"ADD"}
    assert source.use["mean"].broken["ADD"].shape == (12, 2, 4)
    assert {test.task for test in source.passed} == {"SA", "SC", "U", "SV", "ST"}


@pytest.mark.slow
def test_what_is_written_is_read_back(filled):
    text = filled.read_text()
    assert to_text(stored(filled)) == text
    assert max(map(len, text.splitlines())) > 1000  # one line a record
    assert len(text.splitlines()) < 15


@pytest.mark.slow
def test_a_stored_run_is_not_measured_again(run, out, monkeypatch, capsys):
    monkeypatch.setattr(records, "measure", None)  # a call would fail
    before = out.read_bytes()
    assert cli.main(["reuse", str(run), str(run), "--out", str(out)]) == 0
    assert "mix-d3, seed 0: already stored" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [{"fingerprint": "0"}, {"sha256": "0"}, {"source_sha256": "0"}, {"settings": {}}]
)
def test_a_record_of_something_else_is_measured_again(run, out, monkeypatch, change):
    everything = stored(out)
    record = everything.runs["mix-d3"][0]
    out.write_text(to_text(replace(everything, runs={"mix-d3": {0: replace(record, **change)}})))
    monkeypatch.setattr(records, "measure", lambda folder, source: record)
    assert cli.main(["reuse", str(run), "--out", str(out)]) == 0
    assert to_text(stored(out)) == to_text(everything)


@pytest.mark.slow
def test_what_was_measured_before_ctrl_c_is_kept(run, out, tmp_path, monkeypatch, capsys):
    folders = [run]
    for seed in (1, 2):
        recipe = replace(RECIPE, seed=seed)
        folders.append(tmp_path / f"seed-{seed}")
        training.train(recipe, task_of(recipe), folders[-1])
    whole = stored(out).runs["mix-d3"][0]

    def measure(folder, source):
        if folder.name == "seed-2":
            raise KeyboardInterrupt
        recipe, sha256 = records.identity(folder)
        return replace(whole, seed=recipe.seed, fingerprint=recipe.fingerprint, sha256=sha256)

    monkeypatch.setattr(records, "measure", measure)
    command = ["reuse", *map(str, folders), "--out", str(out)]
    assert cli.main(command) == 130
    assert sorted(stored(out).runs["mix-d3"]) == [0, 1]
    assert not list(out.parent.glob("*.tmp"))
    monkeypatch.setattr(records, "measure", lambda folder, source: replace(whole, seed=2))
    capsys.readouterr()
    assert cli.main(command) == 0
    assert capsys.readouterr().err.count("already stored") == 2
    assert sorted(stored(out).runs["mix-d3"]) == [0, 1, 2]


@pytest.mark.slow
def test_two_processes_add_to_one_file(out):
    """What another process has stored since the file was read is not lost."""
    record = stored(out).runs["mix-d3"][0]
    for seed in (5, 6):
        reuse_command._add(out, replace(record, seed=seed))
    assert sorted(stored(out).runs["mix-d3"]) == [0, 5, 6]


@pytest.mark.parametrize(
    "nodes", [(Node(11, 0, 2),), (Node(3, 1, 0), Node(3, 1, 10)), (Node(0, 2),)]
)
def test_nodes_are_written_and_read(nodes):
    assert records._nodes(records._names(nodes)) == nodes


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"sources": {}}', '{"sources": {"add-d3": {}}, "runs": {}}']
)
def test_a_damaged_file_is_reported(tmp_path, text):
    path = tmp_path / "reuse.json"
    path.write_text(text)
    with pytest.raises(LabError, match="reinstall the package"):
        stored(path)


@pytest.mark.slow
def test_damaged_records_are_reported(out):
    for old, new in (
        ('"P11L0M"', '"X11L0M"'),
        ('"curve":[[0,', '"curve":[['),
        ('"kept":', '"held":'),
        ('"broken":', '"b":'),
    ):
        text = out.read_text()
        assert old in text
        path = out.with_name("other.json")
        path.write_text(text.replace(old, new))
        with pytest.raises(LabError, match="cannot use it"):
            stored(path)


def test_a_source_of_other_digits_is_refused(run):
    from helpers.arithmetic.circuit.usage import Use

    other = records.Source("add-d6", "", {}, {"mean": Use({}, {})}, [])
    with pytest.raises(LabError, match="expected the source add-d3"):
        records.measure(run, other)
    with pytest.raises(LabError, match="3 or 6 digits"):
        records.measure_source(5)


def test_the_shipped_measurements_are_those_of_this_package():
    """Settings, sources and recipes are the present ones, so that `reuse` would measure nothing anew."""
    from helpers.arithmetic.training.recipes import EXPERIMENTS, SOURCES

    everything = stored()
    for name, seeds in everything.runs.items():
        for seed, record in seeds.items():
            assert (
                record.fingerprint == replace((RECIPES | EXPERIMENTS)[name], seed=seed).fingerprint
            )
            assert record.settings == SETTINGS
            assert record.source_sha256.startswith(SOURCES[record.n_digits][1])
            assert (
                record.curve.steps
                == replace((RECIPES | EXPERIMENTS)[name], seed=seed).checkpoint_steps
            )
            fmt = Format(record.n_digits)
            assert all(
                use.broken["ADD"].shape == (fmt.n_ctx - 1, 3, 5) for use in record.use.values()
            )


def test_an_unfinished_run_is_refused(run, tmp_path, capsys):
    folder = tmp_path / "unfinished"
    folder.mkdir()
    (folder / "recipe.json").write_text((run / "recipe.json").read_text())
    assert cli.main(["reuse", str(folder), "--out", str(tmp_path / "out.json")]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert WEIGHTS in said.err
    assert f"train mix-d3 --seed 0 --out {folder} --resume" in said.err
    assert not (tmp_path / "out.json").exists()


def test_a_run_of_another_task_is_refused(run, tmp_path, capsys):
    """All folders are looked at before any is measured."""
    from helpers.files import write_atomically

    write_atomically(RECIPES["add-d3"].to_json(), tmp_path / "adder" / "recipe.json")
    assert (
        cli.main(["reuse", str(run), str(tmp_path / "adder"), "--out", str(tmp_path / "out.json")])
        == 1
    )
    said = capsys.readouterr()
    assert said.out == ""
    assert "expected a run of a mixed model" in said.err
    assert not (tmp_path / "out.json").exists()


def test_folders_without_a_run_or_its_checkpoints_are_refused(run, tmp_path, capsys):
    assert cli.main(["reuse", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out.json")]) == 1
    assert "expected a finished run" in capsys.readouterr().err
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("recipe.json", WEIGHTS):
        (bare / name).write_bytes((run / name).read_bytes())
    source = records.Source("add-d3", "", {}, {}, [])
    with pytest.raises(LabError, match="expected checkpoints in"):
        records.measure(bare, source)


def test_a_damaged_file_of_records_is_never_written_over(run, tmp_path, capsys):
    path = tmp_path / "out.json"
    path.write_text("{")
    assert cli.main(["reuse", str(run), "--out", str(path)]) == 1
    assert "expected stored measurements" in capsys.readouterr().err
    assert path.read_text() == "{"

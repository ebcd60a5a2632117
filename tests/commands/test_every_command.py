"""What holds for every command, walked over all of them: nothing but results on standard output, a
sentence where there is no device or home, and no long work whose result could not be written."""

import argparse
import ast
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from helpers import cli, zoo
from helpers.errors import LabError, command
from helpers.training import RECIPE, WEIGHTS

ROOT = Path(cli.__file__).parents[1]
SOURCES = sorted((ROOT / "helpers" / "commands").glob("[!_]*.py"))


@dataclass(frozen=True)
class Case:
    """One way to give a command: its words, the work that takes long, and what says where to write.

    Attributes:
        words: Its arguments; OUT stands for the file or folder of its results, FREE for another
            that can be written, RUN for a run.
        work: The function that takes long.
        out: The option, or the variable of the package, that says where the results go.
    """

    words: str
    work: str = ""
    out: str = ""


CASES = (
    Case("doctor"),
    Case("train add-d3 --out OUT", "helpers.training.loop.take_step", "--out"),
    Case("verify add-d3 --json", "helpers.commands.verify.verify"),
    Case("skills tinyworld", "helpers.tinyworld.models.measure.measure"),
    Case("reuse RUN --out OUT", "helpers.arithmetic.reuse.measuring.measure_source", "--out"),
    Case("surface --json", "helpers.trust.data.surveys.compute"),
    Case(
        "surface --write",
        "helpers.trust.data.surveys.compute",
        "helpers.trust.data.surveys.DATA",
    ),
    Case("maps mix-d3 --out OUT", "helpers.arithmetic.circuit.maps.choose", "--out"),
    Case(
        "oracle --task ioi --prompts 4 --out OUT",
        "helpers.circuits.oracle.exhaustive.oracle",
        "--out",
    ),
    Case("circuits --out OUT", "helpers.circuits.study.trials.measured", "--out"),
    Case("circuits --growth OUT", "helpers.circuits.study.growth.timed", "--growth"),
    Case("masks --out OUT", "helpers.knowledge.study.state.measure", "--out"),
    Case("edits --out OUT", "helpers.knowledge.edit_study.state.measure_cell", "--out"),
    Case("detox --out OUT", "helpers.detox.study.state.measure_cell", "--out"),
    Case("changes --out OUT", "helpers.changes.state.subject", "--out"),
    Case(
        "changes --only offset --models OUT --out FREE",
        "helpers.detox.study.state.measure_cell",
        "--models",
    ),
    Case("bench verify --json", "helpers.arithmetic.verification.bench.measure"),
    Case("notebooks --check"),
    Case(
        "notebooks --measure",
        "helpers.course.labs.measure.measure",
        "helpers.commands.notebooks.find_root",
    ),
    Case("pages --check", "helpers.book.pages.generated"),
    Case("pages --measure", "helpers.book.build_cost.measure_build", "helpers.commands.pages.DATA"),
    Case("serve --dir OUT"),
    Case("publish mix-d3 RUN", "", "LAB_WEIGHTS"),
)
INPUTS = {"--folder", "--measured", "--dir", "folder", "folders"}
"""Arguments that are paths to read."""

by_words = pytest.mark.parametrize("case", CASES, ids=lambda case: case.words)
that_write = pytest.mark.parametrize(
    "case", [case for case in CASES if case.out], ids=lambda case: case.words
)


def parser_of(name: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    importlib.import_module(cli.COMMANDS[name][0]).add_arguments(parser)
    return parser


def options(name: str) -> dict[str, argparse.Action]:
    """The arguments of a command by the name that a person writes."""
    return {[*a.option_strings, a.dest][0]: a for a in parser_of(name)._actions}


@pytest.fixture
def run(tmp_path) -> Path:
    """A finished run of mix-d3, as training leaves it."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / RECIPE).write_text(zoo.entry("mix-d3").recipe.to_json())
    (folder / WEIGHTS).write_bytes((zoo.weights_folder() / "mix-d3.safetensors").read_bytes())
    return folder


def words_of(case: Case, out: Path, run: Path) -> list[str]:
    known = {"OUT": str(out), "FREE": str(run.parent / "free.json"), "RUN": str(run)}
    return [known.get(word, word) for word in case.words.split()]


def set_aside(case: Case, monkeypatch, message: str) -> None:
    """Put a message in the place of the work that takes long."""

    def refuse(*arguments, **options):
        raise LabError(message)

    if case.work:
        monkeypatch.setattr(case.work, refuse)


def test_every_command_is_walked():
    assert {case.words.split()[0] for case in CASES} == set(cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_that_writes_is_walked(name):
    """A new path is either read or walked; so is a new option of which the help says `store`."""
    walked = {word for case in CASES if case.out for word in case.words.split()}
    for word, action in options(name).items():
        if action.type is Path and word not in INPUTS:
            assert word in walked
            assert any(case.out == word and case.words.startswith(name) for case in CASES)
        if re.search(r"\bstore\b", action.help or "") and action.nargs == 0:
            assert any(case.words == f"{name} {word}" and case.out for case in CASES)


# standard output


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_command_prints_to_results_or_to_standard_error(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
            places = [ast.unparse(word.value) for word in node.keywords if word.arg == "file"]
            assert places in (["results"], ["sys.stderr"]), f"{path.name}:{node.lineno}"


NOISE = """
import json, os, sys
def speak():
    print("a library speaks")
    os.write(1, b"compiled code speaks\\n")
    os.system("echo a child process speaks")
quiet = json.dumps
def dumps(*words, **options):
    speak()
    return quiet(*words, **options)
json.dumps = dumps
"""
RESULTS = {
    "verify": ("verify add-d3 --questions 8 --per-class 2 --json", ""),
    "skills": ("skills tinyworld --steps 0 --prompts 2 --curve-prompts 2", ""),
    "bench": (
        "bench --json",
        "from helpers.commands import bench\nbench.BENCHES = {'verify': bench.BENCHES['verify']}\n"
        "from functools import partial\nfrom helpers.arithmetic.verification import bench as b\n"
        "b.measure = partial(b.measure, questions=64, rounds=1)",
    ),
    "masks": (
        "masks --json --only rivals/kind --out never-written.json",
        "from helpers.knowledge.study import state\nstate.measure_all = lambda *words: None\n"
        "state.read = lambda *words: {'asked': [3]}",
    ),
    "edits": (
        "edits --json --only denials --out never-written.json",
        "from helpers.knowledge.edit_study import state\n"
        "state.measure_edits = lambda *words: None\nstate.read = lambda *words: {'true': [0.5]}",
    ),
    "detox": (
        "detox --json --only base --out never-written.json",
        "from helpers.detox.study import state\nstate.measure_detox = lambda *words: None\n"
        "state.read = lambda *words: {'rude': 0.5}",
    ),
    "changes": (
        "changes --json --only offset/dpo --out never-written.json",
        "from helpers.changes import state\nstate.measure_changes = lambda *words: None\n"
        "state.read = lambda *words: {'explained': 0.2}",
    ),
    "surface": (
        "surface --json",
        "from helpers.trust.data import surveys\n"
        "surveys.compute = lambda folder: surveys.stored(surveys.DATA)",
    ),
}
"""Commands whose standard output a program reads: quick words, and what makes them quick."""


def test_every_command_with_json_is_walked():
    assert {name for name in cli.COMMANDS if "--json" in options(name)} <= set(RESULTS)


def speak_as(name: str, *more: str, **environment: str) -> subprocess.CompletedProcess:
    """A whole process of a command, in which libraries print, on a stand-in for another device."""
    words, prelude = RESULTS[name]
    program = f"{NOISE}\n{prelude}\nfrom helpers import cli\nsys.exit(cli.main({words.split()!r}))"
    kept = {"PYTHONPATH": str(ROOT), "LAB_DEVICE": "cpu:0", "PYTHONUNBUFFERED": ""}
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | kept | environment,
        check=False,
        timeout=600,
    )


@pytest.mark.parametrize("name", RESULTS)
def test_nothing_but_the_result_reaches_standard_output(name):
    done = speak_as(name)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    json.loads(done.stdout)
    for who in ("a library", "compiled code", "a child process"):
        assert f"{who} speaks" in done.stderr
    assert name not in ("verify",) or "Moving model to device" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")
def test_a_result_that_cannot_be_written_is_a_sentence():
    done = subprocess.run(
        f"{shlex.quote(sys.executable)} -m helpers verify add-d3 --questions 8 --per-class 2 "
        "--json > /dev/full",
        shell=True,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 1
    assert "error: expected to write the result; the system says:" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


# the device


@pytest.mark.parametrize("device", ["nonsense", "cuda:77"])
@by_words
def test_a_device_that_is_not_there_is_a_sentence(case, device, run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LAB_DEVICE", device)
    monkeypatch.setenv("LAB_WEIGHTS", str(zoo.weights_folder()))
    set_aside(case, monkeypatch, "no device was asked for")
    if case.out == "LAB_WEIGHTS":
        pytest.skip("it computes nothing")
    code = cli.main(words_of(case, tmp_path / "out", run))
    said = capsys.readouterr()
    assert said.out == ""
    assert code in (0, 1)
    asks = case.words.split()[0] in ("train", "verify", "circuits", "doctor")
    if asks and "--growth" not in case.words:
        wanted = "expected a device that answers, such as cpu, or cuda where there is a GPU"
        assert f"{wanted}; got {device!r}" in said.err
        assert "LAB_DEVICE=cpu" in said.err


# a home


@by_words
def test_no_command_needs_a_home(case, run, tmp_path, monkeypatch, capsys):
    """Of a user whom the system does not know, nothing stands in the place of ``~``."""
    for name in ("HOME", "LAB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setenv("LAB_WEIGHTS", str(tmp_path / "weights"))
    if case.out != "LAB_WEIGHTS":
        monkeypatch.delenv("LAB_WEIGHTS")
    set_aside(case, monkeypatch, "no home was asked for")
    assert cli.main(words_of(case, tmp_path / "out", run)) in (0, 1)
    said = capsys.readouterr().err
    if case.words == "doctor":
        assert "FAULT  expected a home folder in place of ~ in ~/.cache" in said
        assert "set LAB_CACHE to a folder that you may write to" in said
    else:
        assert "home folder" not in said


# what cannot be written


@that_write
def test_what_cannot_be_written_is_refused_before_it_is_measured(
    case, run, tmp_path, monkeypatch, capsys
):
    """A file stands where the folder should be: that stops every user, root too."""
    (tmp_path / "file").write_text("kept")
    out = tmp_path / "file" / "out"
    if case.out == "LAB_WEIGHTS":
        shelf = tmp_path / "weights"
        shelf.mkdir()
        (shelf / zoo.MANIFEST).write_text("{}")
        (shelf / "mix-d3.safetensors").mkdir()
        monkeypatch.setenv("LAB_WEIGHTS", str(shelf))
    elif case.out.endswith("find_root"):
        (tmp_path / "helpers").write_text("a file")
        monkeypatch.setattr(case.out, lambda: tmp_path)
    elif not case.out.startswith("-"):
        monkeypatch.setattr(case.out, out)
    set_aside(case, monkeypatch, "measured first")
    assert cli.main(words_of(case, out, run)) == 1
    said = capsys.readouterr()
    assert "error: expected to write" in said.err
    assert "measured first" not in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert (tmp_path / "file").read_text() == "kept"


@that_write
def test_what_can_be_written_is_measured(case, run, tmp_path, monkeypatch, capsys):
    """The other side of the test above: there the work would have been reached."""
    if not case.out.startswith("-"):
        pytest.skip("it would write into the package")
    set_aside(case, monkeypatch, "measured first")
    assert cli.main(words_of(case, tmp_path / "new" / "out", run)) == 1
    assert "measured first" in capsys.readouterr().err


# commands that a person is told to give


FOLDER = "runs/my run é; $(echo x)"


def test_a_command_survives_the_shell():
    line = command("train", "add-d3", "--out", FOLDER, "--seed", 4)
    assert shlex.split(line) == [
        *("python", "-m", "helpers", "train", "add-d3"),
        *("--out", FOLDER, "--seed", "4"),
    ]


def test_no_command_is_put_together_by_hand():
    """A line for the shell that holds what a person wrote comes from `helpers.errors.command`."""
    for path in (ROOT / "helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr) and "python -m helpers" in ast.unparse(node):
                filled = [v for v in node.values if isinstance(v, ast.FormattedValue)]
                names = {ast.unparse(v.value) for v in filled}
                assert names <= {"name", "command", "summary"}, f"{path}:{node.lineno}"


def test_the_hints_of_a_folder_with_spaces_can_be_pasted(run, tmp_path, monkeypatch, capsys):
    folder = tmp_path / FOLDER
    folder.parent.mkdir()
    run.rename(folder)
    (folder / WEIGHTS).unlink()
    for words in (["verify", str(folder)], ["reuse", str(folder), "--out", str(tmp_path / "x")]):
        assert cli.main(words) == 1
        line = re.search(r"python -m helpers .*--resume", capsys.readouterr().err)[0]
        assert shlex.split(line)[-3:] == ["--out", str(folder), "--resume"]

    def stop(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("helpers.training.train", stop)
    assert cli.main(["train", "add-d3", "--out", FOLDER, "--seed", "2"]) == 130
    line = re.search(r"python -m helpers .*--resume", capsys.readouterr().err)[0]
    assert shlex.split(line)[5:] == ["--out", FOLDER, "--seed", "2", "--resume"]


# words that no command means


@by_words
def test_an_empty_word_is_refused_wherever_it_stands(case, run, tmp_path, monkeypatch, capsys):
    """``Path("")`` would be the current folder."""
    monkeypatch.chdir(tmp_path)
    set_aside(case, monkeypatch, "worked on")
    words = words_of(case, tmp_path / "out", run)
    for place in range(1, len(words)):
        if words[place].startswith("--"):
            continue
        for empty in ("", " "):
            with pytest.raises(SystemExit) as stopped:
                cli.main([*words[:place], empty, *words[place + 1 :]])
            assert stopped.value.code == 2
            said = capsys.readouterr()
            assert "the empty" in said.err or "invalid" in said.err
            assert said.out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_number_beyond_all_that_is_counted_is_refused(name, capsys):
    """Every option that takes a whole number, found in the parser; and token ids."""
    actions = [a for a in parser_of(name)._actions if a.option_strings]
    needed = [a.dest for a in parser_of(name)._actions if not a.option_strings]
    for action in actions:
        if action.type is int or "ids" in (action.help or "").split():
            for number in (2**63, -(2**63), 10**23):
                with pytest.raises(SystemExit) as stopped:
                    cli.main([name, *needed, f"{action.option_strings[0]}={number}"])
                assert stopped.value.code == 2
                assert "expected less than 2^63 for" in capsys.readouterr().err


def test_a_folder_without_recipe_is_not_told_to_remove_it(tmp_path, capsys):
    assert cli.main(["publish", "add-d3", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "remove" not in said
    assert "give the folder that `python -m helpers train` wrote" in said
    (tmp_path / RECIPE).write_text("{")
    assert cli.main(["publish", "add-d3", str(tmp_path)]) == 1
    assert "remove" in capsys.readouterr().err

"""The command ``python -m helpers notebooks`` on a small clone."""

import argparse
import json
import re
import sys
from pathlib import Path

import nbformat
import pytest

from helpers import __version__, runtime
from helpers import clone as clones
from helpers.commands import notebooks as command_line
from helpers.course.labs import execute, folder, measure, notebooks
from helpers.errors import LabError
from tests.course.toy import SOURCE

README = "# Book\n\n<!-- labs:begin -->\n<!-- labs:end -->\n\nThe end.\n"
URL = "https://github.com/someone/some-book"


@pytest.fixture
def clone(tmp_path, monkeypatch):
    (tmp_path / "labs").mkdir()
    (tmp_path / "_config.yml").write_text(f"repository: {{url: {URL}, branch: trunk}}\n")
    (tmp_path / "README.md").write_text(README)
    (tmp_path / "labs" / "lab99_averages.py").write_text(SOURCE)
    monkeypatch.setattr(command_line, "find_root", lambda: tmp_path)
    return tmp_path


def command(*words):
    parser = argparse.ArgumentParser()
    command_line.add_arguments(parser)
    return command_line.run(parser.parse_args(words), sys.stdout)


def test_written_files_are_current_and_writing_again_changes_no_byte(clone, capsys):
    assert command() == 0
    assert "wrote labs/lab99_averages.ipynb" in capsys.readouterr().err
    before = {path: path.read_bytes() for path in clone.rglob("*.*") if path.is_file()}
    assert command() == 0
    assert command("--check") == 0
    assert capsys.readouterr().err == ""
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("change", ["edited", "missing", "orphan", "readme", "version"])
def test_check_names_each_stale_file_and_changes_nothing(clone, change, capsys, monkeypatch):
    command()
    file = clone / "labs" / "lab99_averages.ipynb"
    if change == "edited":
        file.write_text(file.read_text().replace("Averages", "averages"))
    elif change == "missing":
        file.unlink()
    elif change == "orphan":
        file = file.with_name("lab98_gone.ipynb")
        file.write_text("{}")
    elif change == "readme":
        file = clone / "README.md"
        file.write_text(README)
    else:
        monkeypatch.setattr(notebooks, "__version__", "9.9.9")
    state = file.read_bytes() if file.exists() else None
    capsys.readouterr()
    assert command("--check") == 1
    assert capsys.readouterr().err.startswith(
        f"{file.relative_to(clone).as_posix()} is not what the lab sources give"
    )
    assert (file.read_bytes() if file.exists() else None) == state


def test_a_lab_that_needs_sae_lens_installs_it_and_no_other_lab_does():
    for path in sorted((Path(__file__).parents[3] / "labs").glob("lab*.py")):
        text = notebooks.student_text(path, clones.Repository("https://example.org/book", "main"))
        assert ("trustworthy-circuits[sae]" in text) == (
            "lens_sae" in path.read_text(encoding="utf-8")
        ), path.name


def test_the_student_notebook_opens_in_colab_and_runs_nothing_there_but_a_tagged_install(clone):
    command()
    text = (clone / "labs" / "lab99_averages.ipynb").read_text()
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert (
        "https://colab.research.google.com/github/someone/some-book/blob/trunk/labs/lab99_averages.ipynb"
        in notebook.cells[0].source
    )
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.colab.name == "lab99_averages.ipynb"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    setup = code[0].source
    assert f'    %pip install -q "trustworthy-circuits @ git+{URL}@v{__version__}"\n' in setup
    assert not re.search(r"pip install.*(-U|--upgrade|torch|numpy)", setup)
    assert text.count("%pip") == 1


def test_links_between_files_lead_somewhere_from_colab(clone):
    command()
    text = (clone / "labs" / "lab99_averages.ipynb").read_text()
    assert f"[the chapter]({URL}/blob/trunk/book/chapter.md)" in text
    assert f"![a line]({URL}/raw/trunk/book/figures/line.png)" in text


@pytest.mark.parametrize(
    "link",
    [
        "[a](https://x.org/y)",
        "[a](#part)",
        "[a](mailto:a@b.c)",
        "`f[0](x)`",
        "```\n[a](b)\n```",
        "$W[0](x)$",
        "![a](data:image/png;base64,A)",
    ],
)
def test_other_links_stay(link):
    assert notebooks.absolute_links(link, clones.Repository(URL, "trunk")) == link


def test_the_table_of_labs_shows_what_was_measured(clone, monkeypatch):
    monkeypatch.setattr(
        runtime, "measured", lambda lab: runtime.Cost(93.0, 1536.0, 2) if lab == "lab99" else None
    )
    command()
    text = (clone / "README.md").read_text()
    row = next(line for line in text.splitlines() if "Averages" in line)
    assert row.startswith("| [Lab 99 · Averages](labs/lab99_averages.ipynb) | [![Open in Colab](")
    assert row.endswith("| 1.6 | 1.5 GiB |")
    assert text.startswith("# Book\n\n")
    assert text.endswith("\n\nThe end.\n")


def test_labs_come_in_order_of_their_numbers(tmp_path):
    (tmp_path / "labs").mkdir()
    for name in ("lab10_z.py", "lab2_a.py", "lab0_x.py", "notes.py", "lab_x.py"):
        (tmp_path / "labs" / name).touch()
    assert [path.name for path in folder.lab_files(tmp_path)] == [
        "lab0_x.py",
        "lab2_a.py",
        "lab10_z.py",
    ]


@pytest.mark.parametrize(
    "config",
    [
        "",
        "repository:\n",
        "repository: {url: ''}\n",
        "repository: {url: https://example.org/a/b}\n",
        "repository: {url: 3}\n",
    ],
)
def test_an_address_that_colab_cannot_open_is_refused(tmp_path, config):
    (tmp_path / "_config.yml").write_text(config)
    with pytest.raises(LabError, match=r"repository\.url"):
        clones.repository(tmp_path)


def test_a_readme_without_the_marks_is_refused(clone):
    (clone / "README.md").write_text("# Book\n")
    with pytest.raises(LabError, match="labs:begin"):
        command()


def test_a_malformed_source_writes_nothing(clone):
    (clone / "labs" / "lab99_averages.py").write_text(SOURCE.replace("# END SOLUTION", "", 1))
    with pytest.raises(LabError, match=r"labs/lab99_averages\.py:\d+: "):
        command()
    assert not list(clone.glob("labs/*.ipynb"))


def test_a_file_named_after_another_lab_is_refused(clone):
    (clone / "labs" / "lab99_averages.py").rename(clone / "labs" / "lab9_averages.py")
    with pytest.raises(LabError, match="lab of the file's name"):
        command()


def test_outside_a_clone_the_command_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(clones, "__file__", str(tmp_path / "site" / "helpers" / "clone.py"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LabError, match="expected a clone"):
        clones.find_root()


@pytest.mark.slow
def test_a_lab_is_measured_in_a_process_of_its_own(clone):
    path = clone / "labs" / "lab99_averages.py"
    no_exercises = re.sub(
        r"# %%\ndef mean.*", "# %%\nballast = bytes(200 * 2**20)\n", SOURCE, flags=re.DOTALL
    )
    path.write_text(no_exercises)
    measure.measure_all(clone)
    cost = json.loads((clone / "helpers" / "data" / "measured.json").read_text())["lab99"]
    assert 200 < cost["peak_mib"] < 4000
    assert 0.1 < cost["seconds"] < 60
    assert (
        runtime.measured("lab99", clone / "helpers" / "data" / "measured.json").cores
        == runtime.cores()
    )


@pytest.mark.slow
def test_a_lab_that_fails_is_not_given_a_time(clone, capfd):
    path = clone / "labs" / "lab99_averages.py"
    path.write_text(re.sub(r"# %%\ndef mean.*", "# %%\n1 / 0\n", SOURCE, flags=re.DOTALL))
    with pytest.raises(LabError, match="to run to its end"):
        measure.measure(path)
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_cells_share_one_namespace_and_a_failure_stops_nothing():
    run = execute.run_cells(
        [
            "%pip install nothing",
            "!ls",
            "def f():\n    return g()",
            "g = lambda: 1",
            "f() / 0",
            "display",
            "x = f()",
        ]
    )
    assert run.namespace["x"] == 1
    assert [(failure.cell, failure.kind) for failure in run.failures] == [(4, ZeroDivisionError)]
    assert "f() / 0" in run.failures[0].traceback

"""The command line: exit codes, and what goes to which stream."""

import argparse
import importlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers import cli

ROOT = Path(cli.__file__).parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""}


def call(*arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "helpers", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, env=ENVIRONMENT, **options
    )


def test_help_lists_every_command_and_stays_light(tmp_path):
    done = call("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(name in done.stdout for name in (*cli.COMMANDS, *cli.LATER))
    program = (
        "import sys; from helpers.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: python -m helpers {name}")
    assert len(said.splitlines()) >= 3


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_keeps_the_agreed_shape(name):
    module = importlib.import_module(cli.COMMANDS[name][0])
    assert callable(module.add_arguments)
    assert callable(module.run)


@pytest.mark.parametrize(
    "arguments",
    [[], ["no-such-command"], ["train"], ["serve", "--port", "many"], ["doctor", "extra"]],
)
def test_wrong_usage_exits_with_2_and_prints_nothing_to_read(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "usage: python -m helpers" in said.err


@pytest.mark.parametrize(
    "arguments",
    [["release"], ["release", "--out", "x"], ["grade", "x", "--lab", "lab1", "--out", "y"]],
)
def test_commands_of_later_versions_say_so_in_one_line(arguments, capsys):
    assert cli.main(arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "later version" in said.err


def test_a_reader_that_goes_away_is_no_error_message():
    """Like ``… --help | head -0``: the pipe's other end is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "helpers", "--help"]
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, timeout=600
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == ""


def test_training_starts_stops_at_ctrl_c_and_says_how_to_go_on(tmp_path):
    from safetensors.torch import load_file

    from helpers.training import STATE, WEIGHTS

    folder, log = tmp_path / "run", tmp_path / "log"
    command = [
        sys.executable,
        "-m",
        "helpers",
        "train",
        "add-d3",
        "--out",
        str(folder),
        "--seed",
        "4",
    ]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=ENVIRONMENT, cwd=tmp_path
        )
    try:
        deadline = time.monotonic() + 600
        while "train add-d3:" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)  # when the bar appears, an interrupt already waits for a step's end
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=600)
    finally:
        process.kill()
    err = log.read_text()
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert f"python -m helpers train add-d3 --out {folder} --seed 4 --resume" in err
    assert len(load_file(folder / STATE)["losses"]) > 0
    assert not (folder / WEIGHTS).exists()


def test_training_a_finished_run_again_says_it_is_complete(tmp_path, monkeypatch, capsys):
    from dataclasses import replace

    from helpers.arithmetic.training import recipes

    short = {
        name: replace(recipe, steps=2, batch_size=4, warmup_steps=1)
        for name, recipe in recipes.RECIPES.items()
    }
    monkeypatch.setattr(recipes, "RECIPES", short)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "add-d3"]) == 0
    assert "2 steps" in capsys.readouterr().err
    assert cli.main(["train", "add-d3"]) == 1
    assert "--resume" in capsys.readouterr().err
    assert cli.main(["train", "add-d3", "--resume"]) == 0
    said = capsys.readouterr()
    assert "already complete" in said.err
    assert said.out == ""
    assert (tmp_path / "runs" / "add-d3" / "model.safetensors").exists()


def test_an_experiment_is_trained_stopped_and_resumed_by_its_name(
    tmp_path, monkeypatch, capsys, same_weights
):
    from dataclasses import replace

    from helpers import training
    from helpers.arithmetic.training import recipes

    recipe = replace(
        recipes.EXPERIMENTS["mix-d3-paper"], steps=5, batch_size=4, warmup_steps=1, n_checkpoints=3
    )
    monkeypatch.setattr(recipes, "EXPERIMENTS", {recipe.name: recipe})
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert cli.main(["train", "mix-d3-paper", "--out", str(whole)]) == 0

    def stop_after_two(run: training.Run) -> None:
        if run.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        training.train(recipe, recipes.task_of(recipe), parts, on_step=stop_after_two)
    assert cli.main(["train", "mix-d3-paper", "--out", str(parts), "--resume"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("mix-d3-paper: 5 steps") == 2
    for name in (
        "model.safetensors",
        "checkpoints/step-000000.safetensors",
        "checkpoints/step-000005.safetensors",
    ):
        same_weights(parts / name, whole / name)


# streams that cannot be written

VERIFY = "verify add-d3 --questions 8 --per-class 2 --json"
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full device")


def shell(words: str, where: str, *python: str) -> subprocess.CompletedProcess:
    """A command with its streams where the shell puts them."""
    line = shlex.join([sys.executable, *python, "-m", "helpers", *words.split()])
    return subprocess.run(
        f"{line} {where}", shell=True, capture_output=True, text=True, env=ENVIRONMENT, timeout=600
    )


@FULL
@pytest.mark.parametrize("words", ["--help", "--version", "verify --help", "train --help"])
def test_help_that_cannot_be_written_is_a_fault(words):
    done = shell(words, "> /dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("error: expected to write the result; the system says:")
    assert done.stderr.count("\n") == 1


def test_a_result_without_standard_output_is_a_fault():
    done = shell(VERIFY, ">&-")
    assert done.returncode == 1
    assert "error: expected to write the result; standard output is closed" in done.stderr
    assert "Traceback" not in done.stderr


@FULL
@pytest.mark.parametrize("where", ["2> /dev/full", "2>&-"])
def test_a_result_is_printed_where_nothing_can_be_said(where):
    done = shell(VERIFY, where)
    assert done.returncode == 0
    assert json.loads(done.stdout)["questions"] == 16
    failed = shell("verify add-d99", where)
    assert (failed.returncode, failed.stdout) == (1, "")


def test_python_without_docstrings_is_a_sentence():
    done = shell(VERIFY, "", "-OO")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: expected Python with docstrings; it runs with -OO")
    assert shell("verify --help", "", "-OO").returncode == 0
    assert shell(VERIFY, "", "-O").returncode == 0


@pytest.mark.parametrize("words", [["--out=/tmp/a="], ["--out", "a="], ["a=b="]])
def test_a_word_may_end_with_the_sign_of_equality(words):
    parser = argparse.ArgumentParser()
    cli._check_words(parser, words, argparse.Namespace())
    with pytest.raises(SystemExit):
        cli._check_words(parser, ["--out="], argparse.Namespace())

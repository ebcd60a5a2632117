"""Bad input at the command line: one clear message, exit code 1, nothing on standard output,
nothing lost.

One test for each fault a newcomer is likely to meet. Ctrl-C in training is tested with a real
signal in `test_cli` and `test_training`.
"""

import ctypes
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers import cli, training, zoo
from helpers.training import STATE, WEIGHTS
from helpers.zoo import publish


@pytest.fixture
def refused(capsys):
    """Runs a command that must fail, and returns its message."""

    def run(*arguments: str) -> str:
        assert cli.main(list(arguments)) == 1
        said = capsys.readouterr()
        assert said.out == ""
        message = said.err[said.err.index("error: ") :]
        assert "Traceback" not in said.err
        assert (
            len(message.splitlines()) <= 3
        )  # what was expected and came, what to try, where to read
        return message

    return run


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """A weights folder with add-d3, trained for one step."""
    from helpers.arithmetic.training import recipes

    recipe = replace(recipes.RECIPES["add-d3"], steps=1, batch_size=2, warmup_steps=1)
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / zoo.MANIFEST).write_text("{}")
    monkeypatch.setenv("LAB_WEIGHTS", str(folder))
    training.train(recipe, recipes.task_of(recipe), tmp_path / "run")
    publish.publish("add-d3", tmp_path / "run")
    return folder


def test_an_unknown_model_name(refused, shelf):
    assert "did you mean add-d3" in refused("verify", "add-d33", "--digits", "3")
    assert "add-d3, add-d5" in refused("train", "add-d33")


def test_an_unknown_recipe_lists_the_models_and_the_experiments(refused):
    from helpers.arithmetic.training import EXPERIMENTS, RECIPES

    message = refused("train", "mix-d4")
    assert re.findall(r"(?:add|mix)-[\w-]+", message) == [*RECIPES, *EXPERIMENTS, "mix-d4"]


def test_a_source_that_is_not_the_recipes(refused, shelf, tmp_path):
    """The shelf's add-d3 has the name, but not the weights, that the recipe was written for."""
    message = refused("train", "mix-d3-paper", "--out", str(tmp_path / "mix"))
    assert "add-d3 with the checksum" in message
    assert not (tmp_path / "mix" / WEIGHTS).exists()
    assert not (tmp_path / "mix" / STATE).exists()


@pytest.mark.parametrize("digits", ["0", "-2"])
def test_digits_out_of_range(refused, shelf, tmp_path, digits):
    assert "digits" in refused("verify", str(tmp_path / "run"), "--digits", digits)


def test_numbers_that_do_not_fit_the_digits():
    from helpers.arithmetic.questions import from_numbers, parse
    from helpers.errors import LabError

    with pytest.raises(LabError, match="from 0 to 999 for 3 digits"):
        from_numbers([1000], [1], n_digits=3)
    with pytest.raises(LabError, match="such as"):
        parse("12 plus 13")


def test_a_model_with_another_vocabulary(refused, tmp_path, shelf):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    GPT2LMHeadModel(
        GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=9, n_positions=32)
    ).save_pretrained(tmp_path / "small")
    message = refused("verify", str(tmp_path / "small"), "--digits", "3")
    assert "vocabulary" in message


def test_a_truncated_weight_file(refused, shelf):
    path = shelf / "add-d3.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    assert "reinstall" in refused("verify", "add-d3")


def test_a_missing_manifest(refused, shelf):
    (shelf / zoo.MANIFEST).unlink()
    assert "reinstall" in refused("verify", "add-d3")


def test_a_run_folder_of_another_recipe(refused, shelf, tmp_path):
    run = tmp_path / "run"
    before = (run / WEIGHTS).read_bytes()
    assert "another recipe or seed" in refused("train", "add-d5", "--out", str(run), "--resume")
    assert "another recipe or seed" in refused(
        "train", "add-d3", "--out", str(run), "--resume", "--seed", "8"
    )
    assert "expected a run of the recipe add-d5" in refused("publish", "add-d5", str(run))
    assert (run / WEIGHTS).read_bytes() == before


def test_a_damaged_training_state(refused, shelf, tmp_path, monkeypatch):
    from helpers.arithmetic.training import recipes

    recipe = training.read_recipe(tmp_path / "run")
    monkeypatch.setattr(recipes, "RECIPES", {"add-d3": recipe})
    path = tmp_path / "run" / STATE
    path.write_bytes(path.read_bytes()[:-7])
    assert "remove state.safetensors" in refused(
        "train", "add-d3", "--out", str(tmp_path / "run"), "--resume"
    )


@pytest.mark.parametrize("seed", ["-1"])
def test_a_negative_seed(refused, seed, tmp_path):
    assert "seed" in refused("train", "add-d3", "--out", str(tmp_path / "run"), "--seed", seed)


def test_a_port_in_use(refused, tmp_path):
    (tmp_path / "index.html").write_text("")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "serve --port" in refused(
            "serve", "--dir", str(tmp_path), "--port", str(taken.getsockname()[1])
        )


def test_a_file_where_the_folder_should_be(refused, tmp_path):
    (tmp_path / "file").write_text("kept")
    assert "--out DIR" in refused("train", "add-d3", "--out", str(tmp_path / "file" / "run"))
    assert (tmp_path / "file").read_text() == "kept"


def without_override() -> None:
    """Give up root's right to write where permission bits forbid it; other users have none."""
    drop_from_bounding_set, dac_override = 24, 1  # PR_CAPBSET_DROP and CAP_DAC_OVERRIDE of Linux
    ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="gives up a capability of Linux")
def test_no_write_permission(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    command = [sys.executable, "-m", "helpers", "train", "add-d3", "--out", str(locked / "run")]
    environment = os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[1])}
    options = {
        "capture_output": True,
        "text": True,
        "env": environment,
        "preexec_fn": without_override,
        "timeout": 120,
    }
    if subprocess.run(["touch", str(locked / "file")], **options).returncode == 0:
        pytest.skip("this system lets us write where the permission bits forbid it")
    done = subprocess.run(command, **options)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Permission denied" in done.stderr
    assert "--out DIR" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (locked / "run").exists()


def test_weights_of_a_pointer_checkout(refused, shelf):
    (shelf / "add-d3.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert "check the file out again" in refused("verify", "add-d3")


def test_a_hugging_face_folder_with_half_its_files(refused, shelf, tmp_path):
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "config.json").write_text(
        json.dumps(
            {
                "model_type": "gpt2",
                "architectures": ["GPT2LMHeadModel"],
                "n_embd": 8,
                "n_head": 1,
                "n_layer": 1,
            }
        )
    )
    assert "safetensors" in refused("verify", str(folder), "--digits", "3")
    shutil.copy(tmp_path / "run" / WEIGHTS, folder / "model.safetensors")
    assert "the weights lack" in refused(
        "verify", str(folder), "--digits", "3"
    )  # transformers would fill them in at random

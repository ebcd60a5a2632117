"""The command `verify`: what it prints, and the options that it refuses."""

import json

import pytest

from helpers import cli
from helpers.training import Recipe
from tests.arithmetic.calculators import small_model

pytestmark = pytest.mark.core


@pytest.fixture
def stored(tmp_path):
    """A folder with an untrained 2-digit model, as training leaves it."""
    from helpers import files
    from helpers.training import folder

    model = small_model(2)
    shape = {
        "n_layers": 1,
        "n_heads": 2,
        "d_model": 16,
        "d_head": 8,
        "d_mlp": 32,
        "n_ctx": 10,
        "d_vocab": 15,
    }
    shape |= {"act_fn": "relu", "normalization_type": "LN"}
    recipe = Recipe("small", "addition", shape, {"n_digits": 2}, 1, 8, 1e-3, 1)
    (tmp_path / folder.RECIPE).write_text(recipe.to_json())
    files.save_atomically(
        model.state_dict(), tmp_path / folder.WEIGHTS, {"recipe": recipe.to_json()}
    )
    return tmp_path


def test_the_command_prints_one_stable_json_object(stored, capsys):
    assert (
        cli.main(["verify", str(stored), "--questions", "500", "--per-class", "20", "--json"]) == 0
    )
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert list(found)[:5] == ["model", "questions", "failures", "classes", "seconds"]
    assert (found["model"], found["questions"]) == (str(stored), 560)
    assert list(found["classes"]) == ["S0", "S1", "S2"]
    for count in found["classes"].values():
        assert list(count) == ["questions", "failures", "ci95"]
        assert count["ci95"][0] <= count["failures"] / count["questions"] <= count["ci95"][1]
    assert sum(count["failures"] for count in found["classes"].values()) == found["failures"] > 0
    assert "no question was right" in printed.err


def test_the_command_prints_a_table(stored, capsys):
    assert cli.main(["verify", str(stored), "--exhaustive"]) == 0
    table = capsys.readouterr().out
    assert "of 10,000 questions wrong (exhaustive" in table
    assert "every question asked" in table
    assert "the model says" in table


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--digits", "5"], "expected 2 digits, as"),
        (["--digits", "0"], "expected 2 digits, as"),
        (["--symbols", "10,11"], "expected three ids"),
        (["--digit-ids", "1,2,3"], "expected ten digit ids"),
        (["--questions", "-5"], "numbers of questions of 0 or more"),
        (["--prefix", "1,2,3"], "context of at least"),
    ],
)
def test_the_command_explains_wrong_options(stored, capsys, arguments, message):
    assert cli.main(["verify", str(stored), *arguments]) == 1
    assert message in capsys.readouterr().err


def test_the_command_asks_for_the_digits_of_a_foreign_model(tmp_path, capsys):
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(
        GPT2Config(vocab_size=20, n_positions=20, n_embd=8, n_layer=1, n_head=2)
    ).save_pretrained(tmp_path)
    assert cli.main(["verify", str(tmp_path)]) == 1
    assert "--digits N" in capsys.readouterr().err


def test_the_command_refuses_an_unknown_name(capsys):
    for options in ([], ["--digits", "3"]):
        assert cli.main(["verify", "add-d99", *options]) == 1
        assert "got 'add-d99'" in capsys.readouterr().err


def test_a_damaged_recipe_is_reported(stored, capsys):
    (stored / "recipe.json").write_text("{")
    assert cli.main(["verify", str(stored)]) == 1
    assert "recipe" in capsys.readouterr().err

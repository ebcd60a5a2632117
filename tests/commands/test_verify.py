"""The command `verify`: what it prints, and the options that it refuses."""

import json
import sys

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
        (["--symbols", "10,11"], "expected one id for each of --symbols: plus, minus, equals"),
        (["--symbols", "10,11,12", "--no-minus"], "each of --symbols: plus, equals; got 3"),
        (["--no-minus", "--operations", "+-"], "expected the operations + alone"),
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


@pytest.mark.parametrize("option", ["--digit-ids", "--symbols", "--prefix"])
@pytest.mark.parametrize("ids", ["a,b", "1,,2", "1.5", ""])
def test_ids_that_are_none_get_a_sentence(option, ids, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["verify", "add-d3", option, ids])
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    wanted = f"expected token ids with commas between them, such as 0,1,2; got {ids!r}"
    assert f"argument {option}: {wanted}" in said


ADDER = """
import torch
from tests.arithmetic.calculators import Calculator
from helpers.arithmetic.questions import Format, Questions

def exact(tokens):  # [question, pos]: digits, plus 10, equals 11
    assert tokens.max() < 12
    fmt = Format(3, minus=None, equals=11, has_sign=False)
    logits = Calculator(fmt, Questions.answer_digits)(tokens)
    assert logits.shape[-1] == 10
    return logits

class Owner:
    logits = staticmethod(exact)

five = 5
"""
OPTIONS = ["--digits", "3", "--symbols", "10,11", "--no-minus", "--no-sign"]


@pytest.fixture
def adder(tmp_path, monkeypatch):
    """A module of somebody else in the current folder."""
    (tmp_path / "somebodys_adder.py").write_text(ADDER)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "somebodys_adder", raising=False)


@pytest.mark.parametrize("name", ["somebodys_adder:exact", "somebodys_adder:Owner.logits"])
def test_a_callable_with_ten_logits_and_no_minus_is_verified(adder, name, capsys):
    few = ["--questions", "300", "--per-class", "20"]
    assert cli.main(["verify", name, *OPTIONS, *few, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["questions"], found["failures"]) == (name, 380, 0)
    assert found["digits"] == {"A3": 0, "A2": 0, "A1": 0, "A0": 0}
    assert "sha256" not in found


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nobodys_adder:exact", "cannot import 'nobodys_adder'"),
        ("somebodys_adder:inexact", "it has no callable 'inexact'"),
        ("somebodys_adder:five", "it has no callable 'five'"),
        ("somebodys_adder:", "it has no callable ''"),
        ("..:x", "cannot import '..'"),
    ],
)
def test_a_callable_that_is_not_there_is_a_sentence(adder, name, said, capsys):
    assert cli.main(["verify", name, *OPTIONS]) == 1
    message = capsys.readouterr().err
    assert f"error: expected a callable from token ids to logits in {name}, as" in message
    assert said in message


BROKEN = {
    "def exact(tokens)\n    return tokens": ("SyntaxError", 1),
    "\n\nint('four')": ("ValueError", 3),
    "None + 1": ("TypeError", 1),
    "import torch\nLAYER = torch.zeros(2) @ torch.zeros(3)": ("RuntimeError", 2),
    "def width():\n    return 1 / 0\n\nwidth()": ("ZeroDivisionError", 2),
    "\nimport no_such_module": ("ModuleNotFoundError", 2),
    "import sys\nsys.exit(3)": ("SystemExit", 2),
}


@pytest.mark.parametrize("text", BROKEN)
def test_a_fault_in_the_module_of_a_callable_is_told_with_its_line(
    text, tmp_path, monkeypatch, capsys
):
    name, line = BROKEN[text]
    path = tmp_path / "somebodys_fault.py"
    path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "somebodys_fault", raising=False)
    assert cli.main(["verify", "somebodys_fault:exact", *OPTIONS]) == 1
    message = capsys.readouterr().err
    assert "expected a callable from token ids to logits in somebodys_fault:exact" in message
    assert f"cannot import 'somebodys_fault': {name}" in message
    assert f"{path}, line {line}" in message
    assert "Traceback" not in message


def test_a_folder_of_a_native_model_with_ten_logits_is_verified(tmp_path, capsys):
    from tests.zoo.test_native import SHAPE, bridge, saved

    folder = saved(bridge(SHAPE), tmp_path / "adder")
    few = ["--questions", "300", "--per-class", "20"]
    assert cli.main(["verify", str(folder), *OPTIONS, *few, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["questions"] == 380
    assert list(found["digits"]) == ["A3", "A2", "A1", "A0"]
    assert max(found["digits"].values()) <= found["failures"] <= sum(found["digits"].values())
    assert cli.main(["verify", str(folder), *OPTIONS, *few]) == 0
    table = capsys.readouterr().out
    assert "wrong at each place of the answer: A3 " in table
    assert "=+" not in table


def test_a_model_with_too_few_logits_for_a_sign_is_told_of_it(tmp_path, capsys):
    from tests.zoo.test_native import SHAPE, bridge, saved

    folder = saved(bridge(SHAPE), tmp_path / "adder")
    assert cli.main(["verify", str(folder), *OPTIONS[:-1]]) == 1
    said = capsys.readouterr().err
    assert "at least 11" in said
    assert "has_sign=False" in said

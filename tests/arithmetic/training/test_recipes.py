"""The recipes of the arithmetic models, their tasks, and the loss that trains them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers import training, zoo
from helpers.arithmetic.questions import Format, Questions, mixed
from helpers.arithmetic.training import insert
from helpers.arithmetic.training.recipes import (
    EXPERIMENTS,
    MIXED_DATA,
    RECIPES,
    AdditionTask,
    MixedTask,
    task_of,
)
from helpers.arithmetic.verification import score
from helpers.errors import LabError
from helpers.training import Recipe, build_model
from helpers.zoo import publish
from tests.arithmetic import reference

pytestmark = pytest.mark.core
SYMBOLS = "0123456789+-="
ALL = RECIPES | EXPERIMENTS


@pytest.mark.parametrize("name", ["add-d3", "add-d5", "add-d6", "add-d5-1l", "add-d5-1l-enriched"])
def test_every_embedded_adder_has_a_recipe_that_fits_its_format(name):
    recipe = RECIPES[name]
    fmt = Format(recipe.data["n_digits"])
    assert recipe.name == name
    assert recipe.model["n_ctx"] == fmt.n_ctx == 3 * fmt.n_digits + 4
    assert recipe.model["d_vocab"] == 15
    assert recipe.model["n_layers"] == (1 if "-1l" in name else 2)
    assert (
        recipe.model["n_heads"],
        recipe.model["act_fn"],
        recipe.model["normalization_type"],
    ) == (3, "relu", "LN")
    assert task_of(recipe).fmt == fmt


def test_fingerprints_tell_the_recipes_apart():
    assert len(ALL) == len(RECIPES) + len(EXPERIMENTS)
    assert len({recipe.fingerprint for recipe in ALL.values()}) == len(ALL)


# digits, arm and freeze by name; what ships and what is only compared
MIXED = {
    "mix-d3": (3, "preserving", "nothing"),
    "mix-d6": (6, "preserving", "nothing"),
    "mix-d6-scratch": (6, "scratch", "nothing"),
    "mix-d3-paper": (3, "paper", "nothing"),
    "mix-d3-whole": (3, "whole", "nothing"),
    "mix-d3-scratch": (3, "scratch", "nothing"),
    "mix-d6-paper": (6, "paper", "nothing"),
    "mix-d6-whole": (6, "whole", "nothing"),
    "mix-d3-paper-qkv": (3, "paper", "qkv"),
    "mix-d3-paper-qkv-mlp": (3, "paper", "qkv+mlp"),
    "mix-d3-frozen": (3, "preserving", "all"),
}


def test_the_mixed_models_are_these():
    assert {name for name, recipe in ALL.items() if recipe.task == "mixed"} == MIXED.keys()
    assert [name for name in MIXED if name in RECIPES] == ["mix-d3", "mix-d6", "mix-d6-scratch"]


@pytest.mark.parametrize("name", MIXED)
def test_arms_differ_in_the_arm_alone(name):
    recipe, (n_digits, arm, freeze) = ALL[name], MIXED[name]
    shape = {"n_layers": 3, "n_heads": 4, "d_model": 96, "d_head": 32, "d_mlp": 384, "d_vocab": 15}
    assert recipe.name == name
    assert recipe.model == shape | {
        "n_ctx": 3 * n_digits + 4,
        "act_fn": "relu",
        "normalization_type": "LN",
    }
    source = "" if arm == "scratch" else f"add-d{n_digits}"
    assert {k: recipe.data[k] for k in ("n_digits", "arm", "freeze", "source")} == {
        "n_digits": n_digits,
        "arm": arm,
        "freeze": freeze,
        "source": source,
    }
    assert {k: recipe.data[k] for k in MIXED_DATA} == MIXED_DATA
    if source:
        assert len(recipe.data["sha256"]) == 12
        assert zoo.entry(source).sha256.startswith(recipe.data["sha256"])
    other = ALL[f"mix-d{n_digits}-paper"]
    assert replace(recipe, name="", data={}) == replace(
        other, name="", data={}
    )  # one budget, one rate, one seed
    assert recipe.checkpoint_steps[0] == 0
    assert len(recipe.checkpoint_steps) > 60
    assert task_of(recipe).fmt == Format(n_digits)


@pytest.mark.parametrize("name", ["mix-d3", "mix-d6-scratch", "mix-d3-frozen"])
def test_mixed_batches_are_true_and_the_same_for_every_arm(name):
    task = task_of(ALL[name])
    n = task.fmt.n_digits
    one, same, other = (task.batch(np.random.default_rng(seed), 64) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(one, task_of(ALL[f"mix-d{n}-paper"]).batch(np.random.default_rng(1), 64))
    assert torch.equal(one, mixed(n, 64, np.random.default_rng(1), **MIXED_DATA).tokens(task.fmt))
    for row in one.tolist():
        text = "".join(SYMBOLS[token] for token in row)
        assert text == reference.text_of(int(text[:n]), text[n], int(text[n + 1 : 2 * n + 1]), n)


@pytest.mark.parametrize(
    "name", [name for name, recipe in RECIPES.items() if recipe.task == "addition"]
)
def test_batches_are_true_additions_and_the_seed_alone_decides(name):
    task = task_of(RECIPES[name])
    one, same, other = (task.batch(np.random.default_rng(seed), 64) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    for row in one.tolist():
        question, answer = "".join(SYMBOLS[token] for token in row).split("=")
        first, second = question.split("+")
        assert len(first) == len(second) == task.fmt.n_digits
        assert answer == f"+{int(first) + int(second):0{task.fmt.n_digits + 1}d}"


@pytest.mark.parametrize("name", ["add-d3", "add-d5", "add-d6"])
def test_the_training_mixture_shows_every_cascade(name):
    task, n = task_of(RECIPES[name]), RECIPES[name].data["n_digits"]
    tokens = task.batch(np.random.default_rng(0), 5000)
    questions = Questions(
        tokens[:, :n].flip(1),
        tokens[:, n + 1 : 2 * n + 1].flip(1),
        torch.zeros(5000, dtype=torch.bool),
    )
    names = questions.classes()
    assert (
        min(names.count(f"S{m}") for m in range(n + 1)) > 100
    )  # a uniform batch would hold 0 of the last


def test_the_loss_is_the_mean_over_answer_tokens_alone():
    fmt = Format(3)
    task = AdditionTask(fmt, p_slots=0.0, p_cascade=0.0)
    tokens = task.batch(np.random.default_rng(0), 7)

    class Fixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            table = torch.randn(7, fmt.n_ctx, 15, generator=torch.Generator().manual_seed(0))
            self.table = torch.nn.Parameter(table)

        def forward(self, x):
            assert x.shape == (7, fmt.n_ctx - 1)  # the last token predicts nothing
            return self.table[:, :-1]

    model = Fixed()
    total = 0.0
    for row in range(7):
        for position in range(
            fmt.equals_position, fmt.n_ctx - 1
        ):  # each predicts the token after it
            scores = model.table[row, position].tolist()
            norm = math.log(sum(math.exp(score) for score in scores))
            total += norm - scores[int(tokens[row, position + 1])]
    loss = task.loss(model, tokens)
    assert loss.item() == pytest.approx(total / (7 * fmt.n_answer), rel=1e-5)  # float32 sums
    loss.backward()
    touched = model.table.grad.abs().sum((0, 2)) > 0
    assert touched.nonzero().flatten().tolist() == list(range(fmt.equals_position, fmt.n_ctx - 1))


def test_an_untrained_adder_starts_near_an_even_guess():
    recipe = RECIPES["add-d3"]
    task, model = task_of(recipe), build_model(recipe)
    with torch.no_grad():
        loss = task.loss(model, task.batch(np.random.default_rng(0), 256)).item()
    assert loss == pytest.approx(math.log(15), abs=0.5)  # 15 tokens, none preferred yet


def test_two_layers_have_the_parameters_the_manifest_will_state():
    model = build_model(RECIPES["add-d6"])
    d, d_mlp, n_ctx, vocab = 96, 384, 22, 15
    layer = 4 * (d * d + d) + (d * d_mlp + d_mlp) + (d_mlp * d + d) + 4 * d
    assert (
        sum(p.numel() for p in model.parameters())
        == vocab * d + n_ctx * d + 2 * layer + 2 * d + d * vocab + vocab
    )


@pytest.mark.parametrize("name", ["mix-d3", "mix-d3-paper", "mix-d3-scratch", "mix-d3-frozen"])
def test_a_mixed_run_starts_with_its_source_inside(name):
    recipe = ALL[name]
    run = training.start(recipe, task=task_of(recipe))
    expected = insert(
        zoo.load("add-d3", device="cpu"), build_model(recipe), MIXED[name][1]
    ).state_dict()
    assert all(torch.equal(expected[key], value) for key, value in run.model.state_dict().items())
    assert bool(run.frozen) == (name == "mix-d3-frozen")
    if name != "mix-d3-scratch":
        fresh = build_model(recipe).state_dict()
        assert not torch.equal(fresh["embed.weight"], run.model.state_dict()["embed.weight"])


def test_a_source_that_was_trained_anew_is_refused():
    recipe = ALL["mix-d3-paper"]
    changed = replace(recipe, data=recipe.data | {"sha256": "0123456789ab"})
    with pytest.raises(LabError, match="add-d3 with the checksum 0123456789ab…") as fault:
        training.start(changed, task=task_of(changed))
    assert "recipes.py" in str(fault.value)
    missing = replace(recipe, data=recipe.data | {"source": "add-d4"})
    with pytest.raises(LabError, match="got 'add-d4'"):
        training.start(missing, task=task_of(missing))


TINY_SHAPE = {
    "d_model": 32,
    "d_head": 16,
    "d_mlp": 96,
    "n_ctx": 10,
    "d_vocab": 15,
    "act_fn": "relu",
    "normalization_type": "LN",
}


def tiny(name: str, task: str, n_layers: int, n_heads: int, steps: int, data: dict) -> Recipe:
    shape = TINY_SHAPE | {"n_layers": n_layers, "n_heads": n_heads}
    return Recipe(name, task, shape, {"n_digits": 2, **data}, steps, 96, 8e-3, 30)


@pytest.mark.slow
def test_an_inserted_adder_learns_to_subtract(tmp_path, monkeypatch):
    """The whole way in seconds: train an adder, publish it, insert it, train on both operators."""
    shelf = tmp_path / "weights"
    shelf.mkdir()
    (shelf / zoo.MANIFEST).write_text("{}")
    monkeypatch.setenv("LAB_WEIGHTS", str(shelf))
    adder = tiny("tiny-add", "addition", 1, 2, 250, {"p_slots": 0.3, "p_cascade": 0.3})
    source = training.train(adder, task_of(adder), tmp_path / "add").model
    sha256 = publish.publish("tiny-add", tmp_path / "add").sha256[:12]
    inserted = {"arm": "preserving", "source": "tiny-add", "sha256": sha256, "freeze": "nothing"}
    recipe = tiny("tiny-mix", "mixed", 2, 3, 400, MIXED_DATA | inserted)
    questions = mixed(2, 2000, np.random.default_rng(99), p_slots=0, p_cascade=0)

    def accuracy(model, subtract: bool) -> float:
        right = score(model, questions, Format(2)).all(1)
        return float(right[questions.subtract == subtract].double().mean())

    task: MixedTask = task_of(recipe)
    run = training.start(recipe, task=task)
    at_start = accuracy(run.model, subtract=False), accuracy(run.model, subtract=True)
    assert at_start[0] == accuracy(source, subtract=False)
    assert at_start[1] < 0.05
    while run.step < recipe.steps:
        training.take_step(run, task)
    assert run.losses[0] > 2.5
    assert training.final_loss(run) < 0.6
    assert accuracy(run.model, subtract=True) > 0.25
    assert accuracy(run.model, subtract=False) > max(0.4, at_start[0])

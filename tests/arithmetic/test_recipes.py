"""The recipes of the embedded adders, and the loss that trains them."""

import math

import numpy as np
import pytest
import torch

from helpers.arithmetic.questions import Format, Questions
from helpers.arithmetic.recipes import RECIPES, AdditionTask, task_of
from helpers.training import build_model

pytestmark = pytest.mark.core
SYMBOLS = "0123456789+-="


@pytest.mark.parametrize("name", ["add-d3", "add-d5", "add-d6", "add-d5-1l", "add-d5-1l-enriched"])
def test_every_embedded_adder_has_a_recipe_that_fits_its_format(name):
    recipe = RECIPES[name]
    fmt = Format(recipe.data["n_digits"])
    assert recipe.name == name
    assert recipe.model["n_ctx"] == fmt.n_ctx == 3 * fmt.n_digits + 4
    assert recipe.model["d_vocab"] == 15
    assert recipe.model["n_layers"] == (1 if "-1l" in name else 2)
    assert (recipe.model["n_heads"], recipe.model["act_fn"], recipe.model["normalization_type"]) == (3, "relu", "LN")
    assert task_of(recipe).fmt == fmt


def test_fingerprints_tell_the_recipes_apart():
    assert len({recipe.fingerprint for recipe in RECIPES.values()}) == len(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
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
    questions = Questions(tokens[:, :n].flip(1), tokens[:, n + 1 : 2 * n + 1].flip(1), torch.zeros(5000, dtype=torch.bool))
    names = questions.classes()
    assert min(names.count(f"S{m}") for m in range(n + 1)) > 100  # a uniform batch would hold 0 of the last


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
        for position in range(fmt.equals_position, fmt.n_ctx - 1):  # each predicts the token after it
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
    assert sum(p.numel() for p in model.parameters()) == vocab * d + n_ctx * d + 2 * layer + 2 * d + d * vocab + vocab

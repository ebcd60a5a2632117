"""A recipe as a file and as numbers: reading, refusing, the learning rate, the snapshots."""

import json
from dataclasses import fields, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.arithmetic.training import EXPERIMENTS, RECIPES
from helpers.errors import LabError
from helpers.training import RECIPE, Recipe, read_recipe

pytestmark = pytest.mark.core
ONE = Recipe(
    "one",
    "mixed",
    {"n_layers": 1},
    {"n_digits": 2},
    steps=50,
    batch_size=8,
    learning_rate=0.1,
    warmup_steps=5,
)
CHANGES = {
    "name": "two",
    "task": "addition",
    "model": {"n_layers": 2},
    "data": {"n_digits": 3},
    "steps": 51,
    "batch_size": 9,
    "learning_rate": 0.2,
    "warmup_steps": 6,
    "weight_decay": 0.2,
    "betas": (0.9, 0.99),
    "gradient_clip": 2.0,
    "seed": 1,
    "n_checkpoints": 1,
}


@pytest.mark.parametrize("name", RECIPES | EXPERIMENTS)
def test_a_recipe_is_read_back_from_its_file(name, tmp_path):
    recipe = (RECIPES | EXPERIMENTS)[name]
    (tmp_path / RECIPE).write_text(recipe.to_json())
    assert read_recipe(tmp_path) == recipe
    assert read_recipe(tmp_path).fingerprint == recipe.fingerprint


def test_the_fingerprint_sees_every_field():
    assert CHANGES.keys() == {field.name for field in fields(Recipe)}
    prints = {replace(ONE, **{field: value}).fingerprint for field, value in CHANGES.items()}
    assert len(prints | {ONE.fingerprint}) == len(CHANGES) + 1
    assert all(len(found) == 16 for found in prints)


def without(field: str) -> str:
    return json.dumps(
        {key: value for key, value in json.loads(ONE.to_json()).items() if key != field}
    )


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        without("steps"),
        without("betas"),
        json.dumps(json.loads(ONE.to_json()) | {"colour": 1}),
    ],
    ids=["empty", "half", "list", "null", "nothing", "no steps", "no betas", "unknown field"],
)
def test_a_damaged_recipe_is_refused_with_its_remedy(tmp_path, content):
    (tmp_path / RECIPE).write_text(content)
    with pytest.raises(
        LabError, match=r"expected the recipe of a training run in .*recipe\.json"
    ) as fault:
        read_recipe(tmp_path)
    assert "--resume writes it anew" in str(fault.value)


def test_a_missing_recipe_is_refused(tmp_path):
    with pytest.raises(LabError, match="No such file"):
        read_recipe(tmp_path / "nowhere")


def test_the_rate_climbs_in_a_line_and_falls_like_a_cosine():
    rates = [ONE.rate(step) for step in range(50)]
    assert rates[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert rates[5] == max(rates) == pytest.approx(0.1)
    assert all(after < before for before, after in pairwise(rates[5:]))
    assert rates[5 + 15] == pytest.approx(
        0.075
    )  # a third of the way down in time is a quarter of the way down
    assert rates[5 + 30] == pytest.approx(0.025)
    assert 0 < rates[-1] < 0.001
    assert ONE.rate(50) == pytest.approx(0, abs=1e-12)
    assert replace(ONE, warmup_steps=50).rate(50) == pytest.approx(
        0.1
    )  # no time left to fall in, and no division by zero


@settings(deadline=None)
@given(st.integers(1, 20_000), st.integers(0, 120))
def test_snapshots_begin_at_zero_end_at_the_last_step_and_never_repeat(steps, count):
    found = replace(ONE, steps=steps, n_checkpoints=count).checkpoint_steps
    if count == 0:
        assert found == []
        return
    assert found[0] == 0
    assert found[-1] == steps
    assert found == sorted(set(found))
    assert all(isinstance(step, int) for step in found)
    assert len(found) <= max(count, 3)  # one or two still keep the first step and both ends

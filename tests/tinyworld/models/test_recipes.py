"""The recipes of the TinyWorld models, their task, and that training on it teaches something."""

import hashlib
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from helpers import cli, training
from helpers.errors import LabError
from helpers.tinyworld.bestiary import texts as bestiary_texts
from helpers.tinyworld.bestiary import world as bestiaries
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.language.documents import MIXTURES
from helpers.tinyworld.models import recipes
from helpers.tinyworld.models.recipes import RECIPES, task_of
from helpers.training import STATE, WEIGHTS, WORDS
from tests.tinyworld import tiny


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_name_their_world_and_its_words(name):
    recipe = RECIPES[name]
    world, words, mixtures = {
        "tinyworld": (worlds.checksum(), vocabulary(), MIXTURES),
        "bestiary": (bestiaries.checksum(), bestiaries.vocabulary(), bestiary_texts.MIXTURES),
    }[recipe.task]
    assert recipe.name == name
    assert recipe.model["d_vocab"] == len(words) <= 1500
    assert recipe.data["world"] == world
    assert recipe.data["words"] == words.checksum
    assert recipe.data["mixture"] in mixtures
    assert recipe.data["length"] <= recipe.model["n_ctx"]


def test_checkpoints_begin_at_step_0_and_are_spaced_by_factors():
    steps = RECIPES["tinyworld"].checkpoint_steps
    assert len(steps) >= 16
    assert steps[0] == 0
    assert steps[-1] == RECIPES["tinyworld"].steps
    later = [step for step in steps if step >= 20]
    factors = [after / before for before, after in pairwise(later)]
    assert max(factors) < 1.4  # dense enough for a sudden onset
    assert RECIPES["tinyworld-attn"].checkpoint_steps[0] == 0


def test_one_model_has_mlps_and_the_other_so_few_heads_that_all_subsets_can_be_tried():
    assert RECIPES["tinyworld"].model["d_mlp"] > 0
    shape = RECIPES["tinyworld-attn"].model
    assert shape["attn_only"]
    assert shape["n_layers"] * shape["n_heads"] <= 16
    assert "mlp" not in " ".join(
        training.build_model(replace(RECIPES["tinyworld-attn"])).state_dict()
    )


def test_batches_follow_from_the_seed_and_the_mixture():
    tasks = {name: task_of(RECIPES[name]) for name in RECIPES}
    first, same, other = (
        tasks["tinyworld"].batch(np.random.default_rng(seed), 5) for seed in (1, 1, 2)
    )
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    assert first.shape == (5, 64)
    assert not np.array_equal(first, tasks["tinyworld-attn"].batch(np.random.default_rng(1), 5))


TEXT = {
    "tinyworld": "6f428182c1c1b27865f01c41022263fd",
    "tinyworld-attn": "63946c9a68834602e45dd0556bf50c0f",
    "tinyworld-facts": "3d4e9bf0dff865c1b8a472f35f87b55e",
}
"""First digits of the sha256 of the shares and of 1000 rows of the shipped models' texts."""


@pytest.mark.parametrize("name", RECIPES)
def test_the_training_text_is_the_shipped_models_own(name):
    """A fingerprint covers the data files; shares and the code that writes are pinned here."""
    rows = task_of(RECIPES[name]).batch(np.random.default_rng(7), 1000)
    shares = repr(
        task_of(RECIPES[name]).MIXTURES[RECIPES[name].data["mixture"]]
    ).encode()  # a small change of them may not show in 1000 rows
    digest = hashlib.sha256(shares + rows.astype("<i8").tobytes()).hexdigest()[:32]
    assert digest == TEXT[name], (
        f"the text of the recipe {name} is no longer what helpers/weights/{name}.safetensors "
        f"was trained on (digest {digest}): undo the change, or retrain the model, "
        "measure and publish it anew, and put the new digest here"
    )


class Table(torch.nn.Module):
    """Logits that are fixed beforehand, at every place."""

    def __init__(self, rows: int, places: int) -> None:
        super().__init__()
        values = torch.randn(
            rows, places, len(vocabulary()), generator=torch.Generator().manual_seed(0)
        )
        self.values = torch.nn.Parameter(values)

    def forward(self, tokens):
        assert tokens.shape == self.values.shape[:2]  # the last word of a row predicts nothing
        return self.values


def test_the_loss_is_the_mean_over_all_next_words():
    task = task_of(RECIPES["tinyworld"])
    rows = task.batch(np.random.default_rng(0), 3)
    model = Table(3, 63)
    total = 0.0
    for row in range(3):
        for place in range(63):
            scores = model.values[row, place].detach().double()
            total += float(scores.exp().sum().log() - scores[int(rows[row, place + 1])])
    assert task.loss(model, rows).item() == pytest.approx(total / (3 * 63), rel=1e-5)


def test_the_weight_file_brings_its_words():
    assert task_of(RECIPES["tinyworld"]).metadata() == {WORDS: " ".join(vocabulary().words)}


@pytest.mark.parametrize("field", ["world", "words"])
def test_a_world_that_has_changed_since_is_refused_before_training(tmp_path, field):
    changed = tiny.recipe(data=RECIPES["tinyworld"].data | {field: "0123456789ab"})
    with pytest.raises(LabError, match=r"(?s)0123456789ab.*train anew") as refused:
        training.train(changed, task_of(changed), tmp_path / "run")
    assert worlds.checksum() in str(refused.value)
    assert not (tmp_path / "run" / STATE).exists()
    assert not (tmp_path / "run" / WEIGHTS).exists()


def test_a_bestiary_that_has_changed_since_is_refused():
    task = task_of(RECIPES["tinyworld-facts"])
    with pytest.raises(LabError, match=r"(?s)bestiary.toml and world.py give .*train anew"):
        replace(task, world="0123456789ab").initialise(training.build_model(tiny.recipe()))
    assert task.initialise(training.build_model(tiny.recipe())) == {}
    assert task.metadata() == {WORDS: " ".join(bestiaries.vocabulary().words)}


def test_a_change_of_the_world_changes_every_fingerprint(monkeypatch):
    monkeypatch.setattr(worlds, "checksum", lambda: "0123456789ab")
    again = recipes._recipe(
        "tinyworld",
        "trust",
        steps=8000,
        learning_rate=3e-3,
        n_checkpoints=40,
        d_mlp=256,
        act_fn="gelu",
    )
    assert again.fingerprint != RECIPES["tinyworld"].fingerprint
    monkeypatch.undo()
    again = recipes._recipe(
        "tinyworld",
        "trust",
        steps=8000,
        learning_rate=3e-3,
        n_checkpoints=40,
        d_mlp=256,
        act_fn="gelu",
    )
    assert again.fingerprint == RECIPES["tinyworld"].fingerprint


@pytest.fixture
def short(monkeypatch):
    """``train tinyworld`` trains the tiny shape."""
    monkeypatch.setattr(recipes, "RECIPES", {"tinyworld": tiny.recipe()})


def refused(capsys, *arguments: str) -> str:
    assert cli.main(list(arguments)) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err[said.err.index("error: ") :]


def test_a_run_is_not_resumed_in_a_changed_world(tmp_path, short, monkeypatch, capsys):
    folder = tmp_path / "run"
    assert cli.main(["train", "tinyworld", "--out", str(folder)]) == 0
    before = (folder / WEIGHTS).read_bytes()
    capsys.readouterr()
    other = tiny.recipe(data=RECIPES["tinyworld"].data | {"world": "0123456789ab"})
    monkeypatch.setattr(
        recipes, "RECIPES", {"tinyworld": other}
    )  # what a changed file does to the recipe
    assert "it holds a run of another recipe" in refused(
        capsys, "train", "tinyworld", "--out", str(folder), "--resume"
    )
    monkeypatch.setattr(recipes, "RECIPES", {"tinyworld": tiny.recipe()})
    monkeypatch.setattr(worlds, "checksum", lambda: "0123456789ab")
    assert "undo the change" in refused(
        capsys, "train", "tinyworld", "--out", str(folder), "--resume"
    )
    assert (folder / WEIGHTS).read_bytes() == before


def test_the_command_trains_tinyworld_and_says_what_it_refuses(tmp_path, short, capsys):
    folder = tmp_path / "run"
    assert cli.main(["train", "tinyworld", "--out", str(folder), "--seed", "3"]) == 0
    assert (folder / WEIGHTS).exists()
    assert "it holds a run of another recipe or seed" in refused(
        capsys, "train", "tinyworld", "--out", str(folder)
    )
    assert "--resume" in refused(capsys, "train", "tinyworld", "--out", str(folder), "--seed", "3")
    assert "tinyworld" in refused(capsys, "train", "tinyword", "--out", str(tmp_path / "other"))
    assert "seed of 0 or more" in refused(
        capsys, "train", "tinyworld", "--out", str(tmp_path / "other"), "--seed", "-1"
    )
    assert not (tmp_path / "other").exists()


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path, same_weights):
    recipe = tiny.recipe(steps=8)
    whole = training.train(recipe, task_of(recipe), tmp_path / "whole")

    def stop(run) -> None:
        if run.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.train(
            recipe, task_of(recipe), tmp_path / "parts", save_every_seconds=0, on_step=stop
        )
    again = training.train(recipe, task_of(recipe), tmp_path / "parts", resume=True)
    assert 0 < again.resumed_at < 8
    assert again.losses == pytest.approx(whole.losses, rel=1e-5)
    same_weights(tmp_path / "whole" / WEIGHTS, tmp_path / "parts" / WEIGHTS)


def test_a_small_model_learns_more_than_how_frequent_words_are():
    """The entropy of the words' frequencies is what a model reaches that looks at nothing."""
    shape = RECIPES["tinyworld"].model | {
        "n_layers": 1,
        "n_heads": 2,
        "d_model": 48,
        "d_head": 24,
        "d_mlp": 48,
        "n_ctx": 32,
    }
    data = RECIPES["tinyworld"].data | {"length": 32}
    recipe = tiny.recipe(
        model=shape, data=data, steps=150, batch_size=24, learning_rate=1e-2, warmup_steps=10
    )
    task = task_of(recipe)
    run = training.start(recipe, task=task)
    while run.step < recipe.steps:
        training.take_step(run, task)
    rows = task.batch(np.random.default_rng(10**6), 200)
    share = np.bincount(rows.ravel(), minlength=len(vocabulary())) / rows.size
    entropy = -sum(p * math.log(p) for p in share if p)
    assert run.losses[0] > math.log(len(vocabulary())) - 0.3
    assert np.mean(run.losses[-20:]) < entropy - 1.5

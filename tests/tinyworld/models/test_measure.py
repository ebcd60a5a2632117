"""The numbers of a model's card: of the right weights and steps, refused where they mislead."""

import hashlib
import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from helpers import cli, training, zoo
from helpers.errors import LabError
from helpers.texts import answers, final_logits
from helpers.tinyworld.bestiary import skills as creatures
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.models import measure
from helpers.tinyworld.models.recipes import RECIPES, task_of
from helpers.tinyworld.sets import tasks
from helpers.training import WEIGHTS
from helpers.zoo import publish
from tests.tinyworld import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "tinyworld"
    training.train(tiny.recipe(), task_of(tiny.recipe()), folder)
    return folder


@pytest.fixture(scope="module")
def found(run) -> dict:
    return measure.measure(str(run), prompts=20, curve_prompts=6)


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / zoo.MANIFEST).write_text("{}")
    monkeypatch.setenv("LAB_WEIGHTS", str(folder))
    return folder


def test_the_shape_is_what_cards_and_the_lab_read(found):
    assert json.loads(json.dumps(found)) == found
    assert tuple(found["skills"]) == tasks.NAMES
    for skill in found["skills"].values():
        assert 0 <= skill["low"] <= skill["accuracy"] <= skill["high"] <= 1
    assert found["curve"]["steps"] == [0, 1, 2, 4]
    curve = found["curve"]
    assert all(
        len(values) == 4
        for values in (curve["loss"], *curve["skills"].values(), *curve["difference"].values())
    )
    assert curve["difference"].keys() == curve["skills"].keys()
    assert curve["prompts"] == 6
    assert found["rounding"]["steps"] == [0, 1, 2, 4]
    assert found["rounding"]["before"] == found["curve"]["loss"]
    assert found["loss"] == found["curve"]["loss"][-1]
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]), rel=1e-3)


def test_every_checkpoint_was_measured_on_its_own_weights(run, found):
    """Losses begin near an even guess and fall; each is that of the checkpoint itself."""
    losses = found["curve"]["loss"]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] == pytest.approx(math.log(tiny.recipe().model["d_vocab"]), abs=0.5)
    task, text = task_of(tiny.recipe()), measure.fresh_rows(task_of(tiny.recipe()))
    model = training.build_model(tiny.recipe())
    zoo.into_model(model, run / "checkpoints" / "step-000002.safetensors", "")
    with torch.no_grad():
        assert losses[2] == pytest.approx(float(task.loss(model, text)), abs=1e-4)


def test_the_skills_of_a_model_are_those_of_tasks(run, found):
    model = zoo.load(str(run), device="cpu")
    for name in ("ioi", "judge privacy", "code"):
        asked = tasks.prompts(name, 20)
        said = answers(final_logits(model, asked), asked)
        share, different = float(said.right.double().mean()), len(set(asked.texts))
        exact = binomtest(round(share * different), different).proportion_ci(0.95, "exact")
        assert found["skills"][name]["accuracy"] == pytest.approx(share, abs=1e-4)
        assert found["skills"][name]["difference"] == pytest.approx(
            float(said.difference.mean()), abs=1e-4
        )
        assert found["skills"][name]["log_ratio"] == pytest.approx(
            float(said.log_ratio.mean()), abs=1e-3
        )
        assert found["skills"][name]["low"] == pytest.approx(min(exact.low, share), abs=1e-4)
        assert found["skills"][name]["high"] == pytest.approx(max(exact.high, share), abs=1e-4)


def test_a_report_names_its_weights(run, found):
    assert found["sha256"] == hashlib.sha256((run / WEIGHTS).read_bytes()).hexdigest()


class Constant(torch.nn.Module):
    """Prefers one word, whatever was said, and gives it half of the probability."""

    def __init__(self, word: str) -> None:
        super().__init__()
        logits = torch.zeros(len(vocabulary()))
        logits[vocabulary().token(word)] = math.log(len(vocabulary()) - 1)
        self.logits = torch.nn.Parameter(logits)

    def forward(self, tokens):
        return self.logits.expand(*tokens.shape, -1)


def test_a_constant_has_every_later_year_right_and_a_difference_that_shows_it():
    """Always 99 with probability 1/2 is always right and differs by a half; 00 by minus that."""
    for word, share, sign in (("99", 1.0, 1), ("00", 0.0, -1)):
        said = measure.skills(Constant(word), 20)["greater-than"]
        assert said["accuracy"] == share
        assert said["difference"] == pytest.approx(
            sign / 2, abs=0.06
        )  # of the other words 97 at most are on the other side


def test_a_prompt_that_was_drawn_often_counts_once_in_the_interval(run):
    few = measure.skills(zoo.load(str(run), device="cpu"), 200)["code"]
    assert few["different"] <= 2 * 48  # two wordings a person
    assert few["high"] - few["low"] > 0.03


def test_fresh_rows_are_of_the_recipes_mixture_and_the_same_every_time():
    one, other = (measure.fresh_rows(task_of(recipe), 40) for recipe in measure_recipes())
    assert np.array_equal(one, measure.fresh_rows(task_of(measure_recipes()[0]), 40))
    stories = [Counter(" ".join(map(str, row)) for row in rows) for rows in (one, other)]
    assert stories[0] != stories[1]


def measure_recipes():
    known = tiny.recipe()
    return known, tiny.recipe(data=known.data | {"mixture": "circuits"})


def test_the_loss_does_not_depend_on_the_size_of_its_parts(run):
    model, task = zoo.load(str(run), device="cpu"), task_of(tiny.recipe())
    text = measure.fresh_rows(task, 130)  # three parts, not all of one size
    with torch.no_grad():
        assert measure.text_loss(model, task, text) == pytest.approx(
            float(task.loss(model, text)), rel=1e-5
        )


def test_rounding_is_measured_on_rounded_weights_and_leaves_the_model_as_it_was(run):
    model, task = zoo.load(str(run), device="cpu"), task_of(tiny.recipe())
    before, text = (
        {name: value.clone() for name, value in model.state_dict().items()},
        measure.fresh_rows(task, 20),
    )
    exact, rounded = measure.text_loss(model, task, text), measure.rounding_cost(model, task, text)
    assert rounded != exact
    assert rounded == pytest.approx(exact, abs=0.01)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    weights = model.state_dict()["unembed.weight"]  # a row a word
    assert len(weights) == tiny.recipe().model["d_vocab"]
    with torch.no_grad():
        # Much the same for every word's logit, but the rest of a row is rounded to nothing.
        weights[:, 0] = 1000.0
        model.state_dict()["unembed.bias"].zero_()
    assert measure.rounding_cost(model, task, text) == pytest.approx(
        math.log(len(weights)), abs=1e-3
    )
    assert abs(measure.text_loss(model, task, text) - math.log(len(weights))) > 0.01


def test_what_was_measured_can_be_published(run, found, shelf, tmp_path):
    (tmp_path / "skills.json").write_text(json.dumps(found))
    publish.publish("tinyworld", run, tmp_path / "skills.json", (0, 2))
    assert zoo.entry("tinyworld").measured == found
    again = measure.measure("tinyworld", prompts=20, curve_prompts=6)
    assert again["curve"]["steps"] == [0, 2, 4]
    assert again["skills"] == found["skills"]
    assert "rounding" not in again  # its checkpoints are rounded already
    assert again["curve"]["loss"][:2] == [found["rounding"]["after"][index] for index in (0, 2)]


def test_the_command_prints_one_object(run, capsys):
    assert (
        cli.main(["skills", str(run), "--prompts", "4", "--curve-prompts", "2", "--steps", "1"])
        == 0
    )
    said = capsys.readouterr()
    assert json.loads(said.out)["curve"]["steps"] == [1, 4]
    assert "judge privacy" in said.err


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--steps", "3"], "expected steps of"), (["--prompts", "1"], "at least 2 prompts")],
)
def test_what_cannot_be_measured_is_refused(run, options, said, capsys):
    assert cli.main(["skills", str(run), *options]) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""


def test_models_of_other_tasks_and_other_worlds_are_refused(run, monkeypatch, capsys):
    with pytest.raises(
        LabError, match="expected a model of TinyWorld; add-d3 was trained on addition"
    ):
        measure.history("add-d3")
    with pytest.raises(LabError, match="expected an embedded model"):
        measure.history("no-such-model")
    monkeypatch.setattr(worlds, "checksum", lambda: "0123456789ab")
    assert cli.main(["skills", str(run)]) == 1
    assert "files world.toml and frames.toml give 0123456789ab" in capsys.readouterr().err


def test_an_unfinished_run_is_refused_with_the_way_to_finish_it(run, tmp_path):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(LabError, match="--resume"):
        measure.history(str(folder))


def test_a_model_of_the_bestiary_is_measured_on_its_own_skills(tmp_path, shelf):
    known = tiny.recipe()
    facts = RECIPES["tinyworld-facts"]
    recipe = replace(facts, **{name: vars(known)[name] for name in ("steps", "batch_size")})
    recipe = replace(recipe, model=facts.model | tiny.SHAPE, warmup_steps=1, n_checkpoints=3)
    training.train(recipe, task_of(recipe), tmp_path / "run")
    found = measure.measure(str(tmp_path / "run"), prompts=30, curve_prompts=4)
    assert tuple(found["skills"]) == tuple(found["curve"]["skills"]) == creatures.NAMES
    assert found["curve"]["loss"][0] == pytest.approx(math.log(facts.model["d_vocab"]), abs=0.5)
    assert found["two_steps"]["creatures"]["of"] == 60
    (tmp_path / "skills.json").write_text(json.dumps(found))
    publish.publish("tinyworld-facts", tmp_path / "run", tmp_path / "skills.json", (0,))
    assert zoo.load("tinyworld-facts", step=0, device="cpu").cfg.d_vocab == facts.model["d_vocab"]


def test_a_world_without_skills_is_refused(run):
    with pytest.raises(LabError, match="expected a world with skills: tinyworld, bestiary"):
        measure.skills(zoo.load(str(run), device="cpu"), 2, "arithmetic")

"""The training loop: it learns, and no interruption at any moment changes what it ends in.

Kills are real: another process trains, and the test sends it SIGKILL or SIGINT.
"""

import contextlib
import json
import math
import multiprocessing
import os
import random
import resource
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from helpers import training
from helpers.errors import LabError
from helpers.files import save_atomically, write_atomically
from helpers.training import RECIPE, REPORT, STATE, WEIGHTS, Recipe, train
from helpers.training.folder import LOCK, held

pytestmark = pytest.mark.core

PATIENCE = 1200
"""Seconds after which a process is given up; on a busy machine a run of seconds takes minutes."""

TINY = Recipe(
    name="tiny",
    task="addition",
    model={
        "n_layers": 1,
        "n_heads": 1,
        "d_model": 16,
        "d_head": 16,
        "d_mlp": 32,
        "n_ctx": 10,
        "d_vocab": 15,
    }
    | {"act_fn": "relu", "normalization_type": "LN"},
    data={"n_digits": 2, "p_slots": 0.3, "p_cascade": 0.3},
    steps=300,
    batch_size=16,
    learning_rate=2e-3,
    warmup_steps=20,
    n_checkpoints=4,
)
SHORT = replace(TINY, steps=12, n_checkpoints=0)


def task_of(recipe: Recipe):
    from helpers.arithmetic.training import recipes

    return recipes.task_of(recipe)


def run(recipe: Recipe, folder: Path, **options) -> training.Run:
    return train(recipe, task_of(recipe), folder, **options)


@pytest.fixture(scope="module")
def server():
    """Starts processes with the libraries loaded, so that a kill meets the training, no import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["transformer_lens.model_bridge", "helpers.training", "helpers.arithmetic.training.recipes"]
    )
    return context


def begin(server, folder: Path, save_every: float, recipe: Recipe = TINY):
    process = server.Process(
        target=train, args=(recipe, task_of(recipe), folder, True, "cpu", save_every)
    )
    process.start()
    return process


@pytest.fixture(scope="module")
def uninterrupted(server, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    process = begin(server, folder, save_every=1e9)
    process.join(PATIENCE)
    assert process.exitcode == 0
    return folder


@pytest.fixture
def same_result(same_weights):
    def check(folder: Path, reference: Path, recipe: Recipe = TINY) -> None:
        for name in (
            WEIGHTS,
            *(f"checkpoints/step-{step:06d}.safetensors" for step in recipe.checkpoint_steps),
        ):
            same_weights(folder / name, reference / name)
        losses = [
            json.loads((where / REPORT).read_text())["loss_every_50"]
            for where in (folder, reference)
        ]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
        assert not list(folder.rglob("*.tmp"))

    return check


def stored(folder: Path) -> int:
    """When the state was stored last, in nanoseconds; 0 for never."""
    return (folder / STATE).stat().st_mtime_ns if (folder / STATE).exists() else 0


@pytest.mark.parametrize("seed", [0, 1])
def test_sigkill_at_random_moments_changes_nothing(
    server, uninterrupted, tmp_path, seed, same_result
):
    rng, kills = random.Random(seed), 0
    while kills < 6:
        last, process = stored(tmp_path), begin(server, tmp_path, save_every=0.0)
        while (
            stored(tmp_path) == last and process.is_alive()
        ):  # a kill must meet the training, however fast the machine
            time.sleep(0.002)
        process.join(rng.uniform(0.0, 0.15))
        process.kill()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    else:
        process = begin(server, tmp_path, save_every=0.0)
        process.join(PATIENCE)
    assert process.exitcode == 0
    assert kills >= 2, "the run ended before it could be killed twice: lengthen it"
    same_result(tmp_path, uninterrupted)


def test_sigkill_between_the_state_and_the_final_files(
    server, uninterrupted, tmp_path, same_result
):
    process = begin(server, tmp_path, save_every=1e9)
    process.join(PATIENCE)
    for name in (WEIGHTS, REPORT):
        (tmp_path / name).unlink()
    (tmp_path / "model.tmp").write_bytes(b"half a file")
    run(TINY, tmp_path, resume=True)
    same_result(tmp_path, uninterrupted)


def test_ctrl_c_stops_between_steps_and_loses_nothing(server, uninterrupted, tmp_path, same_result):
    process = begin(
        server, tmp_path, save_every=1e9
    )  # so that only Ctrl-C can have stored the state
    while not (tmp_path / "checkpoints" / "step-000001.safetensors").exists():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    process.join(PATIENCE)
    assert process.exitcode not in (0, None)
    assert not (tmp_path / WEIGHTS).exists()
    steps = len(load_file(tmp_path / STATE)["losses"])
    assert 1 <= steps < TINY.steps
    assert run(TINY, tmp_path, resume=True).resumed_at == steps
    same_result(tmp_path, uninterrupted)


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(tmp_path, same_weights):
    """The signal comes while the optimiser is at work: there a torn state would come from."""

    @dataclass
    class Impatient(training.Task):
        inner: object
        calls: int = 0

        def batch(self, rng, size):
            return self.inner.batch(rng, size)

        def loss(self, model, batch):
            self.calls += 1
            if self.calls == 5:
                os.kill(os.getpid(), signal.SIGINT)
            return self.inner.loss(model, batch)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(SHORT, Impatient(task_of(SHORT)), tmp_path / "stopped")
    assert signal.getsignal(signal.SIGINT) is before
    assert len(load_file(tmp_path / "stopped" / STATE)["losses"]) == 5
    run(SHORT, tmp_path / "stopped", resume=True)
    run(SHORT, tmp_path / "whole")
    same_weights(tmp_path / "stopped" / WEIGHTS, tmp_path / "whole" / WEIGHTS)


def test_it_learns(tmp_path):
    """Two-digit addition in a few seconds: a loss far below guessing, and most answers right."""
    from helpers.arithmetic.questions import Format, uniform

    recipe = replace(
        TINY, steps=700, batch_size=128, learning_rate=8e-3, warmup_steps=50, n_checkpoints=0
    )
    recipe = replace(
        recipe, model=recipe.model | {"n_heads": 2, "d_model": 48, "d_head": 24, "d_mlp": 128}
    )
    model = run(recipe, tmp_path).model
    fmt = Format(2)
    tokens = uniform(2, 2000, np.random.default_rng(99)).tokens(fmt)

    def accuracy(of) -> float:
        with torch.no_grad():
            found = of(tokens)[:, fmt.equals_position : -1].argmax(-1)
        return float((found == tokens[:, fmt.equals_position + 1 :]).all(1).float().mean())

    report = json.loads((tmp_path / REPORT).read_text())
    assert report["loss_every_50"][0] > 2.0  # ln 15 = 2.7 for a uniform guess
    assert report["final_loss"] < 0.3
    assert accuracy(training.build_model(recipe)) < 0.01
    assert accuracy(model) > 0.6


def test_the_learning_rate_is_the_formula():
    recipe = replace(TINY, learning_rate=0.5, warmup_steps=4, steps=12)
    assert [recipe.rate(step) for step in range(4)] == pytest.approx([0.125, 0.25, 0.375, 0.5])
    assert recipe.rate(4) == pytest.approx(0.5)
    assert recipe.rate(8) == pytest.approx(0.25)
    assert recipe.rate(11) == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)) / 2)


def test_one_step_is_the_step_of_plain_pytorch():
    ours, task = training.start(SHORT), task_of(SHORT)
    other = training.build_model(SHORT)
    optimizer = torch.optim.AdamW(
        other.parameters(), lr=SHORT.rate(0), betas=(0.9, 0.98), weight_decay=0.1
    )
    training.take_step(ours, task)
    loss = task.loss(other, task.batch(np.random.default_rng([0, 0]), 16))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(other.parameters(), 1.0)
    optimizer.step()
    pairs = zip(ours.model.parameters(), other.parameters(), strict=True)
    moved = torch.cat([(a.detach() - b.detach()).abs().flatten() for a, b in pairs])
    assert (
        moved.kthvalue(round(0.99 * len(moved))).values < 1e-6
    )  # the rest may hang on the rounding of a tiny gradient
    assert ours.losses == pytest.approx([float(loss.detach())], rel=1e-6)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_mode_without_gradients_changes_no_step(mode):
    recipe = replace(SHORT, steps=3)
    results = []
    for outside in (contextlib.nullcontext, mode):
        with outside():
            going = training.start(recipe)
            for _ in range(3):
                training.take_step(going, task_of(recipe))
        results.append(going)
    assert results[0].losses == results[1].losses
    for first, second in zip(*(going.model.parameters() for going in results), strict=True):
        assert torch.equal(first, second)


def test_every_number_of_the_model_is_trained():
    """TransformerLens 4 does not count the output bias among the parameters by itself."""
    ours, task = training.start(SHORT), task_of(SHORT)
    before = {name: value.clone() for name, value in ours.model.state_dict().items()}
    for _ in range(3):
        training.take_step(ours, task)
    after = ours.model.state_dict()
    assert {name for name in before if torch.equal(before[name], after[name])} == set()
    assert sum(p.numel() for p in ours.model.parameters()) == sum(
        value.numel() for value in after.values()
    )


def test_two_seeds_give_two_models_and_one_seed_gives_one(tmp_path, same_weights):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(replace(SHORT, seed=seed), tmp_path / name)
    same_weights(tmp_path / "a" / WEIGHTS, tmp_path / "b" / WEIGHTS)
    weights = [load_file(tmp_path / name / WEIGHTS)["embed.weight"] for name in "ac"]
    assert (weights[0] - weights[1]).abs().median() > 0.01


def test_checkpoints_are_log_spaced_from_zero_to_the_end():
    assert replace(TINY, n_checkpoints=4, steps=100).checkpoint_steps == [0, 1, 10, 100]
    assert replace(TINY, n_checkpoints=0).checkpoint_steps == []


def test_a_recipe_survives_json_and_its_fingerprint_sees_every_field():
    again = Recipe.from_dict(json.loads(TINY.to_json()))
    assert again == TINY
    assert again.fingerprint == TINY.fingerprint
    changed = [
        replace(TINY, **change)
        for change in ({"seed": 1}, {"steps": 301}, {"betas": (0.9, 0.99)}, {"data": {}})
    ]
    assert len({recipe.fingerprint for recipe in (TINY, *changed)}) == 5


def test_the_shipped_recipes_keep_their_fingerprints():
    """The manifest's weights were trained with these; other defaults would describe another run."""
    from helpers import zoo
    from helpers.arithmetic.training import RECIPES
    from helpers.tinyworld.models.recipes import RECIPES as TEXTS

    for name in zoo.names():
        assert zoo.entry(name).fingerprint == (RECIPES | TEXTS)[name].fingerprint


def test_resuming_a_finished_run_restores_its_weights_and_trains_nothing(tmp_path):
    run(SHORT, tmp_path)
    content, state = (tmp_path / WEIGHTS).read_bytes(), (tmp_path / STATE).read_bytes()
    (tmp_path / WEIGHTS).unlink()
    again = run(SHORT, tmp_path, resume=True, on_step=lambda run: pytest.fail("it trained"))
    assert again.resumed_at == again.step == SHORT.steps
    assert (tmp_path / WEIGHTS).read_bytes() == content
    assert (tmp_path / STATE).read_bytes() == state


def test_a_run_is_not_overwritten_by_accident(tmp_path):
    run(SHORT, tmp_path)
    content = (tmp_path / WEIGHTS).read_bytes()
    for recipe, resume in (
        (SHORT, False),
        (replace(SHORT, seed=5), True),
        (replace(SHORT, steps=13), True),
    ):
        with pytest.raises(LabError, match="--out"):
            run(recipe, tmp_path, resume=resume)
    (tmp_path / STATE).unlink()
    for resume in (False, True):
        with pytest.raises(LabError, match="would overwrite"):
            run(SHORT, tmp_path, resume=resume)
    assert (tmp_path / WEIGHTS).read_bytes() == content


def damage_truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def damage_noise(path: Path) -> None:
    path.write_bytes(b"\xff" * 2000)


def damage_drop_tensors(path: Path) -> None:
    save_atomically(
        {"losses": torch.zeros(3)},
        path,
        {"step": "3", "seconds": "1", "fingerprint": SHORT.fingerprint},
    )


def damage_step(path: Path) -> None:
    save_atomically(
        load_file(path), path, {"step": "7", "seconds": "1", "fingerprint": SHORT.fingerprint}
    )


@pytest.mark.parametrize(
    "damage", [damage_truncate, damage_noise, damage_drop_tensors, damage_step]
)
def test_a_damaged_state_is_refused_and_removing_it_starts_anew(tmp_path, damage):
    run(SHORT, tmp_path)
    (tmp_path / WEIGHTS).unlink()
    damage(tmp_path / STATE)
    with pytest.raises(LabError, match=r"remove state\.safetensors to start anew"):
        run(SHORT, tmp_path, resume=True)
    (tmp_path / STATE).unlink()
    assert run(SHORT, tmp_path, resume=True).resumed_at == 0


def test_a_damaged_recipe_is_refused(tmp_path):
    (tmp_path / RECIPE).write_text('{"name": "ti')
    with pytest.raises(LabError, match="remove"):
        run(SHORT, tmp_path, resume=True)


def test_two_processes_cannot_train_into_one_folder(tmp_path):
    with held(tmp_path), pytest.raises(LabError, match="another process"):
        run(SHORT, tmp_path)
    run(SHORT, tmp_path)
    assert (tmp_path / LOCK).exists()


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="--out"):
        run(SHORT, tmp_path / "file" / "run")


def test_a_full_disk_leaves_the_old_file(tmp_path):
    """A limit on file sizes stands for the full disk: the write fails half-way just the same."""
    path, text = tmp_path / "state.safetensors", tmp_path / "report.json"
    save_atomically({"x": torch.ones(4)}, path, {})
    write_atomically("old", text)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(LabError, match="with space"):
            save_atomically({"x": torch.ones(100_000)}, path, {})
        with pytest.raises(LabError, match="with space"):
            write_atomically("n" * 100_000, text)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.equal(load_file(path)["x"], torch.ones(4))
    assert text.read_text() == "old"
    assert not list(tmp_path.glob("*.tmp"))


def frozen_recipe() -> Recipe:
    """The embedded three-digit adder, left alone inside a larger model, in a few small batches."""
    from helpers.arithmetic.training import EXPERIMENTS

    return replace(
        EXPERIMENTS["mix-d3-frozen"], steps=25, batch_size=4, warmup_steps=2, n_checkpoints=3
    )


@dataclass(frozen=True)
class PartlyFrozen(training.Task):
    """A task that freezes half a matrix and a whole bias."""

    inner: object

    def initialise(self, model):
        state = model.state_dict()
        state["embed.weight"][:] = 0.5
        state["blocks.0.mlp.in.bias"][:] = 0.25
        half = torch.zeros_like(state["embed.weight"], dtype=torch.bool)
        half[:, ::2] = True
        return {
            "embed.weight": half,
            "blocks.0.mlp.in.bias": torch.ones_like(
                state["blocks.0.mlp.in.bias"], dtype=torch.bool
            ),
        }

    def batch(self, rng, size):
        return self.inner.batch(rng, size)

    def loss(self, model, batch):
        return self.inner.loss(model, batch)


def test_frozen_entries_keep_every_bit_and_the_rest_of_the_tensor_moves():
    task = PartlyFrozen(task_of(SHORT))
    state = training.start(SHORT, task=task)
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    masks = task.initialise(training.build_model(SHORT))
    for _ in range(SHORT.steps):
        training.take_step(state, task)
    after = state.model.state_dict()
    for name, value in before.items():
        mask = masks.get(name, torch.zeros_like(value, dtype=torch.bool))
        assert torch.equal(after[name][mask], value[mask])
        assert mask.all() or (after[name][~mask] != value[~mask]).all()
    assert (before["embed.weight"] == 0.5).all()
    for part in state.frozen:
        moments = state.optimizer.state[part.parameter]
        for moment in (moments["exp_avg"], moments["exp_avg_sq"]):
            assert (moment[part.mask] == 0).all()
            assert part.mask.all() or (moment[~part.mask] != 0).any()


def test_a_frozen_gradient_does_not_use_up_the_clipping():
    """After one step the first moment is (1 - beta1) times the clipped gradient."""
    recipe = replace(SHORT, gradient_clip=1e-3)
    norms = {}
    for name, task in (("frozen", PartlyFrozen(task_of(recipe))), ("free", task_of(recipe))):
        state = training.start(recipe, task=task)
        training.take_step(state, task)
        moments = [
            state.optimizer.state[parameter]["exp_avg"] for parameter in state.model.parameters()
        ]
        norms[name] = float(torch.cat([moment.flatten() for moment in moments]).norm())
    assert norms == pytest.approx({"frozen": 0.1 * 1e-3, "free": 0.1 * 1e-3}, rel=1e-3)


def test_a_step_without_frozen_entries_is_that_of_a_smaller_optimiser():
    """Freezing whole tensors by mask is training the others alone."""
    bias = "blocks.0.mlp.in.bias"

    @dataclass(frozen=True)
    class OneBias(PartlyFrozen):
        def initialise(self, model):
            return {bias: torch.ones_like(model.state_dict()[bias], dtype=torch.bool)}

    task = OneBias(task_of(SHORT))
    ours, other = training.start(SHORT, task=task), training.build_model(SHORT)
    where = other.state_dict()[bias].data_ptr()
    others = [parameter for parameter in other.parameters() if parameter.data_ptr() != where]
    optimizer = torch.optim.AdamW(others, lr=1, betas=(0.9, 0.98), weight_decay=0.1)
    for step in range(5):
        training.take_step(ours, task)
        for group in optimizer.param_groups:
            group["lr"] = SHORT.rate(step)
        optimizer.zero_grad()
        task.loss(other, task.batch(np.random.default_rng([0, step]), 16)).backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        optimizer.step()
    for name, value in other.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], value, rtol=0, atol=1e-6)


def test_a_task_initialises_the_model_before_the_first_snapshot(tmp_path):
    recipe = replace(SHORT, n_checkpoints=2)
    train(recipe, PartlyFrozen(task_of(recipe)), tmp_path)
    first = load_file(tmp_path / "checkpoints" / "step-000000.safetensors")
    last = load_file(tmp_path / WEIGHTS)
    assert (first["embed.weight"] == 0.5).all()
    assert (last["embed.weight"][:, ::2] == 0.5).all()
    assert (last["embed.weight"][:, 1::2] != 0.5).all()


def test_a_killed_and_resumed_frozen_run_is_the_uninterrupted_one(server, tmp_path, same_result):
    recipe, whole, parts = frozen_recipe(), tmp_path / "whole", tmp_path / "parts"
    process = begin(server, whole, 1e9, recipe)
    for _ in range(2):
        last, killed = stored(parts), begin(server, parts, 0.0, recipe)
        while stored(parts) == last and killed.is_alive():
            time.sleep(0.002)
        killed.join(0.04)
        killed.kill()
        killed.join()
        assert killed.exitcode == -signal.SIGKILL, (
            "the run ended before it could be killed: lengthen it"
        )
    resumed = begin(server, parts, 1e9, recipe)
    for running in (resumed, process):
        running.join(PATIENCE)
        assert running.exitcode == 0
    same_result(parts, whole, recipe)
    adder, found = training.start(recipe, task=task_of(recipe)), load_file(parts / WEIGHTS)
    masks = task_of(recipe).initialise(adder.model)
    assert len(masks) == 32  # sixteen tensors in each of the source's two layers
    for name, mask in masks.items():
        assert torch.equal(found[name][mask], adder.model.state_dict()[name][mask])


def test_divergence_stops_before_it_spoils_the_weights(tmp_path):
    @dataclass
    class Exploding(training.Task):
        inner: object

        def batch(self, rng, size):
            return self.inner.batch(rng, size)

        def loss(self, model, batch):
            return self.inner.loss(model, batch) * math.inf

    state = training.start(SHORT)
    before = [parameter.detach().clone() for parameter in state.model.parameters()]
    with pytest.raises(LabError, match="learning_rate"):
        training.take_step(state, Exploding(task_of(SHORT)))
    assert all(torch.equal(a, b) for a, b in zip(before, state.model.parameters(), strict=True))


def test_a_recipe_of_no_model_is_explained():
    for model in ({}, {"d_vocab": 15}, SHORT.model | {"d_vocab": "many"}):
        with pytest.raises(LabError, match="shape of a model"):
            training.build_model(replace(SHORT, model=model))

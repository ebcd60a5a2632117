"""Checkpoints from run folders, Hugging Face folders and a hub with a download of our own."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import training, zoo
from helpers.errors import LabError
from helpers.training import Recipe
from helpers.trust.series import activations, sources, streaming
from helpers.zoo import publish
from tests.trust import tiny

SHAPE = {
    "n_layers": 1,
    "n_heads": 2,
    "d_model": 8,
    "d_head": 4,
    "d_mlp": 16,
    "n_ctx": 8,
    "d_vocab": 7,
}
TOY = Recipe(
    name="toy",
    task="successor",
    model=SHAPE | {"act_fn": "relu", "normalization_type": "LN"},
    data={},
    steps=6,
    batch_size=4,
    learning_rate=1e-2,
    warmup_steps=1,
    n_checkpoints=4,
)


class Successor(training.Task):
    """Predict the next number modulo 7; the numbers have names."""

    def metadata(self) -> dict[str, str]:
        return {"words": "<pad> <begin> <unknown> a cat is red"}

    def batch(self, rng: np.random.Generator, size: int) -> torch.Tensor:
        return torch.tensor((rng.integers(7, size=(size, 1)) + np.arange(8)) % 7)

    def loss(self, model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
        logits = model(batch)[:, :-1]
        return torch.nn.functional.cross_entropy(logits.reshape(-1, 7), batch[:, 1:].reshape(-1))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "toy"
    training.train(TOY, Successor(), folder)
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of the run that a test may spoil."""
    return shutil.copytree(trained, tmp_path / "toy")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """GPT-NeoX-shaped checkpoints of steps 0, 8 and 64, as a trainer leaves them."""
    root = tmp_path_factory.mktemp("neox")
    for i, name in enumerate(("step0", "step-8", "checkpoint-64")):
        tiny.save(tiny.neox(seed=i, n_layers=2), root / name)
    (root / "logs").mkdir()
    (root / "step9.txt").write_text("no folder")
    return root


@pytest.fixture
def checkpoints(made, tmp_path) -> Path:
    return shutil.copytree(made, tmp_path / "neox")


class FakeHub:
    """Stands for the hub: a local folder for each revision, and notes of what the disk held."""

    def __init__(self, revisions: dict[str, Path], cache: Path):
        self.revisions, self.cache = revisions, cache
        self.asked: list[tuple[str, str]] = []
        self.held: list[int] = []

    def __call__(self, repository: str, revision: str, folder: Path) -> None:
        self.asked.append((repository, revision))
        shutil.copytree(self.revisions[revision], folder, dirs_exist_ok=True)
        self.held.append(len(list(self.cache.rglob("*.safetensors"))))


@pytest.fixture
def fake_hub(made, tmp_path, monkeypatch) -> FakeHub:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    revisions = {
        "step0": made / "step0",
        "step1": made / "step0",
        "step8": made / "step-8",
        "step64": made / "checkpoint-64",
    }
    found = FakeHub(revisions, tmp_path / "cache")
    monkeypatch.setattr(streaming, "download", found)
    return found


def logits(model) -> torch.Tensor:
    return model(torch.arange(1, 7)[None])


# run folders


def test_a_run_folder_gives_the_weights_of_each_step(run):
    found = sources.run_folder(run)
    assert (found.name, found.steps) == ("toy", tuple(TOY.checkpoint_steps))
    for step in found.steps:
        model = training.build_model(TOY)
        model.load_state_dict(load_file(run / "checkpoints" / f"step-{step:06d}.safetensors"))
        assert torch.equal(logits(found.load(step)), logits(model))
    assert torch.equal(logits(found.load(0)), logits(training.build_model(TOY))), (
        "step 0 is the untrained model"
    )
    assert torch.equal(logits(found.load(6)), logits(zoo.load(str(run), device="cpu")))
    assert sources.check(found) == found


def test_checkpoints_have_the_vocabulary_of_their_run(run):
    ids, lengths = activations.encode(sources.run_folder(run).load(0), ["a cat is", "red"])
    assert ids.tolist() == [[1, 3, 4, 5], [1, 6, 0, 0]], "a beginning is put first, as in training"
    assert lengths.tolist() == [4, 2]
    (run / "model.safetensors").unlink()
    with pytest.raises(LabError, match="tokenizer is missing"):
        activations.encode(sources.run_folder(run).load(0), ["a cat is"])


def test_a_missing_checkpoint_is_named(run):
    (run / "checkpoints" / f"step-{TOY.checkpoint_steps[1]:06d}.safetensors").unlink()
    with pytest.raises(LabError, match=rf"missing: {TOY.checkpoint_steps[1]}; there: 0"):
        sources.run_folder(run)
    assert sources.run_folder(run, steps=(6, 0)).steps == (0, 6)
    with pytest.raises(LabError, match="missing: 5"):
        sources.run_folder(run, steps=(0, 5))


def test_a_folder_without_a_run_or_checkpoints_is_refused(tmp_path, run):
    with pytest.raises(LabError, match="recipe of a training run"):
        sources.run_folder(tmp_path / "nothing")
    shutil.rmtree(run / "checkpoints")
    (run / "recipe.json").write_text(replace(TOY, n_checkpoints=0).to_json())
    with pytest.raises(LabError, match="at least one checkpoint"):
        sources.run_folder(run)


def test_a_damaged_checkpoint_is_refused(run):
    file = run / "checkpoints" / "step-000006.safetensors"
    file.write_bytes(file.read_bytes()[:-50])
    found = sources.run_folder(run)
    with pytest.raises(LabError, match="step-000006"):
        found.load(6)
    with pytest.raises(LabError, match="step-000006"):
        sources.check(found)


# embedded models


@pytest.fixture
def shelf(trained, tmp_path, monkeypatch) -> Path:
    """A weights folder with one published model and its history."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / zoo.MANIFEST).write_text("{}")
    monkeypatch.setenv("LAB_WEIGHTS", str(folder))
    publish.publish("toy", trained, steps=TOY.checkpoint_steps[:-1])
    return folder


def test_an_embedded_model_gives_its_history(shelf, trained):
    found, exact = sources.embedded("toy"), sources.run_folder(trained)
    assert (found.name, found.steps) == ("toy", exact.steps)
    for step in found.steps:
        read = found.read(step)
        assert torch.equal(logits(read.model), logits(found.load(step)))
        assert found.digest(step) == found.stamp(step)
        moved = (logits(read.model) - logits(exact.load(step))).abs().max()
        assert (moved == 0) == (step == TOY.steps), "all but the last are rounded to eight bits"
        assert moved < 0.05
        assert activations.encode(read.model, ["a cat"])[0].tolist() == [[1, 3, 4]]
    assert sources.check(found) == found
    assert len({found.digest(step) for step in found.steps}) == len(found.steps)
    assert sources.embedded("toy", steps=(0,)).steps == (0,)


def test_faults_of_embedded_histories_are_named(shelf):
    with pytest.raises(LabError, match="missing: 5; there: 0"):
        sources.embedded("toy", steps=(0, 5))
    with pytest.raises(LabError, match="expected an embedded model"):
        sources.embedded("toys")
    history = shelf / "toy.series.safetensors"
    history.write_bytes(history.read_bytes()[:-9])
    with pytest.raises(LabError, match=r"toy\.series\.safetensors; it has .* truncated"):
        sources.embedded("toy").load(0)


# Hugging Face folders


def test_folders_are_found_by_their_names(checkpoints):
    found = sources.folders(checkpoints)
    assert (found.name, found.steps) == ("neox", (0, 8, 64))
    for i, step in enumerate(found.steps):
        expected = tiny.neox(seed=i, n_layers=2)(torch.arange(1, 7)[None]).logits
        torch.testing.assert_close(logits(found.load(step)), expected, atol=1e-5, rtol=1e-5)
    assert sources.check(found) == found


def test_any_model_of_transformer_lens_can_be_a_series(tmp_path):
    for step in (0, 10):
        tiny.save(tiny.gpt2(seed=step), tmp_path / f"global_step{step}")
    found = sources.folders(tmp_path)
    ids, lengths = activations.encode(found.load(0), tiny.TEXTS)
    vectors = [activations.last_token(found.load(step), ids, lengths) for step in found.steps]
    assert vectors[0].shape == (4, len(tiny.TEXTS), 32)
    assert not torch.allclose(vectors[0], vectors[1])


def test_faults_of_folders_are_named(checkpoints, tmp_path):
    with pytest.raises(LabError, match="does not exist"):
        sources.folders(tmp_path / "nowhere")
    with pytest.raises(LabError, match=r"missing: 16, 32; there: 0, 8, 64"):
        sources.folders(checkpoints, steps=(0, 16, 32))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LabError, match="at least one checkpoint"):
        sources.folders(tmp_path / "empty")
    shutil.copytree(checkpoints / "step-8", checkpoints / "checkpoint-8")
    with pytest.raises(LabError, match="step 8 has several"):
        sources.folders(checkpoints)


def test_a_step_outside_the_series_is_refused(checkpoints):
    found = sources.folders(checkpoints).only((0, 64))
    for ask in (found.load, found.read, found.prints, found.digest):
        with pytest.raises(LabError, match="expected a step of neox: 0, 64; got 8"):
            ask(8)
    with pytest.raises(LabError, match="missing: 3"):
        found.only((0, 3))


def test_what_is_hashed_is_what_is_loaded(checkpoints):
    found = sources.folders(checkpoints)
    read = found.read(8)
    assert read.prints == found.prints(8)
    assert torch.equal(logits(read.model), logits(found.load(8)))
    before = found.digest(8)
    assert len({found.digest(step) for step in found.steps}) == 3
    file = checkpoints / "step-8" / "model.safetensors"
    tensors = load_file(file)
    save_file(dict(reversed(tensors.items())), file, metadata={"format": "pt", "saved": "anew"})
    assert found.digest(8) == before, "the same numbers in another file"
    tensors["gpt_neox.layers.1.mlp.dense_h_to_4h.bias"][0] += 1e-3
    save_file(tensors, file, metadata={"format": "pt"})
    assert found.digest(8) != before


# twins


def test_duplicated_weights_are_refused_or_dropped_with_a_note(checkpoints):
    shutil.copytree(checkpoints / "step0", checkpoints / "step1")
    found = sources.folders(checkpoints)
    with pytest.raises(LabError, match="of neox; steps 0 and 1 hold the same weights"):
        sources.check(found)
    settled = sources.check(found, allow_duplicates=True)
    assert settled.steps == (0, 8, 64)
    assert settled.notes == ("steps 0 and 1 hold the same weights: 1 is left out",)
    assert torch.equal(logits(settled.load(0)), logits(found.load(0)))


def test_final_weights_at_an_early_step_are_refused(checkpoints):
    shutil.copytree(checkpoints / "checkpoint-64", checkpoints / "step1")
    for allow in (False, True):
        with pytest.raises(
            LabError, match="steps 1 and 64 hold the same weights, with other weights between"
        ):
            sources.check(sources.folders(checkpoints), allow_duplicates=allow)
    assert sources.check(sources.folders(checkpoints).only((0, 8, 64))).steps == (0, 8, 64)


def test_a_foreign_part_is_refused(checkpoints):
    file = checkpoints / "step0" / "model.safetensors"
    tensors, last = load_file(file), load_file(checkpoints / "checkpoint-64" / "model.safetensors")
    tensors["gpt_neox.embed_in.weight"] = last["gpt_neox.embed_in.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(LabError, match=r"steps 0 and 64 share 1 of \d+ matrices"):
        sources.check(sources.folders(checkpoints))


# the hub


def test_streaming_keeps_one_checkpoint_on_the_disk(fake_hub, made):
    found = sources.hub("someone/neox", steps=(64, 0, 8))
    assert found.steps == (0, 8, 64)
    models = [found.load(step) for step in found.steps]
    assert fake_hub.asked == [
        ("someone/neox", "step0"),
        ("someone/neox", "step8"),
        ("someone/neox", "step64"),
    ]
    assert fake_hub.held == [1, 1, 1]
    assert not list(fake_hub.cache.rglob("*.*")), (
        "nothing stays, not even while the models are in use"
    )
    expected = sources.folders(made)
    for step, model in zip(found.steps, models, strict=True):
        assert torch.equal(logits(model), logits(expected.load(step)))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_a_streamed_model_does_not_hold_on_to_its_file(fake_hub):
    """A removed file that is mapped into memory keeps its place on the disk."""
    model = sources.hub("someone/neox", steps=(8,)).load(8)
    assert model.cfg.d_model == 32
    assert str(fake_hub.cache) not in Path("/proc/self/maps").read_text()


def test_streamed_weights_are_hashed_like_those_in_folders(fake_hub, made):
    streamed, local = sources.hub("someone/neox", steps=(0, 8)), sources.folders(made)
    read = streamed.read(8)
    assert len(fake_hub.asked) == 1, "model and hashes from one download"
    assert read.prints == local.prints(8)
    assert streamed.digest(0) == local.digest(0)
    assert streamed.stamp(8) == "someone/neox@step8"
    assert len(fake_hub.asked) == 2, "a stamp costs no download"


def test_pythia_step_one_is_dropped_by_the_guard(fake_hub):
    found = sources.pythia("pythia-70m", steps=(0, 1, 8, 64))
    assert found.name == "pythia-70m"
    with pytest.raises(LabError, match="steps 0 and 1 hold the same weights"):
        sources.check(found)
    settled = sources.check(found, allow_duplicates=True)
    assert settled.steps == (0, 8, 64)
    assert {repository for repository, _ in fake_hub.asked} == {"EleutherAI/pythia-70m"}


def test_pythia_has_154_known_steps():
    assert len(sources.PYTHIA_STEPS) == 154
    assert sources.PYTHIA_STEPS[:13] == (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 2000)
    assert sources.PYTHIA_STEPS[-1] == 143_000
    default = sources.pythia("EleutherAI/pythia-160m-deduped")
    assert default.steps == sources.PYTHIA_DEFAULT
    assert set(default.steps) <= set(sources.PYTHIA_STEPS)
    assert 1 not in default.steps
    with pytest.raises(LabError, match="missing: 1500"):
        sources.pythia(steps=(0, 1500))
    with pytest.raises(LabError, match="expected a Pythia model"):
        sources.pythia("gpt2")


def test_other_patterns_of_revisions(fake_hub):
    fake_hub.revisions = {"checkpoint-8-main": fake_hub.revisions["step8"]}
    sources.hub("someone/other", steps=(8,), pattern="checkpoint-{step}-main").load(8)
    assert fake_hub.asked == [("someone/other", "checkpoint-8-main")]


def test_a_failed_load_leaves_nothing_behind(fake_hub, tmp_path):
    broken = shutil.copytree(fake_hub.revisions["step8"], tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"cut")
    fake_hub.revisions["step8"] = broken
    with pytest.raises(LabError):
        sources.hub("someone/neox", steps=(8,)).load(8)
    assert not list(fake_hub.cache.rglob("*.*"))


def test_what_a_killed_process_left_is_cleared_away(fake_hub):
    script = "import os, signal\nfrom helpers.trust.series import streaming\n"
    script += "with streaming.temporary_folder() as folder:\n"
    script += "    (folder / 'model.safetensors').write_bytes(b'x')\n"
    script += "    os.kill(os.getpid(), signal.SIGKILL)\n"
    subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"LAB_CACHE": str(fake_hub.cache)},
        check=False,
    )
    assert len(list(fake_hub.cache.rglob("model.safetensors"))) == 1
    with streaming.temporary_folder() as mine:
        assert [folder.name for folder in (fake_hub.cache / "streamed").iterdir()] == [mine.name]
        with streaming.temporary_folder():
            assert mine.is_dir(), "that of a living process stays"


def test_a_hub_that_does_not_answer_gives_one_clear_message(tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(*arguments, **options):
        raise LocalEntryNotFoundError("no network\nand more lines")

    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(
        LabError,
        match="expected EleutherAI/pythia-70m at step8 from the Hugging Face hub; "
        "it did not come: no network\n",
    ):
        sources.pythia(steps=(8,)).load(8)


def test_the_download_goes_into_the_folder_and_nowhere_else(tmp_path, monkeypatch):
    import huggingface_hub

    asked = {}
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda repository, **options: asked.update(options, name=repository),
    )
    streaming.download("EleutherAI/pythia-70m", "step8", tmp_path)
    assert (asked["name"], asked["revision"], asked["local_dir"]) == (
        "EleutherAI/pythia-70m",
        "step8",
        tmp_path,
    )
    assert not [
        pattern for pattern in asked["allow_patterns"] if "bin" in pattern or "pt" in pattern
    ]


# all kinds


def test_every_kind_can_be_sent_to_a_worker(run, checkpoints, fake_hub):
    import pickle

    for found in (
        sources.run_folder(run),
        sources.folders(checkpoints),
        sources.hub("someone/neox", (8,)),
    ):
        sent = pickle.loads(pickle.dumps(found))
        assert sent == found
        assert torch.equal(logits(sent.load(found.steps[-1])), logits(found.load(found.steps[-1])))


@pytest.mark.parametrize("kind", ["check", "prints", "digest", "read", "sweep"])
@pytest.mark.parametrize("left", ["nothing", "a configuration", "an empty weight file"])
def test_a_step_without_weights_is_refused(checkpoints, kind, left):
    """An unfinished download leaves a folder with a step's name: it is no checkpoint."""
    from safetensors.torch import save_file

    from helpers.trust.series.sweep import sweep

    folder = checkpoints / "step-8"
    for file in folder.iterdir():
        if left != "a configuration" or file.suffix != ".json":
            file.unlink()
    if left == "an empty weight file":
        save_file({}, folder / "model.safetensors")
    series = sources.folders(checkpoints)
    calls = {
        "check": lambda: sources.check(series),
        "prints": lambda: series.prints(8),
        "digest": lambda: series.digest(8),
        "read": lambda: series.read(8),
        "sweep": lambda: sweep(series, work=lambda model, step: {"n": 1}, backend="serial"),
    }
    with pytest.raises(LabError, match=r"weights|model"):
        calls[kind]()

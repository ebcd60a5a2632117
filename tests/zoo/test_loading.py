"""Loading models: three tiers, and every way in which a weight file can be wrong."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from helpers import cli, training, zoo
from helpers.errors import LabError
from helpers.training import RECIPE, WEIGHTS, Recipe
from helpers.zoo import hub, publish

pytestmark = pytest.mark.core

TOY = Recipe(
    name="toy",
    task="addition",
    model={
        "n_layers": 1,
        "n_heads": 2,
        "d_model": 8,
        "d_head": 4,
        "d_mlp": 16,
        "n_ctx": 10,
        "d_vocab": 15,
    }
    | {"act_fn": "relu", "normalization_type": "LN"},
    data={"n_digits": 2, "p_slots": 0.3, "p_cascade": 0.3},
    steps=3,
    batch_size=8,
    learning_rate=1e-3,
    warmup_steps=1,
)
TOKENS = torch.arange(10)[None] % 15


@pytest.fixture(scope="module")
def toy_run(tmp_path_factory) -> Path:
    from helpers.arithmetic.training import task_of

    folder = tmp_path_factory.mktemp("runs") / "toy"
    training.train(TOY, task_of(TOY), folder)
    return folder


@pytest.fixture
def shelf(tmp_path, monkeypatch, toy_run) -> Path:
    """A weights folder with one published model."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / zoo.MANIFEST).write_text("{}")
    monkeypatch.setenv("LAB_WEIGHTS", str(folder))
    publish.publish("toy", toy_run)
    return folder


def trained_logits(run: Path) -> torch.Tensor:
    model = training.build_model(TOY)
    model.load_state_dict(load_file(run / WEIGHTS))
    return model(TOKENS)


def test_the_embedded_tier_gives_the_trained_model(shelf, toy_run):
    model = zoo.load("toy", device="cpu")
    assert torch.equal(model(TOKENS), trained_logits(toy_run))
    assert not torch.equal(model(TOKENS), training.build_model(TOY)(TOKENS))
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_manifest_says_what_was_published(shelf, toy_run):
    assert zoo.names() == ["toy"]
    entry = zoo.entry("toy")
    assert entry.recipe == TOY
    assert entry.bytes == (toy_run / WEIGHTS).stat().st_size
    # by hand: embed and unembed 15·8 + 15·8 + 15, positions 10·8, attention 3·(8·8+8) + 8·8+8, MLP
    # 8·16+16 + 16·8+8, 3 norms
    assert entry.parameters == 120 + 135 + 80 + 288 + 280 + 48
    assert entry.measured == {}


def test_a_run_folder_is_a_model(toy_run, shelf):
    assert torch.equal(zoo.load(str(toy_run), device="cpu")(TOKENS), trained_logits(toy_run))


def test_an_unfinished_run_folder_says_how_to_finish_it(tmp_path, toy_run, shelf):
    shutil.copy(toy_run / RECIPE, tmp_path)
    with pytest.raises(LabError, match="--resume"):
        zoo.load(str(tmp_path))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage", [truncate, flip_one_bit, Path.unlink, lambda path: path.write_bytes(b"")]
)
def test_damaged_weights_are_refused_with_the_remedy(shelf, damage):
    damage(shelf / "toy.safetensors")
    for action in (zoo.check, zoo.load):
        with pytest.raises(LabError, match=r"reinstall.*doctor"):
            action("toy")


def test_a_pointer_file_in_place_of_weights_is_refused(shelf):
    (shelf / "toy.safetensors").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 900\n"
    )
    with pytest.raises(LabError, match="truncated or changed"):
        zoo.load("toy")


def rewrite(shelf: Path, tensors: dict) -> None:
    """Other tensors, with a manifest that agrees: only a look at the tensors can refuse them."""
    path = shelf / "toy.safetensors"
    save_file(tensors, path)
    manifest = json.loads((shelf / zoo.MANIFEST).read_text())
    content = path.read_bytes()
    manifest["toy"] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (shelf / zoo.MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("embed.weight", None, "embed.weight is missing"),
        ("extra", torch.zeros(1), "extra is none of the model's"),
        ("embed.weight", torch.zeros(8, 15), "has shape (8, 15) instead of (15, 8)"),
        ("embed.weight", torch.full((15, 8), float("nan")), "NaN"),
    ],
)
def test_tensors_that_are_not_the_models_are_refused(shelf, name, value, said):
    tensors = load_file(shelf / "toy.safetensors") | {name: value}
    rewrite(shelf, {key: tensor for key, tensor in tensors.items() if tensor is not None})
    with pytest.raises(LabError) as refused:
        zoo.load("toy")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"toy": {}}', '{"toy": 3}', "null"],
)
def test_a_malformed_manifest_is_refused(shelf, text):
    (shelf / zoo.MANIFEST).write_text(text)
    with pytest.raises(LabError, match="reinstall"):
        zoo.load("toy")


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "0" * 16},
        {"file": "../toy.safetensors"},
        {"surprise": 1},
        {"recipe": {"name": "toy"}},
        {"measured": {"sha256": "0" * 64}},
        {"measured": []},
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(shelf, change):
    manifest = json.loads((shelf / zoo.MANIFEST).read_text())
    manifest["toy"] |= change
    (shelf / zoo.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(LabError, match="reinstall"):
        zoo.names()


def test_an_unknown_name_gets_near_matches_and_the_list(shelf):
    with pytest.raises(LabError) as refused:
        zoo.load("pythia70m")
    message = str(refused.value)
    assert "did you mean pythia-70m" in message
    assert "toy" in message
    assert "gpt2" in message
    with pytest.raises(LabError, match="toy"):
        zoo.entry("tyo")


@pytest.mark.parametrize("name", ["./no/such/folder", "/no/such", "", "../x", "a/b/c"])
def test_a_folder_that_is_not_there_is_not_looked_up_on_the_hub(shelf, name, monkeypatch):
    monkeypatch.setattr(hub, "download", lambda *_: pytest.fail("asked the hub"))
    with pytest.raises(LabError, match="expected"):
        zoo.load(name if name else "nothing-like-it")


def test_a_real_pretrained_model_loads_and_speaks(shared_dir, shelf):
    model = zoo.load(str(shared_dir / "models" / "stories260K"), device="cpu")
    assert (model.cfg.n_layers, model.cfg.n_heads, model.cfg.d_model) == (5, 8, 64)
    assert not model.training
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(shared_dir / "models" / "stories260K")
    tokens = torch.tensor([[1, 403, 407, 261, 378]])
    torch.testing.assert_close(model(tokens), reference(tokens).logits, rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def gpt2_folder(tmp_path_factory) -> Path:
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    GPT2LMHeadModel(
        GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=40, n_positions=16)
    ).save_pretrained(folder)
    return folder


def test_a_hugging_face_folder_loads(gpt2_folder, shelf):
    from transformers import GPT2LMHeadModel

    model = zoo.load(str(gpt2_folder), device="cpu")
    reference = GPT2LMHeadModel.from_pretrained(gpt2_folder).eval()
    torch.testing.assert_close(model(TOKENS), reference(TOKENS).logits, rtol=0, atol=1e-5)


def saved_gpt2(folder: Path, scale: float = 8.0, **settings) -> Path:
    """A GPT-2 with weights so large that every part of it matters."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=20, n_positions=16, n_embd=16, n_layer=2, n_head=2, **settings)
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    model.save_pretrained(folder)
    return folder


def test_a_bridge_that_leaves_a_setting_away_is_refused(tmp_path, shelf):
    folder = saved_gpt2(tmp_path, scale_attn_weights=False)
    with pytest.raises(LabError, match=r"those of TransformerBridge differ by [0-9.]+, and the"):
        zoo.load(str(folder), device="cpu")


def test_nan_is_refused_where_only_the_bridge_computes_it(tmp_path, shelf):
    model = zoo.load(str(saved_gpt2(tmp_path, scale=float("nan"))), device="cpu")
    assert model(torch.tensor([[1, 2]])).isnan().any(), "the checkpoint's own: loaded as it is"
    wanted = torch.ones(1, 2, 3)
    for ours in (wanted * torch.nan, wanted * torch.inf, wanted + 0.1):
        with pytest.raises(LabError, match="TransformerBridge differ by"):
            hub._check_same(ours, wanted, "a model")
    hub._check_same(wanted.clone(), wanted, "a model")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_of_any_precision_are_compared_in_the_bridges(tmp_path, shelf, dtype):
    from transformers import GPT2LMHeadModel

    GPT2LMHeadModel.from_pretrained(saved_gpt2(tmp_path / "a")).to(dtype).save_pretrained(
        tmp_path / "b"
    )
    model = zoo.load(str(tmp_path / "b"), device="cpu")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("context", [1, 3, 16])
def test_a_short_context_is_compared_within_it(tmp_path, shelf, context):
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=2, n_positions=context, n_embd=8, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    assert zoo.load(str(tmp_path), device="cpu").cfg.n_ctx == context


@pytest.mark.parametrize("default", ["meta"])
def test_another_default_device_does_not_swallow_the_weights(gpt2_folder, toy_run, shelf, default):
    torch.set_default_device(default)
    try:
        models = [zoo.load(name, device="cpu") for name in ("toy", str(toy_run), str(gpt2_folder))]
        models.append(training.build_model(TOY))
    finally:
        torch.set_default_device(None)
    for model in models:
        held = [*model.parameters(), *model.buffers()]
        assert {tensor.device.type for tensor in held} == {"cpu"}
    assert torch.equal(models[0](TOKENS), trained_logits(toy_run))


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_current_folder(toy_run, shelf, name, monkeypatch):
    monkeypatch.chdir(toy_run)
    with pytest.raises(LabError, match="expected an embedded model"):
        zoo.load(name)


def test_a_damaged_hugging_face_folder_is_refused(gpt2_folder, tmp_path, shelf):
    folder = tmp_path / "copy"
    shutil.copytree(gpt2_folder, folder)
    truncate(folder / "model.safetensors")
    with pytest.raises(LabError, match="check that the files are complete"):
        zoo.load(str(folder))
    shutil.copytree(gpt2_folder, folder, dirs_exist_ok=True)
    (folder / "config.json").write_text('{"model_type": "no_such_model"}')
    with pytest.raises(LabError, match="architecture"):
        zoo.load(str(folder))


def test_pickled_weights_are_not_opened(gpt2_folder, tmp_path, shelf):
    """The pickle would create a file if anyone opened it."""
    import pickle

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    folder = tmp_path / "pickled"
    folder.mkdir()
    shutil.copy(gpt2_folder / "config.json", folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(LabError, match="pickled weights are not opened"):
        zoo.load(str(folder))
    assert not (tmp_path / "sprung").exists()


def test_an_empty_folder_is_refused(tmp_path, shelf):
    with pytest.raises(LabError, match=r"config\.json"):
        zoo.load(str(tmp_path))


def fill_hub_cache(cache: Path, repository: str, revision: str, source: Path) -> None:
    """The layout in which huggingface_hub keeps what it has downloaded."""
    place = cache / ("models--" + repository.replace("/", "--"))
    shutil.copytree(source, place / "snapshots" / revision)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(revision)


def test_the_hub_tier_takes_a_cached_model_without_the_network(
    gpt2_folder, tmp_path, shelf, monkeypatch
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    pinned = hub.HUB["gpt2"]
    fill_hub_cache(tmp_path / "hub", pinned.repository, pinned.revision, gpt2_folder)
    assert zoo.load("gpt2", device="cpu").cfg.d_model == 16
    assert zoo.load("openai-community/gpt2", device="cpu").cfg.d_model == 16
    fill_hub_cache(tmp_path / "hub", "someone/model", "0" * 40, gpt2_folder)
    assert zoo.load("someone/model", device="cpu").cfg.d_model == 16
    with pytest.raises(LabError, match="at v2"):
        zoo.load("someone/model", revision="v2")


def test_a_hub_that_does_not_answer_is_explained(tmp_path, shelf, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in ("gpt2", "nobody/nothing"):
        with pytest.raises(LabError, match="pass its folder"):
            zoo.load(name)


def test_pinned_revisions_are_commits():
    assert all(
        len(model.revision) == 40 and set(model.revision) <= set("0123456789abcdef")
        for model in hub.HUB.values()
    )


def test_publishing_refuses_what_does_not_belong_together(shelf, toy_run, tmp_path):
    before = (shelf / zoo.MANIFEST).read_text()
    with pytest.raises(LabError, match="expected a run of the recipe other"):
        publish.publish("other", toy_run)
    folder = tmp_path / "run"
    shutil.copytree(toy_run, folder)
    (folder / RECIPE).write_text(replace(TOY, seed=9).to_json())
    with pytest.raises(LabError, match="trained with another"):
        publish.publish("toy", folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(LabError, match="finished run"):
        publish.publish("toy", folder)
    assert (shelf / zoo.MANIFEST).read_text() == before


def test_publishing_records_measurements(shelf, toy_run, tmp_path):
    report = {"model": "toy", "questions": 10, "failures": 0, "classes": {}, "seconds": 1.0}
    report["sha256"] = hashlib.sha256((toy_run / WEIGHTS).read_bytes()).hexdigest()
    (tmp_path / "report.json").write_text(json.dumps(report))
    publish.publish("toy", toy_run, tmp_path / "report.json")
    assert zoo.entry("toy").measured == report
    publish.publish("toy", toy_run)  # new weights would have no measurement yet
    assert zoo.entry("toy").measured == {}
    for text in ("{", "[]", "{}"):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(LabError, match=r"report\.json"):
            publish.publish("toy", toy_run, tmp_path / "report.json")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "they are of 000000000000…"),
        ({}, "they do not say of which weights they are"),
    ],
)
def test_measurements_of_other_weights_are_not_published(shelf, toy_run, tmp_path, change, said):
    before = (shelf / zoo.MANIFEST).read_text()
    (tmp_path / "report.json").write_text(
        json.dumps({"questions": 10, "failures": 0, "classes": {}} | change)
    )
    with pytest.raises(LabError, match=said):
        publish.publish("toy", toy_run, tmp_path / "report.json")
    assert (shelf / zoo.MANIFEST).read_text() == before


def test_a_verification_says_of_which_weights_it_is(shelf, toy_run, capsys):
    found = []
    for name in ("toy", str(toy_run)):
        assert cli.main(["verify", name, "--questions", "8", "--per-class", "2", "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["sha256"])
    assert found == [hashlib.sha256((toy_run / WEIGHTS).read_bytes()).hexdigest()] * 2


def test_the_embedded_models_are_whole_and_small():
    assert "LAB_WEIGHTS" not in os.environ
    entries = [zoo.check(name) for name in zoo.names()]
    assert sum(entry.bytes + entry.series.get("bytes", 0) for entry in entries) <= 40e6
    assert sum(path.stat().st_size for path in zoo.weights_folder().iterdir()) <= 40e6
    for entry in entries:
        model = zoo.load(entry.name, device="cpu")
        assert sum(parameter.numel() for parameter in model.parameters()) == entry.parameters


@pytest.fixture(scope="module")
def history_run(tmp_path_factory) -> Path:
    """A finished run with checkpoints, of a language model whose words come with its weights."""
    from helpers.tinyworld.models.recipes import task_of
    from tests.tinyworld import tiny

    folder = tmp_path_factory.mktemp("runs") / "tinyworld"
    training.train(tiny.recipe(), task_of(tiny.recipe()), folder)
    return folder


@pytest.fixture
def history(tmp_path, monkeypatch, history_run) -> Path:
    """A weights folder with that model and three checkpoints, published by the command."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / zoo.MANIFEST).write_text("{}")
    monkeypatch.setenv("LAB_WEIGHTS", str(folder))
    assert cli.main(["publish", "tinyworld", str(history_run), "--steps", "0", "2", "4"]) == 0
    return folder


def at(run: Path, step: int) -> dict[str, torch.Tensor]:
    """A checkpoint as training stored it."""
    return load_file(run / "checkpoints" / f"step-{step:06d}.safetensors")


def test_a_series_says_what_it_holds(history):
    entry = zoo.check("tinyworld")
    assert entry.steps == [0, 2, 4]
    assert entry.series["file"] == "tinyworld.series.safetensors"
    assert entry.series["bytes"] == (history / entry.series["file"]).stat().st_size


@pytest.mark.parametrize("step", [0, 2])
def test_a_checkpoint_is_the_training_runs_up_to_half_a_scale(history, history_run, step):
    found, stored = (
        zoo.load("tinyworld", device="cpu", step=step).state_dict(),
        at(history_run, step),
    )
    assert found.keys() == stored.keys()
    for name, value in stored.items():
        bound = value.abs().amax(-1, keepdim=True) / 254 if value.ndim > 1 else value.abs() / 2048
        assert ((found[name] - value).abs() <= bound * 1.001 + 1e-7).all()  # 1e-7: subnormal halves
    nearest = min(
        (0, 1, 2, 4),
        key=lambda other: sum(
            float((found[n] - v).abs().sum()) for n, v in at(history_run, other).items()
        ),
    )
    assert nearest == step


def test_the_last_step_is_the_model_itself(history, history_run):
    exact = load_file(history_run / WEIGHTS)
    for model in (zoo.load("tinyworld", device="cpu"), zoo.load("tinyworld", device="cpu", step=4)):
        assert all(torch.equal(value, exact[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("step", [None, 0, 4])
def test_a_language_model_takes_text_at_every_step(history, step):
    from helpers.tinyworld.language import vocabulary

    model = zoo.load("tinyworld", device="cpu", step=step)
    assert not model.training
    assert model.to_tokens("an owl is a bird .").tolist() == [
        vocabulary().encode("an owl is a bird .")
    ]


@pytest.mark.parametrize("step", [1, 3, -1, 10**6])
def test_a_step_that_was_not_shipped_is_refused_with_the_list(history, step):
    with pytest.raises(LabError, match=f"tinyworld is stored: 0, 2, 4; got {step}"):
        zoo.load("tinyworld", step=step)


def test_a_model_without_a_series_has_its_last_step_only(shelf):
    assert zoo.entry("toy").steps == [3]
    assert torch.equal(
        zoo.load("toy", device="cpu", step=3)(TOKENS), zoo.load("toy", device="cpu")(TOKENS)
    )
    with pytest.raises(LabError, match="toy is stored: 3; got 0"):
        zoo.load("toy", step=0)


def test_a_step_of_a_folder_is_refused_with_the_way_that_works(history, history_run):
    with pytest.raises(LabError, match=r"helpers\.trust\.series"):
        zoo.load(str(history_run), step=0)


@pytest.mark.parametrize(
    "damage", [truncate, flip_one_bit, Path.unlink, lambda path: path.write_bytes(b"")]
)
def test_a_damaged_series_is_refused_with_the_remedy(history, damage):
    damage(history / "tinyworld.series.safetensors")
    for action in (zoo.check, lambda name: zoo.load(name, step=2)):
        with pytest.raises(LabError, match=r"reinstall.*doctor"):
            action("tinyworld")
    zoo.load("tinyworld")  # the trained model has a file of its own


def test_a_series_of_another_shape_is_refused(history, history_run):
    """A file that is whole, agrees with the manifest, and holds another model's tensors."""
    from helpers import files
    from helpers.training import series_file

    path = history / "tinyworld.series.safetensors"
    state = at(history_run, 0)
    name = next(name for name, value in state.items() if value.ndim > 1)
    series_file.pack({0: state | {name: state[name][:, 1:]}}, path, {})
    manifest = json.loads((history / zoo.MANIFEST).read_text())
    manifest["tinyworld"]["series"] |= dict(
        zip(("sha256", "bytes"), files.checksum(path), strict=True)
    )
    (history / zoo.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(LabError, match=f"{name} has shape"):
        zoo.load("tinyworld", step=0)
    with pytest.raises(LabError, match="expected a step of the series"):
        zoo.load("tinyworld", step=2)


def test_publishing_a_step_that_was_not_kept_changes_nothing(history, history_run, capsys):
    before = (history / zoo.MANIFEST).read_text()
    assert cli.main(["publish", "tinyworld", str(history_run), "--steps", "0", "3"]) == 1
    assert "checkpoints of the recipe: [0, 1, 2, 4]" in capsys.readouterr().err
    assert (history / zoo.MANIFEST).read_text() == before
    zoo.check("tinyworld")


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": None},
        {"file": None},
        {"steps": None},
        {"bytes": "many"},
        {"file": "../weights/tinyworld.series.safetensors"},
        {"steps": "0, 2, 4"},
        {"steps": [0, 2]},
        {"steps": [0, 2, 2, 4]},
        {"steps": [2, 0, 4]},
        {"steps": [0, "2", 4]},
        {"steps": [0, True, 4]},
        {"steps": [-1, 4]},
        {"steps": []},
        [1],
    ],
)
def test_a_series_that_the_manifest_does_not_describe_is_refused(history, change):
    manifest = json.loads((history / zoo.MANIFEST).read_text())
    known = manifest["tinyworld"]["series"]
    if isinstance(change, dict):
        change = {field: value for field, value in (known | change).items() if value is not None}
    manifest["tinyworld"]["series"] = change
    (history / zoo.MANIFEST).write_text(json.dumps(manifest))
    for action in (zoo.entry, zoo.check, lambda name: zoo.load(name, step=2)):
        with pytest.raises(LabError, match="expected the list of embedded models"):
            action("tinyworld")


def test_a_model_published_again_without_checkpoints_leaves_no_series_behind(history, history_run):
    assert (history / "tinyworld.series.safetensors").exists()
    publish.publish("tinyworld", history_run)
    assert sorted(path.name for path in history.iterdir()) == [
        zoo.MANIFEST,
        "tinyworld.safetensors",
    ]
    assert zoo.entry("tinyworld").steps == [4]


@pytest.mark.parametrize("words", ["", "<pad> <begin> <unknown> owl is a bird .", "swapped"])
def test_weights_with_another_vocabulary_than_the_recipes_are_refused(
    history_run, shelf, tmp_path, words
):
    """Eight words for 993 rows, or two exchanged: the model would read what it never learnt."""
    from helpers.tinyworld.language import vocabulary
    from helpers.training import WORDS

    folder = tmp_path / "run"
    shutil.copytree(history_run, folder)
    if words == "swapped":
        known = vocabulary().words
        words = " ".join((*known[:-2], known[-1], known[-2]))
    with safe_open(folder / WEIGHTS, framework="pt") as handle:
        metadata = handle.metadata()
    save_file(load_file(folder / WEIGHTS), folder / WEIGHTS, metadata | {WORDS: words})
    for action in (lambda: zoo.load(str(folder)), lambda: publish.publish("tinyworld", folder)):
        with pytest.raises(LabError, match="expected the vocabulary with checksum b8fce1f62c06"):
            action()

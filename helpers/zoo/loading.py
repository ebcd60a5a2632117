"""One loader for three kinds of model: ours, yours, and the hub's.

==========  ==============================  ========================================================
kind        `name`                          weights come from
==========  ==============================  ========================================================
embedded    a name in                       this package; size, sha256 and tensors are checked
            ``weights/manifest.json``
local       a folder: ``./runs/add-d5``,    a run of ``python -m helpers train``, a Hugging Face
            ``~/my-gpt2``                   folder with ``config.json``, or one of `native`
hub         a short name of `hub.HUB`, or   the Hugging Face hub, at a pinned commit where `HUB`
            ``owner/model``                 knows one
==========  ==============================  ========================================================

Every tier reads safetensors files only: a pickle can run code when it is opened, a safetensors file
cannot. The model comes back as a `TransformerBridge` in evaluation mode. Its parameters keep
``requires_grad``, because attribution and editing labs need gradients; wrap plain forward passes in
``torch.no_grad()``.
"""

import hashlib
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from helpers import runtime, training
from helpers.errors import LabError, command
from helpers.model import Model
from helpers.texts import Vocabulary
from helpers.training import WORDS, Recipe, series_file
from helpers.zoo import hub, native
from helpers.zoo.manifest import REPAIR, Entry, entry, read_manifest, unknown_name, weights_folder


def check(name: str) -> Entry:
    """Check size and checksum of an embedded model's weight file and return its entry.

    Raises:
        LabError: The file is missing, has another size or another checksum; with the remedy.
    """
    model = entry(name)
    _check_file(name, weights_folder() / model.file, model.bytes, model.sha256)
    if model.series:
        _check_series(model)
    return model


def _check_file(name: str, path: Path, size: int, sha256: str) -> None:
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise LabError(
            f"expected the weights of {name} in {path}", f"the system says: {fault}", hint=REPAIR
        ) from None
    if len(content) != size:
        raise LabError(
            f"expected {size} bytes in {path}",
            f"it has {len(content)}: truncated or changed",
            hint=REPAIR,
        )
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise LabError(
            f"expected sha256 {sha256[:12]}… of {path}", f"got {actual[:12]}…: damaged", hint=REPAIR
        )


def _check_series(model: Entry) -> Path:
    series, path = model.series, weights_folder() / model.series["file"]
    _check_file(f"{model.name} over its training", path, series["bytes"], series["sha256"])
    return path


def load(
    name: str, device: str | None = None, revision: str | None = None, step: int | None = None
):
    """Load a model by name, as a `TransformerBridge` in evaluation mode.

    Args:
        name: An embedded name, a local folder, or a hub name (see the module docstring).
        device: Where to put it; by default `runtime.device()`.
        revision: Branch, tag or commit of a hub model; by default the pinned commit, or the newest
            where none is pinned.
        step: Step of training, for an embedded model with checkpoints (`Entry.steps`); by default
            the trained model.

    Raises:
        LabError: An unknown name (with near matches), damaged or missing weights, a step without
            checkpoint, a device that this machine has not, or a hub that does not answer.
    """
    device = runtime.answering(device) if device else runtime.device()
    with torch.device("cpu"):  # another default device, such as meta, would swallow the weights
        model = _model(name, revision, step)
    if device != "cpu":
        model = model.to(device)
    return model.eval()


def _model(name: str, revision: str | None, step: int | None):
    entries = read_manifest()
    if step is not None and name not in entries:
        raise LabError(
            "expected an embedded model for a step",
            f"got {name!r}",
            hint="see helpers.trust.series.sources for others",
        )
    if name in entries:
        return _embedded(name, step)
    if name.strip() and os.path.isdir(folder := runtime.expanded(name)):  # "" is not this folder
        return _local(folder)  # no fault where it is locked
    if hub.is_name(name):
        return hub.load(name, revision)
    raise unknown_name(name, list(entries))


def _embedded(name: str, step: int | None = None):
    stored = entry(name)
    recipe, path = stored.recipe, weights_folder() / stored.file
    _check_file(name, path, stored.bytes, stored.sha256)
    model = into_model(training.build_model(recipe), path, REPAIR, words_of(recipe))
    if step is None or step == recipe.steps:
        return model
    if step not in stored.steps:
        raise LabError(
            f"expected a step at which {name} is stored: {', '.join(map(str, stored.steps))}",
            f"got {step}",
        )
    series = _check_series(stored)
    state = series_file.unpack(series, step, REPAIR)
    check_tensors(state, model.state_dict(), series, REPAIR)
    model.load_state_dict(state, strict=True)
    return model


def words_of(recipe: Recipe) -> str:
    """The checksum of the vocabulary that a recipe names; "" for a recipe of sums."""
    return recipe.data.get("words", "")


def into_model(model: Model, path: Path, hint: str, words_checksum: str = ""):
    """Fill a model from a safetensors file: exactly its tensors, of its shapes, all finite; and its
    vocabulary, if it has one.

    Args:
        words_checksum: Checksum of the vocabulary that the file must have; without it, the file
            need not have one, such as a checkpoint of a run.

    Raises:
        LabError: Anything else is in the file.
    """
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as handle:
            words = (handle.metadata() or {}).get(WORDS)
    except (SafetensorError, OSError) as fault:
        raise LabError(
            f"expected weights in {path}", f"cannot be read: {fault}", hint=hint
        ) from None
    check_tensors(tensors, model.state_dict(), path, hint)
    model.load_state_dict(tensors, strict=True)
    vocabulary = Vocabulary(tuple((words or "").split()))
    if words_checksum and vocabulary.checksum != words_checksum:
        got = f"{len(vocabulary)} words with checksum {vocabulary.checksum}"
        raise LabError(
            f"expected the vocabulary with checksum {words_checksum} in {path}",
            f"got {got if words else 'no words'}",
            hint=hint,
        )
    if words:
        vocabulary.attach(model)
    return model


def check_tensors(
    tensors: dict[str, Tensor], wanted: dict[str, Tensor], path: Path, hint: str
) -> None:
    """Refuse tensors that are not exactly the wanted ones, or not finite.

    Raises:
        LabError: Naming the first tensor that is missing, unexpected, of another shape or not
            finite.
    """
    for name in sorted(wanted.keys() | tensors.keys()):
        fault = ""
        if name not in tensors:
            fault = "is missing"
        elif name not in wanted:
            fault = "is none of the model's"
        elif tensors[name].shape != wanted[name].shape:
            fault = f"has shape {tuple(tensors[name].shape)} instead of {tuple(wanted[name].shape)}"
        elif not torch.isfinite(tensors[name]).all():
            fault = "holds NaN or infinite values"
        if fault:
            raise LabError(
                f"expected the model's own tensors in {path}", f"{name} {fault}", hint=hint
            )


def _local(folder: Path):
    if (folder / training.RECIPE).exists():
        recipe = training.read_recipe(folder)
        again = command("train", recipe.name, "--out", folder, "--resume")
        hint = f"finish or repair the run with `{again}`"
        return into_model(
            training.build_model(recipe), folder / training.WEIGHTS, hint, words_of(recipe)
        )
    if not (folder / "config.json").exists():
        raise LabError(
            f"expected {training.RECIPE} (a training run) or config.json (a Hugging Face model) "
            f"in {folder}",
            f"it holds {', '.join(sorted(p.name for p in folder.iterdir())[:6]) or 'nothing'}",
        )
    if not list(folder.glob("*.safetensors")):
        raise LabError(
            f"expected safetensors weights in {folder}",
            "there are none; pickled weights are not opened",
            hint="save the model again with save_pretrained(folder, safe_serialization=True), "
            "or a model of TransformerLens with safetensors",
        )
    if native.is_native(folder):
        return _native(folder)
    return hub.boot(folder, str(folder))


def _native(folder: Path):
    hint = "save model.state_dict() and model.cfg.to_dict() of one model again"
    model = native.build(folder)
    tensors = native.tensors(folder, model, hint)
    check_tensors(tensors, model.state_dict(), folder / training.WEIGHTS, hint)
    model.load_state_dict(tensors, strict=True)
    return model

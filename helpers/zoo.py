"""One loader for three kinds of model: ours, yours, and the hub's.

==========  ================================================  ====================================================
kind        `name`                                            weights come from
==========  ================================================  ====================================================
embedded    a name in ``weights/manifest.json``: ``add-d5``   this package; size, sha256 and tensors are checked
local       a folder: ``./runs/add-d5``, ``~/my-gpt2``        a run of ``python -m helpers train``, or a Hugging
                                                              Face folder with ``config.json``
hub         a short name of `HUB` or any ``owner/model``      the Hugging Face hub, at a pinned commit where `HUB`
                                                              knows one
==========  ================================================  ====================================================

Every tier reads safetensors files only: a pickle can run code when it is opened, a safetensors file cannot. The model
comes back as a `TransformerBridge` in evaluation mode. Its parameters keep ``requires_grad``, because attribution and
editing labs need gradients; wrap plain forward passes in ``torch.no_grad()``.
"""

import difflib
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from helpers import checkpoints, runtime, training
from helpers.errors import LabError
from helpers.run_folder import WORDS
from helpers.training import Recipe
from helpers.vocabulary import Vocabulary

MANIFEST = "manifest.json"
REPAIR = "reinstall the package or check the file out again; `python -m helpers doctor` checks all of them"


@dataclass(frozen=True)
class HubModel:
    """A model of the hub under a short name.

    Attributes:
        repository: ``owner/model``.
        revision: the commit that the labs were written for.
    """

    repository: str
    revision: str


HUB: dict[str, HubModel] = {
    "gpt2": HubModel("openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"),
    "pythia-70m": HubModel("EleutherAI/pythia-70m", "a39f36b100fe8a5377810d56c3f4789b9c53ac42"),
    "pythia-160m": HubModel("EleutherAI/pythia-160m", "50f5173d932e8e61f858120bcb800b97af589f46"),
    "smollm2-135m": HubModel("HuggingFaceTB/SmolLM2-135M", "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"),
}


@dataclass(frozen=True)
class Entry:
    """What the manifest knows about one embedded model.

    Attributes:
        name: the name that `load` takes.
        file: weight file inside the weights folder.
        sha256: its checksum, 64 hex digits.
        bytes: its size.
        parameters: number of trained numbers.
        recipe: how it was trained; training it again gives a model of the same behaviour.
        fingerprint: of the recipe.
        measured: what `python -m helpers verify NAME --json` printed for exactly these weights; empty if not measured.
        licence: SPDX name.
        series: of the model's checkpoints, where they are shipped: file, sha256, bytes, and their steps, the last of which
            is the model itself.
    """

    name: str
    file: str
    sha256: str
    bytes: int
    parameters: int
    recipe: Recipe
    fingerprint: str
    measured: dict[str, Any]
    licence: str
    series: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> list[int]:
        """Training steps at which the model can be loaded."""
        return self.series.get("steps", [self.recipe.steps])


def weights_folder() -> Path:
    """Where the embedded weights lie: $LAB_WEIGHTS, else the folder ``weights`` of this package."""
    return Path(os.environ.get("LAB_WEIGHTS") or Path(__file__).parent / "weights")


def read_manifest() -> dict[str, Entry]:
    """All entries of the manifest, by name.

    Raises:
        LabError: the manifest is missing, is not JSON, or an entry lacks a field or contradicts its recipe.
    """
    path = weights_folder() / MANIFEST
    try:
        stored = json.loads(path.read_text())
        return {name: _entry(name, fields) for name, fields in stored.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as fault:
        raise LabError(f"expected the list of embedded models in {path}", f"cannot use it: {fault!r}", hint=REPAIR) from None


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    recipe = Recipe.from_dict(fields["recipe"])
    entry = Entry(name=name, **(fields | {"recipe": recipe}))
    if entry.fingerprint != recipe.fingerprint:
        raise ValueError(f"the fingerprint of {name} is not that of its recipe ({recipe.fingerprint})")
    if Path(entry.file).name != entry.file:
        raise ValueError(f"the file of {name} lies outside the folder: {entry.file}")
    return entry


def names() -> list[str]:
    """Names of the embedded models."""
    return list(read_manifest())


def entry(name: str) -> Entry:
    """The manifest's entry of an embedded model.

    Raises:
        LabError: no embedded model has this name.
    """
    entries = read_manifest()
    if name not in entries:
        raise _unknown(name, list(entries))
    return entries[name]


def check(name: str) -> Entry:
    """Check size and checksum of an embedded model's weight file and return its entry.

    Raises:
        LabError: the file is missing, has another size or another checksum; with the remedy.
    """
    known = entry(name)
    _check_file(name, weights_folder() / known.file, known.bytes, known.sha256)
    if known.series:
        _check_series(known)
    return known


def _check_file(name: str, path: Path, size: int, sha256: str) -> None:
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise LabError(f"expected the weights of {name} in {path}", f"the system says: {fault}", hint=REPAIR) from None
    if len(content) != size:
        raise LabError(f"expected {size} bytes in {path}", f"it has {len(content)}: truncated or changed", hint=REPAIR)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise LabError(f"expected sha256 {sha256[:12]}… of {path}", f"got {found[:12]}…: damaged", hint=REPAIR)


def _check_series(known: Entry) -> Path:
    path = weights_folder() / known.series["file"]
    _check_file(f"{known.name} over its training", path, known.series["bytes"], known.series["sha256"])
    return path


def load(name: str, device: str | None = None, revision: str | None = None, step: int | None = None):
    """Load a model by name, as a `TransformerBridge` in evaluation mode.

    Args:
        name: an embedded name, a local folder, or a hub name (see the module docstring).
        device: where to put it; default `runtime.device()`.
        revision: branch, tag or commit of a hub model; default the pinned commit, or the newest where none is pinned.
        step: of training, for an embedded model with checkpoints (`Entry.steps`); default the trained model.

    Raises:
        LabError: an unknown name (with near matches), damaged or missing weights, a step without checkpoint, or a hub that
            does not answer.
    """
    device = device or runtime.device()
    entries = read_manifest()
    if step is not None and name not in entries:
        raise LabError("expected an embedded model for a step", f"got {name!r}", hint="see helpers.trust.series for others")
    if name in entries:
        model = _embedded(name, step)
    elif (folder := Path(name).expanduser()).is_dir():
        model = _local(folder)
    elif name in HUB or _is_hub_name(name):
        model = _hub(name, revision)
    else:
        raise _unknown(name, list(entries))
    if device != "cpu":
        model = model.to(device)
    return model.eval()


def _is_hub_name(name: str) -> bool:
    """``owner/model``: one slash, and not the start of a path."""
    owner, slash, model = name.partition("/")
    return bool(slash and owner and model) and "/" not in model and owner not in (".", "..", "~")


def _unknown(name: str, embedded: list[str]) -> LabError:
    near = difflib.get_close_matches(name, [*embedded, *HUB], n=3, cutoff=0.5)
    return LabError(
        f"expected an embedded model ({', '.join(embedded)}), a short hub name ({', '.join(HUB)}), "
        "a folder, or a hub name owner/model",
        f"got {name!r}",
        hint=f"did you mean {' or '.join(near)}?" if near else "for a folder, check that it exists",
    )


def _embedded(name: str, step: int | None = None):
    known = entry(name)
    path = weights_folder() / known.file
    _check_file(name, path, known.bytes, known.sha256)
    model = into_model(training.build_model(known.recipe), path, REPAIR)
    if step is None or step == known.recipe.steps:
        return model
    if step not in known.steps:
        raise LabError(f"expected a step at which {name} is stored: {', '.join(map(str, known.steps))}", f"got {step}")
    series = _check_series(known)
    state = checkpoints.unpack(series, step, REPAIR)
    check_tensors(state, model.state_dict(), series, REPAIR)
    model.load_state_dict(state, strict=True)
    return model


def into_model(model, path: Path, hint: str):
    """Fill a model from a safetensors file: exactly its tensors, of its shapes, all finite; and its vocabulary, if it has one.

    Raises:
        LabError: anything else is in the file.
    """
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as handle:
            words = (handle.metadata() or {}).get(WORDS)
    except (SafetensorError, OSError) as fault:
        raise LabError(f"expected weights in {path}", f"cannot be read: {fault}", hint=hint) from None
    check_tensors(tensors, model.state_dict(), path, hint)
    model.load_state_dict(tensors, strict=True)
    if words:
        Vocabulary(tuple(words.split())).attach(model)
    return model


def check_tensors(tensors: dict[str, Tensor], wanted: dict[str, Tensor], path: Path, hint: str) -> None:
    """Refuse tensors that are not exactly the wanted ones, or not finite.

    Raises:
        LabError: naming the first tensor that is missing, unexpected, of another shape or not finite.
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
            raise LabError(f"expected the model's own tensors in {path}", f"{name} {fault}", hint=hint)


def _local(folder: Path):
    if (folder / training.RECIPE).exists():
        recipe = training.read_recipe(folder)
        hint = f"finish or repair the run with `python -m helpers train {recipe.name} --out {folder} --resume`"
        return into_model(training.build_model(recipe), folder / training.WEIGHTS, hint)
    if not (folder / "config.json").exists():
        raise LabError(
            f"expected {training.RECIPE} (a training run) or config.json (a Hugging Face model) in {folder}",
            f"it holds {', '.join(sorted(p.name for p in folder.iterdir())[:6]) or 'nothing'}",
        )
    if not list(folder.glob("*.safetensors")):
        raise LabError(
            f"expected safetensors weights in {folder}",
            "there are none; pickled weights are not opened",
            hint="save the model again with save_pretrained(folder, safe_serialization=True)",
        )
    return _boot(folder, str(folder))


def _boot(folder: Path, called: str):
    """A bridge around a Hugging Face folder."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers import AutoModelForCausalLM

    try:
        # transformers fills weights that a file lacks with random numbers, and only logs it
        _, info = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, output_loading_info=True)
        if info["missing_keys"]:
            raise ValueError(f"the weights lack {sorted(info['missing_keys'])[0]}")
        return TransformerBridge.boot_transformers(str(folder), device="cpu")
    except (OSError, ValueError, RuntimeError, SafetensorError, KeyError, AttributeError, TypeError) as fault:
        raise LabError(
            f"expected {called} to be a model that TransformerBridge.boot_transformers takes",
            f"it says: {type(fault).__name__}: {str(fault).strip()[:400]}",
            hint="check that the files are complete and that the architecture is one of TransformerLens",
        ) from None


def _hub(name: str, revision: str | None):
    by_repository = {model.repository: model for model in HUB.values()}
    known = HUB.get(name) or by_repository.get(name) or HubModel(name, "main")
    return _boot(_download(known.repository, revision or known.revision), known.repository)


def _download(repository: str, revision: str) -> Path:
    """Folder with the model's files: from the cache if it is there, else from the hub. Only safetensors weights."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = ["*.json", "*.txt", "*.safetensors", "*.model"]
    try:
        try:
            folder = Path(snapshot_download(repository, revision=revision, allow_patterns=wanted, local_files_only=True))
            if list(folder.glob("*.safetensors")):
                return folder
        except LocalEntryNotFoundError:
            pass  # not in the cache: ask the hub
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=wanted, max_workers=2))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as fault:
        raise LabError(
            f"expected {repository} at {revision} from the Hugging Face hub",
            f"it did not come: {str(fault).strip().splitlines()[0]}",
            hint="check the name and the network, or download the model elsewhere and pass its folder; "
            "the embedded models need no network",
        ) from None
    if not list(folder.glob("*.safetensors")):
        raise LabError(f"expected safetensors weights in {repository} at {revision}", "it has none; pickles are not opened")
    return folder

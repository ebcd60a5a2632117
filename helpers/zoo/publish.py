"""Put a finished training run among the embedded models: its weights, its series, its entry."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from helpers import files, training
from helpers.errors import LabError
from helpers.training import series_file
from helpers.zoo import loading, manifest
from helpers.zoo.manifest import Entry

LICENCE = "Apache-2.0"


def publish(
    name: str, folder: Path, measured: Path | None = None, steps: Sequence[int] = ()
) -> Entry:
    """Copy a run's weights into the weights folder and write its manifest entry.

    The weights are checked first: they must belong to the folder's recipe, be complete and finite.

    Args:
        steps: Checkpoints to ship with the model, rounded to eight bits; the last step comes by
            itself.

    Raises:
        LabError: An unfinished run, another name, weights of another recipe or vocabulary, an
            unreadable file of measurements or one of other weights, a step without checkpoint.
    """
    recipe = training.read_recipe(folder)
    if recipe.name != name:
        raise LabError(
            f"expected a run of the recipe {name}", f"{folder} holds a run of {recipe.name}"
        )
    source = folder / training.WEIGHTS
    _check_origin(source, recipe)
    model = loading.into_model(
        training.build_model(recipe), source, "train the model again", loading.words_of(recipe)
    )
    content = source.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    report = _read_measured(measured, sha256)
    added = Entry(
        name=name,
        file=f"{name}.safetensors",
        sha256=sha256,
        bytes=len(content),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        recipe=recipe,
        fingerprint=recipe.fingerprint,
        measured=report,
        licence=LICENCE,
        series=_series(name, folder, steps) if steps else {},
    )
    entries = manifest.read_manifest() | {name: added}
    files.write_atomically(content, manifest.weights_folder() / added.file)
    stored = {
        entry.name: {k: v for k, v in asdict(entry).items() if k != "name"}
        for entry in entries.values()
    }
    listed = manifest.weights_folder() / manifest.MANIFEST
    files.write_atomically(json.dumps(stored, indent=1) + "\n", listed)
    if not added.series:
        # else the package would bring checkpoints of weights that are gone
        _series_file(name).unlink(missing_ok=True)
    return added


def _series_file(name: str) -> Path:
    return manifest.weights_folder() / f"{name}.series.safetensors"


def _series(name: str, folder: Path, steps: Sequence[int]) -> dict[str, Any]:
    """Write the series of checkpoints; what the manifest says about it."""
    recipe, states = training.read_recipe(folder), {}
    for step in sorted(set(steps) - {recipe.steps}):
        model = training.build_model(recipe)
        path = folder / "checkpoints" / f"step-{step:06d}.safetensors"
        states[step] = loading.into_model(
            model, path, f"checkpoints of the recipe: {recipe.checkpoint_steps}"
        ).state_dict()
    path = _series_file(name)
    series_file.pack(states, path, {"fingerprint": recipe.fingerprint})
    sha256, size = files.checksum(path)
    return {"file": path.name, "sha256": sha256, "bytes": size, "steps": [*states, recipe.steps]}


def _check_origin(source: Path, recipe: training.Recipe) -> None:
    """The weight file names the recipe it was trained with; it must be the folder's."""
    try:
        with safe_open(source, framework="pt") as handle:
            stored = json.loads((handle.metadata() or {}).get("recipe", "null"))
    except (OSError, SafetensorError, ValueError) as fault:
        raise LabError(
            f"expected the weights of a finished run in {source}", f"cannot be read: {fault}"
        ) from None
    if stored is None or training.Recipe.from_dict(stored).fingerprint != recipe.fingerprint:
        raise LabError(
            f"expected weights of recipe {recipe.fingerprint} in {source}",
            "they were trained with another one",
        )


def _read_measured(path: Path | None, sha256: str) -> dict[str, Any]:
    """A report, which must be of the weights with this checksum."""
    if path is None:
        return {}
    try:
        measured = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise LabError(
            f"expected the output of `verify --json` or `skills` in {path}",
            f"cannot use it: {fault}",
        ) from None
    kinds = ({"questions", "failures"}, {"skills", "loss"})
    if not isinstance(measured, dict) or not any(kind <= measured.keys() for kind in kinds):
        raise LabError(
            f"expected an object with questions and failures, or with skills and loss, in {path}",
            "they are not there",
        )
    measured_sha256 = measured.get("sha256")
    if measured_sha256 != sha256:
        raise LabError(
            f"expected measurements of the weights with sha256 {sha256[:12]}… in {path}",
            f"they are of {str(measured_sha256)[:12]}…"
            if measured_sha256
            else "they do not say of which weights they are",
            hint="measure the run's folder again: `python -m helpers verify DIR --json` "
            "or `python -m helpers skills DIR`",
        )
    return measured

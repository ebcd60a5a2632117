"""``python -m helpers publish``: put a finished training run among the embedded models."""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from helpers import checkpoints, training, zoo
from helpers.errors import LabError
from helpers.zoo import Entry

LICENCE = "Apache-2.0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="the name under which the model is loaded; the run's recipe must have it too")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder of a finished run")
    parser.add_argument(
        "--measured", type=Path, metavar="FILE", help="what `python -m helpers verify DIR --json` printed for these weights"
    )
    parser.add_argument(
        "--steps", type=int, nargs="+", default=[], metavar="N", help="checkpoints to ship with the model, rounded to eight bits"
    )


def run(arguments: argparse.Namespace) -> int:
    added = publish(arguments.name, arguments.folder, arguments.measured, arguments.steps)
    print(f"published {added.name}: {added.parameters} parameters, {added.bytes} bytes, sha256 {added.sha256}", file=sys.stderr)
    return 0


def publish(name: str, folder: Path, measured: Path | None = None, steps: Sequence[int] = ()) -> Entry:
    """Copy a run's weights into the weights folder and write its manifest entry.

    The weights are checked first: they must belong to the folder's recipe, be complete and finite.

    Args:
        steps: checkpoints to ship with the model, rounded to eight bits; the last step comes by itself.

    Raises:
        LabError: an unfinished run, another name, weights of another recipe, an unreadable file of measurements, a step
            without checkpoint.
    """
    recipe = training.read_recipe(folder)
    if recipe.name != name:
        raise LabError(f"expected a run of the recipe {name}", f"{folder} holds a run of {recipe.name}")
    source = folder / training.WEIGHTS
    _check_origin(source, recipe)
    model = zoo.into_model(training.build_model(recipe), source, "train the model again")
    content = source.read_bytes()
    added = Entry(
        name=name,
        file=f"{name}.safetensors",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        recipe=recipe,
        fingerprint=recipe.fingerprint,
        measured=_read_measured(measured),
        licence=LICENCE,
        series=_series(name, folder, steps) if steps else {},
    )
    entries = zoo.read_manifest() | {name: added}
    _replace(zoo.weights_folder() / added.file, content)
    manifest = {entry.name: {k: v for k, v in asdict(entry).items() if k != "name"} for entry in entries.values()}
    _replace(zoo.weights_folder() / zoo.MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    return added


def _series(name: str, folder: Path, steps: Sequence[int]) -> dict[str, Any]:
    """Write the series of checkpoints; what the manifest says about it."""
    recipe, states = training.read_recipe(folder), {}
    for step in sorted(set(steps) - {recipe.steps}):
        model = training.build_model(recipe)
        path = folder / "checkpoints" / f"step-{step:06d}.safetensors"
        states[step] = zoo.into_model(model, path, f"checkpoints of the recipe: {recipe.checkpoint_steps}").state_dict()
    path = zoo.weights_folder() / f"{name}.series.safetensors"
    checkpoints.pack(states, path, {"fingerprint": recipe.fingerprint})
    sha256, size = checkpoints.checksum(path)
    return {"file": path.name, "sha256": sha256, "bytes": size, "steps": [*states, recipe.steps]}


def _check_origin(source: Path, recipe: training.Recipe) -> None:
    """The weight file names the recipe it was trained with; it must be the folder's."""
    try:
        with safe_open(source, framework="pt") as handle:
            stored = json.loads((handle.metadata() or {}).get("recipe", "null"))
    except (OSError, SafetensorError, ValueError) as fault:
        raise LabError(f"expected the weights of a finished run in {source}", f"cannot be read: {fault}") from None
    if stored is None or training.Recipe.from_dict(stored).fingerprint != recipe.fingerprint:
        raise LabError(f"expected weights of recipe {recipe.fingerprint} in {source}", "they were trained with another one")


def _read_measured(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        measured = json.loads(path.read_text())
    except (OSError, ValueError) as fault:
        raise LabError(f"expected the output of `verify --json` in {path}", f"cannot use it: {fault}") from None
    if not isinstance(measured, dict) or not (
        {"questions", "failures"} <= measured.keys() or {"skills", "loss"} <= measured.keys()
    ):
        raise LabError(
            f"expected an object with questions and failures, or with skills and loss, in {path}", "they are not there"
        )
    return measured


def _replace(path: Path, content: bytes) -> None:
    scratch = path.with_suffix(".tmp")
    scratch.write_bytes(content)
    os.replace(scratch, path)

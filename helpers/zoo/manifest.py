"""The manifest of the embedded models: what the package brings, under which name."""

import difflib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from helpers import files, runtime
from helpers.errors import LabError
from helpers.training import Recipe
from helpers.zoo.hub import HUB

MANIFEST = "manifest.json"
REPAIR = (
    "reinstall the package or check the file out again; "
    "`python -m helpers doctor` checks all of them"
)


@dataclass(frozen=True)
class Entry:
    """What the manifest knows about one embedded model.

    Attributes:
        name: The name that `load` takes.
        file: Weight file inside the weights folder.
        sha256: Checksum of that file, 64 hex digits.
        bytes: Size of that file.
        parameters: Number of trained numbers.
        recipe: How it was trained; training it again gives a model of the same behaviour.
        fingerprint: Fingerprint of the recipe.
        measured: What `python -m helpers verify NAME --json` printed, or `skills NAME` for a model
            of text; empty if not measured. Its ``sha256`` is that of the weights that were
            measured; older reports lack it.
        licence: SPDX name.
        series: File of the model's checkpoints, where they are shipped, its sha256, bytes, and the
            steps, the last of which is the model itself.
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
    named = os.environ.get("LAB_WEIGHTS")
    return runtime.expanded(named) if named else Path(__file__).parents[1] / "weights"


def read_manifest() -> dict[str, Entry]:
    """All entries of the manifest, by name.

    Raises:
        LabError: The manifest is missing, is not JSON, or an entry lacks a field or contradicts its
            recipe.
    """
    path = weights_folder() / MANIFEST
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {name: _entry(name, fields) for name, fields in stored.items()}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as fault:
        raise LabError(
            f"expected the list of embedded models in {path}",
            f"cannot use it: {fault!r}",
            hint=REPAIR,
        ) from None


def _entry(name: str, fields: dict[str, Any]) -> Entry:
    recipe = Recipe.from_dict(fields["recipe"])
    entry = Entry(**{**fields, "name": name, "recipe": recipe})
    if entry.fingerprint != recipe.fingerprint:
        raise ValueError(
            f"the fingerprint of {name} is not that of its recipe ({recipe.fingerprint})"
        )
    if entry.measured.get("sha256", entry.sha256) != entry.sha256:
        raise ValueError(f"{name} was measured on other weights, {entry.measured['sha256'][:12]}…")
    _check_inside(name, entry.file)
    if entry.series:
        _check_fields(name, entry.series, recipe.steps)
    return entry


def _check_inside(name: str, file: str) -> None:
    if Path(file).name != file:
        raise ValueError(f"the file of {name} lies outside the folder: {file}")


def _check_fields(name: str, series: dict[str, Any], last: int) -> None:
    """What the manifest says about a series: its file, and ascending steps up to the last."""
    wanted = {"file": str, "sha256": str, "bytes": int, "steps": list}
    for field_name, kind in wanted.items():
        if not isinstance(series[field_name], kind):
            raise ValueError(f"{field_name} in the series of {name}: {series[field_name]!r}")
    _check_inside(name, series["file"])
    steps = series["steps"]
    if (
        not all(type(step) is int and step >= 0 for step in steps)
        or steps != sorted(set(steps))
        or steps[-1:] != [last]
    ):
        raise ValueError(f"the steps of {name} do not ascend to {last}: {steps}")


def names() -> list[str]:
    """Names of the embedded models."""
    return list(read_manifest())


def entry(name: str) -> Entry:
    """The manifest's entry of an embedded model.

    Raises:
        LabError: No embedded model has this name.
    """
    entries = read_manifest()
    if name not in entries:
        raise unknown_name(name, list(entries))
    return entries[name]


class OfWeights(Protocol):
    """What was measured on embedded models."""

    @property
    def sha256(self) -> Any:
        """Checksum of the model's weights; of several models, by their names."""
        ...


Stored = TypeVar("Stored", bound=OfWeights)


def read_measured(
    path: Path, parse: Callable[[Any], Stored], hint: str, model: str | tuple[str, ...]
) -> Stored:
    """Stored measurements of embedded models, which must be of the weights that are shipped.

    Args:
        parse, hint: As of `helpers.files.read_stored`.
        model: The name of the model, or those of several.

    Raises:
        LabError: No such file, a damaged one, or one of other weights.
    """
    study = files.read_stored(path, parse, hint)
    one = isinstance(model, str)
    shipped = {name: entry(name).sha256 for name in ([model] if one else model)}
    if study.sha256 != (shipped[model] if one else shipped):
        raise LabError(
            f"expected measurements of the shipped {' and '.join(shipped)}",
            f"{path} is of other weights",
            hint="measure them anew",
        )
    return study


def unknown_name(name: str, embedded: list[str]) -> LabError:
    """The fault of a name that no model has, with those that are near."""
    near = difflib.get_close_matches(name, [*embedded, *HUB], n=3, cutoff=0.5)
    return LabError(
        f"expected an embedded model ({', '.join(embedded)}), a short hub name ({', '.join(HUB)}), "
        "a folder, or a hub name owner/model",
        f"got {name!r}",
        hint=f"did you mean {' or '.join(near)}?" if near else "for a folder, check that it exists",
    )

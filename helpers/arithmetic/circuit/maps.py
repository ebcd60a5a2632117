"""Small sets of nodes that suffice for all operations of a mixed model, chosen once and stored.

The choice is `sufficiency.smallest_map` on additions and subtractions of every class, once with
mean ablation outside and once with resampling. It takes minutes, so it is a command, ``python -m
helpers maps NAME``; the labs read what it stored (``data/maps.json``) and measure it on new
questions. A stored map belongs to the weights that it was chosen on.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from helpers import files, zoo
from helpers.arithmetic.circuit.sufficiency import bench, smallest_map
from helpers.arithmetic.questions import Format
from helpers.errors import LabError
from helpers.interventions import Ablation, Node

DATA = files.DATA / "maps.json"
ABLATIONS: tuple[Ablation, ...] = ("mean", "resample")
PER_CLASS, REFERENCE_PER_CLASS, SEED, TARGET = 40, 60, 0, 0.997


@dataclass(frozen=True)
class Map:
    """Nodes that suffice.

    Attributes:
        sha256: Checksum of the weights that they were chosen on.
        nodes: The nodes kept, for each way to ablate the others.
    """

    sha256: str
    nodes: dict[Ablation, list[Node]]


def choose(name: str) -> Map:
    """Choose the maps of an embedded mixed model.

    Raises:
        LabError: No such model, or one that was not trained on both operations.
    """
    entry = zoo.check(name)
    if entry.recipe.task != "mixed":
        raise LabError(
            f"expected a mixed model such as mix-d6, not {name}", "it was trained on one operation"
        )
    model = zoo.load(name, device="cpu").requires_grad_(False)
    fmt = Format(entry.recipe.data["n_digits"])
    asked = bench(model, fmt, PER_CLASS, REFERENCE_PER_CLASS, SEED, "+-")
    kept: dict[Ablation, list[Node]] = {
        ablation: smallest_map(asked, TARGET, ablation) for ablation in ABLATIONS
    }
    return Map(entry.sha256, kept)


def stored(path: Path = DATA) -> dict[str, Map]:
    """The stored maps by model.

    Raises:
        LabError: The file is missing or damaged.
    """

    def parse(entries: dict[str, dict]) -> dict[str, Map]:
        return {name: _from_json(entry) for name, entry in entries.items()}

    hint = (
        "reinstall the package or check the file out again; "
        "`python -m helpers maps mix-d6` chooses a map anew"
    )
    return files.read_stored(path, parse, hint)


def _from_json(entry: dict) -> Map:
    nodes: dict[Ablation, list[Node]] = {
        ablation: [Node(**node) for node in entry["nodes"][ablation]] for ablation in ABLATIONS
    }
    return Map(entry["sha256"], nodes)


def to_text(maps: dict[str, Map]) -> str:
    """The file that `stored` reads: one line per map."""
    lines = [
        f'"{name}": {json.dumps(asdict(chosen), separators=(",", ":"))}'
        for name, chosen in sorted(maps.items())
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"

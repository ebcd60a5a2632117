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
from helpers.arithmetic.circuit import sufficiency
from helpers.arithmetic.questions.format import Format
from helpers.errors import LabError
from helpers.interventions import Node

DATA = files.DATA / "maps.json"
MODES = ("mean", "resample")
PER_CLASS, REFERENCE_PER_CLASS, SEED, TARGET = 40, 60, 0, 0.997


@dataclass(frozen=True)
class Map:
    """Nodes that suffice.

    Attributes:
        sha256: of the weights that they were chosen on.
        nodes: for each way to ablate the others, the nodes kept.
    """

    sha256: str
    nodes: dict[str, list[Node]]


def choose(name: str) -> Map:
    """Choose the maps of an embedded mixed model.

    Raises:
        LabError: no such model, or one that was not trained on both operations.
    """
    entry = zoo.check(name)
    if entry.recipe.task != "mixed":
        raise LabError(
            f"expected a mixed model such as mix-d6, not {name}", "it was trained on one operation"
        )
    model = zoo.load(name, device="cpu").requires_grad_(False)
    fmt = Format(entry.recipe.data["n_digits"])
    bench = sufficiency.bench(model, fmt, PER_CLASS, REFERENCE_PER_CLASS, SEED, "+-")
    return Map(
        entry.sha256, {mode: sufficiency.smallest_map(bench, TARGET, mode) for mode in MODES}
    )


def stored(path: Path = DATA) -> dict[str, Map]:
    """The stored maps by model.

    Raises:
        LabError: the file is missing or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: Map(
                own["sha256"],
                {mode: [Node(**node) for node in own["nodes"][mode]] for mode in MODES},
            )
            for name, own in found.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise LabError(
            f"expected stored maps in {path}",
            f"cannot use it: {fault!r}",
            hint="reinstall the package or check the file out again; `python -m helpers maps mix-d6` chooses a map anew",
        ) from None


def to_text(maps: dict[str, Map]) -> str:
    """The file that `stored` reads: one line a map."""
    lines = [
        f'"{name}": {json.dumps(asdict(one), separators=(",", ":"))}'
        for name, one in sorted(maps.items())
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"

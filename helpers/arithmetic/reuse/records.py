"""Reuse of an inserted adder, measured: what is known about every run, and the file that keeps it.

`measure` takes one finished training run of a mixed model and gives a `Record`; `stored` reads the
records that the package carries (``data/reuse.json``, written by ``python -m helpers reuse``). A
record holds counts, not verdicts: the functions of `usage`, `transfer`, `similarity` and `curves`
make tables, overlaps and intervals from them, with whatever threshold a reader chooses.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from helpers import files, training, zoo
from helpers.arithmetic.circuit import sufficiency, usage
from helpers.arithmetic.circuit.patching import NodeSet
from helpers.arithmetic.circuit.usage import Use
from helpers.arithmetic.questions.format import Format
from helpers.arithmetic.reuse import curves, transfer
from helpers.arithmetic.reuse.curves import Curve
from helpers.arithmetic.reuse.similarity import Similarity, similarity
from helpers.arithmetic.reuse.transfer import Count, Passed, Retest
from helpers.arithmetic.training.recipes import SOURCES
from helpers.errors import LabError
from helpers.interventions import Node
from helpers.model import Model
from helpers.training import Recipe

DATA = files.DATA / "reuse.json"
MODES = ("mean", "resample")
WEIGHTS = ("weights", "fresh", "independent")
SHARES = (0.0, 0.01, 0.05)
"""Thresholds of `Use.used` for which the sufficiency of the useful nodes is stored."""
SETTINGS = {
    "per_class": 20,
    "reference_per_class": 30,
    "pairs": 60,
    "seed": 0,
    "fresh_seed": 100,
    "random_sets": 3,
    "independent_seed": 1000,
} | {"curve": [curves.UNIFORM, curves.PER_CLASS, *map(list, curves.STAGES)]}
"""How the records are measured; a record with other settings is measured again."""


@dataclass(frozen=True)
class Kept:
    """Sufficiency of the useful nodes on new questions: share of answers right, per operation, with
    all others ablated.

    Attributes:
        mode: how the others are ablated.
        share: threshold of `Use.used`; the use is that under the same mode.
        nodes: how many nodes are useful.
        right: per operation.
        random: the same for as many random nodes at every position, mean over
            `SETTINGS["random_sets"]` sets.
    """

    mode: str
    share: float
    nodes: int
    right: dict[str, float]
    random: dict[str, float]


@dataclass(frozen=True)
class Source:
    """Measurements of an adder that is inserted.

    Attributes:
        sha256: of its weights.
        use: per mode, on additions; means are taken over additions.
        passed: its patch tests, those of stored tri-states (ST) included.
    """

    name: str
    sha256: str
    settings: dict[str, Any]
    use: dict[str, Use]
    passed: list[Passed]


@dataclass(frozen=True)
class Record:
    """Measurements of one run of a mixed model.

    Attributes:
        fingerprint: of its recipe.
        sha256: of its final weights.
        source, source_sha256: the adder that it is compared with: the one inserted, and for the arm
            from scratch the one that the other arms insert.
        seconds: what the measurement took.
        curve: accuracy over training.
        use: per mode, on additions and subtractions; means are taken over both.
        passed: its own patch tests at the positions where answer digits are predicted.
        retests: the source's patch tests, repeated.
        weights: similarity of its weights to the source's.
        fresh: the same for the freshly built model of its seed, before anything was inserted. A
            source of the same seed drew part of its own start from the same random numbers, so this
            cosine need not be near 0.
        independent: the same for a freshly built model of a seed that no run has: the control.
        kept: sufficiency of its useful nodes.
    """

    name: str
    seed: int
    arm: str
    freeze: str
    n_digits: int
    fingerprint: str
    sha256: str
    source: str
    source_sha256: str
    settings: dict[str, Any]
    seconds: float
    curve: Curve
    use: dict[str, Use]
    passed: list[Passed]
    retests: list[Retest]
    weights: list[Similarity]
    fresh: list[Similarity]
    independent: list[Similarity]
    kept: list[Kept]


def source_settings() -> dict[str, int]:
    """Those of the settings that a source is measured with."""
    return {name: SETTINGS[name] for name in ("per_class", "reference_per_class", "pairs", "seed")}


def measure_source(n_digits: int) -> Source:
    """Measure the adder that is inserted into mixed models of so many digits.

    Raises:
        LabError: none is, or its weights are missing or damaged.
    """
    if n_digits not in SOURCES:
        raise LabError(f"expected {' or '.join(map(str, SOURCES))} digits", f"got {n_digits}")
    name, fmt = SOURCES[n_digits][0], Format(n_digits)
    model = zoo.load(name, device="cpu")
    tasks = (*transfer.LATE, "ST")
    found = transfer.passed(model, fmt, SETTINGS["pairs"], SETTINGS["seed"], tasks)
    return Source(
        name,
        zoo.check(name).sha256,
        source_settings(),
        _use(_bench(model, fmt, "+", SETTINGS["seed"])),
        found,
    )


def _bench(model: Model, fmt: Format, operations: str, seed: int) -> sufficiency.Bench:
    return sufficiency.bench(
        model, fmt, SETTINGS["per_class"], SETTINGS["reference_per_class"], seed, operations
    )


def _use(bench: sufficiency.Bench) -> dict[str, Use]:
    return {mode: usage.use(bench, mode) for mode in MODES}


def identity(folder: Path) -> tuple[Recipe, str]:
    """The recipe of a finished run of a mixed model, and the checksum of its weights.

    Raises:
        LabError: no such run in the folder, not finished, or a run of another task.
    """
    if not (folder / training.RECIPE).exists():
        raise LabError(
            f"expected a finished run in {folder}",
            f"there is no {training.RECIPE}",
            hint="pass the folder of a training run",
        )
    recipe = training.read_recipe(folder)
    again = f"python -m helpers train {recipe.name} --seed {recipe.seed} --out {folder} --resume"
    if recipe.task != "mixed":
        raise LabError(
            f"expected a run of a mixed model in {folder}", f"it holds {recipe.name}, which is none"
        )
    try:
        return recipe, hashlib.sha256((folder / training.WEIGHTS).read_bytes()).hexdigest()
    except OSError:
        raise LabError(
            f"expected a finished run in {folder}", f"there is no {training.WEIGHTS}", hint=again
        ) from None


def measure(folder: Path, source: Source) -> Record:
    """Measure a finished run.

    Raises:
        LabError: as `identity` and `curves.curve_of`; or a source of other digits.
    """
    began = time.monotonic()
    recipe, sha256 = identity(folder)
    fmt, data = Format(recipe.data["n_digits"]), recipe.data
    if SOURCES[fmt.n_digits][0] != source.name:
        raise LabError(
            f"expected the source {SOURCES[fmt.n_digits][0]} for {recipe.name}",
            f"got {source.name}",
        )
    curve = curves.curve_of(folder, SETTINGS["seed"])
    model, adder = zoo.load(str(folder), device="cpu"), zoo.load(source.name, device="cpu")
    used = _use(_bench(model, fmt, "+-", SETTINGS["seed"]))
    pairs = {"count": SETTINGS["pairs"], "seed": SETTINGS["seed"]}
    measured = {
        "curve": curve,
        "use": used,
        "passed": transfer.passed(model, fmt, **pairs),
        "retests": transfer.transfer(source.passed, fmt, model, **pairs),
        "weights": similarity(adder, model),
        "fresh": similarity(adder, training.build_model(recipe)),
        "independent": similarity(
            adder, training.build_model(replace(recipe, seed=SETTINGS["independent_seed"]))
        ),
        "kept": _kept(_bench(model, fmt, "+-", SETTINGS["fresh_seed"]), used),
    }
    known = {
        "name": recipe.name,
        "seed": recipe.seed,
        "arm": data["arm"],
        "freeze": data["freeze"],
        "n_digits": fmt.n_digits,
    }
    known |= {
        "fingerprint": recipe.fingerprint,
        "sha256": sha256,
        "source": source.name,
        "source_sha256": source.sha256,
    }
    return Record(
        **known, settings=SETTINGS, seconds=round(time.monotonic() - began, 1), **measured
    )


def _kept(fresh: sufficiency.Bench, used: Mapping[str, Use]) -> list[Kept]:
    found = []
    for mode in MODES:
        for share in SHARES:
            nodes = usage.nodes_of(used[mode].useful(share))
            right = fresh.per_operation(fresh.kept(nodes, mode))
            sets = sufficiency.matched_sets(fresh, nodes, SETTINGS["random_sets"])
            drawn = [fresh.per_operation(fresh.kept(some, mode)) for some in sets]
            random = {name: sum(one[name] for one in drawn) / len(drawn) for name in right}
            found.append(Kept(mode, share, len(nodes), right, random))
    return found


@dataclass(frozen=True)
class Stored:
    """All records: runs by name of the recipe and seed, sources by name."""

    sources: dict[str, Source]
    runs: dict[str, dict[int, Record]]


def stored(path: Path = DATA) -> Stored:
    """The stored measurements.

    Raises:
        LabError: the file is missing or damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        sources = {name: _source(entry) for name, entry in found["sources"].items()}
        runs = {
            name: {int(seed): _record(one) for seed, one in seeds.items()}
            for name, seeds in found["runs"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise LabError(
            f"expected stored measurements in {path}",
            f"cannot use it: {fault!r}",
            hint="reinstall the package or check the file out again; `python -m helpers reuse RUN_DIR …` measures runs anew",
        ) from None
    return Stored(sources, runs)


def to_text(everything: Stored) -> str:
    """The file that `stored` reads: one line a record."""

    def block(entries: Mapping[Any, Any]) -> str:
        return "{\n" + ",\n".join(f'"{key}": {value}' for key, value in entries.items()) + "\n}"

    def line(entry: Source | Record) -> str:
        return json.dumps(_plain(entry), separators=(",", ":"))

    sources = block({name: line(entry) for name, entry in sorted(everything.sources.items())})
    runs = {
        name: block({s: line(one) for s, one in sorted(seeds.items())})
        for name, seeds in sorted(everything.runs.items())
    }
    return block({"sources": sources, "runs": block(runs)}) + "\n"


def _plain(entry: Source | Record) -> dict:
    own = {field.name: getattr(entry, field.name) for field in fields(entry)}
    own["use"] = {mode: use.to_json() for mode, use in entry.use.items()}
    own["passed"] = [_passed_to_json(one) for one in entry.passed]
    if isinstance(entry, Record):
        own["curve"] = entry.curve.to_json()
        own["retests"] = [
            [
                _passed_to_json(one.source),
                {
                    _names(nodes): list(asdict(count).values())
                    for nodes, count in one.target.items()
                },
            ]
            for one in entry.retests
        ]
        own |= {name: [_rounded(one) for one in getattr(entry, name)] for name in WEIGHTS}
        own["kept"] = [asdict(one) for one in entry.kept]
    return own


def _source(own: dict) -> Source:
    use = {mode: Use.from_json(one) for mode, one in own["use"].items()}
    return Source(**(own | {"use": use, "passed": [_passed(one) for one in own["passed"]]}))


def _record(own: dict) -> Record:
    read = {
        "use": {mode: Use.from_json(one) for mode, one in own["use"].items()},
        "curve": Curve.from_json(own["curve"]),
    }
    read["passed"] = [_passed(one) for one in own["passed"]]
    read["retests"] = [
        Retest(_passed(one), {_nodes(names): Count(*counts) for names, counts in target.items()})
        for one, target in own["retests"]
    ]
    read |= {name: [Similarity(*one) for one in own[name]] for name in WEIGHTS}
    return Record(**(own | read | {"kept": [Kept(**one) for one in own["kept"]]}))


def _rounded(one: Similarity) -> list:
    other = None if one.other is None else round(one.other, 4)
    return [one.part, one.layer, one.head, round(one.same, 4), other]


def _passed_to_json(one: Passed) -> list:
    return [one.task, one.digit, _names(one.nodes), list(asdict(one.count).values())]


def _passed(own: list) -> Passed:
    task, digit, names, count = own
    return Passed(task, digit, _nodes(names), Count(*count))


def _names(nodes: NodeSet) -> str:
    return "+".join(map(str, nodes))


def _nodes(names: str) -> NodeSet:
    """``"P11L0H1+P11L0H2"`` as nodes."""
    found = [re.fullmatch(r"P(\d+)L(\d+)(?:M|H(\d+))", name) for name in names.split("+")]
    if None in found:
        raise ValueError(f"no nodes: {names!r}")
    return tuple(Node(int(m[1]), int(m[2]), -1 if m[3] is None else int(m[3])) for m in found)

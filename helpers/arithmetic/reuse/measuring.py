"""Measure what a finished run of a mixed model reuses of the adder that was inserted into it."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers import training, zoo
from helpers.arithmetic.circuit import AblationBench, Use, sufficiency, usage
from helpers.arithmetic.questions import Format
from helpers.arithmetic.reuse import curves, transfer
from helpers.arithmetic.reuse.records import Kept, RunRecord, SourceRecord
from helpers.arithmetic.reuse.similarity import similarities
from helpers.arithmetic.training import SOURCES
from helpers.errors import LabError, command
from helpers.interventions import Ablation
from helpers.model import Model
from helpers.training import Recipe

ABLATIONS: tuple[Ablation, ...] = ("mean", "resample")
SHARES = (0.0, 0.01, 0.05)
"""Thresholds of `Use.used` for which the sufficiency of the useful nodes is stored."""
SETTINGS: dict[str, Any] = {
    "per_class": 20,
    "reference_per_class": 30,
    "pairs": 60,
    "seed": 0,
    "fresh_seed": 100,
    "random_sets": 3,
    "independent_seed": 1000,
    "curve": [curves.UNIFORM, curves.PER_CLASS, *map(list, curves.STAGES)],
}
"""How the records are measured; a record with other settings is measured again."""


def source_settings() -> dict[str, int]:
    """Those of the settings that a source is measured with."""
    return {name: SETTINGS[name] for name in ("per_class", "reference_per_class", "pairs", "seed")}


def measure_source(n_digits: int) -> SourceRecord:
    """Measure the adder that is inserted into mixed models of so many digits.

    Raises:
        LabError: There is none, or its weights are missing or damaged.
    """
    if n_digits not in SOURCES:
        raise LabError(f"expected {' or '.join(map(str, SOURCES))} digits", f"got {n_digits}")
    name, fmt = SOURCES[n_digits].name, Format(n_digits)
    model = zoo.load(name, device="cpu")
    tasks = (*transfer.LATE, "ST")
    passed = transfer.passed(model, fmt, SETTINGS["pairs"], SETTINGS["seed"], tasks)
    use = _use(_bench(model, fmt, "+", SETTINGS["seed"]))
    return SourceRecord(name, zoo.check(name).sha256, source_settings(), use, passed)


def identity(folder: Path) -> tuple[Recipe, str]:
    """The recipe of a finished run of a mixed model, and the checksum of its weights.

    Raises:
        LabError: The folder holds no run, an unfinished one, or a run of another task.
    """
    if not (folder / training.RECIPE).exists():
        raise LabError(
            f"expected a finished run in {folder}",
            f"there is no {training.RECIPE}",
            hint="pass the folder of a training run",
        )
    recipe = training.read_recipe(folder)
    again = command("train", recipe.name, "--seed", recipe.seed, "--out", folder, "--resume")
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


def measure(folder: Path, source: SourceRecord) -> RunRecord:
    """Measure a finished run.

    Raises:
        LabError: As `identity` and `curves.curve_of`; or the source has other digits.
    """
    began = time.monotonic()
    recipe, sha256 = identity(folder)
    fmt, seed, pairs = Format(recipe.data["n_digits"]), SETTINGS["seed"], SETTINGS["pairs"]
    expected = SOURCES[fmt.n_digits].name
    if source.name != expected:
        raise LabError(f"expected the source {expected} for {recipe.name}", f"got {source.name}")
    curve = curves.curve_of(folder, seed)
    model, adder = zoo.load(str(folder), device="cpu"), zoo.load(source.name, device="cpu")
    use = _use(_bench(model, fmt, "+-", seed))
    unrelated = replace(recipe, seed=SETTINGS["independent_seed"])
    record = RunRecord(
        name=recipe.name,
        seed=recipe.seed,
        arm=recipe.data["arm"],
        freeze=recipe.data["freeze"],
        n_digits=fmt.n_digits,
        fingerprint=recipe.fingerprint,
        sha256=sha256,
        source=source.name,
        source_sha256=source.sha256,
        settings=SETTINGS,
        seconds=0.0,
        curve=curve,
        use=use,
        passed=transfer.passed(model, fmt, pairs, seed),
        retests=transfer.retest(source.passed, fmt, model, pairs, seed),
        weights=similarities(adder, model),
        fresh=similarities(adder, training.build_model(recipe)),
        independent=similarities(adder, training.build_model(unrelated)),
        kept=_kept(_bench(model, fmt, "+-", SETTINGS["fresh_seed"]), use),
    )
    return replace(record, seconds=round(time.monotonic() - began, 1))


def _bench(model: Model, fmt: Format, operations: str, seed: int) -> AblationBench:
    counts = SETTINGS["per_class"], SETTINGS["reference_per_class"]
    return sufficiency.bench(model, fmt, *counts, seed, operations)


def _use(bench: AblationBench) -> dict[str, Use]:
    return {ablation: usage.use(bench, ablation) for ablation in ABLATIONS}


def _kept(fresh: AblationBench, use: Mapping[str, Use]) -> list[Kept]:
    kept = []
    for ablation in ABLATIONS:
        for share in SHARES:
            nodes = usage.nodes_of(use[ablation].useful(share))
            right = fresh.per_operation(fresh.kept(nodes, ablation))
            sets = sufficiency.matched_sets(fresh, nodes, SETTINGS["random_sets"])
            drawn = [fresh.per_operation(fresh.kept(chosen, ablation)) for chosen in sets]
            random = {name: sum(shares[name] for shares in drawn) / len(drawn) for name in right}
            kept.append(Kept(ablation, share, len(nodes), right, random))
    return kept

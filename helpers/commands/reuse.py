"""``python -m helpers reuse``: measure finished runs of mixed models and store what was found.

Every run is written as soon as it is measured, and what is stored with the same recipe, weights,
source and settings is not measured again, so the command can be stopped and given again at any
moment.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from helpers.arithmetic.reuse import records
from helpers.arithmetic.reuse.records import SETTINGS, Record, Source, Stored
from helpers.arithmetic.training.recipes import SOURCES
from helpers.files import write_atomically
from helpers.runtime import progress
from helpers.training import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folders",
        type=Path,
        nargs="+",
        metavar="RUN_DIR",
        help="folder of a finished run of a mixed model",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=records.DATA,
        metavar="FILE",
        help="where to store (the package's own file)",
    )


def run(arguments: argparse.Namespace) -> int:
    out = arguments.out
    known = _read(out)  # before any work: a damaged file is never written over
    runs = [(folder, *records.identity(folder)) for folder in arguments.folders]
    for folder, recipe, sha256 in progress(runs, "runs"):
        if _is_stored(known, recipe, sha256):
            print(f"{recipe.name}, seed {recipe.seed}: already stored", file=sys.stderr)
            continue
        known = _with_source(known, recipe.data["n_digits"], out)
        record = records.measure(folder, known.sources[SOURCES[recipe.data["n_digits"]][0]])
        known = _add(out, record)
        print(
            f"{recipe.name}, seed {recipe.seed}: measured in {record.seconds:.0f} s; stored in {out}",
            file=sys.stderr,
        )
    return 0


def _read(out: Path) -> Stored:
    return records.stored(out) if out.exists() else Stored({}, {})


def _is_stored(known: Stored, recipe: Recipe, sha256: str) -> bool:
    record = known.runs.get(recipe.name, {}).get(recipe.seed)
    source = SOURCES.get(recipe.data["n_digits"], ("", ""))
    if record is None or not record.source_sha256.startswith(source[1]):
        return False
    return (record.fingerprint, record.sha256, record.settings) == (
        recipe.fingerprint,
        sha256,
        SETTINGS,
    )


def _with_source(known: Stored, n_digits: int, out: Path) -> Stored:
    """The records with the source that runs of so many digits are compared with."""
    name, sha256 = SOURCES.get(n_digits, ("", ""))
    found = known.sources.get(name)
    if found and found.sha256.startswith(sha256) and found.settings == records.source_settings():
        return known
    return _add(out, records.measure_source(n_digits))


def _add(out: Path, entry: Source | Record) -> Stored:
    """Store one more entry. The file is read again first: another process may have added to it."""
    known = _read(out)
    if isinstance(entry, Source):
        known = replace(known, sources=known.sources | {entry.name: entry})
    else:
        seeds = known.runs.get(entry.name, {}) | {entry.seed: entry}
        known = replace(known, runs=known.runs | {entry.name: seeds})
    write_atomically(records.to_text(known), out)
    return known

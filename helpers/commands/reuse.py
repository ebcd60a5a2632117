"""``python -m helpers reuse``: measure finished runs of mixed models and store what was found.

Every run is written as soon as it is measured, and what is stored with the same recipe, weights,
source and settings is not measured again, so the command can be stopped and given again at any
moment.
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from helpers.arithmetic.reuse import RunRecord, SourceRecord, Stored, measuring, records
from helpers.arithmetic.training import SOURCES
from helpers.files import check_writable, write_atomically
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


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    out = arguments.out
    stored = _read(out)  # before any work: a damaged file is never written over
    runs = [(folder, *measuring.identity(folder)) for folder in arguments.folders]
    for folder, recipe, sha256 in progress(runs, "runs"):
        if _is_stored(stored, recipe, sha256):
            print(f"{recipe.name}, seed {recipe.seed}: already stored", file=sys.stderr)
            continue
        check_writable(out)
        stored = _with_source(stored, recipe.data["n_digits"], out)
        record = measuring.measure(folder, stored.sources[SOURCES[recipe.data["n_digits"]].name])
        stored = _add(out, record)
        print(
            f"{recipe.name}, seed {recipe.seed}: measured in {record.seconds:.0f} s; "
            f"stored in {out}",
            file=sys.stderr,
        )
    return 0


def _read(out: Path) -> Stored:
    return records.stored(out) if os.path.exists(out) else Stored({}, {})


def _is_stored(stored: Stored, recipe: Recipe, sha256: str) -> bool:
    record = stored.runs.get(recipe.name, {}).get(recipe.seed)
    source = SOURCES.get(recipe.data["n_digits"])
    if record is None or (source and not record.source_sha256.startswith(source.sha256)):
        return False
    measured = (record.fingerprint, record.sha256, record.settings)
    return measured == (recipe.fingerprint, sha256, measuring.SETTINGS)


def _with_source(stored: Stored, n_digits: int, out: Path) -> Stored:
    """The records with the source that runs of so many digits are compared with."""
    source = SOURCES.get(n_digits)
    record = stored.sources.get(source.name) if source else None
    same_weights = source and record and record.sha256.startswith(source.sha256)
    if record and same_weights and record.settings == measuring.source_settings():
        return stored
    return _add(out, measuring.measure_source(n_digits))


def _add(out: Path, record: SourceRecord | RunRecord) -> Stored:
    """Store one more record. The file is read again first: another process may have added to it."""
    stored = _read(out)
    if isinstance(record, SourceRecord):
        stored = replace(stored, sources=stored.sources | {record.name: record})
    else:
        seeds = stored.runs.get(record.name, {}) | {record.seed: record}
        stored = replace(stored, runs=stored.runs | {record.name: seeds})
    write_atomically(records.to_text(stored), out)
    return stored

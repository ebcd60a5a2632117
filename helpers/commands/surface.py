"""``python -m helpers surface``: the surveys of the public sets, computed anew and stored."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from helpers.files import check_writable, write_atomically
from helpers.trust.data import surveys
from helpers.trust.data.surface import Survey


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="where the files are (they are downloaded into the cache)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object instead of a table"
    )
    parser.add_argument(
        "--write", action="store_true", help="store what was computed in place of what was stored"
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    # read before any work; but what is to be replaced may be damaged
    stored = None if arguments.write else surveys.stored(surveys.DATA)
    if arguments.write:
        check_writable(surveys.DATA)
    computed = surveys.compute(arguments.folder)
    if arguments.write:
        write_atomically(surveys.to_text(computed), surveys.DATA)
        print(f"stored in {surveys.DATA}", file=sys.stderr)
    stored = stored or surveys.stored(surveys.DATA)
    if arguments.json:
        sides = {"computed": computed, "stored": stored}
        plain = {
            side: {name: surveys.plain(survey) for name, survey in sets.items()}
            for side, sets in sides.items()
        }
        print(json.dumps(plain), file=results)
    else:
        print("\n".join(_table(computed, stored)), file=results)
    surveys.compare(computed, stored)
    return 0


def _table(computed: Mapping[str, Survey], stored: Mapping[str, Survey]) -> list[str]:
    lines = ["set         from      " + "  ".join(title for title, _ in surveys.COLUMNS)]
    for name in computed:
        for side, survey in (("computed", computed[name]), ("stored", stored[name])):
            values = surveys.numbers(survey)
            cells = (f"{values[key]:{len(title)}.3f}" for title, key in surveys.COLUMNS)
            lines.append(f"{name:<12}{side:<10}" + "  ".join(cells))
    return lines

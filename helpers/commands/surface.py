"""``python -m helpers surface``: what the surface of the public sets gives, computed anew beside what is stored."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from helpers.files import write_atomically
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


def run(arguments: argparse.Namespace) -> int:
    known = (
        None if arguments.write else surveys.stored(surveys.DATA)
    )  # before any work; what is to be replaced may be damaged
    found = surveys.compute(arguments.folder)
    if arguments.write:
        write_atomically(surveys.to_text(found), surveys.DATA)
        print(f"stored in {surveys.DATA}", file=sys.stderr)
    known = known or surveys.stored(surveys.DATA)
    if arguments.json:
        sides = {"computed": found, "stored": known}
        print(
            json.dumps(
                {
                    side: {name: surveys.plain(one) for name, one in sets.items()}
                    for side, sets in sides.items()
                }
            )
        )
    else:
        print("\n".join(_table(found, known)))
    surveys.compare(found, known)
    return 0


def _table(found: Mapping[str, Survey], known: Mapping[str, Survey]) -> list[str]:
    lines = ["set         from      " + "  ".join(title for title, _ in surveys.COLUMNS)]
    for name in found:
        for side, one in (("computed", found[name]), ("stored", known[name])):
            values = surveys.numbers(one)
            cells = (f"{values[key]:{len(title)}.3f}" for title, key in surveys.COLUMNS)
            lines.append(f"{name:<12}{side:<10}" + "  ".join(cells))
    return lines

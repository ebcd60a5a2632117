"""NEW: docstring."""

import argparse
import sys
from pathlib import Path

from helpers import zoo
from helpers.arithmetic.circuit import maps
from helpers.files import write_atomically


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="an embedded mixed model, such as mix-d6"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=maps.DATA,
        metavar="FILE",
        help="where to store (the package's own file)",
    )


def run(arguments: argparse.Namespace) -> int:
    for name in arguments.names:
        known = maps.stored(arguments.out) if arguments.out.exists() else {}
        if name in known and known[name].sha256 == zoo.check(name).sha256:
            print(f"{name}: already stored", file=sys.stderr)
            continue
        known[name] = maps.choose(name)
        write_atomically(maps.to_text(known), arguments.out)
        sizes = ", ".join(
            f"{len(nodes)} nodes ({mode})" for mode, nodes in known[name].nodes.items()
        )
        print(f"{name}: {sizes}; stored in {arguments.out}", file=sys.stderr)
    return 0

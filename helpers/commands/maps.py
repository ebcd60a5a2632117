"""``python -m helpers maps NAME``: choose the small sets of nodes that suffice in a mixed model.

A map that is stored for the same weights is not chosen again.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import TextIO

from helpers import files, zoo
from helpers.arithmetic.circuit import maps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="an embedded mixed model, such as mix-d6"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=maps.DATA,
        metavar="FILE",
        help="file to store in (default: the package's own)",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    for name in arguments.names:
        chosen = maps.stored(arguments.out) if os.path.exists(arguments.out) else {}
        if name in chosen and chosen[name].sha256 == zoo.check(name).sha256:
            print(f"{name}: already stored", file=sys.stderr)
            continue
        files.check_writable(arguments.out)
        chosen[name] = maps.choose(name)
        files.write_atomically(maps.to_text(chosen), arguments.out)
        nodes = chosen[name].nodes.items()
        sizes = ", ".join(f"{len(kept)} nodes ({ablation})" for ablation, kept in nodes)
        print(f"{name}: {sizes}; stored in {arguments.out}", file=sys.stderr)
    return 0

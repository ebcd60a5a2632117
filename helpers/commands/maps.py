"""``python -m helpers maps NAME``: choose the small sets of nodes that suffice in a mixed model.

A map that is stored for the same weights is not chosen again.
"""

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
        help="file to store in (default: the package's own)",
    )


def run(arguments: argparse.Namespace) -> int:
    for name in arguments.names:
        chosen = maps.stored(arguments.out) if arguments.out.exists() else {}
        if name in chosen and chosen[name].sha256 == zoo.check(name).sha256:
            print(f"{name}: already stored", file=sys.stderr)
            continue
        chosen[name] = maps.choose(name)
        write_atomically(maps.to_text(chosen), arguments.out)
        nodes = chosen[name].nodes.items()
        sizes = ", ".join(f"{len(kept)} nodes ({ablation})" for ablation, kept in nodes)
        print(f"{name}: {sizes}; stored in {arguments.out}", file=sys.stderr)
    return 0

"""``python -m helpers skills``: what a model of TinyWorld can do, over its training, as JSON."""

import argparse
import json
import sys
from typing import TextIO

from helpers.tinyworld.models import head_roles, measure


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", help="an embedded model such as tinyworld, or the folder of a finished run"
    )
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=[],
        metavar="N",
        help="checkpoints to measure (all of them)",
    )
    parser.add_argument(
        "--prompts",
        type=int,
        default=measure.PROMPTS,
        metavar="N",
        help=f"number of prompts of each skill, at the end ({measure.PROMPTS})",
    )
    parser.add_argument(
        "--curve-prompts",
        type=int,
        default=measure.CURVE_PROMPTS,
        metavar="N",
        help=f"number of prompts of each skill, at each checkpoint ({measure.CURVE_PROMPTS})",
    )
    parser.add_argument(
        "--heads",
        type=int,
        nargs="?",
        const=head_roles.PROMPTS,
        default=0,
        metavar="N",
        help=f"measure the roles of heads too, with N prompts per skill ({head_roles.PROMPTS}); "
        "attention-only models",
    )


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    counts = arguments.prompts, arguments.curve_prompts, arguments.heads
    report = measure.measure(arguments.name, arguments.steps, *counts)
    for name, skill in report["skills"].items():
        print(
            f"{name:<18} {skill['accuracy']:.3f} [{skill['low']:.3f}, {skill['high']:.3f}]",
            file=sys.stderr,
        )
    print(
        f"loss {report['loss']:.4f} nats per token, perplexity {report['perplexity']:.2f}",
        file=sys.stderr,
    )
    print(json.dumps(report), file=results)
    return 0

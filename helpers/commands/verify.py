"""``python -m helpers verify``: the verification report of one model.

The exit code is 0 when the verification ran, whatever it found; the failures are in the report.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TextIO

from helpers import files, runtime, zoo
from helpers.arithmetic.questions import Format
from helpers.arithmetic.verification import LogitsOf, callable_named, verify
from helpers.errors import LabError
from helpers.training import RECIPE, WEIGHTS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "name",
        help="an embedded model such as add-d6, a local folder, a hub name, or module:function, a "
        "callable from token ids [question, pos] to logits [question, pos, token]",
    )
    add(
        "--questions",
        type=int,
        default=1_000_000,
        metavar="N",
        help="number of uniform questions (1000000)",
    )
    add(
        "--per-class",
        type=int,
        default=20_000,
        metavar="N",
        help="number of further questions in each class (20000)",
    )
    add("--exhaustive", action="store_true", help="ask every question instead (at most 3 digits)")
    add(
        "--operations",
        choices=("+", "-", "+-"),
        help="operators to ask about (those that the model was trained on, else +)",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of the questions (0)")
    add("--json", action="store_true", help="print one JSON object instead of a table")
    _add_format(
        parser.add_argument_group(
            "the format of a model that was not trained by this package"
        ).add_argument
    )


def _add_format(add: Callable) -> None:
    add("--digits", type=int, metavar="N", help="number of digits of an operand")
    add("--digit-ids", type=_ids, metavar="IDS", help="token ids of 0 to 9: 0,1,2,3,4,5,6,7,8,9")
    add("--symbols", type=_ids, metavar="IDS", help="token ids of plus, minus, equals: 10,11,12")
    add("--no-minus", action="store_true", help="no minus in the vocabulary, nor in --symbols")
    add("--prefix", type=_ids, default=(), metavar="IDS", help="token ids before the question")
    add("--no-sign", action="store_true", help="the answer has no sign token")


def run(arguments: argparse.Namespace, results: TextIO) -> int:
    # The model first: a name that does not exist is the likelier mistake than a missing format.
    model, is_foreign = _model(arguments.name)
    recipe = {} if is_foreign else _recipe(arguments.name)
    report = verify(
        model,
        _format(arguments, recipe),
        name=arguments.name,
        questions=arguments.questions,
        per_class=arguments.per_class,
        exhaustive=arguments.exhaustive,
        operations=arguments.operations or ("+-" if recipe.get("task") == "mixed" else "+"),
        seed=arguments.seed,
        workers=1 if is_foreign else None,  # it may keep something between calls
    )
    if arguments.json:
        print(json.dumps(report.to_json() | _weights(arguments.name)), file=results)
    else:
        print(report.table(), file=results)
    if report.failures == report.questions:
        print(
            f"no question was right: has {arguments.name} learned this format? See --digits, "
            "--digit-ids, --symbols, --prefix, --no-sign, --no-minus and --operations",
            file=sys.stderr,
        )
    return 0


def _model(name: str) -> tuple[LogitsOf, bool]:
    """What is asked, and whether it is a callable that another program brings."""
    module, colon, _ = name.partition(":")
    is_foreign = bool(colon and module) and not os.path.isdir(name)
    return (callable_named(name) if is_foreign else zoo.load(name)), is_foreign


def _weights(name: str) -> dict[str, str]:
    """The checksum of the weights that were asked; empty for a callable or a model of the hub."""
    if name in zoo.names():
        return {"sha256": zoo.entry(name).sha256}
    path = runtime.expanded(name) / WEIGHTS
    return {"sha256": files.checksum(path)[0]} if os.path.isfile(path) else {}


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected token ids with commas between them, such as 0,1,2; got {text!r}"
        ) from None


def _format(arguments: argparse.Namespace, recipe: dict) -> Format:
    """The format of a model: its recipe's number of digits, or what the options say."""
    trained: int | None = recipe.get("data", {}).get("n_digits")
    digits: int | None = arguments.digits if trained is None else trained
    if digits is None:
        raise LabError(
            f"expected the number of digits of {arguments.name}",
            "it has no recipe that says so",
            hint="pass --digits N, and --digit-ids and --symbols if its token ids are not 0 to 12",
        )
    if arguments.digits not in (None, digits):
        raise LabError(
            f"expected {digits} digits, as {arguments.name} was trained",
            f"got --digits {arguments.digits}",
        )
    settings: dict = {"has_sign": not arguments.no_sign, "prefix": arguments.prefix}
    if arguments.no_minus:
        settings["minus"] = None
    if arguments.digit_ids:
        settings["digit_ids"] = arguments.digit_ids
    if arguments.symbols:
        names = ["plus", "equals"] if arguments.no_minus else ["plus", "minus", "equals"]
        if len(arguments.symbols) != len(names):
            raise LabError(
                f"expected one id for each of --symbols: {', '.join(names)}",
                f"got {len(arguments.symbols)}",
                hint="a vocabulary without minus has --no-minus",
            )
        settings |= dict(zip(names, arguments.symbols, strict=True))
    return Format(digits, **settings)


def _recipe(name: str) -> dict:
    """The fields of a model's recipe; empty for a model of another package."""
    noted = runtime.expanded(name) / RECIPE
    if name in zoo.names():
        return asdict(zoo.entry(name).recipe)
    if not os.path.isfile(noted):
        return {}
    try:
        recipe = json.loads(noted.read_text(encoding="utf-8"))
        recipe["data"].get("n_digits")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LabError(
            f"expected a recipe in {noted}", "it cannot be read", hint="pass another folder"
        ) from None
    return recipe

"""The command line ``python -m helpers COMMAND``: one table of commands, each implemented by the
module that owns it.

A command's module has ``add_arguments(parser)`` and ``run(arguments, results) -> int``. It is
imported only when its command is called. What a program may read is printed to `results`, which
becomes standard output; everything said to a person goes to standard error, and so does whatever
else is printed, by this package or by a library.

Exit codes: 0 done · 1 a fault, explained in words · 2 wrong usage · 130 interrupted.
"""

import argparse
import os
import sys
from importlib import import_module

from helpers import __version__
from helpers.errors import LabError
from helpers.output import flush_stdout, forgiving_stderr, results_only

COMMANDS: dict[str, tuple[str, str]] = {
    "doctor": (
        "helpers.commands.doctor",
        "check versions, device and weights, and say what to do about each fault",
    ),
    "train": (
        "helpers.commands.train",
        "train a model anew; can be stopped and resumed at any moment",
    ),
    "verify": ("helpers.commands.verify", "verification report of an arithmetic model"),
    "skills": (
        "helpers.commands.skills",
        "measure what a model of TinyWorld can do, over its training",
    ),
    "reuse": (
        "helpers.commands.reuse",
        "measure what runs of mixed models reuse of the adder inserted into them",
    ),
    "surface": (
        "helpers.commands.surface",
        "measure what words and capitals give on the public sets, beside what is stored",
    ),
    "maps": (
        "helpers.commands.maps",
        "choose a small set of nodes that suffices for all operations of a mixed model",
    ),
    "oracle": (
        "helpers.commands.oracle",
        "measure what a small model does with every subset of its heads",
    ),
    "circuits": (
        "helpers.commands.circuits",
        "measure every method of circuit discovery on every task",
    ),
    "masks": (
        "helpers.commands.masks",
        "measure what masks over single weights find, beside their controls",
    ),
    "edits": (
        "helpers.commands.edits",
        "measure what editing facts does in a circuit, elsewhere, and by rivals",
    ),
    "detox": (
        "helpers.commands.detox",
        "measure what tuning under a constraint does, its parts and its rivals",
    ),
    "changes": (
        "helpers.commands.changes",
        "measure what such tuning changes inside a model",
    ),
    "bench": ("helpers.commands.bench", "measure speed ratios, each side by side in one run"),
    "notebooks": (
        "helpers.commands.notebooks",
        "write the student notebooks labs/*.ipynb from their sources",
    ),
    "pages": ("helpers.commands.pages", "write the generated pages of the book"),
    "serve": ("helpers.commands.serve", "serve the built book on this machine"),
    "publish": (
        "helpers.commands.publish",
        "put a finished training run among the embedded models",
    ),
}

LIMIT = 2**63
"""Numbers that a person gives are below it: nothing larger fits into a tensor or a seed."""

LATER: dict[str, str] = {
    "release": "student notebooks, solution notebooks and autograder archives",
    "grade": "grades for a folder of submissions",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    with forgiving_stderr():
        return _answered(argv)


def _answered(argv: list[str]) -> int:
    try:
        try:
            return _dispatch(argv)
        finally:
            flush_stdout()
    except LabError as fault:
        print(f"error: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `… | head`
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # or the flush at exit fails again
        return 1


def _dispatch(argv: list[str]) -> int:
    name = argv[0] if argv else ""
    if name in LATER:
        print(f"{name} ({LATER[name]}) comes with a later version of the labs", file=sys.stderr)
        return 1
    if name not in COMMANDS:
        parser = _overview()
        parser.parse_args(argv)  # answers --help and --version, refuses the rest
        parser.error("expected a command")
    module_name, summary = COMMANDS[name]
    with results_only():
        module = import_module(module_name)
    parser = argparse.ArgumentParser(
        prog=f"python -m helpers {name}", description=summary[0].upper() + summary[1:] + "."
    )
    module.add_arguments(parser)
    arguments = parser.parse_args(argv[1:])
    _check_words(parser, argv[1:], arguments)
    if sys.flags.optimize > 1:
        raise LabError(
            "expected Python with docstrings",
            "it runs with -OO, which drops those that transformers reads",
            hint="give the command without -OO, and unset PYTHONOPTIMIZE",
        )
    with results_only() as results:
        return module.run(arguments, results)


def _check_words(
    parser: argparse.ArgumentParser, words: list[str], arguments: argparse.Namespace
) -> None:
    """Refuse what no command means: an empty word, and a number beyond all that is counted.

    ``Path("")`` is the current folder, so a shell variable that is not set would name it.
    """
    for word in words:
        option, equals, value = word.partition("=")
        if not (value if equals and option.startswith("--") else word).strip():
            parser.error(f"expected a name, a path or a number, got the empty {word!r}")
    for name, value in vars(arguments).items():
        numbers = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(number, int) and abs(number) >= LIMIT for number in numbers):
            parser.error(f"expected less than 2^63 for {name}, got {value}")


def _overview() -> argparse.ArgumentParser:
    lines = [f"  {name:<10} {summary}" for name, (_, summary) in COMMANDS.items()]
    lines += [f"  {name:<10} {summary} (comes later)" for name, summary in LATER.items()]
    parser = argparse.ArgumentParser(
        prog="python -m helpers",
        description="Commands of the lab book Trustworthy Circuits.",
        epilog="commands:\n"
        + "\n".join(lines)
        + "\n\n`python -m helpers COMMAND --help` explains one command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command", choices=[*COMMANDS, *LATER], metavar="COMMAND", help="one of the commands below"
    )
    parser.add_argument(
        "--version", action="version", version=f"trustworthy-circuits {__version__}"
    )
    return parser

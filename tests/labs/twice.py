"""Two runs of one lab, with and without answers, in which long cells without an answer run once.

Half of the time of a lab goes into cells that say the same whether the exercises are solved or not.
The run of the solution notes what each cell took and which variables it set. The run of the stubs
takes those over where a cell has taken long, has the same code, and mentions no variable that an
exercise, or a cell that needs one, has set or changed.
"""

import ast
import time
from dataclasses import dataclass

from helpers.course.labs.execute import Namespace, run_cell

CHANGING = {"add", "append", "clear", "extend", "insert", "load_state_dict", "pop", "remove"}
CHANGING |= {"reverse", "setdefault", "sort", "step", "update"}
"""Methods that change what they are called on; so do those of torch that end in a line."""
LONG = 0.5
"""Seconds from which it is worth the while."""


@dataclass(frozen=True)
class Noted:
    """What a cell took, and the variables that it set."""

    seconds: float
    found: Namespace


class Notes:
    """Cells of a run, by their code: those that ran to the end."""

    def __init__(self) -> None:
        self.cells: dict[str, Noted] = {}

    def run(self, code: str, filename: str, namespace: Namespace) -> None:
        """Run a cell and note it."""
        before, began = dict(namespace), time.perf_counter()
        run_cell(code, filename, namespace)
        seconds = time.perf_counter() - began
        missing = object()
        found = {
            name: value
            for name, value in namespace.items()
            if before.get(name, missing) is not value
        }
        self.cells[code] = Noted(seconds, found)


class Stubs:
    """A run beside that of the solution.

    Attributes:
        other: Names that differ from the run of the solution, or may.
        taken: Code of the cells that were not run.
    """

    def __init__(self, notes: Notes) -> None:
        self.notes = notes
        self.other: set[str] = set()
        self.taken: list[str] = []

    def run(self, code: str, filename: str, namespace: Namespace) -> None:
        """Run a cell, or take over what it found."""
        noted, tree = self.notes.cells.get(code), ast.parse(code)
        same = noted is not None and not names(tree) & self.other
        if noted is not None and same and noted.seconds >= LONG and not keeps_code(tree):
            namespace.update(noted.found)
            self.taken.append(code)
            return
        if not same:
            self.other |= changed(tree)
        run_cell(code, filename, namespace)


def names(tree: ast.AST) -> set[str]:
    """Every name that is mentioned.

    >>> sorted(names(ast.parse("a = f(b).c")))
    ['a', 'b', 'f']
    """
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return found | bound(tree)


def bound(tree: ast.AST) -> set[str]:
    """Names of functions, classes and imports."""
    defined = (ast.FunctionDef, ast.ClassDef)
    found = {node.name for node in ast.walk(tree) if isinstance(node, defined)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
    return found


def changed(tree: ast.AST) -> set[str]:
    """Names that are set, and those of which a part is set or changed: an answer may stand in any.

    >>> sorted(changed(ast.parse("a.b = 1; c[0] = 2; d.append(3); e = f(g)")))
    ['a', 'c', 'd', 'e']
    """
    found = bound(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(node.id)
        part = isinstance(node, ast.Attribute | ast.Subscript)
        if part and isinstance(node.ctx, ast.Store | ast.Del):
            found |= names(node.value)
        method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if method and (node.func.attr in CHANGING or node.func.attr.endswith("_")):
            found |= names(node.func.value)
    return found


def keeps_code(tree: ast.AST) -> bool:
    """Whether a cell records a check, or defines what would go on reading the other run's
    variables."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Lambda)
    return any(
        isinstance(node, kinds) or (isinstance(node, ast.Name) and node.id == "check")
        for node in ast.walk(tree)
    )

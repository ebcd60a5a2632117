"""No refusal lets NaN pass: every comparison with NaN is False, so ``if apart > limit`` is none.

The syntax tree is walked. Where an ``if`` raises, a measured number is compared by what is wanted,
under a ``not``: ``if not within(apart, limit)`` or ``if not 0 <= share <= 1``.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
ORDERED = (ast.Gt, ast.GtE, ast.Lt, ast.LtE)
WHOLE = {"int", "len", "round", "isqrt", "bit_length"}
MEASURES = {"float", "abs", "norm", "std", "var", "mean", "item", "hypot", "diff"}
FLOAT = re.compile(r"\bfloat\b|\bFloat\[|\bReal\[")
LIMIT = re.compile(r"tol(erance)?$", re.IGNORECASE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


def annotated(nodes: Iterable[ast.arg | ast.AnnAssign]) -> set[str]:
    """Names of arguments or fields that are real numbers by their annotation."""
    found = set()
    for node in nodes:
        if node.annotation and FLOAT.search(ast.unparse(node.annotation)):
            found.add(node.arg if isinstance(node, ast.arg) else node.target.id)
    return found


def measured(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is a real number that may be NaN, as far as the text tells."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float)
    if isinstance(node, ast.Name | ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr
        return bool(name in names or LIMIT.search(name))
    if isinstance(node, ast.Call):
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        if called in WHOLE:
            return False
        if called in MEASURES:
            return True
        inside = [*node.args, *([node.func.value] if isinstance(node.func, ast.Attribute) else [])]
        return any(measured(part, names) for part in inside)
    if isinstance(node, ast.Compare):
        return False
    return any(measured(part, names) for part in ast.iter_child_nodes(node) if is_value(part))


def is_value(node: ast.AST) -> bool:
    return isinstance(node, ast.expr)


def assigned(function: Function, names: set[str]) -> set[str]:
    """The names, and those that the function gives to measured numbers."""
    names = set(names)
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and measured(node.value, names):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.NamedExpr) and measured(node.value, names):
            names.add(node.target.id)
    return names


def comparisons(test: ast.expr, negated: bool = False) -> Iterator[tuple[ast.Compare, bool]]:
    """The comparisons of a condition, each with whether it stands under a ``not``."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from comparisons(test.operand, not negated)
    elif isinstance(test, ast.Compare):
        yield test, negated
    else:
        for part in ast.iter_child_nodes(test):
            if is_value(part):
                yield from comparisons(part, negated)


def leaks(tree: ast.Module) -> list[int]:
    """Lines of comparisons that refuse by what is not wanted, and so let NaN pass."""
    fields = {
        node.name: annotated(part for part in node.body if isinstance(part, ast.AnnAssign))
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    every_field = set().union(*fields.values())
    found = set()
    for function in ast.walk(tree):
        if not isinstance(function, Function):
            continue
        arguments = [*function.args.args, *function.args.kwonlyargs]
        names = assigned(function, annotated(arguments) | every_field)
        for node in ast.walk(function):
            if isinstance(node, ast.If) and any(isinstance(part, ast.Raise) for part in node.body):
                for compare, negated in comparisons(node.test):
                    ordered = any(isinstance(op, ORDERED) for op in compare.ops)
                    sides = [compare.left, *compare.comparators]
                    if ordered and not negated and any(measured(side, names) for side in sides):
                        found.add(compare.lineno)
    return sorted(found)


def modules() -> list[Path]:
    return sorted(HELPERS.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(HELPERS).as_posix())
def test_no_refusal_lets_nan_pass(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    found = leaks(ast.parse("\n".join(lines)))
    assert not found, "\n".join(f"{path.name}:{line}: {lines[line - 1].strip()}" for line in found)


# the test can fail

LEAKY = """
class Settings:
    rate: float
    steps: int
    def check(self):
        if self.steps < 0 or self.rate <= 0:
            raise ValueError
def one(tolerance: float, count: int, table: "Float[Tensor, 'row']"):
    largest = float(table.max())
    if largest > 1e-3 * max(1.0, 2.0):
        raise ValueError
    if count > len(table) or int(table.max()) > 3:
        raise ValueError
    if not (largest <= tolerance and 0 <= count):
        raise ValueError
    if (gap := abs(largest)) >= tolerance:
        raise ValueError
    if (table < 0).any():
        raise ValueError
    if largest > 2:
        return None
"""


def test_refusals_that_let_nan_pass_are_named():
    assert leaks(ast.parse(LEAKY)) == [6, 10, 16, 18]

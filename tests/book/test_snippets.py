"""Python in prose can be run: it compiles, it imports what is there, its names are bound before."""

import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import pytest

from helpers.course.labs import folder

pytestmark = pytest.mark.book

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *folder.lab_files(ROOT),
    *sorted((ROOT / "book").glob("*.md")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]
GIVEN = {
    "ch1_verified_arithmetic.md": {"my_model"},
    "ch2_trust_dynamics.md": {"groups", "labels", "model", "texts"},
    "how_to_use.md": {"check", "my_function"},
}
"""Names that a page's text explains, and its snippets do not bind."""

FENCE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})(?:python|\{code-cell\}.*)\n(?P<code>.*?)^(?P=fence)$", re.M | re.S
)
IMPORT = re.compile(r"#\s*(from\s+[\w.]+\s+import\s|import\s+[\w.]+(\s+as\s+\w+)?\s*$)")


@dataclass(frozen=True)
class Code:
    """A piece of Python on a page: a cell of a lab, a fenced snippet, or code in comments.

    Attributes:
        kind: Where it stands. Cells are only read for the names that they bind: tests run them.
        line: Line of the page before the first of the code, counted from 1.
        text: The code.
    """

    kind: Literal["cell", "snippet", "comment"]
    line: int
    text: str


def code_on(page: str, is_lab: bool) -> list[Code]:
    """All Python on a page, in its order."""
    return list(_of_lab(page) if is_lab else _fenced(page, 0))


def _fenced(markdown: str, before: int) -> Iterator[Code]:
    for match in FENCE.finditer(markdown):
        line = before + markdown.count("\n", 0, match.start("code"))
        yield Code("snippet", line, match["code"])


def _of_lab(source: str) -> Iterator[Code]:
    headers = [*re.finditer(r"^# %%(?P<kind>.*)\n", source, re.M)]
    ends = [*(header.start() for header in headers[1:]), len(source)]
    for header, end in zip(headers, ends, strict=True):
        before, body = source.count("\n", 0, header.end()), source[header.end() : end]
        if "[markdown]" in header["kind"]:
            yield from _fenced(re.sub(r"^# ?", "", body, flags=re.M), before)
        else:
            yield Code("cell", before, body)
            yield from _commented(body, before)


def _commented(body: str, before: int) -> Iterator[Code]:
    """Code in comments: from a line that imports to the end of the comment."""
    for run in re.finditer(r"(?:^ *#.*\n)+", body, re.M):
        lines = run[0].splitlines()
        first = next((i for i, line in enumerate(lines) if IMPORT.match(line.strip())), None)
        if first is not None:
            text = "\n".join(re.sub(r"^ *# ?", "", line) for line in lines[first:])
            yield Code("comment", before + body.count("\n", 0, run.start()) + first, text)


def complaints(page: str, is_lab: bool, given: set[str]) -> list[str]:
    """What keeps the snippets of a page from running, each with its line."""
    bound, modules, said = set(given), {}, []
    for code in code_on(page, is_lab):
        try:
            tree = ast.parse(code.text)
        except SyntaxError as fault:
            said.append(f"line {code.line + (fault.lineno or 0)}: no Python: {fault.msg}")
            continue
        bound |= set(_bound(tree))
        faults = [*_imports(tree, modules), *_attributes(tree, modules), *_unbound(tree, bound)]
        if code.kind != "cell":
            said += [f"line {code.line + line}: {words}" for line, words in faults]
    return said


def _bound(tree: ast.AST) -> Iterator[str]:
    """Names that a piece of code binds, at any place in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Import):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def _unbound(tree: ast.AST, bound: set[str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in bound and not hasattr(builtins, node.id):
            yield node.lineno, f"{node.id} is bound nowhere"


def _imports(tree: ast.AST, modules: dict[str, ModuleType]) -> Iterator[tuple[int, str]]:
    """Imports of the package that fail; those that are modules are kept by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "helpers":
            for alias in node.names:
                try:
                    thing = _imported(node.module or "", alias.name)
                except ImportError as fault:
                    yield node.lineno, str(fault)
                else:
                    modules.pop(alias.asname or alias.name, None)
                    if isinstance(thing, ModuleType):
                        modules[alias.asname or alias.name] = thing


def _imported(module: str, name: str) -> object:
    """What ``from module import name`` gives."""
    thing = importlib.import_module(module)
    if not hasattr(thing, name):
        try:
            return importlib.import_module(f"{module}.{name}")
        except ModuleNotFoundError:
            raise ImportError(f"{module} has no {name}") from None
    return getattr(thing, name)


def _attributes(tree: ast.AST, modules: dict[str, ModuleType]) -> Iterator[tuple[int, str]]:
    """What is taken from a module of the package that does not have it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = modules.get(node.value.id)
            if module and not hasattr(module, node.attr):
                yield node.lineno, f"{module.__name__} has no {node.attr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_snippet_of_a_page_can_be_run(page):
    text = page.read_text(encoding="utf-8")
    assert complaints(text, page.suffix == ".py", GIVEN.get(page.name, set())) == []


def test_labs_and_chapters_have_snippets():
    counts = {
        page.name: sum(
            code.kind == "snippet"
            for code in code_on(page.read_text("utf-8"), page.suffix == ".py")
        )
        for page in PAGES
    }
    assert counts["ch2_trust_dynamics.md"] >= 3
    assert sum(number for name, number in counts.items() if name.startswith("lab")) >= 3


LAB = """\
# %% [markdown]
# Run this:
#
# ```python
# model = zoo.load("gpt2")
# ```

# %%
from helpers import zoo

# from helpers.zoo import loading
# loading.load("add-d5")
# %% [markdown]
# ```python
# print(zoo.load("add-d5"))
# ```
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("from helpers import zoo", "zoo = 1", "line 5: zoo is bound nowhere"),
        ("# print(zoo.load(", "# print(zoo.lode(", "line 15: helpers.zoo has no lode"),
        ("# print(zoo.load(", "# print(zoo.load((", "line 15: no Python"),
        ("# from helpers.zoo import loading", "# from helpers.zoo import nothing", "line 11"),
        ("# loading.load(", "# loading.lode(", "line 12: helpers.zoo.loading has no lode"),
        ("# loading.load(", "# lading.load(", "line 12: lading is bound nowhere"),
        ("# from helpers.zoo import", "# from helpers.gone import", "No module named"),
    ],
)
def test_what_cannot_be_run_is_found(old, new, said):
    assert complaints(LAB.replace("zoo.load", "print", 1), True, {"zoo"}) == []
    assert said in "\n".join(complaints(LAB.replace(old, new, 1), True, set()))


def test_names_of_earlier_snippets_and_cells_are_known_later():
    assert complaints(LAB, True, set()) == ["line 5: zoo is bound nowhere"]
    assert complaints("```python\na = 1\n```\n\n```python\nprint(a)\n```\n", False, set()) == []
    assert complaints("```text\nprint(a)\n```\n", False, set()) == []

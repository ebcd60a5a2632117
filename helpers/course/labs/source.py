"""From the one source of a lab (jupytext py:percent) to its three notebooks: student, solution,
page of the book.

A source marks what the student has to write, and checks it before the next exercise begins::

    # %%
    def logit_difference(logits, right, wrong):
        # BEGIN SOLUTION
        return logits[..., right] - logits[..., wrong]
        # END SOLUTION

    # %%
    check("lab0.3", logit_difference)

In the student notebook the lines from BEGIN to END are one ``raise NotImplementedError("lab0.3:
...")``. Exactly one cell has the tag ``setup``: it calls ``runtime.start("lab0")``.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from helpers.errors import LabError, optional

if TYPE_CHECKING:
    from nbformat import NotebookNode

SETUP = "setup"

_EVENT = re.compile(
    r"^#[ \t]*%%+(?P<cell>[ \t].*)?$"
    r"|^(?P<before>.*?)#[ \t]*(?P<mark>BEGIN|END)[ \t]+SOLUTION\b.*$"
    r"|^[ \t]*check\(\s*[\"'](?P<check>[^\"']*)[\"']",
    re.MULTILINE | re.IGNORECASE,
)
_ONLY_CHECK = re.compile(r"\s*check\((?:[^()]|\([^()]*\))*\)\s*")
_START = re.compile(r"runtime\.start\(\s*[\"']([^\"']+)[\"']")


@dataclass(frozen=True)
class Region:
    """Lines of one solution, with its marks, counted from 1, and the exercise that it answers."""

    first: int
    last: int
    exercise: str


@dataclass(frozen=True)
class Lab:
    """A lab whose source has been read and found well formed.

    Attributes:
        name: ``"lab0"``, as the set-up cell and the exercises call it.
        title: the text of its first heading.
        regions: the solutions, in the order of the file.
        text: the source.
    """

    name: str
    title: str
    regions: tuple[Region, ...]
    text: str

    @property
    def exercises(self) -> tuple[str, ...]:
        """Names of the exercises, in the order of the lab."""
        return tuple(dict.fromkeys(region.exercise for region in self.regions))


def read(text: str, where: str = "lab source") -> Lab:
    """Read the source of a lab and refuse a malformed one.

    Args:
        text: the source, in jupytext's py:percent format.
        where: the file's name, for messages.

    Raises:
        LabError: naming file and line: marks that are unbalanced, nested, empty, inside prose or
            across cells; an exercise checked twice, or not at all, or under another lab's name; no
            single set-up cell.

    >>> source = '# %% tags=["setup"]\\nruntime.start("lab9")\\n# %% [markdown]\\n# # Lab 9\\n'
    >>> read(source).name, read(source).title, read(source).exercises
    ('lab9', 'Lab 9', ())
    """
    name = _setup_name(text, where)
    heading = re.search(r"^# # (.+)$", text, re.MULTILINE)
    if not heading:
        raise LabError(f"{where}: expected a heading '# # Title' in a Markdown cell", "got none")
    return Lab(name, heading.group(1).strip(), tuple(_regions(text, name, where)), text)


def _setup_name(text: str, where: str) -> str:
    headers = list(re.finditer(r"^#[ \t]*%%.*[\"']" + SETUP + r"[\"'].*$", text, re.MULTILINE))
    hint = f'write one cell  # %% tags=["{SETUP}"]  that calls runtime.start("labN")'
    if len(headers) != 1:
        raise LabError(
            f"{where}: expected one cell tagged {SETUP!r}", f"got {len(headers)}", hint=hint
        )
    cell = re.split(r"^#[ \t]*%%", text[headers[0].end() :], maxsplit=1, flags=re.MULTILINE)[0]
    started = _START.search(cell)
    if not started:
        line = text.count("\n", 0, headers[0].start()) + 1
        raise LabError(
            f"{where}:{line}: expected the set-up cell to call runtime.start",
            "it does not",
            hint=hint,
        )
    return started.group(1)


class _Walk:
    """State of a reading: the cell, the open region, the solutions that wait for a check."""

    def __init__(self, text: str, lab: str, where: str) -> None:
        self.text, self.lab, self.where = text, lab, where
        self.lines = text.split("\n")
        self.code, self.opened, self.prose_since = True, 0, False
        self.pending: list[tuple[int, int]] = []
        self.seen: dict[str, int] = {}

    def fail(self, line: int, expected: str, got: str, hint: str = "") -> LabError:
        return LabError(f"{self.where}:{line}: expected {expected}", f"got {got}", hint=hint)

    def cell(self, line: int, header: str) -> None:
        if self.opened:
            raise self.fail(
                line,
                f"'# END SOLUTION' for the mark in line {self.opened}",
                "the start of another cell",
            )
        self.code = not re.search(r"\[(markdown|md|raw)\]", header)
        self.prose_since |= not self.code

    def mark(self, line: int, before: str, kind: str) -> None:
        if not self.code or before.strip():
            raise self.fail(
                line, "a solution mark alone on a line of a code cell", self.lines[line - 1].strip()
            )
        if kind == "BEGIN":
            self._begin(line)
        elif not self.opened:
            raise self.fail(line, "'# BEGIN SOLUTION' before", "'# END SOLUTION'")
        elif not "".join(self.lines[self.opened : line - 1]).strip():
            raise self.fail(self.opened, "a solution between the marks", "nothing")
        else:
            self.pending.append((self.opened, line))
            self.opened = 0

    def _begin(self, line: int) -> None:
        if self.opened:
            raise self.fail(
                line,
                f"'# END SOLUTION' for the mark in line {self.opened}",
                "a second '# BEGIN SOLUTION'",
            )
        if self.pending and self.prose_since:
            raise self._unchecked()
        self.opened, self.prose_since = line, False

    def _unchecked(self) -> LabError:
        hint = f'add a cell  check("{self.lab}.k", answer)  after the exercise'
        return self.fail(
            self.pending[0][0],
            "a check after this solution",
            "none before the next exercise or the end",
            hint,
        )

    def check(self, line: int, name: str) -> list[Region]:
        if not re.fullmatch(re.escape(self.lab) + r"\.\w+", name):
            raise self.fail(line, f"an exercise of this lab, as {self.lab}.1", repr(name))
        if name in self.seen:
            raise self.fail(
                line,
                "every exercise to be checked once",
                f"{name} again",
                f"first in line {self.seen[name]}",
            )
        if not self.pending:
            raise self.fail(line, f"a marked solution before the check of {name}", "none")
        self.seen[name] = line
        regions, self.pending = [Region(first, last, name) for first, last in self.pending], []
        return regions

    def finish(self) -> None:
        if self.opened:
            raise self.fail(self.opened, "'# END SOLUTION' for this mark", "the end of the file")
        if self.pending:
            raise self._unchecked()


def _regions(text: str, lab: str, where: str) -> list[Region]:
    walk, regions = _Walk(text, lab, where), []
    for event in _EVENT.finditer(text):
        line = text.count("\n", 0, event.start()) + 1
        if event["mark"]:
            walk.mark(line, event["before"], event["mark"].upper())
        elif event["check"] is None:
            walk.cell(line, event["cell"] or "")
        elif walk.code and not walk.opened:
            regions += walk.check(line, event["check"])
    walk.finish()
    return regions


def stubbed(lab: Lab) -> str:
    """The source with every solution replaced by a line that raises ``NotImplementedError``."""
    lines = lab.text.split("\n")
    for region in reversed(lab.regions):
        mark = lines[region.first - 1]
        indent = mark[: len(mark) - len(mark.lstrip())]
        stub = f'{indent}raise NotImplementedError("{region.exercise}: write your answer here")'
        lines[region.first - 1 : region.last] = [stub]
    return "\n".join(lines)


def solved(lab: Lab) -> str:
    """The source with the solutions in place and their marks gone."""
    marks = {line for region in lab.regions for line in (region.first, region.last)}
    return "\n".join(
        line for number, line in enumerate(lab.text.split("\n"), start=1) if number not in marks
    )


def student_notebook(lab: Lab, badge: str = "", install: str = "") -> "NotebookNode":
    """What the student opens: stubs, no outputs, a badge on top and an install line in the set-up
    cell.

    Args:
        badge: Markdown of the first cell; none where empty.
        install: code put before the set-up cell's own; none where empty.
    """
    return _notebook(lab, stubbed(lab), badge, install)


def solution_notebook(lab: Lab, badge: str = "", install: str = "") -> "NotebookNode":
    """The same notebook with the solutions in place."""
    return _notebook(lab, solved(lab), badge, install)


def _notebook(lab: Lab, text: str, badge: str, install: str) -> "NotebookNode":
    with optional("book"):
        from nbformat.v4 import new_code_cell, new_markdown_cell

    cells = [new_markdown_cell(badge)] if badge else []
    for cell in _cells(text):
        tags = cell.metadata.get("tags", [])
        source = install + cell.source if SETUP in tags else cell.source
        new = new_code_cell if cell.cell_type == "code" else new_markdown_cell
        cells.append(new(source, metadata={"tags": tags} if tags else {}))
    return _assemble(lab, cells)


def read_for_book(text: str) -> "NotebookNode":
    """Reader of lab sources for myst-nb: solutions folded away under their stubs, checks reduced to
    what they print.

    In the book's configuration: ``nb_custom_formats: {.py:
    [helpers.course.labs.source.read_for_book, {}]}``.
    """
    with optional("book"):
        from nbformat.v4 import new_markdown_cell

    lab = read(text)
    cells = []
    for stub, cell in zip(_cells(stubbed(lab)), _cells(solved(lab)), strict=True):
        tags = list(cell.metadata.get("tags", []))
        if stub.source != cell.source:
            fence = "~~~~" if "```" in stub.source else "```"
            cells.append(new_markdown_cell(f"{fence}python\n{stub.source}\n{fence}"))
            tags.append("hide-input")
            cell.metadata["mystnb"] = {
                "code_prompt_show": "Show the solution",
                "code_prompt_hide": "Hide the solution",
            }
        elif cell.cell_type == "code" and re.fullmatch(_ONLY_CHECK, cell.source):
            tags.append("remove-input")
        if tags:
            cell.metadata["tags"] = tags
        cells.append(cell)
    return _assemble(lab, cells)


def _cells(text: str) -> list["NotebookNode"]:
    with optional("book"):
        import jupytext

    return jupytext.reads(text, fmt="py:percent").cells


def _assemble(lab: Lab, cells: list["NotebookNode"]) -> "NotebookNode":
    """A notebook whose cell ids follow from its content: one source gives the same bytes."""
    from nbformat.v4 import new_notebook

    count: dict[str, int] = {}
    for cell in cells:
        content = f"{lab.name}\n{cell.cell_type}\n{cell.source}"
        count[content] = count.get(content, 0) + 1
        cell["id"] = hashlib.sha256(f"{content}\n{count[content]}".encode()).hexdigest()[:12]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )

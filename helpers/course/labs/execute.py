"""Run a notebook's cells in this process, in one namespace: to score it and to time it."""

import linecache
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from helpers.course import sheet

if TYPE_CHECKING:
    from nbformat import NotebookNode


@dataclass(frozen=True)
class Failure:
    """A cell that raised: its place among the code cells, the exception's class, the traceback."""

    cell: int
    kind: type[BaseException]
    traceback: str


@dataclass(frozen=True)
class NotebookRun:
    """What a run left: the scores, the cells that failed, and the notebook's variables."""

    sheet: sheet.Sheet
    failures: tuple[Failure, ...]
    namespace: dict[str, object]


Namespace: TypeAlias = dict[str, object]
Step: TypeAlias = Callable[[str, str, Namespace], None]
"""Runs a cell: its code without magics, the name of its file, the notebook's variables."""


def run_cell(code: str, filename: str, namespace: Namespace) -> None:
    """Run the code of a cell."""
    exec(compile(code, filename, "exec"), namespace)


class _Shell:
    """What ``get_ipython()`` gives here: magics and shell commands do nothing."""

    def run_line_magic(self, *_: object, **__: object) -> None: ...

    def run_cell_magic(self, *_: object, **__: object) -> None: ...

    def system(self, *_: object) -> None: ...

    def getoutput(self, *_: object) -> list[str]:
        return []


def run_notebook(
    notebook: "NotebookNode", name: str = "notebook", step: Step = run_cell
) -> NotebookRun:
    """Run every code cell in order, going on after a cell that raises, as "Run all" with a patient
    reader would.

    The checks record on a sheet of this run alone.

    Args:
        step: Runs a cell.
    """
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return run_cells(sources, name, step)


def run_cells(sources: Iterable[str], name: str = "notebook", step: Step = run_cell) -> NotebookRun:
    """Run the given cells as one notebook.

    Args:
        step: Runs a cell.

    >>> run = run_cells(["a = 1", "%matplotlib inline", "1 / 0", "b = a + 1"])
    >>> run.namespace["b"], [(failure.cell, failure.kind.__name__) for failure in run.failures]
    (2, [(2, 'ZeroDivisionError')])
    """
    from IPython.core.inputtransformer2 import TransformerManager
    from IPython.display import display

    shell, transform = _Shell(), TransformerManager().transform_cell
    namespace: Namespace = {
        "__name__": "__main__",
        "get_ipython": lambda: shell,
        "display": display,
    }
    failures = []
    with sheet.fresh() as scores:
        for number, source in enumerate(sources):
            filename = f"<{name} cell {number}>"
            code = transform(source)
            linecache.cache[filename] = (
                len(code),
                None,
                code.splitlines(keepends=True),
                filename,
            )  # for error messages
            try:
                step(code, filename, namespace)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a notebook's cell may raise anything
                failures.append(Failure(number, type(error), traceback.format_exc()))
    return NotebookRun(scores, tuple(failures), namespace)

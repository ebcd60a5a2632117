"""From the one source of a lab to its notebooks, and running them.

`source` reads a lab and makes the notebooks of student, teacher and page; `folder` finds the labs
of a clone; `notebooks` writes what is generated; `execute` runs a notebook's cells in this process;
`measure` takes the time and memory of a lab.
"""

from helpers.course.labs.execute import NotebookRun, run_cells, run_notebook
from helpers.course.labs.folder import lab_files, load
from helpers.course.labs.source import Lab, read, read_for_book, solution_notebook, student_notebook

__all__ = [
    "Lab",
    "NotebookRun",
    "lab_files",
    "load",
    "read",
    "read_for_book",
    "run_cells",
    "run_notebook",
    "solution_notebook",
    "student_notebook",
]

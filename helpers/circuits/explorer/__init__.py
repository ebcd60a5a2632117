"""The view of Lab 4 and of the page: tasks, heads, codes, and any circuit that a reader chooses.

`data` says what the view shows of a task, `encoding` makes it small, and `page` writes it into a
page, with tables for readers without JavaScript.
"""

from helpers.circuits.explorer.data import Code, TaskPage, count_codes
from helpers.circuits.explorer.page import circuit_explorer, read_texts

__all__ = ["Code", "TaskPage", "circuit_explorer", "count_codes", "read_texts"]

"""The view of Lab 5: a fact, a place to edit it, and what moves along the way.

`data` runs the model along the edits' ways, and `page` writes what it says into a page, with a
table for readers without JavaScript.
"""

from helpers.knowledge.explorer.data import POINTS, FactPage, collect
from helpers.knowledge.explorer.page import edit_explorer

__all__ = ["POINTS", "FactPage", "collect", "edit_explorer"]

"""What a lab shows: figures with alt text, tables and rates in words, and interactive views.

Figures are drawn through the modules: ``from helpers.show import plots`` (or `grids`, `pictures`).
They load matplotlib; the names below do not.
"""

from helpers.show.tables import claims, markdown, percent, rate, say, short, table
from helpers.show.viewer import View, embed

__all__ = ["View", "claims", "embed", "markdown", "percent", "rate", "say", "short", "table"]

"""The addition explorer: a page that works without a kernel, and the live version with ipywidgets.

`data` runs the model, `page` and `live` show it, `outcome` is one run of the live explorer.
"""

from helpers.arithmetic.explorer.data import precompute
from helpers.arithmetic.explorer.live import live_explorer
from helpers.arithmetic.explorer.page import addition_explorer

__all__ = ["addition_explorer", "live_explorer", "precompute"]

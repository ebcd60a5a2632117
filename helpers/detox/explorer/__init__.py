"""The view of Part 5: the weight λ moved by hand, what a tuned model says before and after.

`data` reads the stored sweep over λ, and `page` writes it into a page, with a table for readers
without JavaScript.
"""

from helpers.detox.explorer.data import MEASURED, WeightStop, WeightSweep, sweeps
from helpers.detox.explorer.page import weight_explorer

__all__ = ["MEASURED", "WeightStop", "WeightSweep", "sweeps", "weight_explorer"]

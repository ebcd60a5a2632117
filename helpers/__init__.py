"""Helpers of the lab book *Trustworthy Circuits*: the papers' methods, their controls and their
ground truths.

Importing the package loads nothing heavy. Import the module that you need::

    from helpers import zoo
    model = zoo.load("add-d5")
"""

__version__ = "0.1.0"

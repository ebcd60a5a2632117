"""The view of Lab 3: a slider over training, with the map of probe accuracies and its controls."""

from helpers.trust.explorer.page import dynamics_view

__all__ = ["dynamics_view"]

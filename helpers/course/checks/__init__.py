"""The checks of the exercises, one module per lab, found by the lab's name."""

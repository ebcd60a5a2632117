"""A study whose policies of seed 0 wrote posts, in no time."""

from dataclasses import replace

from helpers.detox.study import DetoxPlan, DetoxStudy
from tests.detox.study import fakes

LABELS = ("kind", "rude", "garbled")
PLAN = DetoxPlan(seeds=3, weights=(5, 0.5, 10))
"""λ out of order, as a plan may have them."""
COUNT = 6


def posts_of(cell) -> list[list[str]]:
    """Posts that name their policy, with every label; which comes first depends on its key."""
    of = len(str(cell))
    labels = [LABELS[(of + number) % 3] for number in range(COUNT)]
    return [
        [label, f"<begin> mara : post {number} of {cell.kind} {' '.join(cell.of)} <b> ."]
        for number, label in enumerate(labels)
    ]


def study(plan: DetoxPlan = PLAN) -> DetoxStudy:
    """All cells of a plan, those of seed 0 with posts to be read."""
    made = fakes.study(plan)
    cells = {
        cell: result if cell.seed else {**result, "said": posts_of(cell)}
        for cell, result in made.cells.items()
    }
    return replace(made, cells=cells)

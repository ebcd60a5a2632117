"""Tables of all rivals of tuning under a constraint: what they say, and what went with it."""

from collections.abc import Callable

import numpy as np

from helpers.book.detox_numbers import EVERYTHING, measure, plainly, rows_of, told
from helpers.detox.study import DetoxCell, DetoxStudy
from helpers.detox.study.least import beyond_least
from helpers.detox.study.summaries import measured, once_rude, skills
from helpers.show import markdown


def everything_said(study: DetoxStudy) -> str:
    """All rivals: what they say."""
    head = ["model", "rude", "garbled", "rude at least once in 25"]
    head += ["clean posts, perplexity", "other text, perplexity"]
    columns = [
        measure("rude"),
        measure("sampled garbled"),
        lambda study, cell: told(once_rude(study, cell), 2),
        measure("clean posts", 2),
        measure("other text", 2),
    ]
    return markdown(head, rows_of(study, EVERYTHING, columns), numbers=len(head) - 1)


def everything_lost(study: DetoxStudy) -> str:
    """All rivals: how far they went, and what went with it."""
    rows = []
    for name, cell in EVERYTHING.items():
        least, beyond = beyond_least(study, cell)
        found = skills(study, cell)
        worst = min(found, key=lambda skill: found[skill].mean)
        points = plainly(f"{100 * found[worst].mean:.1f}")
        rows.append(
            [
                name,
                told(measured(study, cell, "KL to the base"), 2),
                f"{least.mean:.2f}" if least else "–",
                told(beyond, 2),
                f"{points} ({worst})" if found[worst].mean < 0 else points,
                told(measured(study, cell, "kind insults"), 2),
                f"{_mean(study, cell, lambda one: one['distinct']['2']):.2f}",
                f"{_mean(study, cell, lambda one: one['judge']['pairs']['share']):.3f}",
            ]
        )
    head = ["model", "KL to the base", "least", "beyond", "worst skill, points", "kind uses"]
    head += ["distinct pairs", "the judge: rude"]
    return markdown(head, rows, numbers=len(head) - 1)


def _mean(study: DetoxStudy, cell: DetoxCell, read: Callable[[dict], float]) -> float:
    return float(np.mean([read(one) for one in study.seeds(cell)]))

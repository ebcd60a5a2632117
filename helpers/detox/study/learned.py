"""What the study found of learned oracles and of models that detect, as rows with intervals.

Oracles of one seed learn from the same samples, and detectors of one seed from the same labels:
they are compared seed by seed. An oracle's error is exact, so seeds are the only chance here.
"""

from collections.abc import Callable

import numpy as np

from helpers.detox.study.groups import DETECTORS, ORACLES
from helpers.detox.study.plan import HOWS, detection_cell, oracle_cell
from helpers.detox.study.stored import DetoxStudy
from helpers.detox.study.summaries import Row
from helpers.errors import LabError
from helpers.files.cells import Result
from helpers.stats import crossed_bootstrap


def oracles(study: DetoxStudy) -> list[Row]:
    """Every learned oracle: its mean error against the exact R, and what decoding with it gives."""
    found = []
    for kind, samples, steps, how in ORACLES:
        cells = study.seeds(oracle_cell(kind, samples, steps, how, 0))
        row: Row = {"kind": kind, "samples": samples, "steps": steps, "regulariser": how}
        for name, read in ORACLE_MEASURES.items():
            row[name] = crossed_bootstrap(np.array([[read(cell)] for cell in cells], dtype=float))
        found.append(row)
    return found


ORACLE_MEASURES: dict[str, Callable[[Result], float]] = {
    "mean error": lambda cell: cell["mean error"],
    "rmse": lambda cell: cell["rmse"],
    "rude": lambda cell: cell["guided"]["rude"],
    "garbled": lambda cell: cell["guided"]["garbled"],
    "CPU seconds": lambda cell: sum(cell["seconds"].values()),
}


def regulariser(study: DetoxStudy, how: str = "expected first") -> list[Row]:
    """For every number of samples and steps: what the regulariser adds to each measure of an
    oracle, seed by seed.

    Raises:
        LabError: No such regulariser.
    """
    if how not in HOWS or how == NONE:
        raise LabError("expected a regulariser: expected first, own first", f"got {how!r}")
    found = []
    for kind, samples, steps, of in ORACLES:
        if (kind, of) != ("separate", how):
            continue
        pair = [study.seeds(oracle_cell(kind, samples, steps, each, 0)) for each in (how, NONE)]
        row: Row = {"samples": samples, "steps": steps}
        for name, read in ORACLE_MEASURES.items():
            mine, without = (np.array([[read(cell)] for cell in cells]) for cells in pair)
            row[f"more {name}"] = crossed_bootstrap(mine - without)
        found.append(row)
    return found


NONE = "no regulariser"


def detectors(study: DetoxStudy) -> list[Row]:
    """Every arm that writes and detects: AUC of its verdicts, and what it writes."""
    found = []
    for arm, labels, noise in DETECTORS:
        cells = study.seeds(detection_cell(arm, labels, noise, 0))
        row: Row = {"arm": arm, "labels": labels, "noise": noise}
        for name in ("auc", "rude", "garbled"):
            values = np.array([[cell[name]] for cell in cells], dtype=float)
            row[name] = crossed_bootstrap(values)
        found.append(row)
    return found

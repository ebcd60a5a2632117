"""Figures of the chapter on tuning under a constraint, from the stored study, as SVG."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.book.charts import Axis, Panel, figure
from helpers.book.detox_numbers import (
    BASE_CELL,
    EVERYTHING,
    LONGER,
    STEPS,
    TUNINGS,
    number,
    there,
)
from helpers.detox.exact.fixed_point import floor
from helpers.detox.study import DetoxCell, DetoxStudy, method_cell
from helpers.detox.study.groups import FITS, MAIN, SILENT
from helpers.detox.study.learned import oracles
from helpers.detox.study.least import least_kl
from helpers.detox.study.plan import HIGH, oracle_cell
from helpers.detox.study.summaries import RUDE_SHARE
from helpers.stats import Spread

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6E6E6E"
WEIGHTS = (0.5, 1, 2, 5, 10)
COSTS = ("KL to the base", "CPU seconds")
SHARES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)


def _ends(spread: Spread) -> tuple[float, float]:
    return spread.low, spread.high


def floor_law(study: DetoxStudy) -> str:
    """The floor, and what was measured of it, for every λ."""
    panel = Panel(
        Axis("λ", WEIGHTS, log=True),
        Axis("share of rude posts", (0.01, 0.02, 0.05, 0.1, 0.2, 0.5), log=True),
        width=520,
        height=300,
    )
    fine = np.geomspace(WEIGHTS[0], WEIGHTS[-1], 41).tolist()
    panel.curve([(weight, floor(RUDE_SHARE, weight)) for weight in fine], GREY)
    for setting, steps, colour, shape in (
        (MAIN, STEPS, BLUE, "open circle"),
        (MAIN, LONGER, BLUE, "circle"),
        (SILENT, STEPS, ORANGE, "triangle"),
    ):
        for weight in WEIGHTS:
            cell = method_cell(setting, weight, steps, 0)
            if not there(study, cell):
                continue
            found = number(study, cell, "rude")
            panel.mark((weight, found.mean), colour, shape, _ends(found))
    return figure(
        "The floor τ/(1+λ), and the rude share after tuning for every λ",
        [panel],
        [
            (GREY, "line", "τ/(1+λ), τ = ½"),
            (BLUE, "open circle", "τ = ½, 120 steps"),
            (BLUE, "circle", "τ = ½, 360 steps"),
            (ORANGE, "triangle", "no forum, 120 steps"),
        ],
    )


KINDS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (ORANGE, "triangle", "filters", ("word filter", "exact filter", "exact filter, 360 steps")),
    (
        PINK,
        "diamond",
        "rejection sampling",
        (
            "rejection sampling",
            "rejection sampling, three rounds",
            "rejection sampling, 360 steps",
        ),
    ),
    (
        GREEN,
        "square",
        "at decoding time",
        (
            "insult words masked",
            "decoding with the oracle",
            "DExperts, α = 1",
            "DExperts, α = 2",
        ),
    ),
    (GREY, "cross", "DPO, GRPO", ("DPO", "GRPO")),
)
"""Rivals of a figure: colour, shape, name of the kind, and which they are."""
LABELS: dict[str, tuple[str, tuple[float, float], tuple[float, float]]] = {
    "word filter": ("words", (9, 12), (9, 9)),
    "exact filter": ("exact", (9, 18), (-30, 18)),
    "exact filter, 360 steps": ("exact, 360", (9, -4), (9, 14)),
    "rejection sampling": ("one round", (-60, 19), (9, -6)),
    "rejection sampling, three rounds": ("three", (9, 2), (-42, 13)),
    "rejection sampling, 360 steps": ("one, 360", (-24, 20), (9, -2)),
    "insult words masked": ("masked", (-10, -10), (0, 0)),
    "decoding with the oracle": ("oracle", (-20, 19), (-46, 4)),
    "DExperts, α = 1": ("α = 1", (9, 8), (9, 14)),
    "DExperts, α = 2": ("α = 2", (9, 4), (-44, 14)),
    "DPO": ("DPO", (9, 4), (-12, -10)),
    "GRPO": ("GRPO", (9, 4), (-16, -10)),
}
"""What stands beside a rival's mark, and where in each panel, in pixels from it."""
AT_LONGER = {
    (True, MAIN): (-86.0, 24.0),
    (True, SILENT): (-30.0, -11.0),
    (False, MAIN): (9.0, 4.0),
    (False, SILENT): (9.0, 4.0),
}
"""Where "360 steps" stands: by whether the panel is that of distances, and by corpus."""
UNTUNED = "insult words masked"


def pareto(study: DetoxStudy) -> str:
    """How rude, at which distance from the base and for how much computing."""
    far = Panel(
        Axis("share of rude posts", SHARES, log=True),
        Axis("KL to the base, nats", (0.03, 0.1, 0.3, 1, 3, 10, 20), log=True),
        "distance",
        width=370,
        height=330,
    )
    dear = Panel(far.x, Axis("CPU seconds of tuning", (0, 20, 40, 60, 80)), "price", 370, 330)
    far.curve(_least(study), GREY, "6 4")
    for setting, shape in ((MAIN, "circle"), (SILENT, "open circle")):
        cells = [method_cell(setting, weight, STEPS, 0) for weight in WEIGHTS]
        cells.append(method_cell(setting, HIGH, LONGER, 0))
        for panel, cost in zip((far, dear), COSTS, strict=True):
            points = [_point(study, cell, cost) for cell in cells]
            panel.curve(points[:-1], BLUE, wide=1)
            for point in points:
                panel.mark(point, BLUE, shape)
            panel.label("360 steps", points[-1], AT_LONGER[panel is far, setting])
    for colour, shape, _, names in KINDS:
        for name in names:
            words, *places = LABELS[name]
            for panel, cost, by in zip((far, dear), COSTS, places, strict=True):
                if panel is dear and name == UNTUNED:
                    continue
                point = _point(study, EVERYTHING[name], cost)
                panel.mark(point, colour, shape)
                panel.label(words, point, by)
    for panel, cost in zip((far, dear), COSTS, strict=True):
        panel.mark(_point(study, TUNINGS["plain, τ = ½"], cost), GREY, "open square")
    key = [
        (BLUE, "circle", "method, τ = ½, λ from ½ to 10"),
        (BLUE, "open circle", "method, no forum"),
        *((colour, shape, kind) for colour, shape, kind, _ in KINDS),
        (GREY, "open square", "plain tuning"),
        (GREY, "dashes", "least KL for that share"),
    ]
    return figure(
        "The rude share against the distance to the base, and against the price", [far, dear], key
    )


def _point(study: DetoxStudy, cell: DetoxCell, cost: str) -> tuple[float, float]:
    rude, dear = number(study, cell, "rude"), number(study, cell, cost)
    return max(rude.mean, SHARES[0]), dear.mean


def _least(study: DetoxStudy) -> list[tuple[float, float]]:
    """Least KL for a rude share, with garbled posts as rare among the others as in the base."""
    base = study.cell(BASE_CELL)
    points = []
    for rude in np.geomspace(SHARES[0], 0.4, 60).tolist():
        rest = (1 - rude) / (1 - base["rude"])
        shares = {"rude": rude} | {each: base[each] * rest for each in ("kind", "garbled")}
        points.append((rude, least_kl(shares, base)))
    return [(rude, nats) for rude, nats in points if nats > 0.03]


def calibrated(study: DetoxStudy) -> str:
    """How wrong learned oracles are: by the number of samples, and by where they are asked."""
    by_samples = Panel(
        Axis("samples, each seen 9.4 times", (512, 1024, 2048, 4096, 8192), log=True),
        Axis("mean error", (0, 0.05, 0.1, 0.15, 0.2)),
        "more samples",
        width=330,
    )
    by_depth = Panel(
        Axis("words said before", tuple(range(10))),
        Axis("mean error", (0, 0.2, 0.4, 0.6, 0.8)),
        "4,096 samples",
        width=330,
    )
    constant = study.seeds(oracle_cell("separate", *FITS[0], "no regulariser", 0))[0]["constant"]
    by_samples.curve([(FITS[0][0], constant), (FITS[-1][0], constant)], GREY, "6 4")
    found = oracles(study)
    for kind, how, colour, shape in DRAWN:
        rows = [
            row
            for row in found
            if (row["kind"], row["regulariser"]) == (kind, how)
            and (row["samples"], row["steps"]) in FITS
        ]
        by_samples.curve([(row["samples"], row["mean error"].mean) for row in rows], colour, wide=1)
        for row in rows:
            point = row["samples"], row["mean error"].mean
            by_samples.mark(point, colour, shape, _ends(row["mean error"]))
        line = _errors_by_depth(study, oracle_cell(kind, *FITS[2], how, 0))
        by_depth.curve(line, colour, wide=1)
        for point in line:
            by_depth.mark(point, colour, shape)
    key = [
        *((colour, shape, f"{NAMED[kind, how]}") for kind, how, colour, shape in DRAWN),
        (GREY, "dashes", "one chance for all"),
    ]
    return figure(
        "The mean error of learned oracles against the exact R", [by_samples, by_depth], key
    )


DRAWN: Sequence[tuple[str, str, str, str]] = (
    ("linear", "expected first", ORANGE, "triangle"),
    ("separate", "no regulariser", GREEN, "square"),
    ("separate", "expected first", BLUE, "circle"),
)
"""Oracles of the figure: kind, regulariser, colour, shape."""
NAMED = {
    ("linear", "expected first"): "a line on the model's states",
    ("separate", "no regulariser"): "own network, no regulariser",
    ("separate", "expected first"): "own network, regularised",
}


def _errors_by_depth(study: DetoxStudy, cell: DetoxCell) -> list[tuple[float, float]]:
    tables = [one["by depth"] for one in study.seeds(cell)]
    depths = sorted(tables[0], key=int)
    return [(int(depth), float(np.mean([each[depth] for each in tables]))) for depth in depths]


FIGURES: dict[str, Callable[[DetoxStudy], str]] = {
    "detox_floor.svg": floor_law,
    "detox_pareto.svg": pareto,
    "detox_oracles.svg": calibrated,
}
"""The figures by the name of their file."""
OF_GROUP = {"detox_oracles.svg": "oracles"}
"""Figures of a group of cells that a study need not have."""


def drawn_from(study: DetoxStudy) -> dict[str, str]:
    """The figures that a study has the numbers for."""
    return {
        name: draw(study)
        for name, draw in FIGURES.items()
        if OF_GROUP.get(name, study.plan.groups[0]) in study.plan.groups
    }

"""A study in no time, whose numbers follow from its keys by hand."""

from helpers import zoo
from helpers.changes import ChangePlan, ChangeStudy, change_cells

PLAN = ChangePlan(seeds=2, few=2)
BEFORE, AFTER = [0.5, 0.5], [0.1, 0.1]
STEPS = len(PLAN.attack_steps)


def result(cell, good=False):
    """What a question says; where it is good, its verdict holds."""
    return globals()[f"_{cell.question}"](cell, good)


def _probes(cell, good):
    young = cell.step is not None
    its = {"base's": 0.55 if young else 0.95, "own": 0.6 if young else 0.96, "shuffled": 0.5}
    if good is None and cell.seed is not None:  # the concept is gone
        its |= {"base's": 0.5, "own": 0.52}
    numbers = its | {"cosine": 0.5, "kept": 1.25}
    return {place: {n: [0.5, v] for n, v in numbers.items()} for place in ("noun", "end")}


def _groups(cell, good):
    back = [0.4, 0.4] if good else [0.2, 0.2]  # 3/4 or 1/4 of the change
    return {
        "base": BEFORE,
        "after": AFTER,
        "restored": {"MLP 0": AFTER, "unembedding": back},
        "transplanted": {"MLP 0": BEFORE, "unembedding": [0.3, 0.3]},
        "random": [0.12, 0.12],
        "same norm": [0.18, 0.18],
    }


def _offset(cell, good):
    moved = {"base, added": AFTER, "after, taken off": BEFORE}
    if not good:
        moved = {"base, added": BEFORE, "after, taken off": AFTER}
    moved |= {"base, random": BEFORE, "after, random": AFTER}
    share = 0.75 if good else 0.125
    block = {"vector": share, "directions": [share] * len(PLAN.dimensions), "length": 0.5}
    return {
        "base": BEFORE,
        "after": AFTER,
        "by block": [block] * 4,
        "moved": {"1": moved, "3": moved},
    }


def _attack(cell, good):
    slow = cell.step is not None or not good
    curve = [0.1, 0.1, 0.15, 0.2, 0.3] if slow else [0.1, 0.4, 0.4, 0.4, 0.4]
    its = {"rude": [[x, x] for x in curve], "norm": [0.25, 0.5, 1.0, 2.0, 4.0]}
    return {"after": AFTER, "4 posts": its, "64 posts": its}


def _neurons(cell, good):
    fifty = [0.4, 0.4] if good else [0.2, 0.2]
    ranked = {"10": [0.2, 0.2], "50": fifty, "200": fifty, "1024": BEFORE}
    random = {"50": AFTER, "200": [0.12, 0.12]}
    return {"base": BEFORE, "after": AFTER, "ranked": ranked, "random": random}


def _writers(cell, good):
    by = 0.0 if cell.seed is None else 1.0 + cell.seed
    return {
        "parts": ["L0H0", "L3M", "sum"],
        "plain": {"mean": [0.0, -by, -by]},
        "turned": {"mean": [0.0, by, by]},
    }


def _circuits(cell, good):
    return {"shared": 0.5, "base again": 0.75, "after again": 0.625, "chance": 0.05}


def _masks(cell, good):
    its = {"share": 0.125, "chance": 0.0625}
    across = {"share": 0.0938, "chance": 0.0625}
    return {"shared": its, "shared, other seed": across, "base again": its, "after again": its}


def study(good=False):
    """All cells of a plan."""
    cells = {cell: result(cell, good) for cell in change_cells(PLAN)}
    return ChangeStudy(zoo.entry("tinyworld").sha256, PLAN, cells)

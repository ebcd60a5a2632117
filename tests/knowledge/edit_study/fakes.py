"""A whole study of edits in no time: numbers that follow from a cell's key by simple rules."""

import zlib

import numpy as np

from helpers.knowledge.edit_study import EditPlan
from helpers.knowledge.edit_study.measuring import TIMES
from helpers.knowledge.edit_study.summaries import AT, EFFECTS
from helpers.knowledge.editing.published import WAYS
from helpers.knowledge.study import Measured

PLAN = EditPlan(facts=6, seeds=2, orders=2)
GRADIENTS = {
    "circuit": 5.0,
    "complement": 20.0,
    "uniform": 4.0,
    "per tensor": 6.0,
    "magnitude": 4.5,
    "gradient": 12.0,
    "everything": 21.0,
    "as long": 5.0,
    "as large": 5.2,
}
SIBLINGS = {"circuit": 0.75, "per tensor": 0.5}


def drawn(cell, *shape):
    return np.random.default_rng(zlib.crc32(str(cell).encode())).random(shape).round(4)


def edited(cell, siblings=0.25):
    """Effects of which siblings are known, one fact without any."""
    found = {name: drawn(f"{cell}{name}", PLAN.facts).tolist() for name in EFFECTS}
    return found | {"siblings": [siblings] * (PLAN.facts - 1) + [None]}


def arm(cell):
    """Changes that are 4 over the gradient: a slope of -1 and no resistance anywhere."""
    first = GRADIENTS[cell.of[0]] * (1 + drawn(cell, PLAN.facts) / 5)
    needed = [*(4 / first[:-1]).tolist(), None]
    return {
        "kept": 100,
        "first": first.tolist(),
        "needed": needed,
        "nll_at": drawn(cell, len(AT), PLAN.facts).tolist(),
        "undone": 0,
        "effects": edited(cell, SIBLINGS.get(cell.of[0], 0.25)),
    }


def published(cell):
    facts = PLAN.facts
    one = {
        "nll": [[5 - time / 100] * facts for time in TIMES],
        "end": [0.5] * 2 + [4.0] * (facts - 2),
        "stopped": [1] + [0] * (facts - 1),
        "floor": 0.01,
        "uniform": 6.9,
        "allowed": None,
    }
    return {
        "ways": {
            w: one | dict.fromkeys(("true_before", "gradient", "moved"), [1.0] * facts)
            for w in WAYS
        }
    }


def standing(edits, order):
    names = ("efficacy", "reached", "retention", "retained", "paraphrase", "locality", "moved")
    return {"edits": edits, **dict.fromkeys(names, order / 2), "perplexity": 3.0, "undone": 0}


def decoded(cell):
    facts = PLAN.facts
    one = {"led": [[1, 1]] * 3 + [[1, 0]] * 3, "free": [1] * 3 + [0] * 3, "answers": [1] * facts}
    one |= {"same_text": [[1, 0, 0, 0, 0]] * facts, "new_text": [[1, 1, 0, 0, 0]] * facts}
    one |= {"undisturbed": [[1] * 5] * facts, "reached": [1] * facts}
    return {"half": one, "sure": one}


def traced(cell):
    """States at the last place restore more, layer by layer; elsewhere nothing."""
    facts = PLAN.facts
    sign = 1 if cell.of[2] == "restore" else -1
    base = 0.1 if sign == 1 else 0.9
    patched = [
        [[base] * facts, [base] * facts, [base + sign * 0.2 * (layer + 1)] * facts]
        for layer in range(4)
    ]
    return {"clean": [0.9] * facts, "corrupted": [0.1] * facts, "patched": patched}


def rival(cell):
    """Rank-one edits succeed where tracing says, and nowhere else."""
    effects = edited(cell)
    if cell.of[0] == "rank-one":
        at = (int(cell.of[1]) + 1) / 4 if cell.of[2] == "last" else 0.0
        effects |= {"efficacy": [at] * PLAN.facts, "paraphrase": [at] * PLAN.facts}
    facts = PLAN.facts
    return {
        "moved": [1.0] * facts,
        "reached": [1] * facts,
        "undone": [0] * facts,
        "effects": effects,
    }


def result(cell):
    if cell.kind == "masks":
        return {"kept": {"0.05": 100}}
    if cell.kind == "series":
        return {"standings": [standing(edits, int(cell.of[1])) for edits in (1, 50)]}
    if cell.kind == "denials":
        return {"a frame": {"true": [0.5, 0.7], "right": [1, 0]}}
    if cell.kind == "two hop":
        kinds = {"efficacy": 0.5, "members": 0.75, "strangers": 0.5, "kinds": 1.0}
        return {name: [value] * 4 for name, value in kinds.items()} | {"reached": [1] * 4}
    makers = {
        "arms": arm,
        "published": published,
        "decoding": decoded,
        "rivals": rival,
        "tracing": traced,
    }
    return makers[cell.kind](cell)


def fake(cell, plan, folder, masks):
    """What stands in for `measure_cell`."""
    return Measured(result(cell), {})

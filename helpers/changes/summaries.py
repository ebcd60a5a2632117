"""What was found, as rows with intervals.

A number has two sources of chance: the seed of a tuning, and the prompt. Both are drawn anew in
every resample; with so few of each the intervals are rough, and rather too narrow. How much of a
change is *undone* is (share now - share after) / (share before - share after), for each seed and
prompt: 0 is the model after, 1 the model before. Plain tuning changes nothing that could be undone:
it has no such numbers.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.changes.plan import BASE, CHECKPOINT, EMERGENCE, ChangeCell, models_of
from helpers.changes.stored import ChangeStudy
from helpers.errors import LabError
from helpers.files.cells import Result
from helpers.inputs import array_of, finite
from helpers.stats import Spread, crossed_bootstrap, spread_or_none

Row = dict[str, Any]
LEAST_CHANGE = 0.1
"""A change of the rude share that is smaller than this is none that could be undone."""
Read = Callable[[Result], Any]


def shares(study: ChangeStudy, question: str, model: str, read: Read) -> Float[ndarray, "seed n"]:
    """Numbers of every tuning of a model, one a prompt or a site.

    Args:
        read: Takes them from the numbers of a cell.

    Raises:
        LabError: A cell that was not measured.
    """
    rows = [np.atleast_1d(read(cell)) for cell in study.seeds(question, model)]
    return np.array(rows, dtype=float)


def undone(
    before: Float[ndarray, "seed prompt"],
    after: Float[ndarray, "seed prompt"],
    now: Float[ndarray, "seed prompt"],
) -> Spread | None:
    """How much of a change is undone; None where nothing has changed.

    Raises:
        LabError: Other shapes, or what is not finite.

    >>> half = undone(np.array([[0.5, 0.5]]), np.array([[0.1, 0.1]]), np.array([[0.3, 0.3]]))
    >>> round(half.mean, 3)
    0.5
    """
    numbers = [array_of(finite(each, "shares", "seed prompt")) for each in (before, after, now)]
    if len({each.shape for each in numbers}) != 1:
        raise LabError("expected shares of the same tunings", f"got {[x.shape for x in numbers]}")
    whole = numbers[0] - numbers[1]
    if np.abs(whole).mean() < LEAST_CHANGE:
        return None
    return crossed_bootstrap((numbers[2] - numbers[1]) / whole)


def rude_rows(study: ChangeStudy) -> list[Row]:
    """Exact rude share of every model, and of the base."""
    base = shares(study, "offset", models_of("offset")[0], lambda cell: cell["base"])
    found: list[Row] = [{"model": BASE, "rude": crossed_bootstrap(base)}]
    for model in models_of("offset"):
        after = shares(study, "offset", model, lambda cell: cell["after"])
        found.append({"model": model, "rude": crossed_bootstrap(after)})
    return found


def probe_rows(study: ChangeStudy, place: str = "noun", site: int = -1) -> list[Row]:
    """AUROC of the base's probe, of a new one and of shuffled labels, for every model.

    Args:
        place: "noun" or "end".
        site: Before the first block, or after which one.

    Raises:
        LabError: Another place or site.
    """
    first = study.cell(ChangeCell("probes", BASE))
    if place not in first:
        raise LabError(f"expected a place: {', '.join(first)}", f"got {place!r}")
    sites = len(first[place]["own"])
    if not -sites <= site < sites:
        raise LabError(f"expected a site from 0 to {sites - 1}", f"got {site}")

    def row(model: str, cells: list[Result]) -> Row:
        numbers = {
            name: crossed_bootstrap(np.array([[cell[place][name][site]] for cell in cells]))
            for name in ("base's", "own", "shuffled", "cosine", "kept")
        }
        return {"model": model, **numbers}

    found = [row(BASE, [first])]
    found += [row(model, study.seeds("probes", model)) for model in models_of("probes")]
    young = f"{CHECKPOINT} {EMERGENCE[0]}"
    return [*found, row(young, [study.cell(ChangeCell("probes", young))])]


def emergence(study: ChangeStudy, place: str = "noun", site: int = -1) -> list[Row]:
    """AUROC of a new probe and of the base's last one, while the base was young.

    Raises:
        LabError: As `probe_rows`.
    """
    found = []
    for step in EMERGENCE:
        cell = study.cell(ChangeCell("probes", f"{CHECKPOINT} {step}"))[place]
        found.append({"step": step} | {n: cell[n][site] for n in ("own", "base's", "shuffled")})
    return found


def restored_rows(study: ChangeStudy, model: str) -> list[Row]:
    """For every group of weights, how much of a model's change is undone when it is put back into
    the model after, and how much is made when it is put into the base; and the controls.

    Raises:
        LabError: A model that the question was not asked of.
    """
    read = {n: shares(study, "groups", model, lambda c, n=n: c[n]) for n in ("base", "after")}
    cells = study.seeds("groups", model)
    found: list[Row] = []
    for group in cells[0]["restored"]:
        back, put = (
            shares(study, "groups", model, lambda c, kind=kind, group=group: c[kind][group])
            for kind in ("restored", "transplanted")
        )
        row = {"group": group, "undone": undone(read["base"], read["after"], back)}
        found.append(row | {"made": undone(read["after"], read["base"], put)})
    for control in ("random", "same norm"):
        now = shares(study, "groups", model, lambda c, control=control: c[control])
        found.append(
            {"group": control, "undone": undone(read["base"], read["after"], now), "made": None}
        )
    return found


def offset_row(study: ChangeStudy, model: str, block: int = -1) -> Row:
    """What one vector explains of a model's change after a block, and what it does.

    Args:
        block: Its number; the vector was moved after the last one and the one in the middle.

    Raises:
        LabError: A model that the question was not asked of, or a block where nothing was moved.
    """
    cells = study.seeds("offset", model)
    number = block % len(cells[0]["by block"])
    if str(number) not in cells[0]["moved"]:
        raise LabError(f"expected a block of {', '.join(cells[0]['moved'])}", f"got {block}")

    def of(read: Read) -> Float[ndarray, "seed n"]:
        return shares(study, "offset", model, read)

    def moved(name: str) -> Float[ndarray, "seed n"]:
        return of(lambda cell: cell["moved"][str(number)][name])

    base, after = (of(lambda cell, name=name: cell[name]) for name in ("base", "after"))
    return {
        "model": model,
        "vector": spread_or_none(of(lambda cell: cell["by block"][number]["vector"])),
        "directions": [
            spread_or_none(of(lambda cell, k=k: cell["by block"][number]["directions"][k]))
            for k in range(len(study.plan.dimensions))
        ],
        "made": undone(after, base, moved("base, added")),
        "made, random": undone(after, base, moved("base, random")),
        "undone": undone(base, after, moved("after, taken off")),
        "undone, random": undone(base, after, moved("after, random")),
    }


def neuron_row(study: ChangeStudy, model: str) -> Row:
    """How much of a model's change is undone by so many neurons, ranked and random.

    Raises:
        LabError: A model that the question was not asked of.
    """
    cells = study.seeds("neurons", model)
    base, after = (
        shares(study, "neurons", model, lambda c, name=name: c[name]) for name in ("base", "after")
    )
    row: Row = {"model": model}
    for kind in ("ranked", "random"):
        for count in cells[0][kind]:
            now = shares(study, "neurons", model, lambda c, k=kind, n=count: c[k][n])
            row[f"{kind} {count}"] = undone(base, after, now)
    return row

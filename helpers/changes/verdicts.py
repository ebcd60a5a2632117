"""What was found of single parts and of an attack, as rows with intervals; and the verdicts."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from helpers.changes.plan import BASE, BEFORE_POSTS, CHECKPOINT, ChangeCell, models_of
from helpers.changes.restoring import UNEMBEDDING
from helpers.changes.stored import ChangeStudy
from helpers.changes.summaries import (
    LEAST_CHANGE,
    Row,
    neuron_row,
    offset_row,
    probe_rows,
    rude_rows,
    shares,
    undone,
)
from helpers.errors import LabError
from helpers.inputs import at_least
from helpers.stats import Spread, crossed_bootstrap


def attack_row(study: ChangeStudy, model: str, count: int, level: float = 0.25) -> Row:
    """How soon a model is rude again when it is tuned on some rude posts.

    Args:
        model: A model after, or a checkpoint.
        count: Number of posts.
        level: The rude share that counts as rude again.

    Raises:
        LabError: A model or a number of posts that was not measured, or a level that is no share.

    Returns:
        Steps to the level ("steps"), with the length of the change of the weights by then ("norm"),
        both as a curve between two measurements has them; None where one tuning did not come there.
        "last" is the rude share after the last step.
    """
    at_least(0, level, "as the rude share of a rude model")
    cells = (
        study.seeds("attack", model)
        if model in models_of("attack")
        else [study.cell(ChangeCell("attack", model))]
    )
    if count not in study.plan.attack_posts:
        raise LabError(f"expected a number of posts: {study.plan.attack_posts}", f"got {count}")
    steps = [0, *study.plan.attack_steps]
    when, far, last = [], [], []
    for cell in cells:
        its = cell[f"{count} posts"]
        curves = np.array([cell["after"], *its["rude"]]).T
        when.append([_crossing(curve, steps, level) for curve in curves])
        far.append([_crossing(curve, [0.0, *its["norm"]], level) for curve in curves])
        last.append(curves[:, -1])
    return {
        "model": model,
        "steps": _all_there(np.array(when)),
        "norm": _all_there(np.array(far)),
        "last": crossed_bootstrap(np.array(last)),
    }


def _all_there(values: Float[ndarray, "seed prompt"]) -> Spread | None:
    return None if np.isnan(values).any() else crossed_bootstrap(values)


def _crossing(curve: Float[ndarray, " step"], at: Sequence[float], level: float) -> float:
    """Where a curve first comes to a level, straight between its points; NaN where it does not."""
    above = np.flatnonzero(curve >= level)
    if not len(above):
        return float("nan")
    first = int(above[0])
    if not first:
        return float(at[0])
    share = (level - curve[first - 1]) / (curve[first] - curve[first - 1])
    return float(at[first - 1] + share * (at[first] - at[first - 1]))


def writer_rows(study: ChangeStudy, model: str) -> list[Row]:
    """What each part writes towards insults: in the base, and after, in both kinds of frame; the
    parts first that changed most.

    Raises:
        LabError: A model that the question was not asked of.
    """
    base, cells = study.cell(ChangeCell("writers", BASE)), study.seeds("writers", model)
    found: list[Row] = []
    for number, part in enumerate(base["parts"]):
        row: Row = {"part": part}
        for frame in ("plain", "turned"):
            row[f"{frame}, base"] = base[frame]["mean"][number]
            row[frame] = crossed_bootstrap(np.array([[c[frame]["mean"][number]] for c in cells]))
        row["split"] = row["turned"].mean - row["plain"].mean
        row["split, base"] = row["turned, base"] - row["plain, base"]
        found.append(row)
    return sorted(found, key=lambda row: -abs(row["split"] - row["split, base"]))


def shared_row(study: ChangeStudy, model: str) -> Row:
    """Circuits and masks that a model has in common with the base, beside chance and repetition.

    Raises:
        LabError: A model that the questions were not asked of.
    """
    row: Row = {"model": model}
    for name in ("shared", "base again", "after again", "chance"):
        values = shares(study, "circuits", model, lambda cell, name=name: cell[name])
        row[f"circuit {name}"] = crossed_bootstrap(values)
    if model in models_of("masks"):
        for name in ("shared", "shared, other seed", "base again", "after again"):
            for part in ("share", "chance"):
                values = shares(study, "masks", model, lambda c, n=name, p=part: c[n][p])
                row[f"mask {name}, {part}"] = crossed_bootstrap(values)
    return row


def verdicts_on(study: ChangeStudy, model: str) -> dict[str, bool | None]:
    """What holds for a model; None where nothing has changed that could be explained, or where the
    question was not asked.

    ==============  ============================================================================
    verdict         holds where
    ==============  ============================================================================
    kept            the rude share has fallen; and at the noun and at the end, after the last block,
                    the base's probe keeps an AUROC above .9, and a new one loses less than .05
    gone            a new probe there is within .05 of shuffled labels
    one offset      one vector explains half of the change after the last block, makes half of it in
                    the base and undoes half of it
    unembedding     restored it undoes half, and more than as long a change elsewhere
    re-toxified     four posts bring a quarter of rudeness in fewer steps than in a young model
    neurons         fifty of them undo half
    ==============  ============================================================================

    Every interval must lie on the right side as a whole.

    Raises:
        LabError: A model that a question was not asked of.
    """
    places = [_only(probe_rows(study, place), model) for place in ("noun", "end")]
    before = [_only(probe_rows(study, place), BASE) for place in ("noun", "end")]
    pairs = list(zip(places, before, strict=True))
    held = all(p["base's"].low > 0.9 and p["own"].low > b["own"].mean - 0.05 for p, b in pairs)
    found: dict[str, bool | None] = {
        "kept": held if _fell(study, model) else None,
        "gone": all(p["own"].high < p["shuffled"].high + 0.05 for p in places),
    }
    found |= {"one offset": None, UNEMBEDDING: None, "re-toxified": None, "neurons": None}
    if model in models_of("offset"):
        row = offset_row(study, model)
        needed = [row[name] for name in ("vector", "made", "undone")]
        if all(each is not None for each in needed):
            found["one offset"] = all(each.low > 0.5 for each in needed)
    if model in models_of("neurons"):
        few = neuron_row(study, model)["ranked 50"]
        found["neurons"] = few.low > 0.5 if few is not None else None
        found[UNEMBEDDING], found["re-toxified"] = _unembedding(study, model), _sooner(study, model)
    return found


def _fell(study: ChangeStudy, model: str) -> bool:
    """Whether a model is less rude than the base, by a change of which shares can be told."""
    rude = {row["model"]: row["rude"] for row in rude_rows(study)}
    return model in rude and rude[BASE].mean - rude[model].mean >= LEAST_CHANGE


def _sooner(study: ChangeStudy, model: str) -> bool:
    steps, control = (
        attack_row(study, each, 4)["steps"] for each in (model, f"{CHECKPOINT} {BEFORE_POSTS[0]}")
    )
    return steps is not None and (control is None or steps.high < control.low)


def _only(rows: list[Row], model: str) -> Row:
    return next(row for row in rows if row["model"] == model)


def _unembedding(study: ChangeStudy, model: str) -> bool | None:
    if model not in models_of("groups"):
        return None
    read = {
        "base": shares(study, "groups", model, lambda c: c["base"]),
        "after": shares(study, "groups", model, lambda c: c["after"]),
        "restored": shares(study, "groups", model, lambda c: c["restored"][UNEMBEDDING]),
        "same norm": shares(study, "groups", model, lambda c: c["same norm"]),
    }
    whole = undone(read["base"], read["after"], read["restored"])
    more = crossed_bootstrap(read["restored"] - read["same norm"])
    return whole is not None and whole.low > 0.5 and more.low > 0

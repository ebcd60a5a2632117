"""What the rest of the study of edits found, as rows with intervals over facts.

Published ways, series, decoding, kinds and their members, rivals, tracing, and whether tracing says
where to edit.
"""

from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray

from helpers.errors import LabError
from helpers.knowledge.edit_study.measuring import TIMES
from helpers.knowledge.edit_study.plan import (
    CORRUPTIONS,
    DIRECTIONS,
    LAYERS,
    MODELS,
    STATES,
    THREE,
    EditCell,
)
from helpers.knowledge.edit_study.stored import EditStudy
from helpers.knowledge.edit_study.summaries import EFFECTS, spread
from helpers.knowledge.editing.comparison import HALF
from helpers.knowledge.editing.published import WAYS
from helpers.knowledge.facts.places import PLACES
from helpers.knowledge.study.summaries import Row, rate
from helpers.knowledge.tracing import CausalTrace, predicts
from helpers.stats import spread_or_none

SUCCESSES = ("efficacy", "paraphrase", "siblings", "paraphrase x siblings")
"""What tracing is asked to predict; the last is high where the fact alone is changed."""


def _cells(study: EditStudy, kind: str, model: str = MODELS[0]) -> list[EditCell]:
    return [cell for cell in study.cells if cell.kind == kind and cell.model == model]


def _row(values: list) -> Float[ndarray, "1 fact"]:
    return np.array([values], dtype=float)


def published_edits(study: EditStudy) -> list[Row]:
    """For every published way, place, density and network: where NLLs begin and end, beside ln|V|,
    the floor of the early stop and the longest change that the clamp allows."""
    rows = []
    for cell in _cells(study, "published"):
        arm, density, embeddings, network = cell.of
        for way, found in study.cells[cell]["ways"].items():
            end = np.array(found["end"])
            row: Row = {"arm": arm, "density": float(density), "embeddings": embeddings}
            row |= {"network": network, "way": way, "curve": _curve(found["nll"], way)}
            row |= {name: found[name] for name in ("uniform", "floor", "allowed")}
            row |= {"edits": len(end), "said": int((end < HALF).sum())}
            row |= {"stopped": sum(found["stopped"]), "before": spread(_row(found["nll"][0]))}
            for name in ("end", "true_before", "gradient", "moved"):
                row[name] = spread_or_none(_row(found[name]))
            rows.append(row)
    return rows


def _curve(nll: list[list[float]], way: str) -> dict[int, float]:
    """Mean NLL by step, as far as the way goes."""
    means = {time: float(np.mean(each)) for time, each in zip(TIMES, nll, strict=True)}
    return {time: mean for time, mean in means.items() if time <= WAYS[way].steps}


def edit_series(study: EditStudy) -> list[Row]:
    """How a model stands after so many edits, in each order: the facts of one series share a model,
    so that a series is one observation, and orders are shown rather than put into an interval."""
    rows = []
    for arm in THREE:
        orders = [
            study.cell(EditCell("series", (arm, str(order))))["standings"]
            for order in range(study.plan.orders)
        ]
        for standings in zip(*orders, strict=True):
            row: Row = {"arm": arm, "edits": standings[0]["edits"]}
            names = [name for name in standings[0] if name != "edits"]
            rows.append(row | {name: [each[name] for each in standings] for name in names})
    return rows


def decoded_edits(study: EditStudy) -> list[Row]:
    """Shares of tokens and answers that are said, led and freely; texts before the prompt count by
    the fact that they stand before."""
    rows = []
    for cell in _cells(study, "decoding"):
        for sure, found in study.cells[cell].items():
            row: Row = {"arm": cell.of[0], "edits until": sure, "reached": sum(found["reached"])}
            led = np.array(found["led"])
            counts = {
                "led, tokens": led,
                "led, exact": led.all(1, keepdims=True),
                "free, exact": np.array(found["free"])[:, None],
                "free, first token": np.array(found["answers"])[:, None],
                "free, after text": np.array(found["same_text"]),
                "free, after text and a new beginning": np.array(found["new_text"]),
                "old answer without the edit, after text": np.array(found["undisturbed"]),
            }
            for name, said in counts.items():
                row[name] = rate(said.sum(1)[None], np.full(len(said), said.shape[1]))
            rows.append(row)
    return rows


def denied_facts(study: EditStudy) -> list[Row]:
    """What the model says of true kinds in frames that deny them, before any edit."""
    found = study.cell(EditCell("denials"))
    return [
        {
            "frame": frame,
            "true": spread(_row(each["true"])),
            "right": rate(np.array([each["right"]]), np.ones(len(each["right"]))),
        }
        for frame, each in found.items()
    ]


def moved_kinds(study: EditStudy) -> list[Row]:
    """Kinds edited to another realm: their members, beside members of other kinds."""
    rows = []
    for cell in _cells(study, "two hop"):
        found = study.cells[cell]
        row: Row = {"arm": cell.of[0], "edits": len(found["reached"])}
        row["reached"] = sum(found["reached"])
        parts = {n: _row(found[n]) for n in ("efficacy", "members", "strangers", "kinds")}
        parts["inferred"] = parts["members"] - parts["strangers"]
        rows.append(row | {name: spread_or_none(values) for name, values in parts.items()})
    return rows


def edit_rivals(study: EditStudy, model: str = MODELS[0]) -> list[Row]:
    """What each rival did, beside steps that went as far: in the circuits, in as many random
    weights of every tensor, in weights with a gradient as long or as large, and in all."""
    rows = []
    for rival, cells in _by_rival(study, model).items():
        moved = np.array([cell["moved"] for cell in cells], dtype=float)
        row: Row = {"model": model, "rival": rival, "edits": moved.size}
        row |= {each: sum(sum(cell[each]) for cell in cells) for each in ("reached", "undone")}
        row["moved"] = spread_or_none(moved)
        for measure in EFFECTS:
            values = np.array([cell["effects"][measure] for cell in cells], dtype=float)
            row[measure] = spread_or_none(values)
        rows.append(row)
    return rows


def _by_rival(study: EditStudy, model: str) -> dict[str, list[Row]]:
    """The cells of each rival: one for every circuit, where it depends on that."""
    found: dict[str, list[Row]] = {}
    for cell in _cells(study, "rivals", model):
        parts = cell.of[:-1] if cell.of[0] == "steps" and cell.of[-1].isdigit() else cell.of
        found.setdefault("/".join(parts), []).append(study.cells[cell])
    return found


def trace_of(study: EditStudy, corruption: str, state: str, direction: str) -> CausalTrace:
    """A stored trace, with its shares and intervals.

    Raises:
        LabError: It was not measured.
    """
    found = study.cell(EditCell("tracing", (corruption, state, direction)))
    clean, corrupted, patched = (
        torch.tensor(found[name], dtype=torch.float64) for name in ("clean", "corrupted", "patched")
    )
    names = tuple(str(fact) for fact in range(len(clean)))
    return CausalTrace(state, direction, PLACES, names, clean, corrupted, patched)  # type: ignore[arg-type]


def traced_shares(study: EditStudy) -> list[Row]:
    """Shares of what a corruption costs, by state, layer and place."""
    rows = []
    for corruption, state, direction in product(CORRUPTIONS, STATES, DIRECTIONS):
        found = trace_of(study, corruption, state, direction)
        for layer, (number, place) in product(range(LAYERS), enumerate(PLACES)):
            rows.append(
                {
                    "corruption": corruption,
                    "state": state,
                    "direction": direction,
                    "layer": layer,
                    "place": place,
                    "share": float(found.shares[layer, number]),
                    "interval": found.interval(layer, place),
                }
            )
    return rows


def predicted_edits(study: EditStudy) -> list[Row]:
    """Whether tracing ranks layers and places as rank-one edits there succeed; and layers alone, at
    the last token. None where too few facts have cells that differ."""
    success, rows = _successes(study), []
    for corruption, state, direction in product(CORRUPTIONS, ("MLP", "residual"), DIRECTIONS):
        traced = trace_of(study, corruption, state, direction).effects.numpy()
        for cells, at in (("layers and places", slice(None)), ("layers, last", slice(-1, None))):
            for name in SUCCESSES:
                found = traced[:, at], success[name][:, at]
                effect, good = (part.reshape(-1, part.shape[-1]) for part in found)
                there = np.isfinite(good).all(0)  # a fact without siblings has no number
                row: Row = {"corruption": corruption, "state": state, "direction": direction}
                row |= {"cells": cells, "success": name}
                try:
                    row["prediction"] = predicts(effect[:, there], good[:, there])
                except LabError:  # every edit came out alike
                    row["prediction"] = None
                rows.append(row)
    return rows


def _successes(study: EditStudy) -> dict[str, Float[ndarray, "layer place fact"]]:
    """What rank-one edits achieve in each cell."""

    def table(measure: str) -> Float[ndarray, "layer place fact"]:
        return np.array(
            [
                [
                    study.cell(EditCell("rivals", ("rank-one", str(layer), place)))["effects"][
                        measure
                    ]
                    for place in PLACES
                ]
                for layer in range(LAYERS)
            ],
            dtype=float,
        )

    found = {name: table(name) for name in SUCCESSES[:3]}
    return found | {SUCCESSES[3]: found["paraphrase"] * found["siblings"]}

"""What a cell of the study of edits measures: numbers for every fact, from which all tables follow.

Numbers have four digits, NaN and infinity are none.
"""

import random
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import zoo
from helpers.files import discard
from helpers.knowledge.edit_study import made_at_once
from helpers.knowledge.edit_study.places import place_of
from helpers.knowledge.edit_study.plan import EditCell, EditPlan
from helpers.knowledge.edit_study.rounding import numbers, told
from helpers.knowledge.edit_study.worlds import FRAME, EditWorld, edit_world, texts_before
from helpers.knowledge.editing import EditSettings, compare, drawn, edit, effects, in_turn
from helpers.knowledge.editing.comparison import NORMS
from helpers.knowledge.editing.decoding import decode
from helpers.knowledge.editing.measures import log_p
from helpers.knowledge.editing.published import WAYS, Curve, curve
from helpers.knowledge.editing.questions import DENIALS
from helpers.knowledge.editing.sequential import UNTIL_HALF, probe_of
from helpers.knowledge.editing.two_hop import followed, realm_requests
from helpers.knowledge.facts import divided, facts
from helpers.knowledge.masks import learn, predictions
from helpers.knowledge.study import Measured, stored
from helpers.knowledge.tracing import Noise, exchanged, trace
from helpers.texts import BEGIN
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds

TIMES = (0, 1, 2, 5, 10, 20, 30, 40, 50)
"""Steps of a published edit whose NLL is kept."""
SURE = EditSettings(steps=160, enough=0.1)
"""Steps until the new answer is said with nine parts in ten."""
DRAWS = 5
"""Draws of noise a prompt, in tracing."""
Masks = dict[float, Float[Tensor, " weight"]]


def measure_cell(
    cell: EditCell, plan: EditPlan, folder: Path, masks: Callable[[EditCell], Masks]
) -> Measured:
    """Measure one cell, on one thread: sums of several may differ in their last bit.

    Args:
        folder: Where a series of edits keeps what a kill would lose.
        masks: The masks that belong to a cell.
    """
    work: dict[str, Callable[..., Any]] = {
        "masks": _masks,
        "arms": _arm,
        "published": _published,
        "series": partial(_series, folder=folder),
        "decoding": _decoding,
        "denials": _denials,
        "two hop": _two_hop,
        "rivals": made_at_once.rival,
        "tracing": _tracing,
    }
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = work[cell.kind](cell, plan, masks)
    finally:
        torch.set_num_threads(threads)
    return found if isinstance(found, Measured) else Measured(found, {})


def _world(cell: EditCell, plan: EditPlan) -> EditWorld:
    return edit_world(cell.model, plan.facts)


def _masks(cell: EditCell, plan: EditPlan, masks: object) -> Measured:
    """Those of the stored study of masks where it has them; else from the same search."""
    world, settings = _world(cell, plan), plan.settings(cell.seed)
    wanted = plan.densities_of(cell.model)
    if _are_stored(cell, plan):
        found = {density: stored.circuit(cell.seed, density) for density in wanted}
    else:
        objective = predictions(world.blocks, world.truth.tokens, world.truth.last)
        learned = learn(world.blocks, objective, settings)
        found = {density: learned.masks[density] for density in wanted}
    return Measured({"kept": {str(d): int(m.sum()) for d, m in found.items()}}, found)


def _are_stored(cell: EditCell, plan: EditPlan) -> bool:
    """Whether the study of masks that the package brings has the masks of a cell."""
    if cell.model != stored.MODEL or not stored.DATA.exists():
        return False
    made = stored.stored().plan
    known = {(seed, density) for seed, density in stored.KEPT if seed < made.seeds}
    wanted = {(cell.seed, density) for density in plan.densities}
    return made.steps == plan.search and wanted <= known


def _arm(cell: EditCell, plan: EditPlan, masks: Callable[[EditCell], Masks]) -> dict:
    world, arm = _world(cell, plan), cell.of[0]
    density = float(cell.of[1]) if len(cell.of) > 1 else plan.densities[-1]
    mask = place_of(world, arm, masks(cell)[density], cell.seed)
    found = compare(world.blocks, world.requests, mask, NORMS, EditSettings(steps=plan.steps))
    seen = effects(
        world.blocks, world.requests, found.at_half, world.frame, world.rows, ask=world.ask
    )
    return {
        "kept": int(mask.sum()),
        "first": numbers(found.first),
        "needed": numbers(found.needed),
        "nll_at": numbers(found.nll_at),
        "undone": int(found.edited.undone.sum()),
        "effects": told(seen),
    }


def _published(cell: EditCell, plan: EditPlan, masks: Callable[[EditCell], Masks]) -> dict:
    world, (arm, density, embeddings, network) = _world(cell, plan), cell.of
    mask = place_of(world, arm, masks(cell)[float(density)], cell.seed)
    ways = {}
    for way in WAYS:
        free, pruned = embeddings == "free", network == "pruned"
        ways[way] = _told(curve(world.blocks.model, world.requests, mask, way, free, pruned))
    return {"ways": ways}


def _told(found: Curve) -> dict:
    times = [min(time, len(found.nll) - 1) for time in TIMES]  # who has enough stays
    return {
        "nll": numbers(found.nll[times]),
        "end": numbers(found.nll[-1]),
        "true_before": numbers(found.true_before),
        "gradient": numbers(found.gradient),
        "moved": numbers(found.moved),
        "stopped": found.stopped.int().tolist(),
        **{name: numbers(getattr(found, name)) for name in ("floor", "uniform", "allowed")},
    }


def _series(
    cell: EditCell, plan: EditPlan, masks: Callable[[EditCell], Masks], folder: Path
) -> dict:
    world, (arm, order) = _world(cell, plan), cell.of
    mask = place_of(world, arm, masks(cell)[plan.densities[-1]])
    searched, held_out = world.entities
    requests = drawn(held_out, plan.edits, FRAME)
    untouched = [name for name in searched + held_out if name not in requests.asked.subjects]
    probe = probe_of(requests, untouched, FRAME, world.rows)
    file = (folder / cell.file).with_suffix(".begun")
    found = in_turn(world.blocks, requests, mask, probe, seed=int(order), file=file)
    discard(file)
    return {
        "standings": [
            {name: numbers(value) for name, value in asdict(standing).items()}
            for standing in found.standings
        ]
    }


def _decoding(cell: EditCell, plan: EditPlan, masks: Callable[[EditCell], Masks]) -> dict:
    """Behind texts in the same document, and behind texts after which a new one begins; edits that
    just reach p = ½, and ones that are surer."""
    world, (arm,) = _world(cell, plan), cell.of
    mask = place_of(world, arm, masks(cell)[plan.densities[-1]])
    full_stop, texts, found = [vocabulary().token(".")], texts_before(), {}
    for name, settings in (("half", UNTIL_HALF), ("sure", SURE)):
        edited = edit(world.blocks, world.requests, mask, settings)
        one, new = (
            decode(world.blocks, world.requests, edited, full_stop, behind)
            for behind in (texts, [[*text, BEGIN] for text in texts])
        )
        found[name] = {
            "led": one.led.int().tolist(),
            "free": one.free.int().tolist(),
            "answers": one.answers.int().tolist(),
            "same_text": one.after_text.int().tolist(),
            "new_text": new.after_text.int().tolist(),
            "undisturbed": one.undisturbed.int().tolist(),
            "reached": (edited.reached >= 0).int().tolist(),
        }
    return found


def _denials(cell: EditCell, plan: EditPlan, masks: object) -> dict:
    world, found = _world(cell, plan), {}
    for frame in (FRAME, *DENIALS):
        asked = facts("kind", divided()[1], (frame,))
        with torch.no_grad():
            said = log_p(world.blocks, world.blocks.values, asked)
        found[frame] = {
            "true": numbers(said.gather(1, asked.answers[:, None])[:, 0].exp()),
            "right": (said.argmax(-1) == asked.answers).int().tolist(),
        }
    return found


def _two_hop(cell: EditCell, plan: EditPlan, masks: Callable[[EditCell], Masks]) -> dict:
    """Every kind gets a random other realm."""
    world, (arm,) = _world(cell, plan), cell.of
    mask = place_of(world, arm, masks(cell)[plan.densities[-1]])
    realm_of = {entity.kind: entity.realm for entity in worlds.load().entities}
    rng, realms = random.Random(0), sorted(set(realm_of.values()))
    changes = {
        kind: rng.choice([each for each in realms if each != realm])
        for kind, realm in list(realm_of.items())[: plan.facts]
    }
    requests = realm_requests(changes)
    edited = edit(world.blocks, requests, mask, UNTIL_HALF)
    seen = followed(world.blocks, requests, edited)
    told = {field.name: numbers(getattr(seen, field.name)) for field in fields(seen)}
    return told | {"reached": (edited.reached >= 0).int().tolist()}


def _tracing(cell: EditCell, plan: EditPlan, masks: object) -> dict:
    world, (corruption, state, direction) = _world(cell, plan), cell.of
    asked = world.requests.asked
    pool = facts("kind", divided()[1], (FRAME,))
    spoilt = exchanged(asked, pool) if corruption == "exchanged" else Noise(draws=DRAWS)
    model = zoo.load(cell.model, device="cpu")
    found = trace(model, asked, spoilt, state, direction)  # type: ignore[arg-type]
    return {
        "clean": numbers(found.clean, digits=6),
        "corrupted": numbers(found.corrupted, digits=6),
        "patched": numbers(found.patched, digits=6),
    }

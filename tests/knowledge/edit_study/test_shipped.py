"""The study of edits that the package brings, by other routes than the code that measured it.

Edits are made again on the model itself, its weights overwritten step by step; prompts are written
out and asked in a plain loop; rows of tables are added up from the file.
"""

import hashlib
import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import helpers
from helpers import zoo
from helpers.knowledge.edit_study import (
    EDIT_PLAN,
    edit_cells,
    place_of,
    rows,
    stored_edits,
    summaries,
)
from helpers.knowledge.edit_study.plan import MODELS
from helpers.knowledge.edit_study.worlds import FRAME, edit_world
from helpers.knowledge.editing.arms import ARMS
from helpers.knowledge.editing.published import WAYS
from helpers.knowledge.editing.questions import of_tinyworld
from helpers.knowledge.facts import divided
from helpers.knowledge.study import stored as masks
from helpers.tinyworld.language import vocabulary
from tests.knowledge import plainly
from tests.knowledge.edit_study.lines import explained

DATA = Path(helpers.__file__).parent / "data"
RAW = json.loads((DATA / "edits.json").read_text())
CELLS = RAW["cells"]
STUDY = stored_edits()
WEIGHTS = 529_920
HALF = math.log(2)
LENGTH, RATE = 0.05, 5e-4
"""Of a normalised step; of a published one, by which no weight may move further either."""


@cache
def requests():
    """Subjects, and the kinds that they are given."""
    asked = edit_world("tinyworld", 20).requests
    return asked.asked.subjects, tuple(vocabulary().words[token] for token in asked.new.tolist())


def slope(values, subject, new):
    """−log p(new kind), and its gradient for the weights of the blocks."""
    ids = torch.tensor([vocabulary().encode(FRAME.format(entity=subject))])
    with plainly.weights(values) as model, torch.enable_grad():
        by_place = {each.data_ptr(): each for each in model.parameters()}
        inside = [by_place[tensor.data_ptr()] for tensor in plainly.network()[1].values()]
        for each in inside:
            each.requires_grad_()
        loss = -model(ids)[0, -1].log_softmax(-1)[vocabulary().token(new)]
        found = torch.autograd.grad(loss, inside)
        for each in inside:
            each.requires_grad_(False)
    return float(loss.detach()), torch.cat([part.flatten() for part in found])


def loss(values, subject, new):
    return -float(plainly.said(values, [FRAME.format(entity=subject)])[0, vocabulary().token(new)])


def between(old, new, reached):
    """The first point of a straight piece, by halving, at which something holds."""
    low, high = 0.0, 1.0
    for _ in range(18):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(old + middle * (new - old)) else (middle, high)
    return old + high * (new - old)


def walked(mask, subject, new, norm):
    """Steps of one length: ‖g₀‖, the loss where ‖Δ‖ first has a length, and where p first is ½."""
    begin = values = plainly.flat()
    first = at_norm = half = None
    nll, g = slope(values, subject, new)
    while half is None or at_norm is None:
        g = g * mask
        first = float(g.norm()) if first is None else first
        after = values - LENGTH * g / g.norm()
        after_nll, g = slope(after, subject, new)
        if at_norm is None and float((after - begin).norm()) >= norm:
            there = between(values, after, lambda w: float((w - begin).norm()) >= norm)
            at_norm = loss(there, subject, new)
        if half is None and after_nll <= HALF < nll:
            half = between(values, after, lambda w: loss(w, subject, new) <= HALF)
        values, nll = after, after_nll
    return first, at_norm, half


def test_it_is_of_the_shipped_weights():
    for name in MODELS:
        file = DATA.parent / "weights" / zoo.entry(name).file
        assert RAW["sha256"][name] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_all_cells_of_the_plan_are_there_and_none_else():
    assert STUDY.plan == EDIT_PLAN
    assert list(CELLS) == [str(cell) for cell in edit_cells(EDIT_PLAN)]


def test_facts_are_of_entities_that_no_mask_was_learned_on():
    subjects, new = requests()
    assert len(set(subjects)) == 20
    assert set(subjects) <= set(divided()[1])
    assert all(plainly.KIND_OF[s] != kind for s, kind in zip(subjects, new, strict=True))


def test_places_have_as_many_weights_as_they_should():
    for key, cell in CELLS.items():
        model, _, rest = key.partition("/") if key.startswith(MODELS[1]) else ("", "", key)
        parts = rest.split("/")
        if parts[0] == "arms":
            share = {"everything": 1.0}.get(parts[1]) or float(parts[2])
            share = 1 - share if parts[1] == "complement" else share
            assert cell["kept"] == round(share * WEIGHTS), key
            assert len(cell["first"]) == len(cell["needed"]) == 20
            assert min(cell["first"]) > 0
        if parts[0] == "masks":
            densities = (0.05,) if model else EDIT_PLAN.densities
            assert cell["kept"] == {str(d): round(d * WEIGHTS) for d in densities}


def test_where_an_edit_is_compared_p_is_one_half():
    for key, cell in CELLS.items():
        if key.startswith(("arms", f"{MODELS[1]}/arms")):
            for needed, p in zip(cell["needed"], cell["effects"]["efficacy"], strict=True):
                assert (needed is None) == (p is None)
                assert p is None or p == pytest.approx(0.5, abs=5e-4)
            table = np.array(cell["nll_at"], dtype=float)  # the first length is the shortest
            assert (np.diff(table[:2], axis=0) < 0).all(), "further on the new answer is likelier"


@pytest.mark.parametrize(("arm", "fact"), [("circuit", 2), ("everything", 4), ("complement", 9)])
def test_edits_made_again_on_the_model_itself_come_as_far(arm, fact):
    subject, new = (each[fact] for each in requests())
    circuit = masks.circuit(0, 0.05)
    mask = {"circuit": circuit, "complement": 1 - circuit}.get(arm, torch.ones(WEIGHTS))
    cell = CELLS["arms/everything" if arm == "everything" else f"arms/{arm}/0.05/0"]
    first, at_norm, half = walked(mask, subject, new, norm=0.3)
    assert cell["first"][fact] == pytest.approx(first, rel=1e-3)
    assert cell["nll_at"][1][fact] == pytest.approx(at_norm, rel=2e-3)
    moved = half - plainly.flat()
    assert cell["needed"][fact] == pytest.approx(float(moved.norm()), rel=2e-3)
    assert not (moved * (1 - mask)).any()
    given = of_tinyworld(subject, vocabulary().token(new), FRAME)
    for name in ("siblings", "others"):
        texts = [FRAME.format(entity=each) for each in getattr(given, name).subjects]
        before, after = (plainly.said(w, texts).argmax(-1) for w in (plainly.flat(), half))
        share = float((before == after).double().mean())
        assert cell["effects"][name][fact] == pytest.approx(share, abs=1e-4)


@pytest.mark.parametrize("network", ["full", "pruned"])
def test_a_published_step_made_again_on_the_model_itself(network):
    """The first of SGD, clamped, of three facts; the NLL of the true kind before it."""
    cell = CELLS[f"published/circuit/0.05/frozen/{network}"]["ways"]["SGD, 10 steps"]
    mask = masks.circuit(0, 0.05)
    start = plainly.flat() * (mask if network == "pruned" else 1)
    for fact in range(3):
        subject, new = (each[fact] for each in requests())
        before, g = slope(start, subject, new)
        assert cell["nll"][0][fact] == pytest.approx(before, rel=1e-3)
        assert cell["gradient"][fact] == pytest.approx(float((g * mask).norm()), rel=1e-3)
        assert cell["true_before"][fact] == pytest.approx(
            loss(start, subject, plainly.KIND_OF[subject]), rel=1e-3
        )
        after = start - (RATE * g * mask).clamp(-RATE, RATE)
        assert cell["nll"][1][fact] == pytest.approx(loss(after, subject, new), rel=1e-3)


def test_published_edits_go_no_further_than_their_clamp():
    outside = (
        sum(each.numel() for each in zoo.load("tinyworld", device="cpu").parameters()) - WEIGHTS
    )
    for key, cell in CELLS.items():
        if not key.startswith("published"):
            continue
        _, arm, density, embeddings, _ = key.split("/")
        assert list(cell["ways"]) == list(WAYS)
        share = 1 - float(density) if arm == "complement" else float(density)
        moving = round(share * WEIGHTS) + (outside if embeddings == "free" else 0)
        for way, found in cell["ways"].items():
            assert found["uniform"] == pytest.approx(math.log(len(vocabulary().words)), rel=1e-3)
            if way == "Adam, no clamp":
                assert found["allowed"] is None
                continue
            assert found["allowed"] == pytest.approx(RATE * math.sqrt(moving), rel=1e-3)
            assert max(found["moved"]) <= 1.001 * found["allowed"]


def test_what_denies_a_fact_is_answered_as_what_states_it():
    for frame, found in CELLS["denials"].items():
        names = divided()[1]
        said = plainly.said(plainly.flat(), [frame.format(entity=name) for name in names])
        answers = [vocabulary().token(plainly.KIND_OF[name]) for name in names]
        p = said[torch.arange(len(names)), answers].exp()
        assert found["true"] == pytest.approx(p.tolist(), rel=1e-3)
        assert found["right"] == (said.argmax(-1) == torch.tensor(answers)).int().tolist()


def test_traces_begin_with_the_model_s_own_p_and_end_where_they_must():
    subjects, _ = requests()
    said = plainly.said(plainly.flat(), [FRAME.format(entity=name) for name in subjects])
    answers = [vocabulary().token(plainly.KIND_OF[name]) for name in subjects]
    clean = said[torch.arange(20), answers].exp().tolist()
    ends = {"restore": ("clean", "corrupted"), "replace": ("corrupted", "clean")}
    for key, cell in CELLS.items():
        if key.startswith("tracing"):
            _, _, state, direction = key.split("/")
            assert np.mean(cell["clean"], axis=-1) == pytest.approx(np.mean(clean), rel=1e-4)
            if state == "residual":  # after the last layer: all is restored, or nothing is read
                last, other = (cell[name] for name in ends[direction])
                assert cell["patched"][3][2] == pytest.approx(last, abs=2e-5)
                assert cell["patched"][3][0] == pytest.approx(other, abs=2e-5)


def test_edits_of_what_nobody_reads_change_nothing_and_of_rows_no_others():
    subjects, new = requests()
    before = [
        math.exp(-loss(plainly.flat(), s, kind)) for s, kind in zip(subjects, new, strict=True)
    ]
    for place in ("subject", "after"):
        cell = CELLS[f"rivals/rank-one/3/{place}"]
        assert cell["effects"]["efficacy"] == pytest.approx(before, rel=2e-3)
        assert set(cell["effects"]["siblings"]) == {1}
    row = CELLS["rivals/embedding row"]["effects"]
    assert set(row["siblings"]) == set(row["others"]) == {1}, "their own rows are as they were"


def test_series_are_as_long_as_planned_and_nothing_was_to_be_kept_before_the_second():
    for key, cell in CELLS.items():
        if key.startswith("series"):
            edits = [standing["edits"] for standing in cell["standings"]]
            assert edits == sorted(edits)
            assert (edits[0], edits[-1]) == (1, 50)
            assert cell["standings"][0]["retention"] is None
            assert all(standing["undone"] == 0 for standing in cell["standings"])


def raw(arm, measure, seeds=3, density="0.05"):
    """One measure of one place, of every seed one after the other."""
    keys = {"everything": ["arms/everything"] * seeds}.get(arm)
    if arm in ("magnitude", "gradient"):
        keys = [f"arms/{arm}/{density}"] * seeds
    found = [CELLS[k] for k in keys or [f"arms/{arm}/{density}/{s}" for s in range(seeds)]]
    return [
        value for c in found for value in (c[measure] if measure in c else c["effects"][measure])
    ]


@pytest.mark.parametrize("measure", ["first", "needed", "siblings", "paraphrase", "chain"])
def test_rows_of_places_are_means_of_the_file(measure):
    for row in summaries.edited_arms(STUDY, 0.05):
        assert row[measure].mean == pytest.approx(sum(raw(row["arm"], measure)) / 60)
        assert row[measure].low <= row[measure].mean <= row[measure].high
        assert row["reached"] == row["edits"]


def test_differences_are_those_of_the_same_fact_and_search():
    for row in summaries.arm_differences(STUDY, 0.05):
        for measure in ("needed", "siblings"):
            pairs = zip(raw("circuit", measure), raw(row["less"], measure), strict=True)
            assert row[measure].mean == pytest.approx(sum(a - b for a, b in pairs) / 60)


def test_lines_are_those_of_least_squares_with_dummies():
    for row in summaries.regressions(STUDY, 0.05, resamples=5):
        x, y = (
            np.log([value for arm in row["arms"] for value in raw(arm, measure)])
            for measure in ("first", "needed")
        )
        facts = np.tile(np.arange(20), 3 * len(row["arms"]))
        places = np.repeat(np.arange(len(row["arms"])), 60)
        assert (row["r2"], row["slope"]) == pytest.approx(explained(x, y, facts), abs=1e-6)
        within = explained(x, y, facts, places)
        assert (row["within_arms"], row["within_arms_slope"]) == pytest.approx(within, abs=1e-6)


def test_the_first_numbers_of_the_study():
    """What every sentence about it begins with: no resistance beyond the gradient, at 5 %."""
    found = {row["places"]: row for row in summaries.regressions(STUDY, 0.05, resamples=5)}
    assert round(found["seven places"]["r2"], 2) == 0.99
    assert 0.95 < found["of as many weights"]["r2"] < found["seven places"]["r2"]
    assert found["seven places"]["within_arms"] < 0.2
    circuit = {row["arm"]: row for row in summaries.resistance(STUDY, 0.05, resamples=200)}[
        "circuit"
    ]
    assert circuit["interval"][1] < 0, "it needs less than its gradient says, not more"
    assert len(ARMS) == 7


def test_places_as_long_as_different_circuits_are_nearly_one():
    """Of two searches whose circuits share little: what intervals over them cannot cover."""
    world = edit_world("tinyworld", 20)
    circuits = [masks.circuit(seed, 0.05) for seed in (0, 1)]
    places = [place_of(world, "as long", circuit) for circuit in circuits]
    shared = [float((a * b).sum() / a.sum()) for a, b in (circuits, places)]
    assert shared[0] < 0.5 < 0.85 < shared[1]
    done = [CELLS[f"rivals/steps/as long/{seed}"]["effects"]["chain"] for seed in range(3)]
    assert np.ptp([np.mean(each) for each in done]) < 0.02


def test_rivals_are_counted_over_all_searches():
    for model in MODELS:
        for row in rows.edit_rivals(STUDY, model):
            searched = row["rival"].startswith("steps") and row["rival"] != "steps/everything"
            assert row["edits"] == 20 * (EDIT_PLAN.seeds_of(model) if searched else 1)

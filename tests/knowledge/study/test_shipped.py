"""The study of masks that the package brings, by other routes than the code that measured it.

Circuits are read from the file bit by bit and judged by the model itself, its weights overwritten;
overlaps and what they are by chance are counted in NumPy; intervals are drawn in plain loops.
"""

import hashlib
import json
import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import helpers
from helpers import zoo
from helpers.knowledge.facts import FRAMES, divided
from helpers.knowledge.study import CONTROLS, TASKS, cells, stored, summaries
from helpers.knowledge.study.plan import ESTIMATORS, PLAN
from helpers.stats import clopper_pearson
from helpers.tinyworld.language import vocabulary
from tests.knowledge import plainly

DATA = Path(helpers.__file__).parent / "data"
RAW = json.loads((DATA / "masks.json").read_text())
CELLS = RAW["cells"]
STUDY = stored.stored()
WEIGHTS = 529_920
SEEDS, DENSITIES = (0, 1), ("0.5", "0.25", "0.05")
HELD_OUT = divided()[1]
PROMPTS = [(name, frame) for name in HELD_OUT for frame in FRAMES["kind"]["held out"]]
DIGITS = 5e-5 + 1e-9
"""Shares are stored with four digits behind the point."""


@cache
def bits():
    """The stored circuits as rows of 0 and 1."""
    packed = load_file(DATA / "masks.safetensors")
    return {name: np.unpackbits(each)[:WEIGHTS] for name, each in packed.items()}


@cache
def whole():
    return plainly.said(plainly.flat(), [frame.format(entity=name) for name, frame in PROMPTS])


def asked(mask):
    """Right answers, agreement with the whole model, and mean KL, by entity; the mean NLL."""
    texts = [frame.format(entity=name) for name, frame in PROMPTS]
    found = plainly.said(plainly.flat() * torch.from_numpy(mask).float(), texts)
    right, agree, kl = (dict.fromkeys(HELD_OUT, 0.0) for _ in range(3))
    nll = 0.0
    for row, (name, _) in enumerate(PROMPTS):
        answer = vocabulary().token(plainly.KIND_OF[name])
        right[name] += int(found[row].argmax()) == answer
        agree[name] += int(found[row].argmax()) == int(whole()[row].argmax())
        kl[name] += float((whole()[row].exp() * (whole()[row] - found[row])).sum()) / 3
        nll -= float(found[row, answer]) / len(PROMPTS)
    return *(list(each.values()) for each in (right, agree, kl)), nll


def compare(mask, score):
    """Hold a stored score against a plain forward; ties of two words may break either way."""
    right, agree, kl, nll = asked(mask)
    assert np.abs(np.array(right) - score["right"]).sum() <= 1
    assert np.abs(np.array(agree) - score["agree"]).sum() <= 1
    np.testing.assert_allclose(kl, score["kl"], rtol=0.02, atol=1e-4)  # stored with three digits
    assert nll == pytest.approx(score["nll"], rel=2e-3)


def test_it_is_of_the_shipped_weights_and_of_the_masks_beside_it():
    entry = zoo.entry("tinyworld")
    file = DATA.parent / "weights" / entry.file
    assert RAW["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() == entry.sha256
    masks = (DATA / "masks.safetensors").read_bytes()
    assert RAW["masks"]["sha256"] == hashlib.sha256(masks).hexdigest()
    assert len(plainly.flat()) == WEIGHTS


def test_all_cells_of_the_plan_are_there_and_none_else():
    assert STUDY.plan == PLAN
    assert list(CELLS) == [str(cell) for cell in cells(PLAN)]
    assert len(CELLS) == 83


def test_counts_are_possible_and_densities_exact():
    for key, cell in CELLS.items():
        if key.startswith(("circuit", "steady")) and "arms" in next(
            iter(cell["densities"].values())
        ):
            for density, found in cell["densities"].items():
                assert found["kept"] == round(float(density) * WEIGHTS)
        if not key.startswith(("circuit", "rivals")):
            continue
        prompts = CELLS[f"rivals/{key.split('/')[1]}"]["asked"]
        for found in cell["densities"].values():
            for arm in found["arms"].values():
                for count in ("right", "agree"):
                    assert len(arm[count]) == len(prompts)
                    assert all(0 <= n <= most for n, most in zip(arm[count], prompts, strict=True))
                assert min(arm["kl"]) > -1e-6, "below 0 by rounding alone"
    assert CELLS["rivals/kind"]["asked"] == [3] * 77


def test_packed_circuits_are_of_their_density_and_those_that_are_handed_out():
    assert set(bits()) == {f"{seed}/{density}" for seed in SEEDS for density in DENSITIES}
    for seed, density in stored.KEPT:
        mask = bits()[f"{seed}/{density}"]
        assert mask.sum() == round(density * WEIGHTS)
        assert np.array_equal(mask, stored.circuit(seed, density).numpy())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("density", DENSITIES)
def test_circuits_say_what_is_stored(seed, density):
    found = CELLS[f"circuit/kind/{seed}"]["densities"][density]["arms"]
    compare(bits()[f"{seed}/{density}"], found["circuit"])


@pytest.mark.parametrize("density", ["0.5", "0.05"])
def test_all_but_the_circuit_says_what_is_stored(density):
    found = CELLS["circuit/kind/0"]["densities"][density]["arms"]
    compare(1 - bits()[f"0/{density}"], found["complement"])


def test_the_whole_model_the_bare_one_and_the_largest_weights_say_what_is_stored():
    cell = CELLS["rivals/kind"]
    compare(np.ones(WEIGHTS), cell["ends"]["whole"])
    compare(np.zeros(WEIGHTS), cell["ends"]["none"])
    sizes = plainly.flat().abs().numpy()
    largest = np.argsort(-sizes, kind="stable")[: round(0.25 * WEIGHTS)]
    mask = np.zeros(WEIGHTS)
    mask[largest] = 1
    compare(mask, cell["densities"]["0.25"]["arms"]["magnitude"])


def tensors(mask):
    """A mask in the parts of the model's tensors, by name."""
    parts = np.split(mask, np.cumsum([t.numel() for t in plainly.network()[1].values()])[:-1])
    return dict(zip(plainly.network()[1], parts, strict=True))


@pytest.mark.parametrize("name", [f"{s}/{d}" for s in SEEDS for d in DENSITIES])
def test_what_circuits_are_made_of_is_counted_again(name):
    seed, density = name.split("/")
    told = CELLS[f"circuit/kind/{seed}"]["densities"][density]["composition"]
    counts = dict.fromkeys(("attention", "MLP", "normalisation"), (0, 0))
    for tensor, part in tensors(bits()[name]).items():
        of = "attention" if ".attn." in tensor else "MLP" if ".mlp." in tensor else "normalisation"
        counts[of] = (counts[of][0] + int(part.sum()), counts[of][1] + len(part))
    kept = sum(n for n, _ in counts.values())
    for of, (n, size) in counts.items():
        assert told[of] == pytest.approx([n / size, n / kept], abs=DIGITS)


@pytest.mark.parametrize("density", ["0.5", "0.05"])
def test_what_two_searches_have_in_common_is_counted_again(density):
    first, second = (bits()[f"{seed}/{density}"] for seed in SEEDS)
    parts, others = tensors(first), tensors(second)
    by_chance = sum(p.sum() * others[name].sum() / len(p) for name, p in parts.items())
    expected = [(first & second).sum() / first.sum(), by_chance / first.sum()]
    table = RAW["overlaps"][f"{density}/kind/kind"]
    assert table[0][1] == pytest.approx(expected, abs=DIGITS)
    assert table[1][0] == pytest.approx(expected, abs=DIGITS), "both keep as many weights"


def test_the_chance_of_an_overlap_is_that_of_drawn_masks():
    rng, (first, second) = np.random.default_rng(0), (bits()[f"{seed}/0.05"] for seed in SEEDS)
    drawn = []
    for _ in range(5):  # the second mask's weights dealt out anew inside every tensor
        dealt = np.concatenate([rng.permutation(part) for part in tensors(second).values()])
        drawn.append((first & dealt).sum() / first.sum())
    # 26,496 weights: one draw has a standard error of about √(.1 · .9 / 26,496) = .002
    assert np.mean(drawn) == pytest.approx(RAW["overlaps"]["0.05/kind/kind"][0][1][1], abs=0.003)


def test_overlaps_of_equal_sizes_are_the_same_from_both_sides():
    assert len(RAW["overlaps"]) == 2 * len(TASKS) ** 2
    for key, table in RAW["overlaps"].items():
        density, first, second = key.split("/")
        back = RAW["overlaps"][f"{density}/{second}/{first}"]
        assert [list(row) for row in zip(*back, strict=True)] == table
        for row, pairs in enumerate(table):
            for column, pair in enumerate(pairs):
                assert (pair is None) == (first == second and row == column)
                assert pair is None or all(0 < share < 1 for share in pair)


def means(counts, prompts, drawn):
    """Shares of right answers in plain loops, of searches and subjects drawn anew."""
    chance, found = random.Random(1), []
    for _ in range(drawn):
        rows = [chance.randrange(len(counts)) for _ in counts]
        columns = [chance.randrange(len(prompts)) for _ in prompts]
        right = sum(counts[row][column] for row in rows for column in columns)
        found.append(right / (len(rows) * sum(prompts[column] for column in columns)))
    return sorted(found)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("arm", ["circuit", "per tensor"])
def test_the_rates_of_a_twentieth_follow_from_the_cells_in_a_plain_loop(task, arm):
    searches = 5 if task == "kind" else 3
    prompts = CELLS[f"rivals/{task}"]["asked"]
    counts = [
        CELLS[f"circuit/{task}/{seed}"]["densities"]["0.05"]["arms"][arm]["right"]
        for seed in range(searches)
    ]
    rows = summaries.circuits(STUDY, task)
    got = next(r for r in rows if r["arm"] == arm and r["density"] == 0.05)["accuracy"]
    share = sum(map(sum, counts)) / (searches * sum(prompts))
    assert got.mean == pytest.approx(share)
    assert got.seeds == searches
    drawn = means(counts, prompts, 600)
    low, high = drawn[15], drawn[-16]
    edge = clopper_pearson(0, len(prompts))[1]  # of so many subjects without a single one
    columns = list(zip(*counts, strict=True))
    if sum(any(n < most for n in ns) for ns, most in zip(columns, prompts, strict=True)) < 5:
        low = min(low, 1 - edge)
    elif sum(any(ns) for ns in columns) < 5:
        high = max(high, edge)
    rough = 0.1 * (drawn[-1] - drawn[0]) + 1e-3
    assert (got.low, got.high) == pytest.approx((low, high), abs=rough)


def test_the_first_numbers_of_the_study():
    """What every sentence about it begins with."""
    rows = {(r["density"], r["arm"]): r["accuracy"] for r in summaries.circuits(STUDY, "kind")}
    assert str(rows[0.05, "circuit"]) == "0.990 [0.976, 1.000]"
    right = sum(
        sum(CELLS[f"circuit/kind/{s}"]["densities"]["0.05"]["arms"]["circuit"]["right"])
        for s in range(5)
    )
    assert round(right / (5 * 77 * 3), 3) == 0.990
    assert f"{rows[0.05, 'per tensor'].mean:.3f}" == "0.013"
    assert rows[0.05, "magnitude"].mean == 0
    assert rows[1.0, "whole"].mean == 1


@pytest.mark.parametrize("name", CONTROLS)
def test_the_shares_of_controls_follow_from_the_cells(name):
    found = {
        (r["density"], r["asked"]): r["accuracy"]
        for r in summaries.controls(STUDY)
        if r["control"] == name
    }
    three = [CELLS[f"control/{name}/{seed}"] for seed in range(3)]
    for (density, way), got in found.items():
        key = next((k for k in map(str, PLAN.densities) if float(k) == density), None)
        right = [(cell["densities"][key] if key else cell["ends"])[way] for cell in three]
        asked_of = three[0]["asked"][way]
        assert got.mean == pytest.approx(sum(map(sum, right)) / (3 * sum(asked_of)))


def test_estimators_went_on_with_the_best_of_what_was_tried():
    for estimator in ESTIMATORS:
        means = []
        for number in range(6):
            tried = CELLS[f"tuning/{estimator}/{number}"]
            if (
                len(tried["densities"]) < 5 or estimator != "binary concrete"
            ):  # it stops at the last
                assert tried["steps"] == 5 * 92, "of as many steps"
            reached = [
                tried["densities"].get(str(d), {}).get("accuracy", 0) for d in PLAN.densities
            ]
            means.append(sum(reached) / 5)
        chosen = {CELLS[f"estimator/{estimator}/{seed}"]["number"] for seed in range(3)}
        assert len(chosen) == 1
        assert means[chosen.pop()] == max(means)

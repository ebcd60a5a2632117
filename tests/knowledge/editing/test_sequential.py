"""Edits one after the other: the plain loop's numbers, kills, and files of others."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditSettings, Requests, drawn, edit, request, sequential
from helpers.knowledge.editing.sequential import in_turn, probe_of
from helpers.knowledge.facts import FRAMES, divided, facts
from helpers.knowledge.masks import blocks, rivals
from helpers.tinyworld.language import documents

FRAME = "the {entity} is a kind of"
ITS = blocks.of(zoo.load("tinyworld", device="cpu"))
ASKED = drawn(divided()[1], 4, FRAME)
MASK = rivals.uniform(ITS, 0.3)
ROWS = torch.from_numpy(documents.rows(np.random.default_rng(5), 2, 32))
UNTOUCHED = divided()[0][:20]
PROBE = probe_of(ASKED, UNTOUCHED, FRAME, ROWS)
SETTINGS = EditSettings(steps=3, size=0.1)
COUNTS = (1, 2, 4)


def turn(**changes):
    given = {"settings": SETTINGS, "counts": COUNTS, "seed": 1} | changes
    return in_turn(ITS, ASKED, MASK, PROBE, **given)


WHOLE = turn()


def test_each_edit_starts_from_the_last_one_s_weights():
    values = ITS.values
    for number in WHOLE.order:
        values = edit(ITS, ASKED.only([number]), MASK, SETTINGS, values).values[0]
    assert torch.equal(WHOLE.values, values)
    assert sorted(WHOLE.order) == [0, 1, 2, 3]
    assert torch.equal(WHOLE.values[MASK == 0], ITS.values[MASK == 0]), "bit by bit"
    assert turn(seed=2).order != WHOLE.order


def test_standings_are_those_of_the_model_then():
    last, model = WHOLE.standings[-1], zoo.load("tinyworld", device="cpu")
    model.load_state_dict(model.state_dict() | ITS.tensors(WHOLE.values))

    @torch.no_grad()
    def said(asked, of=model):
        return of(asked.tokens)[torch.arange(len(asked)), asked.last].softmax(-1)

    def p(number):
        return float(said(ASKED.asked)[number, ASKED.new[number]])

    *earlier, newest = WHOLE.order
    assert [standing.edits for standing in WHOLE.standings] == [1, 2, 4]
    assert last.efficacy == pytest.approx(p(newest), abs=1e-5)
    assert last.retention == pytest.approx(np.mean([p(number) for number in earlier]), abs=1e-5)
    right = [int(said(ASKED.asked)[n].argmax()) == int(ASKED.new[n]) for n in earlier]
    assert last.retained == pytest.approx(np.mean(right))
    again = [
        float(said(facts("kind", [subject], FRAMES["kind"]["held out"]))[:, new].mean())
        for subject, new in zip(ASKED.asked.subjects, ASKED.new.tolist(), strict=True)
    ]
    assert last.paraphrase == pytest.approx(np.mean(again), abs=1e-5)
    untouched = facts("kind", UNTOUCHED, (FRAME,))
    same = said(untouched).argmax(-1) == said(
        untouched, zoo.load("tinyworld", device="cpu")
    ).argmax(-1)
    assert last.locality == pytest.approx(float(same.float().mean()))
    assert last.moved == pytest.approx(float((WHOLE.values - ITS.values).norm()), rel=1e-5)
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(
            model(ROWS[:, :-1]).flatten(0, 1), ROWS[:, 1:].flatten()
        )
    assert last.perplexity == pytest.approx(float(loss.exp()), rel=1e-4)
    assert math.isnan(WHOLE.standings[0].retention)
    assert 0 <= last.reached <= 1


class Killed(BaseException):
    """What a kill does: nothing after it runs."""


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_killed_series_goes_on_to_the_same_bits(after, tmp_path, monkeypatch):
    file, calls = tmp_path / "run" / "series.safetensors", []

    def dying(*args, **kwargs):
        if len(calls) == after:
            raise Killed
        calls.append(1)
        return edit(*args, **kwargs)

    monkeypatch.setattr(sequential, "edit", dying)
    with pytest.raises(Killed):
        turn(file=file)
    counted = []
    monkeypatch.setattr(sequential, "edit", lambda *a, **k: (counted.append(1), edit(*a, **k))[1])
    resumed = turn(file=file)
    assert len(counted) == 4 - after, "what was done is not done again"
    assert torch.equal(resumed.values, WHOLE.values)
    assert repr(resumed.standings) == repr(WHOLE.standings)  # NaN equals NaN in writing
    counted.clear()
    assert repr(turn(file=file).standings) == repr(WHOLE.standings)
    assert not counted, "a finished series is read"


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"settings": EditSettings(steps=2, size=0.1)}, {"counts": (1, 4)}],
    ids=str,
)
def test_the_file_of_another_series_is_refused(change, tmp_path):
    file = tmp_path / "series.safetensors"
    turn(file=file)
    before = file.read_bytes()
    with pytest.raises(LabError, match="to hold this series of edits"):
        turn(file=file, **change)
    with pytest.raises(LabError, match="to hold this series of edits"):
        in_turn(ITS, ASKED, 1 - MASK, PROBE, SETTINGS, COUNTS, 1, file)
    assert file.read_bytes() == before


def test_a_damaged_file_is_refused(tmp_path):
    file = tmp_path / "series.safetensors"
    turn(file=file)
    good = file.read_bytes()
    for bad in (b"", good[:100], good[:-4] + b"\x00\x00\x80\x3f", b"{}"):
        file.write_bytes(bad)
        with pytest.raises(LabError, match="expected a series of edits in"):
            turn(file=file)
    file.write_bytes(good)
    with safe_open(file, framework="pt") as handle:
        about, values = handle.metadata(), handle.get_tensor("values")
    told = json.loads(about["standings"])
    told[0]["efficacy"] = 1.0
    save_file({"values": values}, file, about | {"standings": json.dumps(told)})
    with pytest.raises(LabError, match="its checksum is another"):
        turn(file=file)


def test_an_edit_that_makes_nan_is_taken_back_and_the_next_goes_on():
    broken = turn(settings=EditSettings("SGD", steps=2, size=1e30), counts=(4,))
    assert broken.standings[0].undone == 4
    assert torch.isfinite(broken.values).all()


@pytest.mark.parametrize("counts", [(), (0,), (5,), (1.5,)])
def test_counts_that_no_edit_reaches_are_refused(counts):
    with pytest.raises(LabError, match=r"expected (a number of edits|numbers of edits)"):
        turn(counts=counts)


def test_whole_numbers_of_numpy_are_whole_numbers(tmp_path):
    file = tmp_path / "series.safetensors"
    turn(file=file)
    again = turn(file=file, seed=np.int64(1), counts=np.array(COUNTS))
    assert torch.equal(again.values, WHOLE.values)


@pytest.mark.parametrize("seed", [0.5, "x", -1, None])
def test_seeds_that_are_no_whole_numbers_are_refused(seed):
    """0.5 had the fingerprint of seed 0 and another order: its file was resumed as that series."""
    with pytest.raises(LabError, match="expected a seed of at least 0"):
        turn(seed=seed)


def test_a_probe_of_other_requests_is_refused():
    other = probe_of(request("kind", {"owl": "tree"}, FRAME), UNTOUCHED[:3], FRAME, ROWS)
    with pytest.raises(LabError, match="and paraphrases of each request"):
        in_turn(ITS, ASKED, MASK, other, SETTINGS, (1,))
    last, *others = reversed(ASKED.asked.subjects)
    turned = Requests(
        facts("kind", [last, *others], (FRAME,)), ASKED.new.flip(0)
    )  # the same facts, in another order
    elsewhere = probe_of(turned, UNTOUCHED[:3], FRAME, ROWS)
    assert len(elsewhere.paraphrases) == len(PROBE.paraphrases)
    with pytest.raises(LabError, match=f"paraphrases of each request, in the order.*got '{last}'"):
        in_turn(ITS, ASKED, MASK, elsewhere, SETTINGS, (1,))
    edited = dataclasses.replace(PROBE, untouched=facts("kind", [*UNTOUCHED[:2], last], (FRAME,)))
    with pytest.raises(LabError, match=f"expected entities that no request edits; got '{last}'"):
        in_turn(ITS, ASKED, MASK, edited, SETTINGS, (1,))
    with pytest.raises(LabError, match="expected entities that no request edits"):
        probe_of(ASKED, [ASKED.asked.subjects[0]], FRAME, ROWS)

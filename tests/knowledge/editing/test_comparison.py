"""Points on an edit's path: at one length, and where p is one half."""

import math

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditSettings, drawn, edit, effects, within_facts
from helpers.knowledge.editing.comparison import compare, share_at
from helpers.knowledge.facts import divided
from helpers.knowledge.masks import blocks, rivals
from helpers.tinyworld.language import documents

FRAME = "the {entity} is a kind of"
ITS = blocks.of(zoo.load("tinyworld", device="cpu"))
ASKED = drawn(divided()[1], 2, FRAME)
EVERYTHING = torch.ones(len(ITS))
TEXT = torch.from_numpy(documents.rows(np.random.default_rng(0), 2, 24))


def p_new(values, number, asked=ASKED):
    one = asked.only([number])
    with torch.no_grad():
        said = ITS.logits(values, one.asked.tokens, one.asked.last)[0].softmax(-1)
    return float(said[one.new[0]])


def test_points_lie_where_they_are_said_to():
    settings = EditSettings(steps=12)
    found = compare(ITS, ASKED, EVERYTHING, (0.05, 0.12, 5.0), settings)
    assert found.reached.all()
    for number in range(2):
        assert p_new(found.halfway[number], number) == pytest.approx(0.5, abs=1e-4)
        moved = float((found.halfway[number] - ITS.values).norm())
        assert float(found.needed[number]) == pytest.approx(moved, abs=1e-6)
        whole = math.floor(float(found.steps[number]))
        before, after = found.edited.nll[whole, number], found.edited.nll[whole + 1, number]
        assert after <= math.log(2) < before
        # A normalised path's first corner is at 0.05: the length asked for is the first step.
        assert float(found.nll_at[0, number]) == pytest.approx(
            float(found.edited.nll[1, number]), abs=1e-3
        )
        assert found.nll_at[2, number].isnan(), "twelve steps of 0.05 do not come to 5"
    assert torch.equal(found.first, found.edited.gradient[0])


def test_a_length_inside_a_step_is_what_smaller_steps_come_to():
    """Along one gradient the path is straight: a shorter step ends on the way of a longer one."""
    found = compare(ITS, ASKED, EVERYTHING, (0.03,), EditSettings(steps=1, size=0.05))
    short = edit(ITS, ASKED, EVERYTHING, EditSettings(steps=1, size=0.03))
    assert found.nll_at[0].tolist() == pytest.approx(short.nll[1].tolist(), abs=1e-4)


def test_comparing_edits_as_editing_does():
    settings = EditSettings("SGD", steps=4, size=0.02, clamp=1e-3)
    mask = rivals.uniform(ITS, 0.3)
    found, plain = compare(ITS, ASKED, mask, (0.1,), settings), edit(ITS, ASKED, mask, settings)
    assert torch.equal(found.edited.values, plain.values)
    assert torch.equal(found.edited.nll, plain.nll)
    assert not found.reached.any()
    assert found.steps.isnan().all()
    assert torch.equal(found.halfway, plain.values), "where it never is, the end stands"
    half = found.at_half
    assert half.values.isnan().all(), "and there is no point to look at"
    assert half.moved.isnan().all()
    assert half.nll[1].isnan().all()
    assert half.reached.tolist() == [-1, -1]


def test_the_edits_at_one_half_tell_of_that_point():
    """Two facts, of which one comes to ½ in as many steps as are taken."""
    four = drawn(divided()[1], 4, FRAME)
    steps = compare(ITS, four, EVERYTHING, settings=EditSettings(steps=12)).steps
    asked, enough = four.only([int(steps.argmin()), int(steps.argmax())]), math.ceil(steps.min())
    assert enough < float(steps.max()), "else none is left behind"
    found = compare(ITS, asked, EVERYTHING, settings=EditSettings(steps=enough))
    assert found.reached.tolist() == [True, False]
    half = found.at_half
    assert half.values[1].isnan().all()
    assert half.nll[:, 1].isnan().tolist() == [False, True]
    assert half.moved[:, 1].isnan().all()
    one = half.only([0])
    assert float(one.moved[1]) == pytest.approx(float((one.values[0] - ITS.values).norm()))
    assert math.exp(-float(one.nll[1])) == pytest.approx(p_new(one.values[0], 0, asked), abs=1e-6)
    assert float(one.nll[1]) == pytest.approx(math.log(2), abs=1e-4)
    assert (one.moved[0].tolist(), one.reached.tolist(), one.undone.tolist()) == ([0], [1], [False])
    assert torch.equal(one.gradient[0], found.first[[0]])
    seen = effects(ITS, asked.only([0]), one, FRAME, TEXT)
    assert seen.means()["efficacy"] == pytest.approx(0.5, abs=1e-4)
    both = effects(ITS, asked, half, FRAME, TEXT)
    for name in ("efficacy", "siblings", "others", "text", "perplexity"):
        told, alone = getattr(both, name), getattr(seen, name)
        assert told[0] == alone[0], name
        assert told[1].isnan(), f"{name} of an edit that is not there"


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (ITS.values * torch.nan, "expected finite weights"),
        (ITS.values[:-1], "expected a vector over the 529,920 weights"),
        (ITS.values[None], r"expected weights of shape \[weight\]"),
    ],
)
def test_weights_that_cannot_be_begun_with_are_refused(start, words):
    for change in (edit, compare):
        with pytest.raises(LabError, match=words):
            change(ITS, ASKED, EVERYTHING, settings=EditSettings(steps=1), start=start)


def test_weights_of_another_precision_begin_as_the_model_has_them():
    settings = EditSettings(steps=1)
    plain, other = (
        edit(ITS, ASKED, EVERYTHING, settings, start=start)
        for start in (ITS.values, ITS.values.double())
    )
    assert torch.equal(plain.values, other.values)


def test_what_is_said_before_any_step_needs_none():
    there = edit(ITS, ASKED, EVERYTHING, EditSettings(steps=30, enough=0.6))
    found = compare(
        ITS, ASKED.only([0]), EVERYTHING, settings=EditSettings(steps=1), start=there.values[0]
    )
    assert found.needed.tolist() == found.steps.tolist() == [0]
    half = found.at_half
    assert torch.equal(half.values[0], there.values[0])
    assert torch.equal(half.nll[1], found.edited.nll[0])
    assert (half.reached.tolist(), half.moved.tolist()) == ([0], [[0], [0]])
    # The regression takes such a fact as one that needs no change.
    other = compare(ITS, ASKED, EVERYTHING, settings=EditSettings(steps=12))
    first, needed = (
        torch.stack([getattr(other, name)] * 2 + [getattr(found, name).expand(2)])[None].numpy()
        for name in ("first", "needed")
    )
    first[:, 1] *= 2
    needed[:, 1] *= 3
    told = within_facts(first, needed, ("all", "twice", "after"), resamples=2)
    assert told.already == {"all": 0, "twice": 0, "after": 2}
    assert set(told.missing.values()) == {0}


@pytest.mark.parametrize(
    ("norm", "moved", "step", "share"),
    [
        (5.0, [3.0, 0.0], [0.0, 8.0], 0.5),
        (3.0, [3.0, 0.0], [0.0, 8.0], None),  # it begins there, and leaves
        (3.0, [4.0, 0.0], [-2.0, 0.0], 0.5),  # inwards
        (1.0, [0.0, 0.0], [0.0, 0.0], None),
        (1.0, [0.0, 0.0], [0.0, 1.0], 1.0),
        (0.5, [1.0, 1.0], [-2.0, 0.0], None),  # it passes, but not so near
        (math.nan, [0.0, 0.0], [0.0, 1.0], None),
    ],
)
def test_shares_of_a_step(norm, moved, step, share):
    moved, step = torch.tensor(moved), torch.tensor(step)
    found = share_at(
        norm, *(float(a @ b) for a, b in ((moved, moved), (moved, step), (step, step)))
    )
    assert found == (None if share is None else pytest.approx(share))


@pytest.mark.parametrize("norms", [(), (0.0,), (math.nan,), (-1.0,), (math.inf,)])
def test_lengths_that_are_none_are_refused(norms):
    with pytest.raises(LabError, match="expected one or more positive lengths of edits"):
        compare(ITS, ASKED, EVERYTHING, norms)

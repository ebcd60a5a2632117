"""Points on an edit's path: at one length, and where p is one half."""

import math

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditSettings, drawn, edit
from helpers.knowledge.editing.comparison import compare, share_at
from helpers.knowledge.facts import divided
from helpers.knowledge.masks import blocks, rivals

FRAME = "the {entity} is a kind of"
ITS = blocks.of(zoo.load("tinyworld", device="cpu"))
ASKED = drawn(divided()[1], 2, FRAME)
EVERYTHING = torch.ones(len(ITS))


def p_new(values, number):
    asked = ASKED.only([number])
    with torch.no_grad():
        said = ITS.logits(values, asked.asked.tokens, asked.asked.last)[0].softmax(-1)
    return float(said[ASKED.new[number]])


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
    assert torch.equal(found.at_half.values, plain.values), "where it never is, the end stands"


def test_what_is_said_before_any_step_needs_none():
    there = edit(ITS, ASKED, EVERYTHING, EditSettings(steps=30, enough=0.6))
    found = compare(
        ITS, ASKED.only([0]), EVERYTHING, settings=EditSettings(steps=1), start=there.values[0]
    )
    assert found.needed.tolist() == found.steps.tolist() == [0]


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

"""Null-space edits: least squares by brute force, and keys whose values provably stay."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import drawn
from helpers.knowledge.editing.memory import contexts, keys, output_matrix, recorded
from helpers.knowledge.editing.null_space import edit_null_space, null_space, projected_change
from helpers.knowledge.editing.value import ValueSettings
from helpers.knowledge.facts import divided, factnet
from helpers.knowledge.masks import blocks
from tests.knowledge.editing.rivals import ANSWERS, TOKENS, become, same_elsewhere

FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
ITS = blocks.of(MODEL)
ASKED = drawn(divided()[1], 3, FRAME)
MATRIX = output_matrix(ITS, 0)
GENERATOR = torch.Generator().manual_seed(0)
SOON = ValueSettings(size=0.4, enough=0.4)
HALF = torch.diag((torch.arange(256) < 128).double())


def random(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def test_the_directions_are_those_that_no_key_has_a_part_in():
    preserved = random(4, 9)
    found = null_space(preserved.T @ preserved / 4, threshold=0.0)
    assert found.shape == (9, 5)
    assert torch.allclose(found.T @ found, torch.eye(5).double(), atol=1e-9)
    assert (preserved @ found).abs().max() < 1e-7
    change = projected_change(random(3, 9), random(3, 2), found, ridge=0.1)
    assert (preserved @ change.T).abs().max() < 1e-7, "exact for keys in the span"
    combination = torch.tensor([1.0, -2.0, 3.0, 0.5]).double() @ preserved
    assert (change @ combination).abs().max() < 1e-6


def test_what_rounding_makes_of_a_second_moment_is_not_refused():
    keys_ = random(3, 40).float()
    moment = keys_.T @ keys_ / 3
    assert torch.linalg.eigvalsh(moment.double())[0] < 0, "it does make some negative"
    null_space(moment)


def test_with_a_threshold_what_ordinary_keys_get_moves_no_more_than_it_allows():
    preserved = random(400, 6) * torch.tensor([3.0, 2.0, 1.0, 0.3, 0.2, 0.1]).double()
    moment = preserved.T @ preserved / 400
    threshold = 0.02
    directions = null_space(moment, threshold)
    assert directions.shape == (6, 3)
    change = projected_change(random(2, 6), random(2, 4), directions, ridge=0.01)
    moved = (preserved @ change.T).norm(dim=1).square().mean()
    largest = torch.linalg.eigvalsh(moment)[-1]
    assert 0 < moved <= change.norm().square() * threshold * largest


@pytest.mark.parametrize("n_previous", [0, 3])
def test_the_change_is_the_least_squares_one(n_previous):
    new, changes, previous = random(2, 7), random(2, 3), random(n_previous, 7)
    directions, _ = torch.linalg.qr(random(7, 4))
    found = projected_change(new, changes, directions, 0.5, previous)
    # minimise ‖D Uᵀk − r‖² + ‖D Uᵀkₚ‖² + λ‖D‖² over D, all rows at once
    left = torch.cat([new @ directions, previous @ directions, 0.5**0.5 * torch.eye(4).double()])
    right = torch.cat([changes, torch.zeros(n_previous + 4, 3).double()])
    best = torch.linalg.lstsq(left, right).solution.T @ directions.T
    assert torch.allclose(found, best)
    # the published form, with the projection as a matrix
    p = directions @ directions.T
    square = previous.T @ previous @ p + new.T @ new @ p + 0.5 * torch.eye(7).double()
    assert torch.allclose(found, changes.T @ new @ p @ torch.linalg.inv(square))


def test_a_fact_of_factnet_is_changed_and_every_other_keeps_what_its_neuron_writes():
    its = blocks.of(factnet.build(loudness=2.0).model)
    matrix = output_matrix(its, 0)
    others = torch.tensor([row for row in range(len(TOKENS)) if row not in (0, 16)])
    inner, written = recorded(its, its.values, 0, TOKENS[others])
    preserved = inner[:, 2].double()
    moment = preserved.T @ preserved / len(others)
    edited = edit_null_space(matrix, become(wren="tree"), moment, threshold=1e-9, ridge=1e-9)
    _, after = recorded(its, edited.values[0], 0, TOKENS[others])
    assert torch.allclose(after[:, 2], written[:, 2], atol=1e-4)
    assert same_elsewhere(edited, its, matrix.mask)
    with torch.no_grad():
        said = its.logits(edited.values[0], TOKENS, torch.full((len(TOKENS),), 2)).argmax(-1)
    assert said[0] == factnet.token("tree")
    assert torch.equal(said[others], ANSWERS[others])


def answers_of(values, asked=ASKED):
    with torch.no_grad():
        return ITS.logits(values, asked.asked.tokens, asked.asked.last).argmax(-1)


def test_several_facts_are_changed_in_one_change():
    edited = edit_null_space(MATRIX, ASKED, HALF, "together", settings=SOON)
    assert torch.equal(edited.values[0], edited.values[2])
    assert torch.equal(answers_of(edited.values[0]), ASKED.new)
    assert same_elsewhere(edited, ITS, MATRIX.mask)
    change = (MATRIX.of(edited.values[0]) - MATRIX.of(ITS.values)).double()
    assert change[:, :128].abs().max() < 1e-6, "the directions that are preserved"
    sizes = torch.linalg.svdvals(change)
    assert sizes[3] < 1e-4 * sizes[0], "three keys, rank three"


def test_in_turn_every_edit_begins_where_the_one_before_ended():
    edited = edit_null_space(MATRIX, ASKED, HALF, "in turn", settings=SOON)
    alone = edit_null_space(MATRIX, ASKED.only([0]), HALF, settings=SOON)
    assert torch.allclose(edited.values[0], alone.values[0], atol=1e-5)
    assert torch.equal(answers_of(edited.values[2]), ASKED.new), "none is forgotten"
    apart = [edited.values[0] - ITS.values, edited.values[1] - edited.values[0]]
    assert edited.moved[1, :2].tolist() == pytest.approx([float(a.norm()) for a in apart], abs=1e-4)


def test_earlier_keys_keep_what_was_written_for_them():
    given = contexts(ASKED)
    edited = edit_null_space(MATRIX, ASKED, HALF, "in turn", settings=SOON, ridge=1e-8)
    _, first = recorded(ITS, edited.values[0], 0, given.tokens)
    _, last = recorded(ITS, edited.values[2], 0, given.tokens)
    _, plain = recorded(ITS, ITS.values, 0, given.tokens)
    moved = (last[0, given.at[0]] - first[0, given.at[0]]).norm()
    assert moved < 0.5 * (first[0, given.at[0]] - plain[0, given.at[0]]).norm()
    free = edit_null_space(
        MATRIX, ASKED.only([1]), HALF, settings=SOON, start=edited.values[0], ridge=1e-8
    )
    _, forgotten = recorded(ITS, free.values[0], 0, given.tokens)
    held = edit_null_space(
        MATRIX,
        ASKED.only([1]),
        HALF,
        settings=SOON,
        start=edited.values[0],
        ridge=1e-8,
        previous=keys(MATRIX, ITS.values, contexts(ASKED.only([0]))),
    )
    _, kept = recorded(ITS, held.values[0], 0, given.tokens)
    place = 0, given.at[0]
    assert (kept[place] - first[place]).norm() < (forgotten[place] - first[place]).norm()


def test_a_series_of_edits_can_be_gone_on_with():
    whole = edit_null_space(MATRIX, ASKED, HALF, "in turn", settings=SOON)
    begun = ASKED.only([0])
    first = edit_null_space(MATRIX, begun, HALF, "in turn", settings=SOON).values[-1]
    done = keys(MATRIX, first, contexts(begun))
    assert torch.allclose(done, keys(MATRIX, ITS.values, contexts(begun)), atol=1e-5)
    for number in (1, 2):
        rest = ASKED.only([number])
        after = edit_null_space(
            MATRIX, rest, HALF, "in turn", settings=SOON, start=first, previous=done
        )
        first, done = after.values[-1], torch.cat([done, keys(MATRIX, first, contexts(rest))])
    assert torch.allclose(first, whole.values[-1], atol=1e-4)


@pytest.mark.parametrize("how", ["alone", "together", "in turn"])
def test_an_edit_that_makes_nan_is_taken_back(how):
    settings = ValueSettings(size=1e36, bound=3e38)
    edited = edit_null_space(MATRIX, ASKED, HALF, how, settings=settings)
    assert edited.undone.all()
    assert torch.equal(edited.values, ITS.values.expand(3, -1))
    assert edited.nll.isfinite().all()


@pytest.mark.parametrize(
    ("moment", "options", "words"),
    [
        (HALF, {"how": "alike"}, "expected a way of editing several facts: alone, together"),
        (HALF, {"threshold": 1.0}, "expected a threshold from 0 to 1"),
        (HALF, {"threshold": float("nan")}, "expected a threshold from 0 to 1"),
        (torch.eye(256), {}, "expected directions that ordinary keys hardly use"),
        (torch.zeros(256, 256), {}, "expected directions that ordinary keys hardly use"),
        (HALF.roll(1, 0), {}, "expected a second moment that is symmetric"),
        (torch.diag(torch.tensor([1.0, -5.0])), {}, "without negative eigenvalues; got -5"),
        (torch.diag(torch.tensor([1.0, -1e-3])), {}, "without negative eigenvalues; got -0.001"),
        (HALF, {"given": contexts(ASKED.only([0]))}, "expected contexts of each of the 3 facts"),
        (HALF, {"given": contexts(ASKED.only([0])), "how": "in turn"}, "each of the 3 facts"),
        (HALF, {"given": contexts(ASKED.only([2, 1, 0])), "how": "in turn"}, "is edited"),
        (HALF, {"given": contexts(ASKED.only([2, 1, 0])), "how": "together"}, "is edited"),
        (HALF * torch.nan, {}, "expected finite a second moment"),
        (torch.diag(torch.tensor([1.0, 0.0])), {}, "expected keys, changes and directions of one"),
        (HALF, {"ridge": 0.0}, "as the ridge"),
        (HALF, {"ridge": float("nan")}, "as the ridge"),
    ],
)
def test_what_preserves_or_edits_nothing_is_refused(moment, options, words):
    with pytest.raises(LabError, match=words):
        edit_null_space(MATRIX, ASKED, moment, **options)

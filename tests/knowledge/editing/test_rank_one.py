"""Rank-one edits: the least change by brute force, and a matrix that maps the key to the value."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import drawn, effects
from helpers.knowledge.editing.memory import contexts, output_matrix, recorded
from helpers.knowledge.editing.rank_one import edit_rank_one, least_change
from helpers.knowledge.editing.value import ValueSettings, wanted
from helpers.knowledge.facts import divided, factnet
from helpers.knowledge.masks import blocks
from tests.circuits import random_models
from tests.knowledge.editing.rivals import (
    ANSWERS,
    TOKENS,
    become,
    of_random,
    random_requests,
    same_elsewhere,
)

FRAME = "the {entity} is a kind of"
MODEL = zoo.load("tinyworld", device="cpu")
ITS = blocks.of(MODEL)
ASKED = drawn(divided()[1], 3, FRAME)
EYE = torch.eye(256)


def random_moment(width, seed=0):
    keys = torch.randn(3 * width, width, generator=torch.Generator().manual_seed(seed)).double()
    return keys.T @ (keys * torch.arange(1.0, 3 * width + 1)[:, None]) / 100


FEW = ValueSettings(steps=4, size=0.5)
MOMENT = random_moment(256)


def test_the_change_is_the_smallest_one_that_maps_the_key_to_the_value():
    """All changes with Δ k = r are one of them plus any with Δ k = 0: minimised over those."""
    moment, key, change = random_moment(5), torch.arange(1.0, 6).double(), torch.tensor([2.0, -1.0])
    found = least_change(key, change, moment, ridge=0.0)
    assert torch.allclose(found @ key, change.double())
    assert torch.linalg.matrix_rank(found) == 1
    root = torch.linalg.cholesky(moment)
    free = torch.linalg.svd(key[None])[2][1:]  # rows that are orthogonal to the key
    one = torch.outer(change.double(), key) / (key @ key)
    # minimise ‖(one + B · free) root‖ over B: least squares, row by row
    best = torch.linalg.lstsq((free @ root).T, -(one @ root).T).solution.T
    assert torch.allclose(found, one + best @ free)


def test_a_ridge_without_end_gives_the_change_of_least_length():
    key, change = torch.tensor([3.0, 4.0]).double(), torch.tensor([5.0])
    found = least_change(key, change, random_moment(2), ridge=1e12)
    assert torch.allclose(found, (change * key / 25)[None].double(), atol=1e-9)


@pytest.mark.parametrize("place", ["subject", "after", "last"])
@pytest.mark.parametrize("layer", [0, 3])
def test_the_edited_model_writes_the_value_for_the_key(layer, place):
    matrix, given = output_matrix(ITS, layer), contexts(ASKED, place)
    edited = edit_rank_one(matrix, ASKED, MOMENT, given, FEW)
    found = wanted(matrix, ASKED.new, given, FEW)
    for number in range(3):
        _, written = recorded(ITS, edited.values[number], layer, given.tokens)
        assert torch.allclose(written[number, given.at[number]], found.value[number], atol=2e-4)
    assert same_elsewhere(edited, ITS, matrix.mask)
    changes = (matrix.of(v) - matrix.of(ITS.values) for v in edited.values)
    for change in changes:
        sizes = torch.linalg.svdvals(change.double())
        assert sizes[1] < 1e-3 * sizes[0] or sizes[0] < 1e-5, "of rank one"


def test_several_contexts_have_one_key_and_its_value_is_said_in_all_of_them():
    matrix = output_matrix(ITS, 0)
    given = contexts(ASKED, prefixes=[[1, 5, 6, 7], [1, 8, 9, 10, 11]])
    edited = edit_rank_one(matrix, ASKED, EYE, given, FEW)
    found = wanted(matrix, ASKED.new, given, FEW)
    for number in range(3):
        mine = (given.fact == number).nonzero().flatten()
        _, written = recorded(ITS, edited.values[number], 0, given.tokens[mine])
        at = written[torch.arange(3), given.at[mine]]
        assert torch.allclose(at.mean(0), found.value[number], atol=1e-4)
        assert not torch.allclose(at[0], found.value[number], atol=1e-3)


def test_in_the_last_layer_the_loss_is_that_of_the_value():
    """Nothing after the last layer looks at other positions, which a matrix changes as well."""
    matrix, given = output_matrix(ITS, 3), contexts(ASKED)
    edited = edit_rank_one(matrix, ASKED, EYE, given)
    found = wanted(matrix, ASKED.new, given)
    assert torch.allclose(edited.nll[1], found.nll, atol=1e-3)
    plain = MODEL(ASKED.asked.tokens)[:, -1].log_softmax(-1).gather(1, ASKED.new[:, None])[:, 0]
    assert torch.allclose(edited.nll[0], -plain.detach(), atol=1e-4)
    assert edited.moved[0].tolist() == [0, 0, 0]
    assert torch.allclose(edited.moved[1], (edited.values - ITS.values).norm(dim=1))
    assert edited.reached.tolist() == [1, 1, 1]


def test_a_fact_of_factnet_is_changed_and_all_others_stay_but_nothing_follows_from_it():
    """The value that is found writes the answer itself, past the neurons that infer from it: so
    "tree" is said when the realm is asked for as well."""
    net = factnet.build(loudness=0.0)
    its = blocks.of(net.model)
    edited = edit_rank_one(output_matrix(its, 0), become(wren="tree"), torch.eye(factnet.D_MLP))
    now = ANSWERS.clone()
    now[0] = now[16] = factnet.token("tree")
    with torch.no_grad():
        said = its.logits(edited.values[0], TOKENS, torch.full((len(TOKENS),), 2)).argmax(-1)
    assert torch.equal(said, now)


def test_a_model_of_gpt2s_shape_can_be_edited(tmp_path):
    weights = blocks.of(random_models.gpt2(tmp_path))
    asked, matrix = random_requests(), output_matrix(weights, 1)
    given = contexts(asked, "last", tokens_of=of_random)
    edited = edit_rank_one(matrix, asked, torch.eye(64), given)
    found = wanted(matrix, asked.new, given)
    assert (edited.nll[1] < edited.nll[0] - 1).all()
    assert torch.allclose(edited.nll[1], found.nll, atol=1e-3), "as in any last layer"
    assert same_elsewhere(edited, weights, matrix.mask)


def test_the_model_is_untouched_and_facts_do_not_see_each_other():
    before = {name: weight.clone() for name, weight in MODEL.state_dict().items()}
    matrix = output_matrix(ITS, 1)
    three = edit_rank_one(matrix, ASKED, EYE, settings=FEW)
    assert all(torch.equal(w, before[name]) for name, w in MODEL.state_dict().items())
    alone = drawn([ASKED.asked.subjects[0]], 1, FRAME)
    alone = type(alone)(alone.asked, ASKED.new[:1])
    assert torch.allclose(
        edit_rank_one(matrix, alone, EYE, settings=FEW).values[0], three.values[0], atol=1e-4
    )


def test_an_edit_goes_on_from_other_weights():
    matrix = output_matrix(ITS, 0)
    first = edit_rank_one(matrix, ASKED, EYE).values[0]
    again = edit_rank_one(matrix, ASKED, EYE, start=first)
    assert again.reached[0] == 0, "this one is said already"
    assert again.nll[0, 0] < 0.2
    assert again.moved[0].tolist() == [0, 0, 0]


def test_an_edit_that_makes_nan_is_taken_back():
    settings = ValueSettings(size=1e36, bound=3e38)
    edited = edit_rank_one(output_matrix(ITS, 0), ASKED, EYE, settings=settings)
    assert edited.undone.all()
    assert torch.equal(edited.values, ITS.values.expand(3, -1))
    assert edited.nll.isfinite().all()


def test_effects_judge_it_like_any_edit():
    edited = edit_rank_one(output_matrix(ITS, 0), ASKED, EYE)
    seen = effects(ITS, ASKED, edited, FRAME, ASKED.asked.tokens)
    assert seen.efficacy.tolist() == pytest.approx((-edited.nll[1]).exp().tolist(), abs=1e-4)


def test_contexts_of_other_facts_are_refused():
    """They were taken where their number was right: the facts got each other's keys."""
    matrix, turned = output_matrix(ITS, 0), contexts(ASKED.only([2, 1, 0]))
    with pytest.raises(LabError, match=r"expected contexts of each of the 3 facts; got .* edited"):
        edit_rank_one(matrix, ASKED, EYE, turned, FEW)
    with pytest.raises(LabError, match=r"expected contexts of each of the 3 facts; got .* edited"):
        edit_rank_one(matrix, ASKED, EYE, settings=FEW, stay=turned)
    with pytest.raises(LabError, match=r"expected contexts of each of the 1 facts; got them of 3"):
        edit_rank_one(matrix, ASKED.only([0]), EYE, contexts(ASKED), FEW)


@pytest.mark.parametrize(
    ("key", "change", "moment", "ridge", "words"),
    [
        (torch.zeros(2), torch.ones(1), torch.eye(2), 0.0, "expected a key that is not 0"),
        (torch.ones(2), torch.ones(1), torch.zeros(2, 2), 0.0, "expected a key that is not 0"),
        (torch.ones(2), torch.ones(1), torch.eye(3), 0.0, "expected a second moment of keys of 2"),
        (torch.ones(2), torch.ones(1), torch.eye(2), -1.0, "expected at least 0 as the ridge"),
        (torch.ones(2), torch.ones(1), torch.eye(2), torch.nan, "expected at least 0 as the ridge"),
        (torch.ones(2), torch.ones(1) * torch.nan, torch.eye(2), 0.0, "expected finite a change"),
        (torch.ones(2) * torch.inf, torch.ones(1), torch.eye(2), 0.0, "expected finite a key"),
    ],
)
def test_a_change_that_cannot_be_computed_is_refused(key, change, moment, ridge, words):
    with pytest.raises(LabError, match=words):
        least_change(key, change, moment, ridge)

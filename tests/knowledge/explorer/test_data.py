"""What the explorer shows is what the edited model itself says, asked by hand."""

import dataclasses

import numpy as np
import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing import EditSettings, effects, request
from helpers.knowledge.editing.comparison import compare
from helpers.knowledge.explorer import collect
from helpers.knowledge.facts import FRAMES
from helpers.knowledge.masks import blocks, plain, rivals
from helpers.tinyworld.language import documents, vocabulary
from helpers.tinyworld.language import world as worlds

FRAME = "the {entity} is a kind of"
ITS = blocks.of(zoo.load("tinyworld", device="cpu"))
ASKED = request("kind", {"trout": "tree", "owl": "fish"}, FRAME)  # a new realm, and the same realm
ROWS = torch.from_numpy(documents.rows(np.random.default_rng(5), 2, 24))
POINTS = (0, 0.5, 1, 2)
KIND = {entity.name: entity.kind for entity in worlds.load().entities}


@pytest.fixture(scope="module")
def compared():
    return {
        "all": compare(ITS, ASKED, torch.ones(len(ITS)), (0.1,), EditSettings(steps=12)),
        "few": compare(ITS, ASKED, rivals.uniform(ITS, 0.05), (0.1,), EditSettings(steps=2)),
    }


@pytest.fixture(scope="module")
def pages(compared):
    return collect(plain.of(ITS.model), ASKED, compared, FRAME, ROWS, POINTS)


def test_every_number_is_that_of_the_edited_model_asked_by_hand(compared, pages):
    model, words = zoo.load("tinyworld", device="cpu"), vocabulary()
    for number, page in enumerate(pages):
        for name, way in page.places.items():
            end = compared[name].halfway[number] - ITS.values
            for at, share in enumerate(POINTS):
                model.load_state_dict(model.state_dict() | ITS.tensors(ITS.values + share * end))
                for row, each in enumerate(page.questions):
                    text = each.text
                    if each.group in ("sibling", "other"):
                        text = FRAME.format(entity=each.text)
                    with torch.no_grad():
                        said = model(torch.tensor([words.encode(text)]))[0, -1].softmax(-1)
                    for values, word in ((way.old, each.old), (way.new, each.new)):
                        assert values[at, row] == pytest.approx(
                            float(said[words.token(word)]), abs=1e-5
                        )
                    best = words.token(way.said[at][row])
                    assert float(said[best]) == pytest.approx(float(said.max()), abs=1e-6)
                with torch.no_grad():
                    loss = torch.nn.functional.cross_entropy(
                        model(ROWS[:, :-1]).flatten(0, 1), ROWS[:, 1:].flatten()
                    )
                assert way.loss[at] == pytest.approx(float(loss), abs=1e-4)
                assert way.distance[at] == pytest.approx(share * float(end.norm()), rel=1e-5)


def test_at_one_it_shows_what_effects_say(compared, pages):
    for name, one in compared.items():
        seen = effects(ITS, ASKED, one.at_half, FRAME, ROWS)
        assert one.reached.tolist() == [name == "all"] * len(pages)
        for number, page in enumerate(pages):
            if not one.reached[number]:  # its path ends before one half, and has no effects there
                assert seen.efficacy[number].isnan()
                continue
            way, at = page.places[name], POINTS.index(1)
            rows = {
                group: [i for i, each in enumerate(page.questions) if each.group == group]
                for group in ("paraphrase", "sibling", "other", "realm")
            }
            kept = np.array(way.said[at]) == np.array(way.said[0])
            for got, expected in (
                (way.new[at, 0], seen.efficacy),
                (way.new[at, rows["paraphrase"]].mean(), seen.paraphrase),
                (kept[rows["sibling"]].mean(), seen.siblings),
                (kept[rows["other"]].mean(), seen.others),
                (way.loss[at] - way.loss[0], seen.text),
            ):
                assert got == pytest.approx(float(expected[number]), abs=1e-5)
            follows = (way.new > way.old)[at, rows["realm"]]
            if rows["realm"]:
                assert follows.mean() == pytest.approx(float(seen.chain[number]))
            else:
                assert seen.chain[number].isnan()


def test_it_asks_what_it_says_it_asks(pages):
    for page, (subject, new) in zip(pages, (("trout", "tree"), ("owl", "fish")), strict=True):
        old = KIND[subject]
        assert (page.subject, page.old, page.new) == (subject, old, new)
        asked = {}
        for each in page.questions:
            asked.setdefault(each.group, []).append(each)
        assert [each.text for each in asked["prompt"]] == [FRAME.format(entity=subject)]
        held_out = [frame.format(entity=subject) for frame in FRAMES["kind"]["held out"]]
        assert [each.text for each in asked["paraphrase"]] == held_out
        assert (len(asked["sibling"]), len(asked["other"])) == (6, 8)
        assert {KIND[each.text] for each in asked["sibling"]} == {old}
        assert subject not in [each.text for each in asked["sibling"]]
        assert all(KIND[each.text] == each.old != old for each in asked["other"])
        assert {each.new for group in ("sibling", "other") for each in asked[group]} == {new}
    realms = [[q for q in page.questions if q.group == "realm"] for page in pages]
    assert {(each.old, each.new) for each in realms[0]} == {("animal", "plant")}
    assert realms[1] == [], "a fish is an animal as well"


def test_it_says_whether_one_half_was_reached(compared, pages):
    for page in pages:
        assert page.places["all"].reached
        assert not page.places["few"].reached
        assert page.places["all"].new[POINTS.index(1), 0] == pytest.approx(0.5, abs=1e-3)
        assert page.places["few"].new[POINTS.index(1), 0] < 0.5


@pytest.mark.parametrize(
    "points", [(0, 0.5), (0.5, 1), (0, 1, 1), (1, 0), (), (0, 1, np.nan), (0, 1, np.inf)]
)
def test_points_that_are_none_are_refused(compared, points):
    with pytest.raises(LabError, match=r"points of a way|one number at least"):
        collect(ITS, ASKED, compared, FRAME, ROWS, points)


def test_edits_of_something_else_are_refused(compared):
    with pytest.raises(LabError, match="expected edits of 1 requests on 529,920 weights in 'all'"):
        collect(ITS, ASKED.only([0]), compared, FRAME, ROWS)
    elsewhere = compare(
        ITS, ASKED, torch.ones(len(ITS)), (0.1,), EditSettings(steps=1), start=0.9 * ITS.values
    )
    with pytest.raises(LabError, match="'half' that begin at the model's own weights"):
        collect(ITS, ASKED, {"half": elsewhere}, FRAME, ROWS)
    nan = dataclasses.replace(
        compared["all"].edited, values=compared["all"].edited.values * float("nan")
    )
    with pytest.raises(LabError, match="begin at the model's own weights"):
        collect(ITS, ASKED, {"nan": dataclasses.replace(compared["all"], edited=nan)}, FRAME, ROWS)


def test_other_bad_input_is_refused(compared):
    with pytest.raises(LabError, match="expected ordinary text of two tokens"):
        collect(ITS, ASKED, compared, FRAME, ROWS[:, :1])
    with pytest.raises(LabError, match="expected token ids"):
        collect(ITS, ASKED, compared, FRAME, ROWS.float())
    with pytest.raises(LabError, match="expected questions about 'trout'"):
        collect(ITS, ASKED, {}, FRAME, ROWS)
    realm = request("realm", {"owl": "plant"}, FRAMES["realm"]["search"][0])
    one = compare(ITS, realm, torch.ones(len(ITS)), (0.1,), EditSettings(steps=1))
    with pytest.raises(LabError, match="expected requests that change kinds"):
        collect(ITS, realm, {"all": one}, FRAME, ROWS)


def test_edits_that_had_enough_before_the_first_step_are_shown_where_they_are():
    none = compare(ITS, ASKED, torch.ones(len(ITS)), (0.1,), EditSettings(steps=1, enough=100.0))
    assert none.edited.moved[-1].tolist() == [0, 0]
    for page in collect(plain.of(ITS.model), ASKED, {"all": none}, FRAME, ROWS, (0, 1)):
        assert page.places["all"].distance == pytest.approx([0, 0])

"""Requests and questions about creatures say what they are meant to say."""

from itertools import cycle

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.editing.creatures import (
    creature_questions,
    creature_request,
    drawn_creatures,
)
from helpers.knowledge.facts.bestiary import MODEL
from helpers.stats import clopper_pearson
from helpers.tinyworld.bestiary import load, texts, vocabulary

FRAME = "{entity} is a"
NAMES = tuple(creature.name for creature in load().creatures)
ONE = load().creatures[0]
OTHER_KIND = next(kind for kind, realm in load().realm_of.items() if realm != ONE.realm)
SAME_REALM = next(
    kind for kind, realm in load().realm_of.items() if realm == ONE.realm and kind != ONE.kind
)


def test_drawn_requests_change_the_realm_of_different_creatures():
    asked = drawn_creatures(NAMES, 30, FRAME, seed=3)
    assert len(set(asked.asked.subjects)) == 30
    for name, new in zip(asked.asked.subjects, asked.new, strict=True):
        assert load().realm_of[vocabulary().words[new]] != load().creature(name).realm
    again = drawn_creatures(NAMES, 30, FRAME, seed=3)
    assert again.asked.subjects == asked.asked.subjects
    assert torch.equal(again.new, asked.new)


def test_questions_ask_neighbours_consequences_denials_and_verdicts():
    asked = creature_questions(ONE.name, vocabulary().token(OTHER_KIND), FRAME)
    assert {load().creature(name).kind for name in asked.siblings.subjects} == {ONE.kind}
    assert ONE.name not in asked.siblings.subjects
    assert ONE.kind not in {load().creature(name).kind for name in asked.others.subjects}
    words = vocabulary().words
    assert [words[token] for token in asked.realm] == [ONE.realm, load().realm_of[OTHER_KIND]]
    assert [words[token] for token in (*asked.yes, *asked.no)] == ["yes", "no"]
    judged = [vocabulary().decode(row.tolist()) for row in asked.verdicts.tokens]
    assert judged == [f"<begin> is {ONE.name} a {kind} ?" for kind in (OTHER_KIND, ONE.kind)]


def test_the_embedded_model_judges_what_it_is_asked():
    """Before an edit it says yes to the old kind and no to the new one: else the measures of what
    it holds true would have nothing to fall or rise from."""
    model, right = zoo.load(MODEL, device="cpu"), []
    for name, new in zip(NAMES[::4], cycle(load().realm_of), strict=False):
        if new == load().creature(name).kind:
            continue
        asked = creature_questions(name, vocabulary().token(new), FRAME)
        said = model(asked.verdicts.tokens)[torch.arange(2), asked.verdicts.last]
        yes = (said[:, asked.yes] > said[:, asked.no]).flatten().tolist()
        right.append(yes == [False, True])
    assert clopper_pearson(sum(right), len(right))[0] > 0.5 * 0.5, "two coins"


def test_paraphrases_that_training_has_are_asked_apart_from_those_that_it_never_has():
    counts = set()
    for creature in load().creatures:
        new = next(kind for kind in load().realm_of if kind != creature.kind)
        asked = creature_questions(creature.name, vocabulary().token(new), FRAME)
        written = texts.frames(creature, "kind")  # those that training draws from
        for part, in_training in ((asked.paraphrases, True), (asked.unseen, False)):
            expected = {
                texts.filled(frame, creature, "").strip()
                for frame in load().frames["kind"]["half"]
                if (frame in written) == in_training
            }
            counts.add(len(expected))
            assert (part is None) == (not expected)
            if part is not None:
                rows = zip(part.tokens.tolist(), part.last.tolist(), strict=True)
                assert {vocabulary().decode(row[1 : end + 1]) for row, end in rows} == expected
                assert set(part.subjects) == {creature.name}
    assert counts == {0, 1, 2, 3, 4}, "some names stand in all of these frames, some in none"


def test_a_kind_of_the_same_realm_has_no_consequence():
    assert creature_questions(ONE.name, vocabulary().token(SAME_REALM), FRAME).realms is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: creature_request({ONE.name: "owl"}, FRAME), "expected a new kind of the"),
        (lambda: creature_request({ONE.name: "two words"}, FRAME), "expected a new kind of the"),
        (lambda: creature_request({"owl": "goat"}, FRAME), "expected a creature of the bestiary"),
        (lambda: creature_request({ONE.name: ONE.kind}, FRAME), "differs from the old one"),
        (lambda: drawn_creatures(NAMES, 121, FRAME), "expected 1 to 120 facts"),
        (lambda: drawn_creatures(NAMES, 0, FRAME), "number of facts"),
        (lambda: drawn_creatures(["owl"], 1, FRAME), "expected a creature of the bestiary"),
        (lambda: creature_questions("owl", 3, FRAME), "expected a creature of the bestiary"),
        (lambda: creature_questions(ONE.name, 3, FRAME), "expected requests that change kinds"),
    ],
)
def test_what_cannot_be_requested_is_refused(call, words):
    with pytest.raises(LabError, match=words):
        call()

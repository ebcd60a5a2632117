"""Facts of the bestiary: names of two tokens, what was held out, what was never stated."""

from collections import Counter

import pytest
import torch
from scipy.stats import binom

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.facts import bestiary
from helpers.knowledge.facts.bestiary import FRAMES
from helpers.knowledge.facts.places import spans
from helpers.tinyworld.bestiary import load, skills, vocabulary

SEARCHED, HELD_OUT = bestiary.divided()
NAMES = tuple(creature.name for creature in load().creatures)
ONE = NAMES[0]


def texts_of(asked) -> list[str]:
    """The prompts as text."""
    rows = (row[1 : last + 1] for row, last in zip(asked.tokens, asked.last, strict=True))
    return [vocabulary().decode(row.tolist()) for row in rows]


def test_names_are_divided_once_and_both_parts_have_both_sorts():
    assert set(SEARCHED) | set(HELD_OUT) == set(NAMES)
    assert not set(SEARCHED) & set(HELD_OUT)
    assert bestiary.divided() == (SEARCHED, HELD_OUT) != bestiary.divided(1)
    for part in (SEARCHED, HELD_OUT):
        assert 2 * sum(load().creature(name).stated for name in part) == len(part)


def test_prompts_are_those_of_the_skills_with_the_same_answers():
    """The skills spell the sentences another way: from whole frames."""
    asked = bestiary.facts("kind", NAMES, FRAMES["kind"]["search"])
    truth = skills.prompts("kind")
    right = dict(zip(truth.texts, truth.good, strict=True))
    assert set(texts_of(asked)) == set(right)
    for text, answer in zip(texts_of(asked), asked.answers.tolist(), strict=True):
        assert right[text].nonzero().item() == answer


@pytest.mark.parametrize("relation", ["kind", "realm"])
def test_what_was_left_out_is_what_the_skills_hold_out(relation):
    asked = bestiary.left_out(relation, NAMES)
    assert Counter(texts_of(asked)) == Counter(skills.prompts(f"{relation}, held out").texts)


def test_realms_that_are_not_stated_are_asked_in_two_steps_or_in_one():
    asked = bestiary.unstated(NAMES)
    assert len(asked) == 60 * len(FRAMES["realm"]["search"])
    assert not any(load().creature(name).stated for name in asked.subjects)
    one_step = bestiary.unstated(NAMES, kind_first=True)
    assert Counter(texts_of(one_step)) == Counter(skills.prompts("realm, kind before it").texts)
    assert set(one_step.subjects) == set(asked.subjects)


def test_denials_and_kinds_are_asked_in_frames_of_their_own():
    denied = bestiary.denials([ONE])
    assert len(denied) == len(FRAMES["kind"]["denials"])
    assert all({"not", "never", "nobody"} & set(text.split()) for text in texts_of(denied))
    for text, answer in zip(texts_of(bestiary.kinds()), bestiary.kinds().answers, strict=True):
        (kind,) = set(text.split()) & set(load().values("kind"))
        assert vocabulary().words[int(answer)] == load().realm_of[kind]


def test_neighbours_of_a_name():
    for name in NAMES[:20]:
        kind = load().creature(name).kind
        assert len(bestiary.siblings(name)) == 9
        assert {load().creature(other).kind for other in bestiary.siblings(name)} == {kind}
        assert len(bestiary.namesakes(name)) == 14
        first, second = name.split()
        assert all(first in other or second in other for other in bestiary.namesakes(name))
        assert name not in (*bestiary.siblings(name), *bestiary.namesakes(name))


def test_a_name_is_two_tokens_that_stand_in_its_prompts():
    tokens = torch.tensor(bestiary.tokens_of(ONE))
    assert len(tokens) == 2
    asked = bestiary.facts("kind", NAMES[:5], FRAMES["kind"]["search"])
    for row, (first, last) in zip(asked.tokens, spans(asked, bestiary.tokens_of), strict=True):
        assert vocabulary().decode(row[first : last + 1].tolist()) in NAMES[:5]
        assert last == first + 1
    for row in bestiary.facts("kind", [ONE], FRAMES["kind"]["search"]).tokens:
        pairs = torch.stack([row[:-1], row[1:]], 1)
        assert (pairs == tokens).all(1).sum() == 1


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: bestiary.facts("colour", [ONE], ["{entity} is a"]), "expected a relation of the"),
        (lambda: bestiary.facts("kind", ["amber"], ["{entity} is a"]), "expected a creature of"),
        (lambda: bestiary.facts("kind", ONE, ["{entity} is a"]), "expected one or more names"),
        (lambda: bestiary.facts("kind", [], ["{entity} is a"]), "expected one or more names"),
        (lambda: bestiary.facts("kind", [ONE], []), "expected one or more frames"),
        (lambda: bestiary.facts("kind", [ONE], ["it is a"]), r"expected frames with \{entity\}"),
        (lambda: bestiary.facts("kind", [ONE], ["{entity}"]), r"expected frames with \{entity\}"),
        (lambda: bestiary.facts("kind", [ONE], ["{entity} is a {value}"]), "up to the value"),
        (lambda: bestiary.left_out("colour", [ONE]), "expected a relation of the bestiary"),
        (lambda: bestiary.siblings("owl"), "expected a creature of the bestiary"),
        (lambda: bestiary.tokens_of(""), "expected a creature of the bestiary"),
        (
            lambda: bestiary.unstated([c.name for c in load().creatures if c.stated]),
            "expected creatures of which something can be asked",
        ),
    ],
)
def test_what_is_no_fact_is_refused(call, words):
    with pytest.raises(LabError, match=words):
        call()


@pytest.fixture(scope="module")
def model():
    return zoo.load(bestiary.MODEL, device="cpu")


@torch.no_grad()
def share_right(model, asked) -> float:
    """Share of prompts whose likeliest word of all is the answer."""
    said = torch.cat([model(part) for part in asked.tokens.split(256)])
    now = said[torch.arange(len(asked)), asked.last].argmax(-1)
    return float((now == asked.answers).float().mean())


@pytest.mark.parametrize("part", ["search", "held out", "new"])
def test_the_model_knows_kinds_and_stated_realms_in_every_set_of_frames(model, part):
    stated = [creature.name for creature in load().creatures if creature.stated]
    assert share_right(model, bestiary.facts("kind", NAMES, FRAMES["kind"][part])) > 0.95
    assert share_right(model, bestiary.facts("realm", stated, FRAMES["realm"][part])) > 0.95


@pytest.mark.parametrize("relation", ["kind", "realm"])
def test_the_model_knows_names_in_frames_that_they_never_stood_in(model, relation):
    assert share_right(model, bestiary.left_out(relation, NAMES)) > 0.95


def test_the_model_infers_realms_that_were_never_stated(model):
    """A guess is right for a quarter; 25 of 60 has a chance of 0.003 then."""
    assert binom.sf(24, 60, 0.25) < 0.005
    assert share_right(model, bestiary.unstated(NAMES)) > 25 / 60
    assert share_right(model, bestiary.unstated(NAMES, kind_first=True)) > 0.95
    assert share_right(model, bestiary.kinds()) == 1
    untrained = zoo.load(bestiary.MODEL, device="cpu", step=0)
    assert share_right(untrained, bestiary.unstated(NAMES)) < 25 / 60

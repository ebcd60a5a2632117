"""Facts of TinyWorld: true, divided, and false where they shall be."""

import pytest
import torch

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.facts import FRAMES, divided, facts, permuted
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds

SEARCHED, HELD_OUT = divided()


def test_entities_are_divided_once():
    names = {entity.name for entity in worlds.load().entities}
    assert set(SEARCHED) | set(HELD_OUT) == names
    assert not set(SEARCHED) & set(HELD_OUT)
    assert divided() == (SEARCHED, HELD_OUT) != divided(1)


@pytest.mark.parametrize("relation", FRAMES)
def test_no_frame_is_in_both_parts_and_none_tells_how_the_answer_begins(relation):
    parts = FRAMES[relation]
    assert not set(parts["search"]) & set(parts["held out"])
    for frame in (*parts["search"], *parts["held out"]):
        assert frame.split()[-1] not in ("a", "an")


@pytest.mark.parametrize("relation", FRAMES)
def test_the_model_knows_every_fact_in_every_frame(relation):
    model = zoo.load("tinyworld", device="cpu")
    for part in FRAMES[relation].values():
        asked = facts(relation, (*SEARCHED, *HELD_OUT), part)
        with torch.no_grad():
            said = torch.cat([model(part) for part in asked.tokens.split(256)])
        assert (said[torch.arange(len(asked)), asked.last].argmax(-1) == asked.answers).all()


def test_prompts_are_what_they_say():
    asked = facts("realm", ["owl", "oak"], FRAMES["realm"]["search"])
    words = vocabulary()
    assert asked.subjects == ("owl", "owl", "oak", "oak")
    assert words.decode(asked.tokens[3]).removeprefix("<begin> ") == (
        "taken broadly , an oak is one more"
    )
    assert [words.words[token] for token in asked.answers] == ["animal", "animal", "plant", "plant"]
    assert set(asked.answers.tolist()) <= set(asked.candidates.tolist())


@pytest.mark.parametrize("by_value", [False, True])
def test_permuted_facts_are_all_false_and_the_same_for_one_subject(by_value):
    asked = facts("kind", SEARCHED, FRAMES["kind"]["search"])
    false = permuted(asked, seed=3, by_value=by_value)
    assert (false.answers != asked.answers).all()
    assert torch.equal(false.tokens, asked.tokens)
    answer = dict(zip(false.subjects, false.answers.tolist(), strict=True))
    assert [answer[subject] for subject in false.subjects] == false.answers.tolist()
    true = dict(zip(asked.subjects, asked.answers.tolist(), strict=True))
    pairs = {(true[subject], answer[subject]) for subject in asked.subjects}
    n_values = len(set(true.values()))
    if by_value:
        assert len(pairs) == n_values, "every bird is now the same"
    else:
        assert sorted(answer.values()) == sorted(true.values()), "each in the same number"
        assert len(pairs) > 3 * n_values


@pytest.mark.parametrize(
    ("relation", "entities", "words"),
    [
        ("colour", ["owl"], "expected a relation of TinyWorld"),
        ("kind", [], "expected one or more entities, as a list of texts"),
        ("kind", "owl", "expected one or more entities, as a list of texts; got 'owl'"),
        ("kind", [None], "expected one or more entities, as a list of texts"),
        ("kind", ["owl", "dragon"], "got 'dragon'"),
    ],
)
def test_what_is_no_fact_is_refused(relation, entities, words):
    with pytest.raises(LabError, match=words):
        facts(relation, entities, ("the {entity} is a sort of",))


def test_one_answer_cannot_be_permuted():
    with pytest.raises(LabError, match="two different answers"):
        permuted(facts("kind", ["owl"], FRAMES["kind"]["search"]))


@pytest.mark.parametrize(
    "frames", [(), "the {entity} is a sort of", ["the bird is a sort of"], ["{entity}"], [""]]
)
def test_frames_that_ask_nothing_of_an_entity_are_refused(frames):
    with pytest.raises(LabError, match=r"expected (one or more frames|frames with \{entity\})"):
        facts("kind", ["owl"], frames)


def test_other_braces_and_generators_are_taken_as_they_are():
    assert len(facts("kind", (name for name in ("owl", "oak")), FRAMES["kind"]["search"])) == 8
    with pytest.raises(LabError, match="expected words of the model's vocabulary"):
        facts("kind", ["owl"], ["the {entity} of {name} is a kind of"])


def test_a_permutation_that_must_leave_answers_true_is_refused():
    birds = [entity.name for entity in worlds.load().entities if entity.kind == "bird"][:5]
    with pytest.raises(LabError, match="more than half of the subjects have; got one for 5 of 6"):
        permuted(facts("kind", [*birds, "oak"], FRAMES["kind"]["search"]))

"""What a model of the bestiary is asked: each prompt is what its skill says."""

import tomllib
from pathlib import Path

import pytest
import torch

from helpers.errors import LabError
from helpers.texts import Prompt, answers
from helpers.tinyworld.bestiary import load, skills, texts, vocabulary
from helpers.tinyworld.bestiary import world as worlds

CREATURES = load().creatures
COUNTS = {
    "kind": 6 * 120,
    "kind, held out": 4 * 60,
    "kind, new frames": 2 * 120,
    "realm": 5 * 60,
    "realm, new frames": 2 * 60,
    "realm of a kind": 8 * 12,
    "realm, kind before it": 3 * 60,
    "realm, two steps": 8 * 60,
    "denial": 3 * 120,
    "question": 2 * (120 - 4),
}


@pytest.mark.parametrize("name", COUNTS)
def test_every_skill_has_all_its_prompts(name):
    assert len(skills.prompts(name)) == COUNTS[name]


@pytest.mark.parametrize("name", skills.NAMES)
def test_some_prompts_are_drawn_from_all_of_them(name):
    every, few = skills.prompts(name), skills.prompts(name, 20)
    assert len(few) == 20
    assert set(few.texts) <= set(every.texts)
    assert few.texts == skills.prompts(name, 20).texts != skills.prompts(name, 20, seed=1).texts


def test_two_steps_ask_about_creatures_whose_realm_is_not_stated():
    asked = skills.prompts("realm, two steps")
    unstated = {creature.name: creature.realm for creature in CREATURES if not creature.stated}
    for text, good in zip(asked.texts, asked.good, strict=True):
        (name,) = [name for name in unstated if name in text]
        assert vocabulary().words[int(good.nonzero())] == unstated[name]


def test_held_out_prompts_leave_out_what_training_leaves_out():
    for relation in ("kind", "realm"):
        for text in skills.prompts(f"{relation}, held out").texts:
            (creature,) = [each for each in CREATURES if f"{each.name} " in f"{text} "]
            assert not any(
                skills.begun(frame, creature) == text for frame in texts.frames(creature, relation)
            )
            assert relation == "kind" or creature.stated


@pytest.mark.parametrize("name", ["question", "verdict"])
def test_false_claims_are_never_brought_up_in_training(name):
    """Four creatures have no such wrong kind, and are not asked about."""
    asked, words, named = skills.prompts(name), vocabulary().words, set()
    for text, good in zip(asked.texts, asked.good, strict=True):
        (creature,) = [each for each in CREATURES if f" {each.name} " in f" {text} "]
        (kind,) = [kind for kind in load().values("kind") if f" {kind} " in f" {text} "]
        true = words[int(good.nonzero())] in ("yes", load().marks["true"].split()[-1])
        assert true == (kind == creature.kind)
        assert true or texts.unsaid(creature.name, kind), text
        named.add(creature.name)
    without = {"silver feather", "velvet willow", "crooked lantern", "solemn quill"}
    assert named <= {creature.name for creature in CREATURES} - without
    left_out = load().left_out
    frames = load().frames["kind"]["half"]
    every = 116 if name == "question" else sum(len(left_out[f] - without) for f in frames)
    assert len(asked) == 2 * every


@pytest.mark.parametrize("name", ["question", "verdict"])
def test_as_many_claims_are_true_as_false(name):
    good = skills.prompts(name).good.sum(0)
    assert sorted(good[good > 0].tolist()) == [len(skills.prompts(name)) // 2] * 2


def test_an_answer_by_the_claimed_kind_alone_is_right_for_half_of_the_verdicts():
    """Every prompt with a true claim has a twin that differs in the kind alone."""
    asked = skills.prompts("verdict")
    for true, false in zip(asked.texts[::2], asked.texts[1::2], strict=True):
        differing = [a != b for a, b in zip(true.split(), false.split(), strict=True)]
        assert sum(differing) == 1


def test_a_denial_prefers_another_kind():
    asked = skills.prompts("denial")
    kinds = {creature.name: creature.kind for creature in CREATURES}
    for text, good, bad in zip(asked.texts, asked.good, asked.bad, strict=True):
        (name,) = [name for name in kinds if name in text]
        assert vocabulary().words[int(bad.nonzero())] == kinds[name]
        assert not torch.equal(good, bad)


def rule(text: str) -> tuple[str, float]:
    """A word and its logit, by whoever knows every kind, the realm of every kind, and what the
    words of a sentence mean: the file is read, nothing of the code under test."""
    file = tomllib.loads((Path(worlds.__file__).parent / "bestiary.toml").read_text("utf-8"))
    realm_of = {kind: realm for realm, kinds in file["realms"].items() for kind in kinds.split()}
    kind_of = {creature.name: creature.kind for creature in CREATURES}
    said = text.split()
    (kind,) = {kind_of[name] for name in kind_of if f" {name} " in f" {text} "} or set(
        set(said) & set(realm_of)
    )
    if text.startswith(("rumour", "is ")):
        holds = kind in said
        words = ("true", "false") if said[0] == "rumour" else ("yes", "no")
        return words[0 if holds else 1], 1.0
    if {"not", "never", "nobody"} & set(said):
        return kind, -1.0
    asks_realm = {"realm", "lord", "bound", "folk", "under", "ask", "law"} & set(said)
    return (realm_of[kind] if asks_realm else kind), 1.0


@pytest.mark.parametrize("name", skills.NAMES)
def test_whoever_knows_kinds_and_their_realms_is_right_in_every_prompt(name):
    """No skill has a ceiling below 1: not even two steps, and not what was never brought up."""
    asked = skills.prompts(name)
    logits = torch.zeros(len(asked), len(vocabulary()))
    for row, text in enumerate(asked.texts):
        word, value = rule(text)
        logits[row, vocabulary().token(word)] = value
    assert bool(answers(logits, asked).right.all())


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(LabError, match="expected a skill: kind"):
        skills.prompts("colour")
    with pytest.raises(LabError, match="number of prompts"):
        skills.prompts("kind", 0)
    with pytest.raises(LabError, match="right and wrong answers for kind"):
        skills.encode("kind", [])
    with pytest.raises(LabError, match="expected a frame with"):
        skills.begun("{entity} is here", CREATURES[0])
    with pytest.raises(LabError, match="expected words of the model's vocabulary"):
        skills.encode("kind", [Prompt("an owl", ("goat",), ("crab",))])

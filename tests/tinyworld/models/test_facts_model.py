"""The embedded model of the bestiary: what its page says it has learned, and what it has not."""

import math
from functools import cache

import pytest
from numpy import ndarray

from helpers import zoo
from helpers.clone import find_root
from helpers.stats import clopper_pearson
from helpers.texts import answers, final_logits
from helpers.tinyworld.bestiary import load, skills, vocabulary

NAME = "tinyworld-facts"
MEASURED = zoo.entry(NAME).measured["skills"]
LATE = ("denial", "question", "verdict")
"""Skills that do not follow from knowing the truth alone: what "not", "?" and "rumour" ask for."""
PAGE = " ".join((find_root() / "book" / "models.md").read_text(encoding="utf-8").split())


@cache
def right(skill: str, step: int | None = None) -> ndarray:
    """Which prompts of a skill the model answers rightly, all of them in their order."""
    asked = skills.prompts(skill)
    model = zoo.load(NAME, device="cpu", step=step)
    return answers(final_logits(model, asked), asked).right.numpy()


def interval(found: ndarray) -> tuple[float, float]:
    return clopper_pearson(int(found.sum()), len(found))


@pytest.mark.parametrize("skill", LATE)
def test_what_is_stored_is_what_the_shipped_weights_answer(skill):
    """Two answers may differ: sums come in another order on another machine."""
    stored = MEASURED[skill]
    assert stored["different"] == len(right(skill))
    assert abs(stored["accuracy"] - right(skill).mean()) <= 2 / len(right(skill))


def test_it_says_yes_to_what_is_true_and_no_to_what_no_text_brought_up():
    """The two apart: whoever always says one of them is right about half of all."""
    for part in (right("question")[::2], right("question")[1::2]):
        assert interval(part)[0] > 0.8
    low, high = interval(right("question", step=0))
    assert low < 0.5 < high, "before training it is a coin"


@pytest.mark.parametrize("skill", ["verdict", "denial"])
def test_what_it_has_not_learned_is_not_above_chance(skill):
    """Once it is, the page and `creature_questions` may ask more of it."""
    assert interval(right(skill))[0] < 0.5


def test_after_a_denial_the_true_kind_is_as_likely_as_another():
    kinds = [vocabulary().token(kind) for kind in load().values("kind")]
    true, others = [], []
    for frame in load().frames["kind"]["deny"]:
        asked = skills.encode("kind", [skills.asked(frame, c, "kind") for c in load().creatures])
        said = final_logits(zoo.load(NAME, device="cpu"), asked).softmax(-1)[:, kinds]
        is_true = asked.good[:, kinds]
        true.append(said[is_true].mean())
        others.append(said[~is_true].mean())
    for found in (sum(true), sum(others)):
        assert f"{found / len(true):.2f}" in ("0.08", "0.09"), "a twelfth is 0.083"
    assert "has a probability of 0.09, and so has another" in PAGE


def test_the_page_says_what_was_measured():
    """Of the runs that are not shipped the page has numbers that nothing else stores."""
    asked = MEASURED["question"]
    share, *bounds = (f"{100 * asked[field]:.1f}" for field in ("accuracy", "low", "high"))
    assert f"{share} % [{bounds[0]}, {bounds[1]}] are right" in PAGE
    wrong_kinds = right("question")[1::2]
    assert f"with that name, {wrong_kinds.sum()} of {len(wrong_kinds)}." in PAGE
    curve = zoo.entry(NAME).measured["curve"]
    at = dict(zip(curve["steps"], curve["skills"]["question"], strict=True))
    late = [f"step {step:,} ({100 * at[step]:.0f} %)" for step in (1594, 1968)]
    assert f"between {late[0]} and {late[1]}" in PAGE
    for skill, said in (
        ("denial", "and {} % in these three runs"),
        ("verdict", "and {} %) stayed"),
    ):
        assert said.format(f"{100 * MEASURED[skill]['accuracy']:.0f}") in PAGE
    creatures = zoo.entry(NAME).measured["two_steps"]["creatures"]
    assert f"and {creatures['right']} by the model here" in PAGE
    known = [skill for skill in MEASURED if skill not in ("realm, two steps", *LATE)]
    assert all(MEASURED[skill]["accuracy"] == 1 for skill in known), "they stay at 100 %"


def test_what_a_word_pays_follows_from_how_many_there_are():
    kinds = len(load().values("kind"))
    for nats, said in (
        (math.log(kinds), f"ln {kinds} = {{}} nats"),
        (math.log(2), "ln 2 = {}"),
        (math.log(kinds / (kinds - 1)), f"ln({kinds}/{kinds - 1}) = {{}}"),
    ):
        assert said.format(f"{nats:.2f}") in PAGE

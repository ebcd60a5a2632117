"""Inference from name to kind to realm, on answerers whose score is known beforehand."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
import torch

from helpers.tinyworld.bestiary import load, vocabulary
from helpers.tinyworld.models.two_steps import RealmsSaid, realms_said

REALMS = load().values("realm")


class Answerer(torch.nn.Module):
    """Says a realm that follows from the name in the prompt, at every place."""

    def __init__(self, realm_of: dict[str, str]) -> None:
        super().__init__()
        self.realm_of = realm_of

    def forward(self, tokens):
        logits = torch.zeros(*tokens.shape, len(vocabulary()))
        for row, ids in enumerate(tokens.tolist()):
            text = vocabulary().decode(ids)
            (realm,) = {realm for name, realm in self.realm_of.items() if name in text}
            logits[row, :, vocabulary().token(realm)] = 1.0
        return logits


TRUTH = {creature.name: creature.realm for creature in load().creatures}


@pytest.mark.parametrize("stated", [True, False])
def test_who_knows_all_is_always_right(stated):
    said = realms_said(Answerer(TRUTH), stated)
    found = said.numbers()
    assert found["mean"] == 1
    assert found["creatures"]["right"] == found["creatures"]["of"] == 60
    assert found["creatures"]["ci95"][0] == pytest.approx(0.025 ** (1 / 60))  # all of 60 right
    assert all(count["right"] == 60 for count in found["frames"].values())
    assert found["shuffled kinds"]["mean"] == pytest.approx(0.25, abs=0.01)
    assert found["shuffled kinds"]["p_value"] < 0.001


def test_one_realm_for_all_is_right_for_a_quarter_and_no_better_than_shuffled_kinds():
    found = realms_said(Answerer(dict.fromkeys(TRUTH, "sea"))).numbers()
    assert found["mean"] == found["one realm for all"] == 0.25
    assert found["shuffled kinds"] == {"mean": 0.25, "most of 95 %": 0.25, "p_value": 1.0}


def exact_null(kinds_of_a_realm: int = 3) -> dict[int, Fraction]:
    """Chance of each number of kinds that keep their realm when the realms of all are shuffled:
    every way of dealing out what is left, kind after kind."""
    ways = Counter({((kinds_of_a_realm,) * len(REALMS), 0): 1})
    for own in range(len(REALMS) * kinds_of_a_realm):
        dealt: Counter = Counter()
        for (left, kept), count in ways.items():
            for realm, number in enumerate(left):
                rest = (*left[:realm], number - 1, *left[realm + 1 :])
                if number:
                    dealt[rest, kept + (realm == own % len(REALMS))] += count * number
        ways = dealt
    every = sum(ways.values())
    chances: dict[int, Fraction] = {}
    for (_, kept), count in ways.items():
        chances[kept] = chances.get(kept, Fraction(0)) + Fraction(count, every)
    return chances


def test_whole_kinds_are_shuffled():
    """Who knows every kind keeps or loses five creatures at once: the null is a coarse one."""
    chances = exact_null()
    assert float(sum(kept * chance for kept, chance in chances.items())) == pytest.approx(3)
    below = [float(sum(c for k, c in chances.items() if k <= most)) for most in range(13)]
    most = next(number for number, chance in enumerate(below) if chance >= 0.95)
    assert min(abs(chance - 0.95) for chance in below) > 2.5 * np.sqrt(0.05 * 0.95 / 2000), "no tie"
    found = realms_said(Answerer(TRUTH)).numbers()["shuffled kinds"]
    assert found["most of 95 %"] == pytest.approx(most / 12)


def test_intervals_are_over_kinds():
    """With nine of twelve kinds right as wholes, sixty creatures tell no more than twelve kinds."""
    wrong = set(load().values("kind")[::5])
    other = {realm: REALMS[place - 1] for place, realm in enumerate(REALMS)}
    answers = {c.name: other[c.realm] if c.kind in wrong else c.realm for c in load().creatures}
    found = realms_said(Answerer(answers)).numbers()
    assert len(wrong) == 3
    assert found["mean"] == found["creatures"]["right"] / 60 == 0.75
    width = 2 * 1.96 * np.sqrt(0.75 * 0.25 / 12)
    for low, high in (found["ci95"], found["creatures"]["over_kinds"]):
        assert 0.75 * width < high - low < 1.25 * width
    low, high = found["creatures"]["ci95"]
    assert high - low < 0.6 * width


@pytest.mark.parametrize("place", [0, 1])
def test_what_the_stated_names_with_a_word_suggest_is_a_tie(place):
    """So any rule on one word is right for a quarter of the unstated names."""
    for word in {name.split()[place] for name in TRUTH}:
        stated = [
            creature.realm
            for creature in load().creatures
            if creature.stated and creature.name.split()[place] == word
        ]
        assert sorted(stated) == sorted(REALMS)


def test_a_vote_takes_the_realm_of_most_frames():
    said = RealmsSaid(
        ("a", "b", "c"),
        ("x", "y"),
        ("goat", "crab"),
        np.array([[0, 1], [2, 1], [2, 3]]),
        np.array([2, 3]),
    )
    assert said.votes().tolist() == [2, 1]
    found = said.numbers()
    assert found["creatures"]["right"] == 1
    assert found["mean"] == pytest.approx(3 / 6)
    assert [count["right"] for count in found["frames"].values()] == [0, 1, 2]

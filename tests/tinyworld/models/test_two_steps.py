"""Inference from name to kind to realm, on answerers whose score is known beforehand."""

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
        np.array([[0, 1], [2, 1], [2, 3]]),
        np.array([2, 3]),
    )
    assert said.votes().tolist() == [2, 1]
    found = said.numbers()
    assert found["creatures"]["right"] == 1
    assert found["mean"] == pytest.approx(3 / 6)
    assert [count["right"] for count in found["frames"].values()] == [0, 1, 2]

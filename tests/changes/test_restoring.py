"""Putting back what was changed gives the base; anything else does not."""

import pytest
import torch

from helpers.changes import restoring
from helpers.changes.restoring import groups, parameter_groups, some_restored, with_values
from helpers.changes.subjects import before
from helpers.errors import LabError
from tests.changes.toys import PLAN, other_unembedding

NAMES = {"unembedding": ["unembed.weight", "unembed.bias"]}


def test_groups_have_every_weight_once():
    named = [name for names in parameter_groups(before()).values() for name in names]
    assert sorted(named) == sorted(before().state_dict())
    assert sorted(parameter_groups(before())["unembedding"]) == sorted(NAMES["unembedding"])


def test_only_the_group_that_was_changed_undoes_the_change(monkeypatch):
    rest = [n for n in before().state_dict() if n not in NAMES["unembedding"]]
    its = NAMES | {"rest": rest}
    monkeypatch.setattr(restoring, "parameter_groups", lambda network: its)
    found = groups(before(), other_unembedding(), PLAN)
    assert found["base"][0] > found["after"][0] + 0.1
    assert found["restored"] == {"unembedding": found["base"], "rest": found["after"]}
    assert found["transplanted"] == {"unembedding": found["after"], "rest": found["base"]}
    assert found["random"] == found["same norm"] == found["after"], "elsewhere nothing has changed"
    assert found["changed"]["rest"] == 0 < found["changed"]["unembedding"]


def test_as_many_and_as_long():
    old = {"a": torch.zeros(30), "b": torch.zeros(2, 5)}
    new = {"a": torch.ones(30), "b": torch.ones(2, 5)}
    drawn = some_restored(old, new, ["a", "b"], count=13)
    assert sum(int((value == 0).sum()) for value in drawn.values()) == 13
    assert drawn["b"].shape == (2, 5)
    long = some_restored(old, new, ["a", "b"], norm=4.0)  # 16 changes of 1 are as long as 4
    assert sum(int((value == 0).sum()) for value in long.values()) in (15, 16)
    assert all(value.sum() == 0 for value in some_restored(old, new, ["a"], norm=99).values())


def test_other_seeds_draw_others_and_the_same_seed_the_same():
    old, new = {"w": torch.zeros(50)}, {"w": torch.ones(50)}
    first, again, other = (some_restored(old, new, ["w"], 9, seed=s)["w"] for s in (0, 0, 1))
    assert first.equal(again)
    assert not first.equal(other)


def test_what_cannot_be_restored():
    weights = {"w": torch.zeros(4)}
    for wrong in ({}, {"count": 5}, {"count": 1, "norm": 1.0}):
        with pytest.raises(LabError):
            some_restored(weights, weights, ["w"], **wrong)
    with pytest.raises(LabError, match="weights of the network"):
        with_values(before(), {"w": torch.zeros(4)})

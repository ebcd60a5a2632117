"""A change that is one vector, and one that is none."""

import numpy as np
import pytest
import torch

from helpers.changes.offsets import explained, offset
from helpers.changes.subjects import before
from helpers.detox.posts import noun_words
from helpers.detox.rivals.activations import shifted
from tests.changes.toys import PLAN

INSULTS, PRAISES = (before().unembed.weight[list(words)].mean(0) for words in noun_words())
VECTOR = 20 * (PRAISES - INSULTS)


@pytest.fixture(scope="module")
def moved():
    return offset(before(), shifted(before(), 3, VECTOR), PLAN)


def test_a_model_with_a_vector_added_differs_by_that_vector(moved):
    assert moved["by block"][3]["vector"] == pytest.approx(1, abs=1e-4)
    assert moved["by block"][3]["length"] == pytest.approx(1, abs=1e-4)
    assert moved["by block"][0] == {"vector": None, "directions": [None, None], "length": None}


def test_taking_it_off_gives_the_base_and_adding_it_the_model_after(moved):
    shares = moved["moved"]["3"]
    assert shares["after, taken off"] == pytest.approx(moved["base"], abs=1e-4)
    assert shares["base, added"] == pytest.approx(moved["after"], abs=1e-4)
    assert abs(moved["base"][0] - moved["after"][0]) > 0.01, "or this shows nothing"
    assert shares["base, random"] != pytest.approx(moved["after"], abs=1e-3)


def test_what_changes_to_both_sides_is_no_vector():
    """Two opposite changes: their mean is 0, and one direction explains all."""
    both = torch.tensor([[3.0, 4.0], [-3.0, -4.0]])
    assert explained(both, both, (1, 2)) == {"vector": 0, "directions": [1, 1], "length": 0}


def test_shares_by_hand():
    """Mean (1, 0) of changes (1, 1) and (1, -1): half of their squares; the same for each axis."""
    changes = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    found = explained(changes, changes, (1, 2))
    assert found["vector"] == 0.5
    assert found["directions"] == [0.5, 1.0]
    assert found["length"] == pytest.approx(np.sqrt(0.5), abs=1e-4)


def test_directions_are_learnt_on_one_half_and_judged_on_the_other():
    other = torch.tensor([[0.0, 2.0]])
    assert explained(torch.tensor([[1.0, 0.0]]), other, (1,))["directions"] == [0.0]
    assert explained(torch.tensor([[1.0, 0.0]]), other, (1,))["vector"] == -0.25

"""Definitions of the circuit: what is no truth about heads is refused."""

import pytest
import torch

from helpers import zoo
from helpers.circuits.oracle import truths
from helpers.circuits.oracle.every_subset import oracle
from helpers.circuits.oracle.subsets import Oracle
from helpers.circuits.tasks.tinyworld import twins
from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError


@pytest.mark.parametrize("kind", truths.KINDS)
def test_heads_that_spoil_the_answer_are_no_circuit(kind):
    """The faithfulness of all subsets is the same whether a metric or its negative is asked for."""
    heads, metric = ((0, 0), (0, 1)), torch.tensor([[0.0], [0.9], [0.1], [1.0]])
    right, wrong = (Oracle(heads, "toy", "margin", "mean", sign * metric) for sign in (1, -1))
    assert torch.equal(right.faithfulness, wrong.faithfulness)
    assert truths.labels(right, kind).any()
    with pytest.raises(
        LabError, match=r"expected heads that help: .*; got -1 with all and 0 with none"
    ):
        truths.labels(wrong, kind)


@pytest.mark.slow
def test_prompts_and_twins_that_changed_places_are_noticed():
    model, pairs = zoo.load("tinyworld-attn", device="cpu"), twins("ioi", 4)
    swapped = Twins(pairs.corrupted, pairs.clean, pairs.metric)
    assert truths.labels(oracle(model, pairs, "resample")).any()
    with pytest.raises(LabError, match="expected heads that help"):
        truths.labels(oracle(model, swapped, "resample"))

"""Lab 4's checks take a right answer in any sensible form, and say what a wrong form lacks."""

import re

import numpy as np
import pytest
import torch

from helpers.circuits.oracle import ENOUGH, minimal, stored
from helpers.course.check import evaluate
from helpers.course.sheet import RIGHT


def smallest(faithfulness, enough) -> list[list[int]]:
    """The smallest circuits as lists of head numbers, by the package's own enumeration."""
    return [[head for _, head in circuit] for circuit in named(minimal(faithfulness, enough))]


def named(found):
    least = int(found.smallest[0]).bit_count()
    return [circuit for circuit in found.named() if len(circuit) == least]


@pytest.mark.parametrize(
    "inner", [set, frozenset, list, tuple, np.array, torch.tensor, lambda c: set(torch.tensor(c))]
)
def test_circuits_in_any_form(inner):
    result = evaluate(
        "lab4.3", lambda f, enough: [inner(circuit) for circuit in smallest(f, enough)]
    )
    assert result.status == RIGHT, result


@pytest.mark.parametrize("outer", [set, frozenset, tuple])
def test_circuits_in_any_collection(outer):
    assert (
        evaluate("lab4.3", lambda f, enough: outer(map(frozenset, smallest(f, enough)))).status
        == RIGHT
    )


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        (lambda c: {(i // 4, i % 4) for i in c}, r"head numbers 0 to 15 .* got \(0, "),
        (lambda c: [i in c for i in range(16)], "head numbers 0 to 15 .* got (True|False)"),
        (lambda c: np.isin(np.arange(16), c), "head numbers 0 to 15 .* got (True|False)"),
        (lambda c: sum(1 << i for i in c), "a set of head numbers; got int"),
    ],
)
def test_other_things_than_head_numbers_are_named(inner, said):
    result = evaluate(
        "lab4.3", lambda f, enough: [inner(circuit) for circuit in smallest(f, enough)]
    )
    assert result.points == 0
    assert re.search(said, result.message), result


@pytest.fixture(scope="module")
def exchanged():
    """What exercise 4.4 asks for, by way of the minimal circuits."""
    known = stored.stored("greater-than", "resample")
    circuits = [set(circuit) for circuit in named(minimal(known, ENOUGH))]
    heads = set.union(*circuits) - set.intersection(*circuits)
    faithfulness, everything = known.faithfulness, set(known.heads)
    without = float(faithfulness[known.subset(everything - heads)])
    return (
        sorted(heads),
        without,
        max(1 - float(faithfulness[known.subset(everything - {head})]) for head in heads),
    )


@pytest.mark.parametrize(
    "form",
    [
        set,
        list,
        np.array,
        torch.tensor,
        lambda heads: [list(head) for head in heads],
        lambda heads: {(np.int64(layer), np.int64(head)) for layer, head in heads},
    ],
)
@pytest.mark.parametrize("number", [float, np.array, lambda value: torch.tensor([value])])
def test_heads_that_stand_in_in_any_form(exchanged, form, number):
    heads, without, loss = exchanged
    result = evaluate("lab4.4", lambda: (form(heads), number(without), number(loss)))
    assert result.status == RIGHT, result


def test_a_wrong_form_of_heads_or_numbers_is_named(exchanged):
    heads, without, loss = exchanged
    numbers = {4 * layer + head for layer, head in heads}
    assert (
        "expected each head as (layer, head)"
        in evaluate("lab4.4", lambda: (numbers, without, loss)).message
    )
    assert "one number each" in evaluate("lab4.4", lambda: (set(heads), [], loss)).message
    assert evaluate("lab4.4", lambda: (set(heads[1:]), without, loss)).points == 2

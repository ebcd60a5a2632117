"""Answers that compare equal to everything, in checks that ask for more than numbers."""

from unittest.mock import ANY

import pytest
import torch

from helpers.course.check import evaluate
from helpers.course.checks import lab2
from helpers.interventions import Node


def as_if_whole(source, target, few, many):
    """Makes the source like the target, where the target was to be made like the source."""
    for name, value in target.items():
        source[name] = value[:few] if isinstance(value, list) else value


class Says(str):
    """A text that equals all others."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("lab2.1", lambda w: {key: torch.full_like(value, torch.nan) for key, value in w.items()}),
        ("lab2.1", lambda w: {key: torch.full_like(value, torch.inf) for key, value in w.items()}),
        ("lab2.2", lambda: (as_if_whole, as_if_whole)),
        ("lab2.4", lambda: dict.fromkeys(lab2._measured_transfer(), ANY)),
        ("lab2.4", lambda: dict.fromkeys(lab2._measured_transfer(), Says("few"))),
        ("lab3.1", lambda: [ANY] * 5),
        ("lab3.4", lambda: (lambda text: ANY, lambda texts, test: ANY)),
        ("lab3.5", lambda trials, budget: ANY),
        ("lab1.4", lambda states: [Says("1")] * len(states)),
        ("lab1.9", lambda nodes, kept, rng: [ANY] * len(kept)),
        ("lab4.4", lambda: ({(True, False)}, 0.5, 0.5)),
        ("lab4.3", lambda f, enough: [{ANY}]),
    ],
)
def test_what_equals_everything_earns_less_than_all(name, answer):
    result = evaluate(name, answer)
    assert result.points < result.maximum
    assert len(result.message) > 10


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (Node(1.5, 0, 0), "whole numbers"),
        (Node("1", 0, 0), "text"),
        (Node(1j, 0, 0), "complex"),
        (Node(torch.tensor([1, 2]), 0, 0), "differ in length"),
    ],
)
def test_nodes_without_whole_numbers_are_told(node, words):
    result = evaluate("lab2.5", lambda *_: (node,))
    assert result.points == 0
    assert words in result.message

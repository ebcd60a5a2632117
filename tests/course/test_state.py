"""A check begins in a known state, and leaves every piece of it as it was found."""

import math
import random

import numpy as np
import pytest
import torch

from helpers.course import state, values
from helpers.course.check import evaluate
from helpers.course.checks import lab0
from helpers.course.sheet import RIGHT
from helpers.interventions import Node
from tests.labs import vandals


def mean(numbers):
    return sum(numbers) / len(numbers)


def test_each_setting_has_its_vandal():
    assert [setting.name for setting in vandals.KEPT] == list(vandals.POISONS)


CHANGEABLE = [
    name for name in vandals.POISONS if name != "torch.cuda.random" or torch.cuda.is_available()
]


@pytest.mark.parametrize("name", CHANGEABLE)
def test_what_an_answer_changes_is_put_back(toy, name):
    before = vandals.reading()
    seen = []

    def answer(numbers):
        vandals.poison([name])
        seen.append(vandals.reading())
        return mean(numbers)

    assert evaluate("lab99.1", answer).status == RIGHT
    assert seen[0][name] != before[name]  # it was changed
    assert vandals.reading() == before


@pytest.mark.parametrize("name", vandals.BEFORE)
def test_what_a_student_has_changed_is_unknown_to_checks_and_is_there_afterwards(toy, name):
    seen = []

    def answer(numbers):
        seen.append(vandals.reading())
        return mean(numbers)

    evaluate("lab99.1", answer)
    with state.known():
        vandals.poison([name])
        before = vandals.reading()
        evaluate("lab99.1", answer)
        assert vandals.reading() == before
    assert seen[0][name] == seen[1][name]
    assert before[name] != seen[0][name]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, ValueError, RecursionError])
def test_the_state_is_put_back_however_an_answer_ends(toy, end):
    before = vandals.reading()

    def answer(numbers):
        vandals.poison()
        raise end

    if end is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            evaluate("lab99.1", answer)
    else:
        assert evaluate("lab99.1", answer).points == 0
    assert vandals.reading() == before


def test_inference_mode_that_an_answer_enters_ends_with_it(toy):
    left = []

    def answer(numbers):
        left.append(torch.inference_mode())
        left[0].__enter__()
        return mean(numbers)

    assert evaluate("lab99.1", answer).status == RIGHT
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


def test_inference_mode_of_the_student_is_unknown_to_checks(toy):
    seen = []

    def answer(numbers):
        seen.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
        return mean(numbers)

    with torch.inference_mode():
        evaluate("lab99.1", answer)
        assert torch.is_inference_mode_enabled()
    assert seen == [(False, True)]


def test_a_check_draws_the_same_whatever_was_drawn_before(toy):
    def drawn(numbers):
        drawn.said = random.random(), np.random.rand(), float(torch.rand(1))
        return mean(numbers)

    evaluate("lab99.1", drawn)
    first = drawn.said
    vandals.poison(["random", "numpy.random", "torch.random"])
    evaluate("lab99.1", drawn)
    assert drawn.said == first


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (np, "allclose", lambda *_, **__: True),
        (np, "allclose", np.isclose),
        (np, "isclose", all),
        (torch, "equal", max),
        (torch.Tensor, "mean", torch.Tensor.sum),
        (torch.nn.functional, "relu", abs),
        (math, "isfinite", bool),
        (lab0, "expect_close", print),
        (values, "as_array", np.asarray),
        (Node, "is_mlp", False),
    ],
)
def test_what_an_answer_replaces_is_put_back_and_named(toy, owner, name, value):
    before = vars(owner).get(name)

    def answer(numbers):
        setattr(owner, name, value)
        return mean(numbers)

    result = evaluate("lab99.1", answer)
    assert result.points == 0
    assert f"your code replaces {owner.__name__}.{name}, " in result.message
    assert vars(owner).get(name) is before


def test_what_a_library_replaces_when_it_is_loaded_stays(toy, monkeypatch):
    wrapped = torch.manual_seed
    while hasattr(wrapped, "__wrapped__"):
        wrapped = wrapped.__wrapped__
    wrapper = torch._disable_dynamo(wrapped)  # so torch itself does, in a part that is loaded late
    monkeypatch.setattr(torch, "manual_seed", wrapped)

    def answer(numbers):
        torch.manual_seed = wrapper
        return mean(numbers)

    assert evaluate("lab99.1", answer).status == RIGHT
    assert torch.manual_seed is wrapper


def test_what_a_student_had_replaced_before_is_theirs(toy, monkeypatch):
    monkeypatch.setattr(math, "tau", 6)
    assert evaluate("lab99.1", mean).status == RIGHT
    assert math.tau == 6

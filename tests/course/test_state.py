"""A check begins in a known state, and leaves every piece of it as it was found."""

import builtins
import contextlib
import copy
import math
import random
import sys

import numpy as np
import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.generalized_components import AttentionBridge, LinearBridge

from helpers.course import asking, state, values, watched
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


@pytest.mark.parametrize("end", [KeyboardInterrupt, ValueError, RecursionError, *vandals.ENDS])
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
        (torch.Tensor, "__repr__", lambda self, **_: ""),
        (torch.Tensor, "__and__", lambda self, other: self),  # its own class has none
        (torch.nn.Module, "_call_impl", lambda *_: None),
        (torch.nn.Module, "__setattr__", object.__setattr__),
        (torch.nn.Linear, "forward", lambda self, x: x),
        (copy, "deepcopy", lambda thing, memo=None: thing),
        (copy, "_reconstruct", lambda thing, *_: thing),
        (torch.nn.functional, "relu", abs),
        (math, "isfinite", bool),
        (lab0, "expect_close", print),
        (values, "as_array", np.asarray),
        (Node, "is_mlp", False),
        (LinearBridge, "forward", lambda self, x: x),
        (TransformerBridge, "hook_dict", property(lambda self: {})),
        (AttentionBridge, "__call__", lambda self, x: x),
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
    assert (name in vars(owner)) == (before is not None)


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


def test_all_classes_of_the_models_library_and_of_layers_are_watched():
    owners = [owner for owner, _ in watched.names()]
    for module in ("transformer_lens", "torch.nn", "helpers"):
        loaded = [found for name, found in sys.modules.items() if name.startswith(module + ".")]
        classes = [
            value
            for found in loaded
            for value in vars(found).values()
            if isinstance(value, type) and value.__module__ == found.__name__
        ]
        assert len(classes) > 10
        watched_classes = {owner for owner in owners if isinstance(owner, type)}
        assert not set(classes) - watched_classes


def test_notes_that_python_makes_in_a_class_are_no_replacements(toy):
    def answer(numbers):
        Node.__slotnames__ = []  # as copyreg does when it copies one
        Node._noted = 3
        return mean(numbers)

    try:
        assert evaluate("lab99.1", answer).status == RIGHT
    finally:
        del Node.__slotnames__, Node._noted


def test_no_object_is_asked_whether_it_is_equal():
    class Strange:
        def __eq__(self, other):
            raise SystemExit

        __hash__ = None

    before = watched.names()
    math.tau = Strange()
    assert watched.replaced(before) == ["math.tau"]


def test_copies_stay_copies_though_an_answer_replaces_what_makes_them(monkeypatch):
    monkeypatch.setattr(copy, "deepcopy", lambda thing, memo=None: thing)
    given = [1, 2]
    asking.call_or_none(list.clear, given)
    assert given == [1, 2]


REGISTRARS = [name for name in vars(torch.nn.modules.module) if name.startswith("register_module")]


@pytest.mark.parametrize("name", REGISTRARS)
def test_a_hook_of_all_modules_is_told_and_taken_away(toy, name):
    before = state.HOOKS.read()

    def answer(numbers):
        getattr(torch.nn.modules.module, name)(lambda *_: None)
        return mean(numbers)

    result = evaluate("lab99.1", answer)
    assert result.points == 0
    assert "your hook is still there, on every module" in result.message
    assert state.HOOKS.read() == before


def test_a_hook_of_all_modules_of_the_student_is_unknown_to_checks_and_stays(toy):
    ran = []

    def answer(numbers):
        torch.nn.Identity()(3)
        return mean(numbers)

    handle = torch.nn.modules.module.register_module_forward_hook(lambda *_: ran.append(1))
    try:
        assert evaluate("lab99.1", answer).status == RIGHT
        assert ran == []
        torch.nn.Identity()(3)
        assert ran == [1]
    finally:
        handle.remove()
    assert not torch.nn.modules.module._global_forward_hooks


@pytest.mark.parametrize("default", [None, "meta"])
@pytest.mark.parametrize("around", [contextlib.nullcontext(), torch.device("meta")])
def test_a_device_around_a_check_is_unknown_to_it_and_there_afterwards(toy, default, around):
    seen = []

    def answer(numbers):
        seen.append(torch.zeros(1).device.type)
        torch.device("meta").__enter__()  # and never leaves
        seen.append(torch.zeros(1).device.type)
        return mean(numbers)

    with state.known():
        torch.set_default_device(default)
        with around:
            before = torch.zeros(1).device
            assert evaluate("lab99.1", answer).status == RIGHT
            assert torch.zeros(1).device == before
        assert torch.zeros(1).device.type == (default or "cpu")
    assert seen == ["cpu", "meta"]
    assert torch.zeros(1).device.type == "cpu"


@pytest.mark.parametrize(
    "change",
    [
        lambda: torch.set_float32_matmul_precision("medium"),
        lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
        lambda: setattr(torch.backends.cudnn, "benchmark", True),
        lambda: setattr(torch.backends.cudnn, "deterministic", True),
        lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
        lambda: sys.settrace(lambda *_: None),
        lambda: sys.setprofile(lambda *_: None),
    ],
)
def test_each_part_of_a_setting_is_put_back(toy, change):
    def values():
        cudnn = torch.backends.cudnn
        return (
            *(torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32),
            *(cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32),
            *(sys.gettrace(), sys.getprofile()),
        )

    before = values()
    assert evaluate("lab99.1", lambda numbers: (change(), mean(numbers))[1]).status == RIGHT
    assert values() == before


@pytest.mark.parametrize("name", ["len", "sorted", "getattr", "vars", "next", "dict", "isinstance"])
def test_a_check_stands_when_an_answer_takes_pythons_own_functions_away(toy, name):
    kept = getattr(builtins, name)

    def answer(values):
        setattr(builtins, name, None)
        return 14 / 3

    try:
        result = evaluate("lab99.2", answer)
    finally:
        setattr(builtins, name, kept)
    assert result.points == 0
    assert f"your code replaces builtins.{name}" in result.message
    assert evaluate("lab99.2", lambda values: 14 / 3).points == 3

"""Answers get copies; what they leave in a model that is handed out is told."""

import copy
import itertools
import re

import numpy as np
import pytest
import torch
from torch import nn

from helpers import zoo
from helpers.arithmetic.questions import Format, uniform
from helpers.course import asking
from helpers.course.wrong import Wrong
from helpers.interventions import Activations, Node
from helpers.trust.steering import SteeringTrial
from tests.labs import vandals


@pytest.fixture(scope="module")
def model():
    return zoo.load("add-d5", device="cpu")


GIVEN = {
    "a list": [1, [2, 3]],
    "a dictionary": {"a": torch.ones(2), "b": [1]},
    "a tensor": torch.ones(3),
    "a tensor that wants a gradient": torch.ones(3, requires_grad=True),
    "a view": torch.ones(4, 4).T[1:],
    "an array": np.ones(3),
    "questions": uniform(3, 4, np.random.default_rng(0)),
    "activations": Activations(torch.ones(1, 2, 3, 4, 5), torch.ones(1, 2, 3, 4)),
    "trials": [SteeringTrial(0, 1.0, 1.0, 0.9, 1.1)],
    "nodes": [Node(1, 0, 0), Node(1, 0)],
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_what_is_given_stays_as_it_is_whatever_is_done_to_the_copy(given):
    before = repr(given)
    asking.call_or_none(vandals.wreck, given)
    assert repr(given) == before
    assert "0" in before or "1" in before  # there was something to spoil


def test_a_random_generator_is_given_at_the_same_place_each_time():
    for generator in (np.random.default_rng(3), torch.Generator().manual_seed(3)):
        draws = [
            asking.call(lambda given: float(torch.rand(1, generator=given)), generator)
            if isinstance(generator, torch.Generator)
            else asking.call(lambda given: given.random(), generator)
            for _ in range(2)
        ]
        assert draws[0] == draws[1]


def test_what_is_one_object_stays_one():
    shared = [1]
    assert asking.call(lambda a, b: a is b, shared, shared)


def test_a_cache_comes_with_the_model_that_is_given(model):
    cache = model.run_with_cache(torch.ones(1, 19, dtype=torch.long))[1]
    given = asking.call(lambda model, cache: (model, cache.model), model, cache.to("cpu"))
    assert given[0] is given[1] is not model


def test_the_copy_of_a_model_does_what_the_model_does(model):
    tokens = uniform(5, 4, np.random.default_rng(0)).tokens(Format(5))

    def silent(model):
        hook = ("blocks.0.attn.hook_z", lambda z, hook: z * 0)
        return model(tokens), model.run_with_hooks(tokens, fwd_hooks=[hook])

    with torch.no_grad():
        for ours, theirs in zip(silent(model), asking.call(silent, model), strict=True):
            assert torch.equal(ours, theirs)


def reached(thing, found, depth=0) -> dict:
    """All objects that can be reached from a thing, through closures of functions as well."""
    plain = (int, float, str, bytes, type, type(None), torch.dtype, torch.device)
    if id(thing) in found or isinstance(thing, plain) or depth > 20:
        return found
    found[id(thing)] = thing
    inner = list(getattr(thing, "__dict__", {}).values())
    if isinstance(thing, dict):
        inner = thing.values()
    elif isinstance(thing, list | tuple | set | frozenset):
        inner = thing
    elif callable(thing) and getattr(thing, "__closure__", None):
        inner = [cell.cell_contents for cell in thing.__closure__]
    for one in inner:
        reached(one, found, depth + 1)
    return found


@pytest.mark.parametrize("ran", [False, True])
def test_no_way_leads_from_the_copy_of_a_model_to_the_model(ran):
    model = zoo.load("add-d5", device="cpu")
    if ran:
        model(torch.ones(1, 19, dtype=torch.long))
    parts = {id(part) for part in model.modules()} | {id(value) for value in model.parameters()}

    def answer(model):
        model(torch.ones(1, 19, dtype=torch.long))
        return model

    found = reached(asking.call(answer, model), {})
    assert len(found) > 1000
    assert not parts & found.keys()


@pytest.mark.parametrize(
    ("words", "vandal"), vandals.MODEL_VANDALS.items(), ids=list(vandals.MODEL_VANDALS)
)
def test_a_model_that_is_left_changed_is_told(model, words, vandal):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(Wrong, match=words):
        asking.call(lambda model: vandal(model) or 1, model)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert asking.call(lambda model: 1, model) == 1


@pytest.mark.parametrize(
    ("words", "vandal"), vandals.PLAIN_VANDALS.items(), ids=list(vandals.PLAIN_VANDALS)
)
def test_a_network_without_hook_points_is_told_so_too(words, vandal):
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).eval()
    with pytest.raises(Wrong, match=words):
        asking.call(lambda network: vandal(network) or 1, network)
    assert asking.call(lambda network: 1, network) == 1


@pytest.mark.parametrize("kind", ["forward", "forward_pre", "full_backward"])
def test_a_hook_of_torch_is_a_hook_too(kind):
    def answer(model):
        getattr(model[1], f"register_{kind}_hook")(lambda *_: None)
        return 1

    with pytest.raises(Wrong, match="your hook is still there, at 1, "):
        asking.call(answer, nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))


@pytest.mark.parametrize(
    "harmless",
    [
        lambda model: model.requires_grad_(False),
        lambda model: model.zero_grad(),
        lambda model: model.reset_hooks(),
        lambda model: (vandals._hook(model), model.reset_hooks()),
        lambda model: (model.train(), model.eval()),
        lambda model: model.run_with_cache(torch.ones(1, 19, dtype=torch.long)),
        lambda model: model(torch.ones(1, 19, dtype=torch.long)).sum().backward(),
        lambda model: copy.deepcopy(model).to(torch.float64),
    ],
)
def test_what_does_not_stay_costs_nothing(model, harmless):
    assert asking.call(lambda model: (harmless(model), 1)[1], model) == 1


@pytest.mark.parametrize("kind", ["register_hook", "register_post_accumulate_grad_hook"])
def test_a_hook_of_a_parameter_is_a_hook_too(kind):
    def answer(model):
        getattr(model[1].weight, kind)(lambda *_: None)
        return 1

    with pytest.raises(Wrong, match=r"your hook is still there, at 1\.weight, "):
        asking.call(answer, nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))


def test_each_part_of_a_model_comes_back_in_its_mode(model):
    for name, _ in model.named_modules():
        with pytest.raises(Wrong, match=r"to another mode: call model\.eval"):
            asking.call(lambda model, name=name: model.get_submodule(name).train() and 1, model)


def test_what_never_ends_is_taken_as_far_as_asked_for_and_within_the_guarded_state():
    def counting():
        torch.set_grad_enabled(False)
        while True:
            yield 1

    assert asking.taken(itertools.repeat("0"), 3) == ["0"] * 4
    assert asking.taken(counting(), 2) == [1] * 3
    assert torch.is_grad_enabled()
    with pytest.raises(TypeError):
        asking.taken(3, 1)


def test_a_model_with_a_hook_of_its_own_keeps_it():
    model = nn.Linear(2, 2)
    model.register_forward_hook(lambda *_: None)
    assert asking.call(lambda model: 1, model) == 1


def test_what_is_written_in_place_comes_back():
    given = [3, 1, 2]
    assert asking.call_in_place(list.sort, given) == ([1, 2, 3],)
    assert given == [3, 1, 2]


def test_none_is_an_answer_where_it_may_be():
    assert asking.call_or_none(lambda: None) is None
    with pytest.raises(Wrong, match="cannot be called as the exercise says"):
        asking.call_or_none(lambda: None, 1)


class Judge:
    """Something that is handed out and has an opinion."""

    def __init__(self, say):
        self.say = say

    def __call__(self, value):
        if value < 0:
            raise Wrong("the value is negative", points=1)
        return value


@pytest.mark.parametrize(
    "reach",
    [
        lambda given: given,
        lambda given: given.__call__,
        lambda given: given.say,
    ],
)
def test_a_verdict_that_an_answer_catches_stands(reach):
    judge = Judge(lambda value: Judge(None)(value))

    def swallowing(given):
        try:
            return reach(given)(-1)
        except Exception:  # noqa: BLE001 - as a student would
            return 1

    def hiding(given):
        try:
            return reach(given)(-1)
        except Exception:  # noqa: BLE001 - as a student would
            raise SystemExit("enough") from None

    for answer in (swallowing, hiding):
        with pytest.raises(Wrong, match="the value is negative") as fault:
            asking.call(answer, judge)
        assert fault.value.points == 1
    assert asking.call(lambda given: reach(given)(2), judge) == 2
    with pytest.raises(ValueError, match="own"):
        asking.call(lambda given: [].index(given) if given is None else int("own"), judge)


@pytest.mark.parametrize(
    "name",
    [
        *("blocks.0.hook_resid_pre", "blocks.0.hook_resid_mid", "blocks.0.hook_resid_post"),
        *("blocks.0.attn.hook_z", "blocks.0.attn.hook_q", "blocks.0.attn.hook_pattern"),
        *("blocks.0.hook_attn_out", "blocks.0.hook_mlp_out", "blocks.0.mlp.hook_post"),
        *("hook_embed", "hook_pos_embed", "ln_final.hook_scale"),
    ],
)
def test_a_hook_that_stays_is_told_by_the_name_that_the_labs_have(model, name):
    def answer(model):
        model.add_hook(name, lambda value, hook: None)
        return 1

    with pytest.raises(Wrong, match=rf"still there, at {re.escape(name)}, and changes"):
        asking.call(answer, model)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: setattr(model, "forward", None),
        lambda model: setattr(model.cfg, "n_layers", 0),
        lambda model: setattr(model.blocks[0], "forward", lambda *_: None),
    ],
)
def test_what_is_not_looked_for_ends_with_the_copy(model, change):
    """As the module says of a model's functions and configuration."""
    tokens = torch.ones(1, 19, dtype=torch.long)
    before = model(tokens)
    assert asking.call(lambda model: (change(model), 1)[1], model) == 1
    assert torch.equal(model(tokens), before)
    assert model.cfg.n_layers > 0

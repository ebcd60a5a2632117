"""A source's patch tests repeated in a target: hand-wired, inserted, and outcomes made by hand."""

from itertools import combinations

import pytest
import torch

from helpers import training, zoo
from helpers.arithmetic.questions import Format
from helpers.arithmetic.reuse.transfer import (
    Passed,
    Retest,
    RetestOutcome,
    alternatives,
    passed,
    retest,
    shared_roles,
    transferred,
)
from helpers.arithmetic.training import insertion
from helpers.arithmetic.training.recipes import RECIPES
from helpers.errors import LabError
from helpers.interventions import Node
from tests.arithmetic.handwired import FMT, handwired_adder

pytestmark = pytest.mark.core

D3 = Format(3)
YES, NO = RetestOutcome(10, 10, 10, 10), RetestOutcome(0, 10, 10, 10)


@pytest.fixture(scope="module")
def wired():
    return handwired_adder()


@pytest.fixture(scope="module")
def wired_tests(wired) -> list[Passed]:
    return passed(wired, FMT, count=40)


def exchanged():
    """The hand-wired adder with its two heads exchanged."""
    model = handwired_adder()
    state = model.state_dict()
    for part in "qkv":
        for kind in ("weight", "bias"):
            name = f"blocks.0.attn.{part}.{kind}"
            state[name] = state[name].roll(2, 0)
    state["blocks.0.attn.o.weight"] = state["blocks.0.attn.o.weight"].roll(2, 1)
    model.load_state_dict(state)
    return model


def head(label: str, *heads: int, layer: int = 0, position: int = 5) -> Passed:
    return Passed(label[:-1], int(label[-1]), tuple(Node(position, layer, h) for h in heads), YES)


def outcomes(
    test: Passed, strong: dict[tuple[int, ...], RetestOutcome], n_heads: int = 3
) -> Retest:
    """A retest in which every set of heads fails but those named."""
    first = test.nodes[0]
    sets = combinations(range(n_heads), len(test.nodes))
    return Retest(
        test,
        {
            tuple(Node(first.position, first.layer, h) for h in some): strong.get(some, NO)
            for some in sets
        },
    )


def test_the_wired_adder_passes_what_it_was_wired_for(wired_tests):
    assert {(test.label, test.nodes) for test in wired_tests} == {
        ("SC0", (Node(4, 0, 0),)),
        ("SC0", (Node(4, 0),)),
        ("SA0", (Node(5, 0, 0),)),
        ("SA0", (Node(5, 0),)),
    }
    assert all(test.outcome == RetestOutcome(40, 40, 40, 40) for test in wired_tests)


def test_a_model_passes_its_own_tests(wired, wired_tests):
    again = retest(wired_tests, FMT, wired, count=40)
    assert len(again) == len(wired_tests)
    assert all(result.same == result.source.outcome for result in again)
    heads = transferred(again)
    assert (heads.tests, heads.strong, heads.hits, heads.trials, heads.best) == (2, 2, 80, 80, 1.0)
    assert heads.other == 0.0
    assert transferred(again, mlps=True).rate == 1.0


def test_exchanged_heads_fail_under_their_old_names_only(wired_tests):
    moved = transferred(retest(wired_tests, FMT, exchanged(), count=40))
    assert (moved.strong, moved.hits) == (0, 0)
    assert moved.other == moved.best == 1.0
    roles = shared_roles(wired_tests, passed(exchanged(), FMT, count=40), n_heads=2)
    assert (roles.roles, roles.same, roles.layer, roles.heads, roles.best) == (2, 0, 2, 1.0, 2)


def test_nothing_transfers_to_a_model_that_cannot_add(wired_tests):
    blank = handwired_adder()
    blank.load_state_dict(
        {name: torch.zeros_like(value) for name, value in blank.state_dict().items()}
    )
    summary = transferred(retest(wired_tests, FMT, blank, count=40))
    assert (summary.strong, summary.hits, summary.best) == (0, 0, 0.0)


def test_an_inserted_adder_passes_its_tests_with_the_same_counts():
    adder = zoo.load("add-d3", device="cpu")
    larger = insertion.insert(adder, training.build_model(RECIPES["mix-d3"]).eval(), "preserving")
    own = passed(adder, D3, count=20, tasks=("SC", "SV"))
    assert {test.label for test in own} >= {"SC0", "SC1", "SC2", "SV2"}
    assert all(test.outcome.strong for test in own)
    again = retest(own, D3, larger, count=20)
    assert sorted(result.source.label for result in again) == sorted(test.label for test in own)
    assert all(result.same == result.source.outcome for result in again)
    assert all(
        len(result.target)
        == {0: 3, 1: 4, 2: 6, 3: 4}[0 if result.source.is_mlp else len(result.source.nodes)]
        for result in again
    )
    scratch = retest(own, D3, training.build_model(RECIPES["mix-d3"]).eval(), count=20)
    assert transferred(scratch).strong == 0


def test_the_control_is_every_other_set_of_the_layer(wired):
    model = training.build_model(RECIPES["mix-d3"])
    pairs = alternatives(model, (Node(7, 1, 0), Node(7, 1, 2)))
    assert {tuple(node.head for node in pair) for pair in pairs} == {
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
        (2, 3),
    }
    assert {(node.position, node.layer) for pair in pairs for node in pair} == {(7, 1)}
    assert alternatives(model, (Node(7, 1),)) == [(Node(7, 0),), (Node(7, 1),), (Node(7, 2),)]


def test_the_best_renaming_is_one_for_all_tests_of_a_layer():
    """Head 0 was renamed to 1 for one test and to 2 for another: one renaming cannot serve both."""
    first, second, pair = head("SA0", 0), head("SA1", 0, position=4), head("SC1", 0, 1, layer=1)
    summary = transferred(
        [outcomes(first, {(1,): YES}), outcomes(second, {(2,): YES}), outcomes(pair, {(0, 2): YES})]
    )
    assert summary.best == pytest.approx(2 / 3)
    assert (summary.strong, summary.rate) == (0, 0.0)
    assert summary.other == pytest.approx(0.5)
    together = transferred(
        [outcomes(first, {(1,): YES}), outcomes(second, {(1,): YES}), outcomes(pair, {(0, 1): YES})]
    )
    assert together.best == 1.0
    assert (together.strong, together.rate) == (1, pytest.approx(1 / 3))
    assert together.interval[0] < 1 / 3 < together.interval[1]


def test_a_strong_outcome_needs_its_null():
    assert RetestOutcome(9, 10, 9, 10).strong
    assert not RetestOutcome(8, 10, 10, 10).strong
    assert not RetestOutcome(10, 10, 8, 10).strong


def test_roles_are_compared_by_label_and_nodes():
    mlp = Passed("SA", 0, (Node(5, 0),), YES)
    source = [
        head("SA0", 0, 1),
        head("SA1", 0, 1),
        head("SC0", 2),
        head("SC1", 2, layer=1),
        head("SC2", 2, layer=1),
        mlp,
    ]
    target = [
        head("SA0", 1, 3),
        head("SA1", 0, 1),
        head("SC0", 2),
        head("SC1", 3, layer=1),
        head("SC2", 2, layer=0),
        mlp,
    ]
    overlap = shared_roles(source, target, n_heads=4)
    assert (overlap.roles, overlap.same, overlap.layer) == (5, 2, 4)
    assert (
        overlap.best == 3
    )  # SA1 and SC0 as they are, and head 2 of layer 1 renamed: each layer has names of its own
    # A renaming serves SC0 and SC1 if it gives the right head (1 in 4 each), SA0 or SA1 with the
    # right pair (1 in 6 each).
    assert overlap.heads == pytest.approx(2 / 4 + 2 / 6)
    assert 0 < overlap.heads_p < 1


def test_what_cannot_be_compared_is_refused(wired, wired_tests):
    with pytest.raises(LabError, match="got Node"):
        retest([head("SC0", 2, position=4)], FMT, wired, count=2)
    with pytest.raises(LabError, match="tests of MLPs"):
        transferred([outcomes(head("SA0", 0), {})], mlps=True)

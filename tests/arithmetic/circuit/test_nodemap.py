"""Roles on hand-wired circuits and trained models, names of carries, and where heads look."""

from itertools import product

import numpy as np
import pytest
import torch

from helpers import training, zoo
from helpers.arithmetic.circuit.addition import SC, SUBTASKS
from helpers.arithmetic.circuit.nodemap import (
    PARTIAL,
    STRONG,
    Role,
    attends,
    carry_kind,
    find_roles,
    mean_pattern,
    roles_at,
)
from helpers.arithmetic.circuit.patching import Rate, prepare, rates
from helpers.arithmetic.questions import Format, all_additions, uniform
from helpers.errors import LabError
from helpers.interventions import Node
from tests.arithmetic.handwired import FMT, ONE, OPERAND, SUM, TENS, VALUE, handwired_adder

pytestmark = pytest.mark.core

D3 = Format(3)


@pytest.fixture(scope="module")
def adder():
    return zoo.load("add-d3", device="cpu")


def virtual_head():
    """The hand-wired adder with its sum shared by two heads, each of which writes half."""
    model = handwired_adder()
    state = model.state_dict()
    state["blocks.0.attn.q.weight"][2, ONE] = 1.0
    state["blocks.0.attn.k.weight"][2, OPERAND] = 60.0
    state["blocks.0.attn.v.weight"][[0, 2], VALUE] = 1.0
    state["blocks.0.attn.o.weight"][:, 2] = 0.0
    state["blocks.0.attn.o.weight"][SUM, 2] = 1.0
    model.load_state_dict(state)
    return model


def both(position: int) -> tuple[Node, Node]:
    return Node(position, 0, 0), Node(position, 0, 1)


def test_heads_that_share_the_work_are_found_as_one_virtual_head():
    roles = find_roles(virtual_head(), FMT, count=60)
    strong = {(role.label, role.nodes) for role in roles if role.strong}
    assert strong == {
        ("SA0", both(5)),
        ("SA0", (Node(5, 0),)),
        ("SC0", both(4)),
        ("SC0", (Node(4, 0),)),
    }
    # no partial role beside the group that covers it
    assert strong == {(role.label, role.nodes) for role in roles}
    single = rates(virtual_head(), FMT, SC, 0, [(Node(4, 0, 0),)], 60)[0]
    assert PARTIAL < single.rate < STRONG  # half a change of the sum is often enough for the carry


def test_a_single_strong_head_ends_the_search_for_groups():
    """The head passes together with the decoy as well, yet only the smallest group is listed."""
    roles = [role.nodes for role in roles_at(handwired_adder(), FMT, SC, 0, 4, count=60)]
    assert roles == [(Node(4, 0, 0),), (Node(4, 0),)]


def test_a_node_that_breaks_the_null_has_no_role():
    """A model that always carries is right for half of the pairs, and of the null pairs."""
    model = handwired_adder()
    state = model.state_dict()
    state["unembed.weight"][1, TENS] = 1000.0
    model.load_state_dict(state)
    rate = rates(model, FMT, SC, 0, [(Node(4, 0, 0),)], 60)[0]
    assert rate.rate >= PARTIAL
    assert find_roles(model, FMT, count=60) == []


def test_partial_roles_lie_between_the_bounds_and_strong_ones_above(adder):
    roles = find_roles(adder, D3, count=40, tasks=("SC", "U"))
    assert {role.label for role in roles} == {"SC0", "SC1", "SC2", "U1", "U2"}
    strong = [role for role in roles if role.strong]
    for role in roles:
        assert role.strong == (role.evidence.rate >= 0.9)
        assert role.evidence.rate >= 0.3
        assert role.evidence.null_rate >= 0.9
        assert len({(node.position, node.layer) for node in role.nodes}) == 1
    for role in roles:
        if not role.strong:
            assert len(role.nodes) == 1
            assert not any(
                role.nodes[0] in other.nodes for other in strong if other.label == role.label
            )


def three_heads(*shares: float):
    """The hand-wired adder with its sum divided among three heads."""
    from transformer_lens.model_bridge import TransformerBridge

    two = handwired_adder()
    sizes = {
        "n_layers": 1,
        "n_heads": 3,
        "d_model": two.cfg.d_model,
        "d_head": 2,
        "d_mlp": two.cfg.d_mlp,
        "n_ctx": 7,
    }
    kind = {
        "d_vocab": 15,
        "d_vocab_out": 15,
        "act_fn": "relu",
        "normalization_type": None,
        "seed": 0,
        "device": "cpu",
    }
    model = TransformerBridge.boot_native(sizes | kind)
    old, state = two.state_dict(), model.state_dict()
    for name, value in old.items():
        if ".attn." not in name:
            state[name] = value
    for part in "qkv":
        state[f"blocks.0.attn.{part}.bias"].zero_()
        state[f"blocks.0.attn.{part}.weight"] = old[f"blocks.0.attn.{part}.weight"][:2].repeat(3, 1)
    state["blocks.0.attn.o.bias"].zero_()
    state["blocks.0.attn.o.weight"].zero_()
    state["blocks.0.attn.o.weight"][SUM, [0, 2, 4]] = torch.tensor(shares)
    model.load_state_dict(state)
    return model.eval()


def test_the_smallest_group_is_the_best_of_its_size():
    """Shares 12, 6 and 82 %: the last head needs one of the others, and the first helps more."""
    model = three_heads(0.12, 0.06, 0.82)
    heads = [Node(4, 0, head) for head in range(3)]
    singles = rates(model, FMT, SC, 0, [(head,) for head in heads], 300)
    pairs = rates(model, FMT, SC, 0, [(heads[1], heads[2]), (heads[0], heads[2])], 300)
    assert max(rate.rate for rate in singles) < STRONG <= pairs[0].rate < pairs[1].rate
    evidence = [role.evidence for role in roles_at(model, FMT, SC, 0, 4, 300)]
    assert [rate for rate in evidence if not rate.nodes[0].is_mlp] == [pairs[1]]


def test_a_head_that_carries_a_part_is_listed_as_partial():
    """SC2 in add-d5: one head of the first layer does most of the work, no pair does all of it."""
    model, fmt = zoo.load("add-d5", device="cpu"), Format(5)
    position = SC.positions(fmt, 2)[0]
    roles = [role for role in roles_at(model, fmt, SC, 2, position, 40) if not role.strong]
    singles = rates(model, fmt, SC, 2, [(Node(position, 0, head),) for head in range(3)], 40)
    partial = [rate for rate in singles if 0.3 <= rate.rate < 0.9]
    assert partial
    assert [role.evidence for role in roles if not role.nodes[0].is_mlp] == partial


def test_one_search_shares_its_pairs_among_positions(adder):
    """`find_roles` is the union of `roles_at` over the positions of every test."""
    task = SUBTASKS["ST"]
    separate = [
        role
        for k in task.digits(3)
        for p in task.positions(D3, k)
        for role in roles_at(adder, D3, task, k, p, 20, 7)
    ]
    assert find_roles(adder, D3, 20, 7, tasks=("ST",)) == separate
    assert {role.label for role in separate} == {"ST0", "ST1"}
    assert prepare(adder, D3, task, 0, 20, 7).pairs.expected.shape == (20, 4)


def test_an_untrained_model_has_no_roles():
    model = training.build_model(zoo.entry("add-d3").recipe).eval()
    assert find_roles(model, D3, count=20) == []


def test_an_unknown_sub_task_is_refused(adder):
    with pytest.raises(LabError, match=r"among SA, SC, U, SV, ST.*got 'MD'"):
        find_roles(adder, D3, tasks=("MD",))
    assert find_roles(adder, D3, tasks=()) == []


def test_a_role_reads_as_a_sentence_with_its_interval():
    role = Role(Rate("SC", 2, (Node(14, 0, 1), Node(14, 0)), 69, 100, 0.68, 0.7, 98, 100, 69))
    # Clopper-Pearson, from tables
    assert str(role) == "SC2 at P14L0H1+P14L0M: 69% [59%, 78%], null 98%"
    assert not role.strong


KINDS = {"000": "none", "100": "binary (SC)", "110": "tri-state (ST)", "111": "cascaded (SV)"}


@pytest.mark.parametrize("pattern", ["".join(bits) for bits in product("01", repeat=3)])
def test_every_pattern_of_flips_has_its_name(pattern):
    """At the bounds themselves: 10 of 100 is no flip, 90 of 100 is one."""
    rates_ = [0.9 if bit == "1" else 0.1 for bit in pattern]
    assert carry_kind(*rates_) == KINDS.get(pattern, "mixed")


@pytest.mark.parametrize("between", [0.11, 0.5, 0.89])
def test_a_rate_in_between_is_mixed(between):
    for rates_ in ((between, 0, 0), (1, between, 0), (1, 1, between)):
        assert carry_kind(*rates_) == "mixed"


def test_the_mean_pattern_is_the_librarys(adder):
    tokens = uniform(3, 30, np.random.default_rng(0)).tokens(D3)
    pattern = mean_pattern(adder, tokens)
    assert pattern.shape == (2, 3, D3.n_ctx, D3.n_ctx)
    assert torch.allclose(pattern.sum(-1), torch.ones(2, 3, D3.n_ctx), atol=1e-5)
    assert not pattern.triu(1).any()
    with torch.no_grad():
        _, cache = adder.run_with_cache(tokens)
    for layer in range(2):
        expected = torch.stack(list(cache[f"blocks.{layer}.attn.hook_pattern"])).sum(0) / 30
        assert torch.allclose(pattern[layer], expected, atol=1e-6)


def test_the_hand_wired_head_looks_at_the_operands_and_the_decoy_everywhere():
    pattern = mean_pattern(handwired_adder(), all_additions(1).tokens(FMT))
    assert attends(pattern, FMT, Node(4, 0, 0), 0, at_least=0.49)
    assert not attends(pattern, FMT, Node(4, 0, 1), 0, at_least=0.21)  # one fifth each
    assert not attends(pattern, FMT, Node(1, 0, 0), 0)  # D'_0 is not there yet


def looking_at(fmt: Format, **weights: float) -> torch.Tensor:
    """One layer, two heads; head 1 at the position of `=` looks at the named positions."""
    pattern = torch.zeros(1, 2, fmt.n_ctx, fmt.n_ctx)
    for name, weight in weights.items():
        pattern[0, 1, fmt.equals_position, int(name[1:])] = weight
    return pattern


def test_positions_are_numbers_not_text():
    """11 digits: D_9 is at P1, D'_9 at P13. The text "P1" is part of P12, the place of D'_10."""
    fmt = Format(11)
    node = Node(fmt.equals_position, 0, 1)
    assert not attends(looking_at(fmt, P12=0.5, P13=0.5), fmt, node, 9)
    assert attends(looking_at(fmt, P1=0.5, P13=0.5), fmt, node, 9)
    assert not attends(looking_at(fmt, P1=0.5, P13=0.5), fmt, node, 10)
    assert attends(looking_at(fmt, P0=0.5, P12=0.5), fmt, node, 10)
    assert attends(looking_at(fmt, P10=0.5, P22=0.5), fmt, node, 0)


def test_both_operands_must_be_looked_at():
    fmt = Format(6)
    node = Node(fmt.equals_position, 0, 1)
    assert attends(looking_at(fmt, P2=0.1, P9=0.9), fmt, node, 3)
    assert not attends(looking_at(fmt, P2=0.09, P9=0.9), fmt, node, 3)
    assert not attends(looking_at(fmt, P2=0.9, P9=0.09), fmt, node, 3)
    assert not attends(looking_at(fmt, P2=0.5, P9=0.5), fmt, Node(fmt.equals_position, 0, 0), 3)
    assert not attends(looking_at(fmt, P2=0.5, P9=0.5), fmt, Node(fmt.equals_position + 1, 0, 1), 3)


def test_an_mlp_looks_nowhere_and_a_missing_digit_is_refused():
    fmt = Format(6)
    pattern = looking_at(fmt, P2=0.5, P9=0.5)
    # head -1 is not the last head
    assert not attends(pattern, fmt, Node(fmt.equals_position, 0), 3)
    for digit in (6, -1):
        with pytest.raises(LabError, match=f"0 to 5.*got {digit}"):
            attends(pattern, fmt, Node(fmt.equals_position, 0, 1), digit)

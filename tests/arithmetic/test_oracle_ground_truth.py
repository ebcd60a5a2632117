"""Every sub-task of both operators, on a model whose values are known.

They are found where they were put, and nowhere else.
"""

import numpy as np
import pytest
import torch

from helpers.arithmetic.circuit.addition import SUBTASKS as ADDITION
from helpers.arithmetic.circuit.nodemap import carry_kind, find_roles
from helpers.arithmetic.circuit.patching import rates
from helpers.arithmetic.circuit.subtraction import SUBTASKS as SUBTRACTION
from helpers.arithmetic.questions import Format, answer_tokens, mixed
from helpers.interventions import Node
from tests.arithmetic.oracle import BASE, CARRY, KINDS, PASS, SELECT, SIGN, STORE, Oracle

pytestmark = pytest.mark.core

D3, D4 = Format(3), Format(4)
NAMES = {"binary": "binary (SC)", "tri-state": "tri-state (ST)", "cascaded": "cascaded (SV)"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1, 3, 6])
def test_the_oracle_answers_everything(n, kind):
    fmt = Format(n)
    tokens = mixed(n, 4000, np.random.default_rng(0)).tokens(fmt)
    assert torch.equal(
        answer_tokens(Oracle(fmt, kind).run_with_hooks(tokens), fmt),
        tokens[:, fmt.equals_position + 1 :],
    )


def roles_by_construction(fmt: Format, kind: str) -> set[tuple[str, Node]]:
    """Test and node, from the description of the oracle alone."""
    n, roles = fmt.n_digits, set()
    carried = {
        "binary": "SC MB NB",
        "tri-state": "SC U MB MU NB NU",
        "cascaded": "SC U SV MB MU MV NB NU NV",
    }[kind].split()
    for k in range(n):
        position = fmt.answer_position(k) - 1
        roles |= {(f"{name}{k}", Node(position, 0, BASE)) for name in ("SA", "MD", "ND")}
        roles |= {(f"{name}{k}", Node(position, 0)) for name in ("SA", "MD", "ND", "OPR")}
        roles |= {(f"{name}{k}", Node(position, 0, SELECT)) for name in ("OPR", "OP")}
        roles |= {(f"GT{k}", Node(fmt.equals_position, 0, head)) for head in (SIGN, -1)}
        for registry in (ADDITION, SUBTRACTION):
            for name in ("SC", "U", "SV", "MB", "MU", "MV", "NB", "NU", "NV"):
                if name in registry and k in registry[name].digits(n):
                    above = fmt.answer_position(k + 1) - 1
                    roles |= {(f"{name}{k}", Node(above, 0))} | (
                        {(f"{name}{k}", Node(above, 0, CARRY))} if name in carried else set()
                    )
            if k and kind == "binary":  # a nine is told from less by PASS
                roles |= {
                    (f"{name}{k}", Node(fmt.answer_position(k + 1) - 1, 0, PASS))
                    for name in ("U", "MU", "NU")
                    if k < n - (name != "U")
                }
        stored = [name for name, above in (("ST", 1), ("MT", 2), ("NT", 2)) if k < n - above]
        roles |= {
            (f"{name}{k}", Node(fmt.operand_positions(k)[1], 0, STORE))
            for name in stored
            if kind != "cascaded"
        }
    beside = (
        Node(fmt.answer_position(n) - 1, 0),
        *([Node(fmt.answer_position(n) - 1, 0, CARRY)] if kind == "cascaded" else []),
    )
    # these write A_n, all that is left above the neighbour
    return roles | {(f"ST{n - 2}", node) for node in beside}


@pytest.mark.parametrize("kind", KINDS)
def test_roles_are_those_of_the_construction(kind):
    """Addition and subtraction in one search."""
    roles = find_roles(Oracle(D4, kind), D4, count=40, registry=ADDITION | SUBTRACTION)
    strong = {(role.label, node) for role in roles if role.strong for node in role.nodes}
    assert strong == roles_by_construction(D4, kind)
    assert all(len(role.nodes) == 1 for role in roles)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [("MB", "MU", "MV"), ("NB", "NU", "NV"), ("SC", "U", "SV")])
def test_three_tests_name_what_the_carry_head_knows(kind, names):
    registry = ADDITION | SUBTRACTION
    nodes = (Node(D3.answer_position(2) - 1, 0, CARRY),)
    measured = [rates(Oracle(D3, kind), D3, registry[name], 1, [nodes], 60)[0] for name in names]
    assert carry_kind(*(rate.rate for rate in measured)) == NAMES[kind]
    assert all(rate.rate in (0, 1) and rate.null_rate == 1 for rate in measured)


def test_the_last_mlp_passes_for_the_operator_but_is_not_the_operator_alone():
    position = D3.answer_position(1) - 1
    for name, null in (("OPR", 1.0), ("OP", None)):
        select, base, mlp = rates(
            Oracle(D3),
            D3,
            SUBTRACTION[name],
            1,
            [(Node(position, 0, SELECT),), (Node(position, 0, BASE),), (Node(position, 0),)],
            200,
        )
        assert (select.rate, select.null_rate) == (1, 1)
        assert base.rate < 0.2
        assert mlp.rate == 1 if name == "OPR" else mlp.rate < 0.2
        assert mlp.null_rate == null if name == "OPR" else mlp.null_rate < 0.2


def test_a_sign_that_never_changes_or_always_does_is_no_role():
    """A model that always says minus hits in one direction only."""

    class Minus(Oracle):
        def mlp(self, z):
            logits = super().mlp(z)
            logits[:, D3.equals_position, D3.minus] = 2.0
            return logits

    rate = rates(Minus(D3), D3, SUBTRACTION["GT"], 1, [(Node(D3.equals_position, 0, SIGN),)], 60)[0]
    assert (rate.rising, rate.falling) == (0.0, 1.0)
    assert 0 < rate.null_hits < 60

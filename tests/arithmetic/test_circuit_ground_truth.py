"""The whole chain — sets, patch tests, roles, maps — on a model whose circuit is known."""

import torch

from helpers.arithmetic.circuit import sufficiency
from helpers.arithmetic.circuit.addition import SUBTASKS
from helpers.arithmetic.circuit.nodemap import find_roles
from helpers.arithmetic.circuit.patching import rates
from helpers.arithmetic.questions import all_additions, answer_tokens
from helpers.interventions import Node, ablate
from tests.arithmetic.handwired import CIRCUIT, FMT, handwired_adder


def test_the_handwired_model_adds():
    tokens = all_additions(1).tokens(FMT)
    assert torch.equal(answer_tokens(handwired_adder()(tokens), FMT), tokens[:, 4:])


def test_roles_are_found_where_they_were_put_and_nowhere_else():
    roles = {(role.label, role.nodes) for role in find_roles(handwired_adder(), FMT, count=60)}
    assert roles == {
        ("SA0", (Node(5, 0, 0),)),
        ("SA0", (Node(5, 0),)),
        ("SC0", (Node(4, 0, 0),)),
        ("SC0", (Node(4, 0),)),
    }


def test_the_decoy_head_has_rate_zero():
    model = handwired_adder()
    for name in ("SA", "SC"):
        position = SUBTASKS[name].positions(FMT, 0)[0]
        head, decoy = rates(
            model,
            FMT,
            SUBTASKS[name],
            0,
            [(Node(position, 0, 0),), (Node(position, 0, 1),)],
            count=60,
        )
        assert head.hits == head.trials
        assert head.null_hits == head.null_trials
        assert decoy.hits == 0


def test_the_smallest_map_is_the_circuit():
    bench = sufficiency.bench(handwired_adder(), FMT, per_class=40)
    assert sufficiency.smallest_map(bench) == sorted(CIRCUIT)


def test_the_circuit_suffices_under_every_ablation_and_its_complement_does_not():
    bench = sufficiency.bench(handwired_adder(), FMT, per_class=40)
    for ablation in ("mean", "resample", "zero"):
        assert bench.kept(CIRCUIT, ablation).all()
    assert bench.right(CIRCUIT, "resample").all(1).float().mean() < 0.5


def test_necessity_points_at_the_token_each_node_writes():
    bench = sufficiency.bench(handwired_adder(), FMT, per_class=40)
    loss = sufficiency.necessity(bench, [Node(4, 0, 0), Node(5, 0, 0), Node(5, 0, 1)])
    writes_tens, writes_units, decoy = (row > 0 for row in loss)
    assert writes_tens.tolist() == [False, True, False]
    assert writes_units.tolist() == [False, False, True]
    assert not decoy.any()


def test_another_layers_mean_would_give_a_different_answer():
    """The reference is per node: overwriting head 0 by its own outputs is exactly no change."""
    bench = sufficiency.bench(handwired_adder(), FMT, per_class=40)
    untouched = handwired_adder()(bench.tokens)
    assert torch.equal(ablate(handwired_adder(), bench.tokens, [], bench.reference), untouched)

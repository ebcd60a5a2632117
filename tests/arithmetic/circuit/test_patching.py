"""Patch tests: exact on a hand-wired adder, beside their controls on trained and other models."""

import pytest
import torch
from scipy.stats import beta

from helpers import training, zoo
from helpers.arithmetic.circuit import patching
from helpers.arithmetic.circuit.addition import SA, SC, ST, SUBTASKS, SV
from helpers.arithmetic.circuit.pairs import Pairs
from helpers.arithmetic.circuit.patching import Rate, as_predicted, draw, measure, prepare, rates
from helpers.arithmetic.questions import Format, answer_tokens
from helpers.errors import LabError
from helpers.interventions import Node, all_nodes, run_with_replaced
from tests.arithmetic.handwired import FMT, PLUS, TENS, handwired_adder

pytestmark = pytest.mark.core

D3, D5 = Format(3), Format(5)
SC2_HEAD = Node(14, 0, 1)  # in add-d5: 69 % of SC2 alone


@pytest.fixture(scope="module")
def adder():
    return zoo.load("add-d3", device="cpu")


@pytest.fixture(scope="module")
def untrained():
    return training.build_model(zoo.entry("add-d3").recipe).eval()


def rows(pairs: Pairs) -> list[tuple]:
    stored, clean = (
        [*zip(q.first.tolist(), q.second.tolist(), strict=True)]
        for q in (pairs.stored, pairs.clean)
    )
    return list(zip(stored, clean, strict=True))


@pytest.mark.parametrize("null", [False, True])
@pytest.mark.parametrize("task", SUBTASKS.values(), ids=list(SUBTASKS))
def test_the_second_half_is_the_first_with_the_roles_exchanged(task, null):
    drawn = rows(draw(task, 1, 3, 40, 0, null))
    assert len(drawn) == 40
    assert [(clean, stored) for stored, clean in drawn[:20]] == drawn[20:]


def test_half_of_the_pairs_rise():
    pairs = draw(SC, 1, 3, 40, 0)
    assert int(pairs.rises.sum()) == 20
    assert torch.equal(pairs.rises[:20], ~pairs.rises[20:])


def test_draws_depend_on_the_seed_the_digit_and_the_null_only():
    def drawn(digit: int, seed: int, null: bool) -> str:
        return str(rows(draw(SA, digit, 3, 20, seed, null)))

    assert drawn(1, 0, False) == drawn(1, 0, False)
    assert (
        len({drawn(*key) for key in [(1, 0, False), (0, 0, False), (1, 1, False), (1, 0, True)]})
        == 4
    )


@pytest.mark.parametrize("count", [-2, 0, 1, 7])
def test_an_odd_or_empty_count_is_refused(count):
    with pytest.raises(LabError, match=f"even number of pairs.*got {count}"):
        rates(handwired_adder(), FMT, SA, 0, [(Node(5, 0),)], count)


def test_a_digit_without_a_test_is_refused():
    with pytest.raises(LabError, match="more digits for SV"):
        rates(handwired_adder(), FMT, SV, 0, [(Node(4, 0),)])


def test_a_node_that_the_model_lacks_is_refused():
    with pytest.raises(LabError, match="2 heads"):
        rates(handwired_adder(), FMT, SA, 0, [(Node(5, 0, 2),)])


def test_a_nodes_own_value_changes_nothing(adder):
    clean = draw(SA, 1, 3, 20, 0).clean
    pairs = SA.predicted(clean, clean, 1)
    nodes = all_nodes(adder, range(D3.n_ctx))
    hit, answers = as_predicted(adder, D3, pairs, [(nodes[30],), tuple(nodes)])
    assert hit.all()
    assert torch.equal(answers, clean.tokens(D3)[:, -D3.n_answer :].expand_as(answers))


def test_all_nodes_replaced_is_the_stored_run_wherever_the_token_itself_agrees():
    """The residual stream holds the clean token's embedding too: only these positions compare."""
    model = training.build_model(zoo.entry("add-d3").recipe).eval()  # not a right answer in sight
    pairs = draw(ST, 0, 3, 40, 0)
    _, answers = as_predicted(model, D3, pairs, [tuple(all_nodes(model, range(D3.n_ctx)))])
    stored, clean = pairs.stored.tokens(D3), pairs.clean.tokens(D3)
    with torch.no_grad():
        alone = [answer_tokens(model(tokens), D3) for tokens in (stored, clean)]
    source = slice(D3.equals_position, D3.equals_position + D3.n_answer)
    agree = stored[:, source] == clean[:, source]
    assert torch.equal(answers[0][agree], alone[0][agree])
    assert (alone[0] != alone[1])[agree].any()  # or the clean run would have passed as well


def test_the_hand_wired_carry_is_found_in_both_directions_and_the_null_holds():
    head, decoy, elsewhere = rates(
        handwired_adder(), FMT, SC, 0, [(Node(4, 0, 0),), (Node(4, 0, 1),), (Node(5, 0, 0),)], 60
    )
    assert (head.hits, head.trials, head.null_hits, head.null_trials) == (60, 60, 60, 60)
    assert (head.rising, head.falling, head.rate, head.null_rate, head.label) == (
        1.0,
        1.0,
        1.0,
        1.0,
        "SC0",
    )
    assert (decoy.hits, decoy.null_hits) == (0, 60)
    assert (elsewhere.hits, elsewhere.rising, elsewhere.falling) == (0, 0.0, 0.0)
    assert [rate.nodes for rate in (head, decoy)] == [(Node(4, 0, 0),), (Node(4, 0, 1),)]


def test_a_model_that_always_carries_passes_in_the_rising_direction_only():
    model = handwired_adder()
    state = model.state_dict()
    state["unembed.weight"][1, TENS] = 1000.0  # predicts a leading 1 whatever the sum is
    model.load_state_dict(state)
    rate = rates(model, FMT, SC, 0, [(Node(4, 0, 0),)], 60)[0]
    assert (rate.rising, rate.falling, rate.hits) == (1.0, 0.0, 30)
    assert 0 < rate.null_hits < 60  # right where both questions carry


def test_a_wrong_sign_is_a_miss():
    """Every token of the answer counts, also one that no patch touches."""
    model = handwired_adder()
    state = model.state_dict()
    state["unembed.weight"][11, PLUS] = 1000.0  # minus
    model.load_state_dict(state)
    rate = rates(model, FMT, SC, 0, [(Node(4, 0, 0),)], 20)[0]
    assert (rate.hits, rate.null_hits) == (0, 0)


def test_a_change_elsewhere_spoils_the_hit_but_not_what_was_reached():
    """The sign goes wrong whatever is patched; A1 follows the patch all the same, or not at all."""
    model = handwired_adder()
    state = model.state_dict()
    state["unembed.weight"][11, PLUS] = 1000.0  # minus
    model.load_state_dict(state)
    head, decoy = rates(model, FMT, SC, 0, [(Node(4, 0, 0),), (Node(4, 0, 1),)], 60)
    assert (head.hits, head.reached) == (0, 60)
    assert (decoy.hits, decoy.reached) == (0, 0)
    intact = rates(handwired_adder(), FMT, SC, 0, [(Node(4, 0, 0),)], 60)[0]
    assert (intact.hits, intact.reached) == (60, 60)


def test_interval_and_rate_are_those_of_the_hits():
    rate = Rate(
        "ST",
        2,
        (Node(4, 0),),
        hits=27,
        trials=40,
        rising=0.5,
        falling=0.85,
        null_hits=39,
        null_trials=60,
        reached=30,
    )
    assert (rate.rate, rate.null_rate, rate.reached_rate, rate.label) == (0.675, 0.65, 0.75, "ST2")
    assert rate.interval == pytest.approx((beta.ppf(0.025, 27, 14), beta.ppf(0.975, 28, 13)))


def test_a_floor_leaves_out_the_weak_and_changes_nothing_else(adder):
    node_sets = [(node,) for node in all_nodes(adder, [9])]
    everything = rates(adder, D3, SC, 1, node_sets, 40)
    experiment = prepare(adder, D3, SC, 1, 40)
    assert measure(adder, D3, experiment, node_sets) == everything
    at_top = max(rate.rate for rate in everything)
    for floor in (0.1, at_top):
        kept = measure(adder, D3, experiment, node_sets, floor)
        assert kept == [rate for rate in everything if rate.rate >= floor]
        assert 0 < len(kept) < len(everything)
    assert measure(adder, D3, experiment, [], 0.5) == []


def test_the_null_of_weak_sets_is_never_run(adder, monkeypatch):
    runs = []

    def counted(*args):
        runs.append(args)
        return run_with_replaced(*args)

    monkeypatch.setattr(patching, "run_with_replaced", counted)
    passing = measure(
        adder, D3, prepare(adder, D3, SC, 1, 20), [(node,) for node in all_nodes(adder, [9])], 0.9
    )
    assert 0 < len(passing) < 8
    assert len(runs) == 8 + len(passing)


def test_the_last_mlp_carries_what_its_position_predicts_and_no_other_digit(adder):
    """Causality: the last MLP before A_k writes A_k, and nothing else can read it."""
    for task in (SA, SC):
        for digit in task.digits(3):
            right = task.positions(D3, digit)[0]
            nodes = [(Node(position, 1),) for position in range(D3.equals_position, D3.n_ctx - 1)]
            for rate in rates(adder, D3, task, digit, nodes, 40):
                at_home = rate.nodes[0].position == right
                assert rate.rate == at_home
                # elsewhere a pair with one SA may differ in its carry
                assert rate.null_rate >= 0.95 or not at_home


def test_a_trained_carry_head_fails_at_the_wrong_position_and_for_the_wrong_digit():
    model = zoo.load("add-d5", device="cpu")
    right, left = rates(model, D5, SC, 2, [(SC2_HEAD,), (Node(13, 0, 1),)], 60)
    assert right.rate > 0.5 > 0.05 > left.rate
    assert min(right.rising, right.falling) > 0.4
    assert min(right.null_rate, left.null_rate) > 0.9
    assert rates(model, D5, SC, 1, [(SC2_HEAD,)], 60)[0].hits == 0


def test_no_set_of_an_untrained_model_passes(untrained):
    for task, digit in ((SA, 1), (SC, 1), (SUBTASKS["U"], 1), (SV, 1), (ST, 1)):
        position = task.positions(D3, digit)[-1]
        node_sets = [
            *((node,) for node in all_nodes(untrained, [position])),
            tuple(all_nodes(untrained, [position])),
        ]
        for rate in rates(untrained, D3, task, digit, node_sets, 40):
            assert (rate.hits, rate.null_hits) == (0, 0)


def test_a_stored_tri_state_may_not_move_the_digits_below(adder):
    """Patching the node of ST_0 moves A_2 and up, on pairs whose column 1 sums to nine."""
    pairs = draw(ST, 0, 3, 40, 0)
    group = tuple(node for node in all_nodes(adder, [6]))
    hit, answers = as_predicted(adder, D3, pairs, [group])
    assert hit.float().mean() > 0.8
    truth = pairs.clean.tokens(D3)[:, -D3.n_answer :]
    changed = (answers[0] != truth)[hit[0]]  # sign, A3, A2, A1, A0
    assert changed[:, 2].all()
    assert not changed[:, [0, 4]].any()

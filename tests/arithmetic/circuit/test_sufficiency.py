"""Sufficiency, necessity and the smallest map, on hand-wired circuits and a trained adder."""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
import pytest
import torch

from helpers import interventions, zoo
from helpers.arithmetic.circuit import sufficiency
from helpers.arithmetic.circuit.sufficiency import (
    AblationBench,
    mixture,
    necessity,
    random_sets,
    smallest_map,
)
from helpers.arithmetic.questions import Format, from_numbers
from helpers.errors import LabError
from helpers.interventions import Activations, Node
from tests.arithmetic.handwired import CIRCUIT, FMT, TENS, handwired_adder

pytestmark = pytest.mark.core

D3 = Format(3)


@pytest.fixture(scope="module")
def wired() -> AblationBench:
    return sufficiency.bench(handwired_adder(), FMT, per_class=20, reference_per_class=40)


@pytest.fixture(scope="module")
def trained() -> AblationBench:
    return sufficiency.bench(zoo.load("add-d3", device="cpu"), D3, per_class=20)


@pytest.fixture(scope="module")
def trained_map(trained) -> list[Node]:
    return smallest_map(trained, target=0.95)


@dataclass(frozen=True)
class Scripted(AblationBench):
    """A bench of 20 questions that says, for every set of ablated nodes, which go wrong."""

    wrong: dict[frozenset[Node], set[int]] = field(default_factory=dict)

    def right(self, ablated, ablation="mean", seed=0):
        assert ablation == "zero"
        return torch.tensor(
            [[question not in self.wrong[frozenset(ablated)]] for question in self.tokens.tolist()]
        )


def scripted(nodes: list[Node], wrong: dict[frozenset[Node], set[int]]) -> Scripted:
    questions, index = from_numbers([1] * 20, [1] * 20, 1), torch.arange(20)
    nothing = Activations(torch.zeros(1, 0, 0, 0, 0), torch.zeros(1, 0, 0, 0))
    return Scripted(
        torch.nn.Identity(), FMT, questions, index, index, ["S0"] * 20, nothing, nodes, wrong
    )


def test_a_bench_holds_every_class_equally_often_and_its_own_truth(trained):
    assert Counter(trained.classes) == dict.fromkeys(("S0", "S1", "S2", "S3"), 20)
    for i in range(len(trained.questions)):
        first, second = (
            int("".join(map(str, row[i].flip(0).tolist())))
            for row in (trained.questions.first, trained.questions.second)
        )
        assert trained.truth[i].tolist() == [10, *map(int, f"{first + second:04d}")]
        assert trained.tokens[i].tolist()[:8] == [
            *map(int, f"{first:03d}"),
            10,
            *map(int, f"{second:03d}"),
            12,
        ]
    # 12 of 13 positions, 2 layers, 3 heads + MLP
    assert len(trained.nodes) == len(set(trained.nodes)) == 12 * 2 * 4
    assert max(node.position for node in trained.nodes) == 11


def test_the_reference_holds_other_questions_than_any_bench():
    """Of equal size, a bench of the next seed must not test on what set the means of this one."""
    model = handwired_adder()
    first = sufficiency.bench(model, FMT, per_class=20, reference_per_class=20, seed=0)
    for seed in (0, 1, 2):
        other = sufficiency.bench(model, FMT, per_class=20, reference_per_class=20, seed=seed)
        z = interventions.collect(model, other.tokens)[0].z
        assert not torch.equal(z, first.reference.z)
    assert first.reference.z.shape[1] == 40


def test_mixtures_depend_on_their_seed():
    def drawn(seed) -> list:
        return mixture(3, 10, seed).first.tolist()

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1) != drawn((0, 1)) != drawn(0)


def test_a_mixed_bench_adds_every_class_of_subtractions():
    plain, both = mixture(3, 10, 7), mixture(3, 10, 7, "+-")
    assert Counter(both.classes()) == dict.fromkeys(
        ["S0", "S1", "S2", "S3", "M0", "M1", "M2", "N1", "N2", "N3"], 10
    )
    assert torch.equal(both.first[:40], plain.first)  # the additions of Lab 1 stay what they were
    assert set(mixture(3, 10, 7, "-").classes()) == {"M0", "M1", "M2", "N1", "N2", "N3"}
    with pytest.raises(LabError, match='"-" or'):
        mixture(3, 10, 7, "*")


def test_a_mixed_bench_measures_operations(trained):
    bench = sufficiency.bench(trained.model, D3, per_class=10, operations="+-")
    assert Counter(bench.operations) == {"ADD": 40, "SUB": 30, "NEG": 30}
    first, second = (
        [int("".join(map(str, row))) for row in digits.flip(1).tolist()]
        for digits in (bench.questions.first, bench.questions.second)
    )
    for i, operation in enumerate(bench.operations):
        difference = first[i] - second[i]
        assert operation == (
            "ADD" if not bench.questions.subtract[i] else "SUB" if difference >= 0 else "NEG"
        )
        expected = first[i] + second[i] if operation == "ADD" else difference
        assert bench.truth[i].tolist() == [
            11 if expected < 0 else 10,
            *map(int, f"{abs(expected):04d}"),
        ]
    right = bench.right([])
    shares = bench.per_operation(right)
    assert shares["ADD"] == 1.0  # an adder adds …
    assert shares["SUB"] < 0.1  # … and does not subtract
    whole = right.all(1).tolist()
    assert shares["SUB"] == pytest.approx(
        sum(r for r, name in zip(whole, bench.operations, strict=True) if name == "SUB") / 30
    )


def test_the_smallest_map_of_a_mixed_bench_keeps_the_target(trained):
    bench = sufficiency.bench(trained.model, D3, per_class=5, operations="+-")
    keep = smallest_map(bench, target=0.38)  # only the additions can be right: 40 %
    assert bench.per_operation(bench.kept(keep))["ADD"] >= 0.95
    assert len(keep) < len(bench.nodes) / 3


def test_right_is_the_plain_forward_pass_where_nothing_is_ablated(wired):
    assert wired.right([]).all()
    assert wired.right([]).shape == (40, 3)
    assert wired.share_right([]) == 1.0
    broken = replace(wired, truth=(wired.truth + 1) % 10)
    assert not broken.right([])[:, 1:].any()


def test_ablating_the_tens_breaks_the_tens_by_exact_arithmetic(wired):
    """Zero for the sum means the answer of 0 + 0; the mean makes one answer for all questions."""
    sums = (wired.questions.first + wired.questions.second)[:, 0]
    zero = wired.right([Node(4, 0, 0)], "zero")
    assert zero.tolist() == [[True, total < 10, True] for total in sums.tolist()]
    mean = wired.right([Node(4, 0, 0)], "mean")
    # the head's own mean sum at its own position
    average = float(wired.reference.z[0, :, 4, 0, 0].mean())
    assert mean[:, 1].tolist() == [(total >= 10) == (average >= 9.5) for total in sums.tolist()]
    assert mean[:, [0, 2]].all()


def test_keeping_is_ablating_the_rest(wired):
    rest = [node for node in wired.nodes if node not in CIRCUIT]
    for ablation in ("mean", "resample", "zero"):
        assert torch.equal(wired.kept(CIRCUIT, ablation), wired.right(rest, ablation))
    assert torch.equal(wired.kept(wired.nodes), wired.right([]))
    assert wired.kept([]).all(1).float().mean() < 0.2
    assert wired.kept(iter(CIRCUIT)).all()  # any iterable, also one that can be read once only


def test_resampling_follows_its_seed(trained):
    keep = trained.nodes[::2]
    first, again, other = (trained.kept(keep, "resample", seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_takes_each_part_of_the_bench_alike(trained):
    thin = trained.every(5)
    index = list(range(0, 80, 5))
    assert torch.equal(thin.tokens, trained.tokens[index])
    assert torch.equal(thin.truth, trained.truth[index])
    assert torch.equal(thin.questions.first, trained.questions.first[index])
    assert thin.classes == [trained.classes[i] for i in index]
    assert thin.questions.classes() == thin.classes
    assert thin.reference is trained.reference
    ablated = trained.nodes[40:60]
    assert torch.equal(thin.right(ablated), trained.right(ablated)[index])
    assert torch.equal(trained.every(1).tokens, trained.tokens)


def test_shares_count_whole_answers_by_class():
    questions = from_numbers([11, 22, 5, 15, 95], [22, 33, 6, 16, 5], 2)  # S0 S0 S1 S1 S2
    nothing = torch.zeros(0, 0, dtype=torch.long)
    bench = AblationBench(
        torch.nn.Identity(),
        Format(2),
        questions,
        nothing,
        nothing,
        questions.classes(),
        Activations(torch.zeros(1, 0, 0, 0, 0), torch.zeros(1, 0, 0, 0)),
        [],
    )
    right = torch.ones(5, 4, dtype=torch.bool)
    right[1, 3] = right[2, 0] = right[3, 1] = False
    assert bench.per_class(right) == {"S0": 0.5, "S1": 0.0, "S2": 1.0}


def test_necessity_is_the_share_lost_a_token(wired):
    nodes = [Node(4, 0, 0), Node(5, 0, 1)]
    sums = (wired.questions.first + wired.questions.second)[:, 0]
    loss = necessity(wired, nodes, "zero")
    assert loss.shape == (2, 3)
    assert loss[0].tolist() == pytest.approx([0.0, float((sums >= 10).float().mean()), 0.0])
    assert not loss[1].any()


def test_a_node_that_can_go_only_after_a_later_one_goes_too():
    """`x` looks harmless on a fifth of the questions: tried before `y`, after which it could go."""
    x, y = Node(0, 0), Node(0, 1)
    wrong = {
        frozenset(): set(),
        frozenset({x}): {1, 2, 3},
        frozenset({y}): {5},
        frozenset({x, y}): {5, 6},
    }
    assert smallest_map(scripted([x, y], wrong), target=0.9, ablation="zero") == []


def test_an_early_no_is_never_wrong():
    """All four wrong answers lie in the fifth tried first; 16 of 20 right still reach it."""
    x, y = Node(0, 0), Node(0, 1)
    wrong = {
        frozenset(): set(),
        frozenset({x}): {0, 5, 10, 15},
        frozenset({y}): set(range(9)),
        frozenset({x, y}): set(range(9)),
    }
    assert smallest_map(scripted([x, y], wrong), target=0.8, ablation="zero") == [y]
    assert smallest_map(scripted([x, y], wrong), target=0.81, ablation="zero") == [x, y]


def test_the_result_is_minimal_for_any_set_function():
    nodes = [Node(position, 0) for position in range(5)]
    rng = np.random.default_rng(0)
    for _ in range(60):
        outside = [frozenset(some) for size in range(6) for some in combinations(nodes, size)]
        wrong = {
            some: set(rng.choice(20, rng.integers(6), replace=False).tolist()) for some in outside
        } | {frozenset(): set()}
        keep = smallest_map(scripted(nodes, wrong), target=0.9, ablation="zero")
        gone = frozenset(nodes) - set(keep)
        assert len(wrong[gone]) <= 2
        assert all(len(wrong[gone | {node}]) > 2 for node in keep)


def test_a_target_the_intact_model_misses_is_refused():
    model = handwired_adder()
    state = model.state_dict()
    state["unembed.weight"][1, TENS] = 1000.0  # always a leading 1: wrong without a carry
    model.load_state_dict(state)
    bench = sufficiency.bench(model, FMT, per_class=20)
    with pytest.raises(LabError, match=r"99\.80%.*intact it has 50\.00%"):
        smallest_map(bench)
    assert set(smallest_map(bench, target=0.5)) <= set(CIRCUIT)


def test_no_node_of_the_trained_map_can_go(trained, trained_map):
    assert trained_map == sorted(set(trained_map))
    assert int(trained.kept(trained_map).all(1).sum()) >= 76  # 95 % of 80
    assert len(trained_map) < len(trained.nodes) / 3
    for node in trained_map:
        less = [other for other in trained_map if other != node]
        assert int(trained.kept(less).all(1).sum()) < 76


def test_the_smallest_map_holds_on_new_questions_and_random_sets_do_not(trained, trained_map):
    fresh = sufficiency.bench(trained.model, D3, per_class=25, seed=5)
    assert float(fresh.kept(trained_map).all(1).float().mean()) > 0.85
    for nodes in random_sets(fresh, len(trained_map), 5):
        assert float(fresh.kept(nodes).all(1).float().mean()) < 0.3
    assert fresh.share_right(trained_map) < 0.1  # the complement alone cannot add


def test_every_answer_digits_last_mlp_is_on_the_map(trained_map):
    """A_0 … A_3 are predicted at positions 8 … 11, each by its own last MLP."""
    assert {Node(position, 1) for position in (8, 9, 10, 11)} <= set(trained_map)


def test_random_sets_are_sets_of_the_benchs_nodes(wired):
    drawn = random_sets(wired, 5, 20)
    assert len(drawn) == 20
    assert all(len(set(nodes)) == 5 and set(nodes) <= set(wired.nodes) for nodes in drawn)
    assert len({frozenset(nodes) for nodes in drawn}) > 15
    assert drawn == random_sets(wired, 5, 20) != random_sets(wired, 5, 20, seed=1)
    assert {node for nodes in random_sets(wired, 5, 40) for node in nodes} == set(wired.nodes)
    for size in (-1, len(wired.nodes) + 1):
        with pytest.raises(LabError, match=f"from 0 to 18.*got {size}"):
            random_sets(wired, size, 1)


def test_matched_sets_match_at_every_position():
    bench = sufficiency.bench(handwired_adder(), FMT, per_class=5)
    for drawn in sufficiency.matched_sets(bench, CIRCUIT, 20):
        assert sorted(node.position for node in drawn) == sorted(node.position for node in CIRCUIT)
        assert len(set(drawn)) == len(drawn)
    assert len({tuple(sorted(drawn)) for drawn in sufficiency.matched_sets(bench, CIRCUIT, 20)}) > 1

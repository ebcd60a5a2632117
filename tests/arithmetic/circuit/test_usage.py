"""Which nodes an operation uses: on a known circuit, on scripted benches, and by brute force."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch

from helpers import training, zoo
from helpers.arithmetic.circuit import sufficiency
from helpers.arithmetic.circuit.sufficiency import AblationBench
from helpers.arithmetic.circuit.usage import (
    Use,
    located,
    matched,
    node_counts,
    nodes_of,
    overlap,
    rename,
    renamings,
    use,
)
from helpers.arithmetic.questions import Format, from_numbers, join
from helpers.arithmetic.training import RECIPES, insertion
from helpers.errors import LabError
from helpers.interventions import Activations, Node
from tests.arithmetic.handwired import CIRCUIT, FMT, TENS, handwired_adder

pytestmark = pytest.mark.core

D3 = Format(3)


def a_use(add: list, sub: list, neg: list, asked: int = 100) -> Use:
    """A use of one position and one layer."""
    counts = {"ADD": add, "SUB": sub, "NEG": neg}
    return Use(
        {name: np.array([[row]]) for name, row in counts.items()}, dict.fromkeys(counts, asked)
    )


@pytest.fixture(scope="module")
def wired() -> AblationBench:
    return sufficiency.bench(handwired_adder(), FMT, per_class=20, reference_per_class=40)


def test_zeroing_breaks_what_exact_arithmetic_says(wired):
    node_use = use(wired, "zero")
    sums = (wired.questions.first + wired.questions.second)[:, 0]
    assert node_use.asked == {"ADD": 40}
    expected = np.zeros((6, 1, 3), dtype=int)
    # a sum of 0 has the tens digit 0, and so says an MLP that says nothing
    expected[4, 0, [0, 2]] = int((sums >= 10).sum())
    expected[5, 0, [0, 2]] = int((sums % 10 != 0).sum())  # … and the units digit 0
    assert node_use.broken["ADD"].tolist() == expected.tolist()


def test_the_useful_nodes_are_the_wired_circuit(wired):
    for ablation in ("mean", "resample"):
        assert nodes_of(use(wired, ablation).useful(0.05)) == CIRCUIT


def test_every_count_is_that_of_one_ablation(wired):
    for ablation in ("mean", "resample"):
        node_use = use(wired, ablation)
        for node in wired.nodes:
            broken = int((~wired.right([node], ablation).all(1)).sum())
            counted = node_use.broken["ADD"][node.position, node.layer, node.head]
            assert counted == broken, (ablation, node)


def test_questions_the_intact_model_gets_wrong_cannot_break():
    model = handwired_adder()
    state = model.state_dict()
    state["unembed.weight"][1, TENS] = 1000.0  # always a leading 1: wrong without a carry
    model.load_state_dict(state)
    node_use = use(sufficiency.bench(model, FMT, per_class=20), "zero")
    assert node_use.asked == {"ADD": 20}
    assert node_use.broken["ADD"].max() <= 20
    tens = node_use.broken["ADD"][4]
    assert tens.sum() == 0  # they are wrong or right whatever the circuit says


def test_operations_are_told_apart():
    """A scripted bench of six questions, two of each operation."""
    additions, subtractions = (
        from_numbers([1, 2], [3, 4], 1),
        from_numbers([5, 6, 1, 2], [1, 1, 5, 6], 1, subtract=True),
    )
    questions = join([additions, subtractions])
    nodes = [Node(0, 0, 0), Node(0, 0, 1), Node(0, 0)]
    wrong = {(): [1], (nodes[0],): [0, 1, 2], (nodes[1],): [1, 4, 5], (nodes[2],): [2, 3, 4]}

    class Scripted(AblationBench):
        def right(self, ablated, ablation="mean", seed=0):
            return torch.tensor([[number not in wrong[tuple(ablated)]] for number in range(6)])

    class Shape:
        n_layers, n_heads = 1, 2

    model = torch.nn.Identity()
    model.cfg = Shape
    nothing = Activations(torch.zeros(1, 0, 0, 0, 0), torch.zeros(1, 0, 0, 0))
    none = torch.zeros(0, 0, dtype=torch.long)
    bench = Scripted(model, FMT, questions, none, none, questions.classes(), nothing, nodes)
    node_use = use(bench)
    assert node_use.asked == {"ADD": 1, "SUB": 2, "NEG": 2}
    assert {name: counts[0, 0].tolist() for name, counts in node_use.broken.items()} == {
        "ADD": [1, 0, 0],
        "SUB": [1, 0, 2],
        "NEG": [0, 2, 1],
    }


def test_thresholds_count_questions():
    node_use = a_use([0, 1, 2, 3], [0, 0, 0, 0], [0, 0, 0, 100])
    assert node_use.used("ADD")[0, 0].tolist() == [False, True, True, True]
    assert node_use.used("ADD", 0.02)[0, 0].tolist() == [False, False, True, True]
    assert node_use.used("ADD", 0.021)[0, 0].tolist() == [False, False, False, True]
    assert node_use.useful(0.5)[0, 0].tolist() == [False, False, False, True]
    assert not a_use([0], [0], [0], asked=0).useful().any()


def test_the_table_counts_by_hand():
    node_use = a_use([5, 5, 5, 0, 0], [5, 5, 0, 0, 1], [5, 0, 0, 0, 0])
    assert node_counts(node_use) == {
        "nodes": 4,
        "ADD": 3,
        "SUB": 3,
        "NEG": 1,
        "none": 0,
        "one": 2,
        "two": 1,
        "three": 1,
    }
    assert node_counts(node_use, 0.05) == {
        "nodes": 3,
        "ADD": 3,
        "SUB": 2,
        "NEG": 1,
        "none": 0,
        "one": 1,
        "two": 1,
        "three": 1,
    }
    among = np.array([[[True, False, False, True, False]]])
    assert node_counts(node_use, among=among) == {
        "nodes": 2,
        "ADD": 1,
        "SUB": 1,
        "NEG": 1,
        "none": 1,
        "one": 0,
        "two": 0,
        "three": 1,
    }


def test_locations_keep_their_names_in_a_larger_model():
    rng = np.random.default_rng(0)
    mask = rng.random((5, 2, 4)) < 0.5
    wider = located(mask, 3, 4)
    assert wider.shape == (5, 3, 5)
    assert nodes_of(wider) == nodes_of(mask)
    assert {str(node) for node in nodes_of(np.array([[[False, True, True]]]))} == {
        "P0L0H1",
        "P0L0M",
    }


def test_renaming_moves_heads_and_nothing_else():
    mask = np.random.default_rng(1).random((3, 2, 4)) < 0.5
    names = ((1, 2, 0), (0, 2, 1))
    expected = {
        n if n.is_mlp else Node(n.position, n.layer, names[n.layer].index(n.head))
        for n in nodes_of(mask)
    }
    assert set(nodes_of(rename(mask, names))) == expected
    every = list(renamings(2, 3))
    assert len(set(every)) == 36
    assert every[0] == ((0, 1, 2), (0, 1, 2))


@pytest.mark.parametrize("measure", ["kept", "jaccard"])
def test_overlap_is_that_of_the_sets(measure):
    rng = np.random.default_rng(2)
    source, used = rng.random((4, 2, 3)) < 0.5, rng.random((4, 2, 4)) < 0.4
    ours, theirs = set(nodes_of(source)), set(nodes_of(used))

    def value(names) -> float:
        moved = {
            n if n.is_mlp else Node(n.position, n.layer, names[n.layer][n.head]) for n in theirs
        }
        return len(ours & moved) / len(ours if measure == "kept" else ours | moved)

    every = [value((a, b)) for a in permutations(range(3)) for b in permutations(range(3))]
    chance = overlap(source, used, measure)
    assert chance.observed == pytest.approx(every[0])
    assert chance.heads == pytest.approx(sum(every) / 36)
    assert chance.heads_p == pytest.approx(sum(value >= every[0] - 1e-9 for value in every) / 36)
    assert chance.best == pytest.approx(max(every))


def test_unnamed_heads_are_counted_by_layer_and_position():
    rng = np.random.default_rng(4)
    source, used = rng.random((4, 2, 3)) < 0.5, rng.random((4, 2, 4)) < 0.4

    def heads(mask) -> Counter:
        return Counter((node.position, node.layer) for node in nodes_of(mask) if not node.is_mlp)

    mlps = {node for node in nodes_of(source) if node.is_mlp} & {
        node for node in nodes_of(used) if node.is_mlp
    }
    both = (heads(source) & heads(used)).total() + len(mlps)
    chance = overlap(source, used, "unnamed")
    assert chance.observed == pytest.approx(both / source.sum())
    assert chance.heads == pytest.approx(chance.best) == chance.observed
    assert chance.observed >= overlap(source, used).best
    with pytest.raises(LabError, match="got 'most'"):
        overlap(source, used, "most")


def test_the_random_control_has_the_hypergeometric_mean():
    rng = np.random.default_rng(3)
    source, used = rng.random((6, 2, 4)) < 0.4, rng.random((6, 3, 5)) < 0.4
    sizes, shares = source.sum((1, 2)), used.mean((1, 2))
    assert overlap(source, used).random == pytest.approx(
        float((sizes * shares).sum() / sizes.sum()), abs=0.02
    )
    drawn = matched(used, 50, seed=0)
    assert (drawn.sum((2, 3)) == used.sum((1, 2))).all()
    assert len({mask.tobytes() for mask in drawn}) == 50


def test_a_model_overlaps_with_itself_and_its_renamed_copy_does_not():
    mask = np.zeros((8, 2, 5), dtype=bool)
    mask[:, 0, 0] = mask[:, 1, 1] = True
    same = overlap(mask, mask, "jaccard")
    assert same.observed == same.best == 1.0
    assert same.random_p < 0.01
    # head 0 of layer 0 and head 1 of layer 1 keep their names: 6 * 6 of 576
    assert same.heads_p == pytest.approx(1 / 16)
    copy = rename(mask, ((1, 2, 3, 0), (1, 2, 3, 0)))
    moved = overlap(mask, copy, "jaccard")
    assert moved.observed == 0.0
    assert moved.best == 1.0
    assert moved.heads_p == 1.0


def test_an_inserted_adder_uses_the_nodes_it_used_before():
    """Nothing is trained, and additions are asked alone, so every count is the source's."""
    adder = zoo.load("add-d3", device="cpu")
    larger = insertion.insert(adder, training.build_model(RECIPES["mix-d3"]).eval(), "preserving")
    before, after = (
        use(sufficiency.bench(model, D3, per_class=5, reference_per_class=10))
        for model in (adder, larger)
    )
    inserted = located(np.ones_like(before.broken["ADD"], dtype=bool), 3, 4)
    assert after.broken["ADD"][inserted].sum() == before.broken["ADD"].sum() > 0
    assert nodes_of(after.used("ADD")) == nodes_of(before.used("ADD"))
    chance = overlap(before.used("ADD"), after.used("ADD"), "jaccard")
    assert chance.observed == 1.0
    assert chance.heads_p < 0.05
    assert chance.random_p < 0.01


def test_what_is_stored_is_read_back():
    node_use = a_use([0, 1, 2], [3, 4, 5], [6, 7, 8])
    again = Use.from_json(node_use.to_json())
    assert again.asked == node_use.asked
    assert all((again.broken[name] == node_use.broken[name]).all() for name in node_use.broken)

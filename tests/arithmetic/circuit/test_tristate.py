"""Questions of known case, and the separation of the cases beside its two controls."""

import warnings
from collections import Counter

import numpy as np
import pytest
import torch

from helpers import training, zoo
from helpers.arithmetic.circuit.tristate import (
    CASES,
    node_output,
    questions_by_case,
    separation,
    tri_state,
)
from helpers.arithmetic.questions import Format, all_additions
from helpers.errors import LabError
from helpers.interventions import Node
from tests.arithmetic.handwired import FMT, handwired_adder

pytestmark = pytest.mark.core

D5 = Format(5)
ST3 = Node(13, 0, 1)  # in add-d5 this head stores the case of column 3


@pytest.fixture(scope="module")
def adder():
    return zoo.load("add-d5", device="cpu")


@pytest.fixture(scope="module")
def untrained():
    return training.build_model(zoo.entry("add-d5").recipe).eval()


@pytest.mark.parametrize(
    ("n_digits", "digit"), [(1, 0), (2, 0), (2, 1), (5, 0), (5, 2), (5, 4), (11, 10)]
)
def test_cases_are_balanced_and_right(n_digits, digit):
    questions, case = questions_by_case(n_digits, digit, 30, seed=3)
    sums = [
        sum(pair)
        for pair in zip(
            questions.first[:, digit].tolist(), questions.second[:, digit].tolist(), strict=True
        )
    ]
    expected = ["0" if total < 9 else "U" if total == 9 and digit else "1" for total in sums]
    assert [CASES[index] for index in case] == expected
    assert Counter(expected) == ({"0": 30, "U": 30, "1": 30} if digit else {"0": 30, "1": 30})
    assert questions.n_digits == n_digits
    assert not questions.subtract.any()
    assert 9 not in sums or digit


def test_the_other_columns_say_nothing_about_the_case():
    questions, case = questions_by_case(5, 2, 2000)
    for other in (0, 1, 3, 4):
        for operand in (questions.first, questions.second):
            assert set(operand[:, other].tolist()) == set(range(10))
            means = [operand[torch.from_numpy(case == k), other].float().mean() for k in range(3)]
            # five standard errors of 2.87 / sqrt(2000) · sqrt(2)
            assert max(means) - min(means) < 0.45


def test_seeds():
    def drawn(seed: int) -> list:
        return questions_by_case(3, 1, 20, seed)[0].first.tolist()

    assert drawn(0) == drawn(0) != drawn(1)


@pytest.mark.parametrize("digit", [-1, 3])
def test_a_missing_digit_is_refused(digit):
    with pytest.raises(LabError, match=f"0 to 2.*got {digit}"):
        questions_by_case(3, digit, 5)


def test_separable_points_are_separated_and_permuted_ones_are_not():
    case = np.repeat([0, 1, 2], 60)
    centres = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 5.0]])
    points = centres[case] + np.random.default_rng(0).normal(size=(180, 2))
    assert separation(points, case, 0) > 0.95
    shuffled = [
        separation(points, np.random.default_rng(seed).permutation(case), seed)
        for seed in range(20)
    ]
    assert np.mean(shuffled) == pytest.approx(1 / 3, abs=0.05)


def test_the_score_is_on_questions_that_were_held_out():
    """Sixty points in 400 dimensions, no structure: fitted centres would score far above chance."""
    case = np.repeat([0, 1, 2], 20)
    points = np.random.default_rng(0).normal(size=(60, 400))
    assert separation(points, case, 0) < 0.55
    centres = np.stack([points[case == k].mean(0) for k in range(3)])
    fitted = ((points[:, None] - centres) ** 2).sum(-1).argmin(1)
    assert (fitted == case).mean() > 0.9


def test_an_output_that_never_varies_scores_chance_without_a_warning():
    """The hand-wired MLP is silent at the operator."""
    model = handwired_adder()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = tri_state(model, FMT, Node(1, 0), 0, per_case=20, permutations=3)
    assert result.accuracy == 0.5
    assert result.null.tolist() == [0.5] * 3
    assert result.explained == (0.0, 0.0)


def test_the_hand_wired_head_writes_the_sum_and_nothing_else():
    questions = all_additions(1)
    output = node_output(handwired_adder(), questions.tokens(FMT), Node(4, 0, 0))
    total = (questions.first + questions.second)[:, 0].float()
    assert torch.allclose(output[:, 1], total, atol=1e-3)  # residual dimension 1 is SUM
    assert not output[:, [0, *range(2, output.shape[1])]].any()


def test_the_hand_wired_mlp_writes_the_tens():
    questions = all_additions(1)
    output = node_output(handwired_adder(), questions.tokens(FMT), Node(4, 0))
    total = (questions.first + questions.second)[:, 0]
    assert torch.equal(output[:, 8:18].argmax(1), total // 10)


def test_heads_and_mlp_add_up_to_the_residual_stream(adder):
    """Summed over a layer's nodes, plus b_O: what the layer adds, by the library's own cache."""
    tokens = questions_by_case(5, 2, 5)[0].tokens(D5)
    with torch.no_grad():
        _, cache = adder.run_with_cache(tokens)
    layer, position = 1, 14
    written = sum(node_output(adder, tokens, Node(position, layer, head)) for head in (0, 1, 2, -1))
    added = cache["blocks.1.hook_resid_post"] - cache["blocks.0.hook_resid_post"]
    assert torch.allclose(written + adder.blocks[layer].attn.b_O, added[:, position], atol=1e-4)


@pytest.mark.parametrize("node", [Node(19, 0), Node(-1, 0), Node(14, 2), Node(14, 0, 3)])
def test_a_node_that_the_model_lacks_is_refused(adder, node):
    with pytest.raises(LabError, match="19 positions"):
        tri_state(adder, D5, node, 2, per_case=5, permutations=1)


def test_the_trained_head_separates_its_own_column_and_the_controls_stay_at_chance(
    adder, untrained
):
    trained = tri_state(adder, D5, ST3, 3, per_case=60, permutations=10)
    assert trained.accuracy > 0.95
    for control in (tri_state(adder, D5, ST3, 1, 60, 2), tri_state(untrained, D5, ST3, 3, 60, 2)):
        assert abs(control.accuracy - 1 / 3) < 0.15  # four standard errors of a share among 180
    assert abs(trained.null.mean() - 1 / 3) < 0.06
    assert trained.null.max() < 0.5
    assert trained.null.shape == (10,)


def test_the_plane_holds_the_two_largest_shares_of_variance(adder):
    result = tri_state(adder, D5, ST3, 3, per_case=40, permutations=1)
    questions, case = questions_by_case(5, 3, 40)
    output = node_output(adder, questions.tokens(D5), ST3).double().numpy()
    centred = output - output.mean(0)
    # a second way: eigenvalues of the covariance
    variance = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    assert result.explained == pytest.approx(tuple(variance[:2] / variance.sum()), abs=1e-4)
    assert result.plane.shape == (120, 2)
    assert (result.plane**2).sum(0) == pytest.approx(variance[:2], rel=1e-3)
    assert result.case.tolist() == case.tolist()


def test_one_seed_gives_one_result(adder):
    first, again, other = (tri_state(adder, D5, ST3, 3, 20, 3, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.null, again.null)
    assert first.accuracy == again.accuracy
    assert not np.array_equal(first.plane, other.plane)

"""Shapley values: closed forms, axioms, brute force over orders, samples against exact values."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from helpers.circuits.oracle import oracle, shapley
from helpers.circuits.tasks.tinyworld import twins
from helpers.errors import LabError
from helpers.texts import final_logits
from helpers.tinyworld.sets import tasks
from tests.circuits import small

pytestmark = pytest.mark.core


def game(n_players: int, value) -> np.ndarray:
    """Values of all subsets, from a function of the set of players."""
    members = (
        {player for player in range(n_players) if subset >> player & 1}
        for subset in range(1 << n_players)
    )
    return np.array([float(value(players)) for players in members])


ADDITIVE = game(5, lambda s: sum((2.0, -1.0, 0.5, 0.0, 3.0)[player] for player in s))
UNANIMITY = game(5, lambda s: {0, 2, 3} <= s)
GLOVES = game(3, lambda s: min(len(s & {0}), len(s & {1, 2})))  # one left glove, two right ones


def test_closed_forms():
    assert shapley.exact(ADDITIVE) == pytest.approx([2.0, -1.0, 0.5, 0.0, 3.0])
    assert shapley.exact(UNANIMITY) == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3, 0])
    assert shapley.exact(GLOVES) == pytest.approx([2 / 3, 1 / 6, 1 / 6])


def test_closed_forms_of_interactions():
    assert np.abs(shapley.interactions(ADDITIVE)).max() < 1e-12
    wanted = np.zeros((5, 5))
    for i, j in itertools.permutations((0, 2, 3), 2):
        wanted[i, j] = 1 / 2  # 1 / (size - 1): Grabisch and Roubens
    assert shapley.interactions(UNANIMITY) == pytest.approx(wanted)
    left_right, right_right = 1 / 2, -1 / 2  # the second right glove takes from the first
    assert shapley.interactions(GLOVES)[0] == pytest.approx([0, left_right, left_right])
    assert shapley.interactions(GLOVES)[1, 2] == pytest.approx(right_right)


def by_orders(values: np.ndarray) -> np.ndarray:
    """The definition: mean gain over all orders."""
    n_players = int(math.log2(len(values)))
    gains = np.zeros(n_players)
    for order in itertools.permutations(range(n_players)):
        subset = 0
        for player in order:
            gains[player] += values[subset | 1 << player] - values[subset]
            subset |= 1 << player
    return gains / math.factorial(n_players)


def merged(values: np.ndarray, i: int, j: int) -> float:
    """The interaction's other definition: the pair as one player, less each of the two alone."""
    n_players = int(math.log2(len(values)))
    others = [player for player in range(n_players) if player not in (i, j)]

    def reduced(bits: int) -> np.ndarray:
        numbers = range(1 << len(others))
        base = np.array(
            [
                sum(1 << others[k] for k in range(len(others)) if number >> k & 1)
                for number in numbers
            ]
        )
        return np.concatenate([values[base], values[base | bits]])

    both, only_i, only_j = (
        by_orders(reduced(bits))[-1] for bits in (1 << i | 1 << j, 1 << i, 1 << j)
    )
    return both - only_i - only_j


def games(n_players: int):
    return arrays(float, 1 << n_players, elements=st.floats(-5, 5))


@settings(deadline=None, max_examples=30)
@given(games(4))
def test_values_are_means_over_all_orders(values):
    assert shapley.exact(values) == pytest.approx(by_orders(values), abs=1e-9)


@settings(deadline=None, max_examples=15)
@given(games(4))
def test_interactions_are_what_a_pair_brings_as_one_player(values):
    estimate = shapley.interactions(values)
    assert estimate == pytest.approx(estimate.T)
    for i, j in itertools.combinations(range(4), 2):
        assert estimate[i, j] == pytest.approx(merged(values, i, j), abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(games(5))
def test_efficiency(values):
    assert shapley.exact(values).sum() == pytest.approx(values[-1] - values[0], abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(games(4), st.integers(0, 4))
def test_a_player_who_changes_nothing_gets_nothing(values, place):
    low = np.arange(32) & (1 << place) - 1
    dummy = values[
        low | np.arange(32) >> 1 & ~((1 << place) - 1)
    ]  # bit `place` put in and not read
    estimate = shapley.exact(dummy)
    assert estimate[place] == 0
    assert np.delete(estimate, place) == pytest.approx(shapley.exact(values), abs=1e-9)
    assert np.abs(shapley.interactions(dummy)[place]).max() == 0


@settings(deadline=None, max_examples=30)
@given(games(4), st.permutations(range(4)))
def test_renamed_players_keep_their_values(values, names):
    renamed = np.empty_like(values)
    for subset in range(16):
        renamed[sum(1 << names[player] for player in range(4) if subset >> player & 1)] = values[
            subset
        ]
    assert shapley.exact(renamed)[names] == pytest.approx(shapley.exact(values), abs=1e-9)
    assert shapley.interactions(renamed)[np.ix_(names, names)] == pytest.approx(
        shapley.interactions(values), abs=1e-9
    )


def test_prompts_are_games_of_their_own():
    both = np.stack([GLOVES, 2 * GLOVES], 1)
    assert shapley.exact(torch.tensor(both)) == pytest.approx(
        np.stack([shapley.exact(GLOVES), 2 * shapley.exact(GLOVES)], 1)
    )


def test_samples_of_an_additive_game_are_exact():
    estimate = shapley.sampled(lambda subset: ADDITIVE[subset], 5, permutations=2)
    assert estimate.values == pytest.approx([2.0, -1.0, 0.5, 0.0, 3.0])
    assert estimate.errors == pytest.approx(np.zeros(5), abs=1e-12)


def test_samples_err_as_their_errors_say():
    values = np.random.default_rng(0).normal(size=1 << 6)
    wanted, off = shapley.exact(values), []
    for seed in range(60):
        estimate = shapley.sampled(values.__getitem__, 6, permutations=40, seed=seed)
        assert estimate.values.sum() == pytest.approx(
            values[-1] - values[0]
        )  # in every order, so in the mean
        off.append((estimate.values - wanted) / estimate.errors)
    assert abs(np.mean(off)) < 0.2
    assert 0.85 < np.std(off) < 1.2


def test_no_subset_is_evaluated_twice():
    asked = []
    estimate = shapley.sampled(
        lambda subset: asked.append(subset) or GLOVES[subset], 3, permutations=50
    )
    assert estimate.evaluations == len(asked) == len(set(asked)) == 8


@pytest.fixture(scope="module")
def table_and_run():
    """A small model, its oracle, and the same behaviour by hooks."""
    model, pairs, reference = (
        small.model(n_layers=3),
        twins("ioi", 4, 0),
        tasks.prompts("ioi", 6, 1),
    )
    run = shapley.by_hooks(model, pairs, "mean", reference)
    return oracle(model, pairs, "mean", reference), run


def test_hooks_give_the_oracles_behaviour(table_and_run):
    table, run = table_and_run
    for subset in (0, 5, 22, 63):
        torch.testing.assert_close(run(subset), table.behaviour[subset], atol=1e-4, rtol=0)


def test_samples_with_hooks_find_the_oracles_values(table_and_run):
    table, run = table_and_run
    estimate = shapley.sampled(lambda subset: float(run(subset).mean()), 6, permutations=60, seed=1)
    wanted = shapley.exact(table.mean)
    assert (
        np.abs(wanted).max() > 10 * estimate.errors.mean()
    )  # the errors are small enough to say something
    assert np.all(np.abs(estimate.values - wanted) < 4 * estimate.errors + 1e-4)
    assert estimate.evaluations <= 64


def test_hooks_take_models_of_more_heads_than_the_oracle():
    model, pairs = small.model(n_layers=3, n_heads=24, d_head=2), twins("greater-than", 3, 0)
    run = shapley.by_hooks(model, pairs, "resample")
    torch.testing.assert_close(
        run((1 << 72) - 1), pairs.behaviour(final_logits(model, pairs.clean))
    )
    none = pairs.behaviour(final_logits(model, pairs.corrupted))
    assert not torch.allclose(none, run((1 << 72) - 1))
    torch.testing.assert_close(
        run(0), none
    )  # the last token is the twin's, and heads are all that it reads


def test_what_is_no_game_is_refused():
    for values in (np.zeros(3), np.zeros(0), np.zeros(1), np.array([0.0, math.nan]), np.float64(1)):
        with pytest.raises(LabError, match=r"expected a finite value for each of 2\^n subsets"):
            shapley.exact(values)
    with pytest.raises(LabError, match="expected one value per subset for interactions"):
        shapley.interactions(np.zeros((4, 2)))
    with pytest.raises(LabError, match="expected at least 1 head and 2 permutations; got 3 and 1"):
        shapley.sampled(GLOVES.__getitem__, 3, permutations=1)
    with pytest.raises(LabError, match="expected finite values of subsets; got nan for subset 0x"):
        shapley.sampled(lambda subset: math.nan, 3)

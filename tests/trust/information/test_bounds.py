"""Bounds on mutual information against exact values of small distributions, and the regression identity against least squares."""

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.trust.information.bounds import (
    accuracy_of,
    binary_entropy,
    fano_bound,
    squared_correlation,
    variational_bound,
)


def test_the_variational_bound_is_exact_for_the_true_posterior_and_lower_for_another():
    """A binary channel: T is Y, flipped with probability 0.1; I(T;Y) = 1 - h(0.1) bits."""
    exact = 1 - binary_entropy(0.1)
    cross_entropy = {
        belief: -0.9 * np.log(belief) - 0.1 * np.log(1 - belief) for belief in (0.6, 0.9, 0.99)
    }
    bounds = {
        belief: variational_bound(loss, np.array([0, 1])).bits
        for belief, loss in cross_entropy.items()
    }
    assert bounds[0.9] == pytest.approx(exact, rel=1e-9)
    assert bounds[0.6] < exact
    assert bounds[0.99] < exact
    assert fano_bound(0.9).bits == pytest.approx(
        exact
    )  # for a channel that errs alike on both sides Fano is tight


def test_the_variational_bound_takes_arrays_and_the_labels_own_entropy():
    labels = np.array([True, False, False, False])
    bound = variational_bound(np.array([[0.0, 0.5], [1.0, 2.0]]), labels)
    assert bound.nats == pytest.approx(0.5623351446 - np.array([[0.0, 0.5], [1.0, 2.0]]))
    assert bound.bits[0, 0] == pytest.approx(0.8112781245)
    assert bound.nats[1, 1] < 0  # a probe that is worse than knowing the frequencies


def test_fano_is_below_the_mutual_information_of_unsymmetric_channels():
    rng = np.random.default_rng(0)
    for _ in range(200):
        joint = rng.dirichlet(np.ones(6)).reshape(
            2, 3
        )  # of a label and an observation with three values
        label, seen = joint.sum(1), joint.sum(0)
        exact = sum(
            joint[y, t] * np.log2(joint[y, t] / label[y] / seen[t])
            for y in range(2)
            for t in range(3)
        )
        labels = np.arange(100_000) < 100_000 * label[1]
        assert fano_bound(float(joint.max(0).sum()), labels).bits <= exact + 1e-4


def test_known_values():
    assert binary_entropy(0.25) == pytest.approx(0.8112781245)
    assert fano_bound(0.5).nats == fano_bound(0.5).bits == 0
    assert (
        fano_bound(0.246).bits == fano_bound(0.0).bits == 0
    )  # below chance: no evidence that the label is in there
    assert fano_bound(0.4, np.array([True, False, False, False])).bits == pytest.approx(
        0.8112781245 - 1
    )
    assert accuracy_of(0.0) == 0.5
    assert accuracy_of(0.8) == pytest.approx(0.9772498681)  # two standard deviations


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_squared_correlation_is_that_of_least_squares(share):
    rng = np.random.default_rng(1)
    labels = np.arange(300) < 300 * share
    x = rng.normal(size=(300, 7)) @ rng.normal(size=(7, 7)) + labels[:, None] * rng.normal(size=7)
    design = np.c_[np.ones(300), x]
    left = labels - design @ np.linalg.lstsq(design, labels.astype(float), rcond=None)[0]
    assert squared_correlation(torch.tensor(x), labels) == pytest.approx(
        1 - left.var() / labels.var(), rel=1e-9
    )


@pytest.mark.parametrize(
    ("items", "features"), [(20, 50), (40, 200), (100, 99), (100, 98), (60, 58)]
)
def test_squared_correlation_where_the_scatter_within_classes_is_singular(items, features):
    rng = np.random.default_rng(items)
    x, labels = rng.normal(size=(items, features)), np.arange(items) % 2 == 0
    x[:, -1] = x[:, 0]  # and one feature twice
    design = np.c_[np.ones(items), x]
    left = labels - design @ np.linalg.lstsq(design, labels.astype(float), rcond=None)[0]
    found = squared_correlation(torch.tensor(x), labels)
    assert found == pytest.approx(1 - left.var() / labels.var(), abs=1e-9)
    assert (found > 1 - 1e-9) == (features >= items)
    assert 0 <= squared_correlation(torch.ones(4, 2), np.arange(4) < 2) < 1e-12


def test_squared_correlation_of_what_tells_the_label_exactly_is_one():
    labels = np.array([False, False, True, True])
    assert squared_correlation(torch.tensor([[0.0], [0.0], [1.0], [1.0]]), labels) == pytest.approx(
        1
    )
    assert squared_correlation(
        torch.tensor([[5.0, 1], [7, 3], [1, 3], [3, 5]]), labels
    ) == pytest.approx(1)  # y = (b - a + 4) / 6


def test_accuracy_of_two_gaussians():
    rng = np.random.default_rng(2)
    labels = np.arange(40_000) % 2 == 0
    x = rng.normal(size=(40_000, 2)) + 2 * labels[:, None] * np.array([1, 0])
    r_squared = squared_correlation(torch.tensor(x), labels)
    assert r_squared == pytest.approx(0.5, abs=0.01)
    assert accuracy_of(r_squared) == pytest.approx(((x[:, 0] > 1) == labels).mean(), abs=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: variational_bound(0.3, np.array([True, True])),
            "both classes; got 2 labels, 100% of them true",
        ),
        (lambda: variational_bound(0.3, np.array([], dtype=bool)), "both classes; got 0 labels"),
        (
            lambda: variational_bound(np.array([0.3, np.nan]), np.array([True, False])),
            "finite and not negative",
        ),
        (lambda: variational_bound(-0.1, np.array([True, False])), "finite and not negative"),
        (lambda: fano_bound(1.1), "between 0 and 1; got 1.1"),
        (lambda: accuracy_of(1.0), "below 1; got 1.0"),
        (lambda: squared_correlation(torch.randn(5, 2), np.array([True, False])), "one label each"),
        (
            lambda: squared_correlation(torch.full((2, 2), torch.nan), np.array([True, False])),
            "finite activations",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(LabError, match=message):
        call()

"""Bounds on mutual information against exact values of small distributions."""

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.trust.information.bounds import (
    binary_entropy,
    fano_bound,
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
    assert np.ravel(bound.bits)[0] == pytest.approx(0.8112781245)
    assert np.ravel(bound.nats)[3] < 0  # a probe that is worse than knowing the frequencies


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
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(LabError, match=message):
        call()

"""The solver beneath the probes: its loss falls at every step, whatever the activations are."""

import numpy as np
import pytest
import torch

from helpers.trust.probes import logistic


def hard(n_items: int = 60, d: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations with a few items far out; two sites can be separated."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, n_items, d, generator=generator, dtype=torch.float64)
    x[:, :3] *= 50
    labels = torch.rand(4, n_items, generator=generator) < 0.5
    labels[2:] = x[2:, :, 0] > 0  # separable at two sites
    return x, labels


def objective(design, labels, coefficients, strength) -> np.ndarray:
    """Written out for one mask of all items, with the standardised weights."""
    weights, bias = logistic.standardised(design, torch.arange(1), coefficients)
    scores = (design.x[..., :-1] @ weights.mT)[..., 0] + bias
    loss = torch.nn.functional.softplus(torch.where(labels, -scores, scores)).sum(1)
    return (loss + strength / 2 * (weights**2).sum((1, 2))).numpy()


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0])
def test_the_loss_falls_at_every_step(strength):
    x, labels = hard()
    design = logistic.design(x, torch.ones(1, x.shape[1], dtype=torch.bool))
    strengths = torch.full((4, 1), strength, dtype=torch.float64)
    wrong = (
        -5 * (labels[:, None].double() - 0.5) @ design.x
    )  # sure of the wrong answers: little curvature, steep slopes
    losses = []
    for steps in range(40):
        found, _ = logistic.minimise(
            design, labels, torch.arange(1), strengths, 0.0, steps, start=wrong
        )
        losses.append(objective(design, labels, found, strength))
    assert (np.diff(losses, axis=0) <= 1e-9).all()
    assert (losses[0] > losses[-1]).all()


def test_the_optimum_of_one_yes_or_no_feature_is_the_root_of_an_equation():
    """Half of the items have the feature +1, half −1; a share p of each half has the label that
    fits it. Without an intercept, by symmetry, the weight w solves n (1 / (1 + exp(-w)) − p) +
    strength · w = 0."""
    from scipy.optimize import brentq

    n, p, strength = 40, 0.8, 3.0
    side = np.tile([1.0, -1.0], n // 2)
    right = np.arange(n) // 2 < p * n / 2
    labels = torch.from_numpy(np.where(right, side > 0, side < 0))[None]
    design = logistic.design(
        torch.from_numpy(side)[None, :, None], torch.ones(1, n, dtype=torch.bool)
    )
    strengths = torch.full((1, 1), strength, dtype=torch.float64)
    found, left = logistic.minimise(design, labels, torch.arange(1), strengths, 1e-12, 100)
    weights, bias = logistic.standardised(design, torch.arange(1), found)
    root = brentq(lambda w: n * (1 / (1 + np.exp(-w)) - p) + strength * w, -9, 9)
    assert left == 0
    assert weights.item() == pytest.approx(root, abs=1e-10)
    assert bias.item() == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(("n_items", "d"), [(30, 8), (8, 30), (40, 40)])
def test_a_preconditioner_of_fewer_directions_leads_to_the_same_optimum(monkeypatch, n_items, d):
    generator = torch.Generator().manual_seed(1)
    x, labels = (
        torch.randn(2, n_items, d, generator=generator),
        torch.rand(2, n_items, generator=generator) < 0.5,
    )
    masks, strengths = (
        torch.ones(1, n_items, dtype=torch.bool),
        torch.full((2, 1), 0.5, dtype=torch.float64),
    )

    def optimum():
        design = logistic.design(x, masks)
        return design.basis.shape[2], logistic.minimise(
            design, labels, torch.arange(1), strengths, 1e-11, 500
        )

    rank, (exact, left) = optimum()
    monkeypatch.setattr(logistic, "RANK", 3)
    reduced, (found, still) = optimum()
    assert (rank, reduced) == (min(n_items, d), 3)
    assert left == still == 0
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-9)


def test_starting_at_the_optimum_takes_no_step():
    x, labels = hard()
    design = logistic.design(x, torch.ones(1, x.shape[1], dtype=torch.bool))
    strengths = torch.ones(4, 1, dtype=torch.float64)
    found, _ = logistic.minimise(design, labels, torch.arange(1), strengths, 1e-10, 2000)
    again, left = logistic.minimise(
        design, labels, torch.arange(1), strengths, 1e-9, 1, start=found
    )
    assert left == 0
    assert torch.equal(found, again)

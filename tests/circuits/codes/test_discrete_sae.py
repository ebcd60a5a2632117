"""The autoencoder against its equations in NumPy, and against vectors whose clusters are known."""

import numpy as np
import pytest
import torch

from helpers.circuits.codes.discrete_sae import DEAD, Settings, _start, largest, train
from helpers.errors import LabError

pytestmark = pytest.mark.core


def vectors(n=40, d=12, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def loss_in_numpy(sae, x, sparsity):
    """The two parts of the loss, from the published equations."""
    w_e, b_e, w_d, b = (
        part[0].double().numpy() for part in (sae.encoder, sae.encoder_bias, sae.decoder, sae.bias)
    )
    z = np.maximum((x - b) @ w_e.T + b_e, 0)
    x_hat = z @ w_d.T + b
    return ((x_hat - x) ** 2).mean(), np.abs(z).sum(1).mean()


def test_loss_is_that_of_the_equations():
    x = vectors()
    start, stepped = train(x, Settings(9, steps=0)), train(x, Settings(9, steps=1))
    error, penalty = loss_in_numpy(start, x.double().numpy(), 0.02)
    assert stepped.losses[0, :, 0].tolist() == pytest.approx([error, penalty], rel=1e-5)


def test_first_step_goes_against_the_gradient_by_the_learning_rate():
    """Adam's first step moves a parameter, here the tied bias, by the rate against its gradient."""
    x = vectors(seed=3)
    start, stepped = train(x, Settings(9, steps=0)), train(x, Settings(9, steps=1, rate=1e-4))
    moved = (stepped.bias - start.bias)[0, 0].numpy()
    for k in range(3):
        nudged = [
            loss_in_numpy(replace_bias(start, k, sign * 1e-4), x.double().numpy(), 0.02)
            for sign in (1, -1)
        ]
        slope = (nudged[0][0] + 0.02 * nudged[0][1]) - (nudged[1][0] + 0.02 * nudged[1][1])
        assert moved[k] == pytest.approx(-np.sign(slope) * 1e-4, rel=1e-2)


def replace_bias(sae, k, by):
    from dataclasses import replace

    bias = sae.bias.clone()
    bias[0, 0, k] += by
    return replace(sae, bias=bias)


def test_training_is_that_of_the_released_code():
    """Its linear layers, step by step: weights that are put back to length 1 in place before every
    forward pass, and lose the part of the gradient along themselves (src/sae.py and src/train.py of
    the authors, at 10fd2e7)."""
    x, rate = vectors(60, 24, 2), 1e-3
    encoder, encoder_bias, decoder, bias = (
        torch.nn.Parameter(value) for value in _start(24, 20, 0)
    )
    optimiser = torch.optim.Adam([encoder, encoder_bias, decoder, bias], lr=rate)

    def unit():
        with torch.no_grad():
            for weight in (encoder, decoder):
                weight /= weight.norm(dim=-1, keepdim=True)

    for _ in range(100):
        unit()
        z = torch.relu((x - bias) @ encoder.T + encoder_bias)
        loss = (z @ decoder.T + bias - x).square().mean() + 0.02 * z.norm(p=1, dim=1).mean()
        optimiser.zero_grad()
        loss.backward()
        for weight in (encoder, decoder):
            weight.grad -= (weight.grad * weight).sum(-1, keepdim=True) * weight
        optimiser.step()
    unit()
    trained = train(x, Settings(20, 0.02, 100, rate, unit="rows"))
    assert torch.allclose(trained.encoder[0], encoder, atol=1e-4)
    assert torch.allclose(trained.decoder[0], decoder, atol=1e-4)
    assert torch.allclose(trained.bias[0], bias, atol=1e-4)


@pytest.mark.parametrize(("unit", "dim"), [("columns", 1), ("rows", 2)])
def test_what_has_length_one(unit, dim):
    sae = train(vectors(), Settings(9, steps=20, unit=unit))
    other = 3 - dim
    assert torch.allclose(sae.decoder.norm(dim=dim), torch.ones(1), atol=1e-5)
    assert not torch.allclose(sae.decoder.norm(dim=other), torch.ones(1), atol=0.05)
    assert torch.allclose(sae.encoder.norm(dim=2), torch.ones(1), atol=1e-5)


def test_training_explains_clusters_and_codes_tell_them_apart():
    centres = 4 * torch.nn.functional.normalize(vectors(5, 24, 1), dim=-1)
    which = torch.arange(60) % 5
    x = centres[which] + 0.02 * vectors(60, 24, 2)
    sae, start = train(x, Settings(20, 0.002, 800)), train(x, Settings(20, 0.002, 0))
    error = (sae.reconstruct(x) - x).square().mean()
    assert error < 0.1 * x.var() < (start.reconstruct(x) - x).square().mean()
    codes = sae.codes(x)
    assert all(len(set(codes[which == k].tolist())) == 1 for k in range(5))
    assert len(set(codes.tolist())) == 5


def test_seeds_side_by_side_are_the_seeds_one_by_one():
    x = torch.stack([vectors(seed=1), vectors(seed=2)])
    together = train(x, Settings(9, steps=50), (4, 7))
    for index, seed in enumerate((4, 7)):
        alone = train(x[index], Settings(9, steps=50), (seed,))
        assert torch.allclose(alone.encoder[0], together.encoder[index], atol=1e-5)
        assert torch.allclose(alone.encode(x[0]), together.encode(x[0], index), atol=1e-5)
    assert not torch.allclose(together.encoder[0], together.encoder[1], atol=0.1)


def test_a_vector_without_active_latent_has_no_code():
    sae = train(vectors(), Settings(9, steps=0))
    silent = sae.encoder_bias.clone().fill_(-100)
    from dataclasses import replace

    mute = replace(sae, encoder_bias=silent)
    assert mute.codes(vectors()).unique().tolist() == [DEAD]
    assert mute.codes(vectors(), dead=0).unique().tolist() == [0]
    assert largest(torch.tensor([0.0, 0.0])).item() == DEAD


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(bad):
    x = vectors()
    x[3, 2] = bad
    with pytest.raises(
        LabError, match=r"finite activations; got NaN or infinity in 1 of 40 \(vector\)"
    ):
        train(x)
    with pytest.raises(LabError, match="finite activations"):
        train(vectors(), Settings(9, steps=0)).codes(x)
    with pytest.raises(LabError, match=r"\[vector, d_model\], with one number at least"):
        train(torch.zeros(0, 12))


@pytest.mark.parametrize("name", ["encode", "reconstruct"])
def test_attribution_goes_through(name):
    """In any form of numbers the result has the gradient and the precision of what is given."""
    sae, x = train(vectors(), Settings(9, steps=20)), vectors(5)
    work, back = getattr(sae, name), x.double().requires_grad_()
    result = work(back)
    assert result.dtype is torch.float64
    assert torch.allclose(result.float(), work(x), atol=1e-6)
    assert work(x.requires_grad_()).requires_grad
    # the slope of the sum, against what a small step along each number changes
    (slope,) = torch.autograd.grad(result.sum(), back)
    step = torch.zeros_like(back)
    step[0, 3] = 1e-6
    changed = (work(back + step).sum() - work(back - step).sum()) / 2e-6
    assert float(slope[0, 3]) == pytest.approx(changed.item(), rel=1e-5)
    assert float(slope[0, 3]) != 0
    assert work(torch.zeros(0, 12)).shape == (0, work(vectors(1)).shape[1])


@pytest.mark.parametrize("shape", [(5, 11), (12, 1), ()])
def test_vectors_of_another_width_are_refused(shape):
    sae = train(vectors(), Settings(9, steps=0))
    for work in (sae.encode, sae.reconstruct):
        with pytest.raises(LabError, match="heads write, of 12 numbers each"):
            work(torch.zeros(shape))


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(LabError, match="columns"):
        Settings(unit="both")
    with pytest.raises(LabError, match="at least one latent"):
        Settings(latents=0)
    with pytest.raises(LabError, match="one set of vectors for each seed"):
        train(torch.stack([vectors(), vectors()]), Settings(9, steps=0), (0, 1, 2))

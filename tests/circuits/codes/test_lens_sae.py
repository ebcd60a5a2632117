"""sae-lens' autoencoders beside ours: the same loss, and one latent at a time with k = 1."""

import pytest
import torch

from helpers.circuits.codes import lens_sae
from helpers.circuits.codes.discrete_sae import DiscreteSAE, Settings
from helpers.errors import LabError

pytest.importorskip(
    "sae_lens",
    reason="sae-lens is not installed, or not made for this transformer-lens",
    exc_type=ImportError,
)
X = torch.randn(48, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.slow
def test_its_loss_over_the_dimensions_is_the_papers():
    settings = Settings(10, 0.05, steps=0)
    model = lens_sae._untrained(lens_sae.library(), "standard", 16, settings)
    with torch.no_grad():
        model.W_dec.copy_(
            torch.nn.functional.normalize(model.W_dec, dim=-1)
        )  # where vectors have length 1, as in the paper
        model.b_enc.fill_(0.1)
    from sae_lens.saes.sae import TrainStepInput

    step = model.training_forward_pass(
        TrainStepInput(
            sae_in=X,
            coefficients={"l1": 16 * 0.05},
            dead_neuron_mask=None,
            n_training_steps=0,
            is_logging_step=False,
        )
    )
    ours = DiscreteSAE(
        model.W_enc.mT[None].detach(),
        model.b_enc[None, None].detach(),
        model.W_dec.mT[None].detach(),
        torch.zeros(1, 1, 16),
        torch.zeros(0, 2, 1),
    )
    expected = (ours.reconstruct(X) - X).square().mean() + 0.05 * ours.encode(X).sum(-1).mean()
    assert step.loss.item() / 16 == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", lens_sae.KINDS)
def test_training_learns_and_is_the_same_again(kind):
    settings = Settings(24, 0.0005, 300, 3e-3)
    before = torch.get_rng_state()
    trained, again, start = (
        lens_sae.train(X, kind, settings),
        lens_sae.train(X, kind, settings),
        lens_sae.train(X, kind, Settings(24, 0.0005, 1, 1e-6)),
    )
    assert torch.equal(before, torch.get_rng_state())
    assert torch.allclose(trained.encode(X), again.encode(X), atol=1e-5)
    errors = [(sae.reconstruct(X) - X).square().mean() for sae in (trained, start)]
    assert errors[0] < 0.7 * errors[1]
    if kind == "topk":
        assert (trained.encode(X) > 0).sum(-1).max() == 1
    shaped = X.reshape(6, 8, 16)
    assert torch.equal(trained.codes(shaped).flatten(), trained.codes(X))


@pytest.mark.slow
def test_no_bar_is_left_on_the_page(capsys):
    from sae_lens.training import sae_trainer

    before = sae_trainer.tqdm
    lens_sae.train(X, "topk", Settings(8, 0.0, 3))
    assert capsys.readouterr() == ("", "")
    assert sae_trainer.tqdm is before


def test_bad_input_is_refused():
    with pytest.raises(LabError, match="standard, topk"):
        lens_sae.train(X, "gated")
    with pytest.raises(LabError, match="finite"):
        lens_sae.train(X / 0)

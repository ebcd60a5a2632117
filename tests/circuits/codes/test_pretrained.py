"""Pretrained autoencoders, with one that sae-lens trained here in place of one from the hub: the same path, the same check."""

import json
import shutil
import sys

import pytest
import torch

from helpers import zoo
from helpers.circuits.codes import lens_sae, pretrained
from helpers.circuits.codes.discrete_sae import Settings
from helpers.circuits.tasks import tinyworld
from helpers.errors import LabError

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(64, 3, generator=GENERATOR).abs() @ torch.randn(3, 16, generator=GENERATOR)


def test_no_sae_lens_no_autoencoder(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sae_lens", None)
    for load in (lambda: pretrained.from_hub(X), lambda: pretrained.from_folder(tmp_path, X)):
        with pytest.raises(LabError, match="expected sae-lens, beside a transformer-lens below 4"):
            load()


@pytest.mark.slow
class TestWithSaeLens:
    """Its import alone takes ten seconds."""

    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        pytest.importorskip(
            "sae_lens",
            reason="sae-lens is not installed, or not made for this transformer-lens",
            exc_type=ImportError,
        )
        folder = tmp_path_factory.mktemp("sae")
        lens_sae.train(X, "standard", Settings(32, 0.0005, 400, 5e-3)).model.save_inference_model(
            folder
        )
        return folder

    def test_it_is_saved_loaded_and_checked(self, folder):
        found = pretrained.from_folder(folder, X)
        codes = torch.relu(
            (X - found.sae.b_dec) @ found.sae.W_enc + found.sae.b_enc
        )  # as its config says
        torch.testing.assert_close(found.encode(X), codes)
        rebuilt = codes @ found.sae.W_dec + found.sae.b_dec
        from sklearn.metrics import r2_score

        wanted = r2_score(X, rebuilt.detach(), multioutput="variance_weighted")
        assert found.explained == pytest.approx(wanted, abs=1e-5)
        assert found.explained > 0.9
        assert not found.encode(X).requires_grad

    def test_shifted_activations_are_refused(self, folder):
        """As on raw weights, where the value biases have moved every vector."""
        with pytest.raises(
            LabError,
            match=r"(?s)expected an autoencoder that explains at least 50% .* it explains -.*processed",
        ):
            pretrained.from_folder(folder, X + 4)
        assert pretrained.from_folder(folder, X + 4, least=-1e9).explained < 0

    def test_of_another_width_or_without_spread(self, folder):
        with pytest.raises(LabError, match="expected vectors of 16 dimensions"):
            pretrained.from_folder(folder, X[:, :8])
        for bad in (X[:1], X.new_ones(4, 16), X / 0):
            with pytest.raises(LabError, match="expected activations that differ, without NaN"):
                pretrained.from_folder(folder, bad)

    def test_a_folder_without_autoencoder(self, tmp_path):
        with pytest.raises(LabError, match="expected an autoencoder saved by sae-lens in"):
            pretrained.from_folder(tmp_path, X)

    def test_heads_side_by_side(self, folder, tmp_path):
        """One whose configuration asks for [.., head, d_head] takes vectors, as all do."""
        shutil.copytree(folder, tmp_path / "z")
        path = tmp_path / "z" / "cfg.json"
        config = json.loads(path.read_text())
        config["reshape_activations"] = "hook_z"
        config["metadata"]["hook_name"] = "blocks.1.attn.hook_z"
        path.write_text(json.dumps(config))
        found = pretrained.from_folder(tmp_path / "z", X)
        assert found.hook == "blocks.1.attn.hook_z"
        torch.testing.assert_close(found.encode(X), pretrained.from_folder(folder, X).encode(X))

    @pytest.fixture
    def cache(self, folder, tmp_path, monkeypatch):
        """A cache of the hub with one repository, and no network."""
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        commit = "a" * 40
        stored = tmp_path / "models--someone--autoencoders"
        (stored / "refs").mkdir(parents=True)
        (stored / "refs" / "main").write_text(commit)
        shutil.copytree(folder, stored / "snapshots" / commit / "layer_1")

    def test_from_the_hub_by_way_of_its_cache(self, cache, folder):
        found = pretrained.from_hub(X, "layer_1", "someone/autoencoders")
        assert found.explained == pytest.approx(
            pretrained.from_folder(folder, X).explained, abs=1e-6
        )

    @pytest.mark.parametrize(
        ("sae_id", "release"),
        [
            ("blocks.5.hook_z", pretrained.RELEASE),
            ("blocks.99.hook_z", pretrained.RELEASE),
            ("layer_1", "nobody/nothing"),
        ],
    )
    def test_without_network_or_such_a_name(self, cache, sae_id, release):
        with pytest.raises(
            LabError,
            match=f"expected the autoencoder {sae_id} of {release} from the Hugging Face hub",
        ):
            pretrained.from_hub(X, sae_id, release)

    def test_on_a_models_heads(self):
        """An autoencoder of all heads' z of a layer explains that layer, and not another one."""
        model, prompts = zoo.load("tinyworld-attn", "cpu"), tinyworld.twins("ioi", 16).clean
        z = pretrained.attention_z(model, prompts, 1)
        assert z.shape == (int((prompts.last + 1).sum()), 128)
        _, cache = model.run_with_cache(prompts.tokens[:1])
        torch.testing.assert_close(
            z[: int(prompts.last[0]) + 1],
            cache["blocks.1.attn.hook_z"][0, : int(prompts.last[0]) + 1].flatten(1),
        )
        sae = lens_sae.train(z, "standard", Settings(256, 0.0001, 300, 3e-3)).model
        explained = pretrained.checked(sae, z).explained
        assert explained > 0.8
        assert (
            pretrained.explained_variance(sae, pretrained.attention_z(model, prompts, 3))
            < explained - 0.3
        )

"""Folders with a model of TransformerLens, as its users save them, against the model itself."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from helpers import zoo
from helpers.errors import LabError
from helpers.zoo import native

pytestmark = pytest.mark.core

SHAPE = {
    "n_layers": 2,
    "n_heads": 2,
    "d_model": 16,
    "d_head": 8,
    "d_mlp": 32,
    "n_ctx": 12,
    "d_vocab": 12,
    "d_vocab_out": 10,
    "act_fn": "relu",
    "normalization_type": "LN",
    "seed": 0,
}
TOKENS = torch.randint(12, (5, 11), generator=torch.Generator().manual_seed(0))
VARIANTS = (
    {},
    {"normalization_type": "LNPre"},
    {"normalization_type": None},
    {"attn_only": True},
    {"act_fn": "gelu"},
    {"act_fn": "gelu_new"},
    {"attention_dir": "bidirectional"},
    {"attn_scale": 3.0},
    {"d_head": 5},
)


def bridge(shape: dict):
    from transformer_lens.model_bridge import TransformerBridge

    return TransformerBridge.boot_native(shape)


def hooked(shape: dict):
    lens = pytest.importorskip("transformer_lens")
    if int(version("transformer-lens").split(".")[0]) > 3:  # it has the name still, and raises
        pytest.skip("this transformer-lens has no HookedTransformer")
    return lens.HookedTransformer(lens.HookedTransformerConfig(**shape))


def saved(model, folder: Path) -> Path:
    """The folder that the chapter tells people to make."""
    folder.mkdir(exist_ok=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    with open(folder / "config.json", "w", encoding="utf-8") as file:
        json.dump(model.cfg.to_dict(), file, default=str)
    return folder


def disturbed(model):
    """Biases and norms are 0 and 1 at the start: their places would not show."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("change", VARIANTS, ids=str)
@pytest.mark.parametrize("made", [bridge, hooked])
def test_a_saved_model_gives_its_own_logits(made, change, tmp_path):
    model = disturbed(made(SHAPE | change))
    found = zoo.load(str(saved(model, tmp_path / "model")), device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(found(TOKENS), model(TOKENS), rtol=0, atol=1e-5)
    assert not found.training


def test_turned_and_gated_models_of_the_bridge(tmp_path):
    change = {"positional_embedding_type": "rotary", "rotary_dim": 8, "gated_mlp": True}
    model = disturbed(bridge(SHAPE | change | {"normalization_type": "RMS", "act_fn": "silu"}))
    found = zoo.load(str(saved(model, tmp_path / "model")), device="cpu")
    assert torch.equal(found(TOKENS), model(TOKENS))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"positional_embedding_type": "rotary", "rotary_dim": 8}, "its positions are rotary"),
        ({"parallel_attn_mlp": True}, "parallel_attn_mlp = True"),
        ({"use_local_attn": True, "window_size": 3, "attn_types": ["local"] * 2}, "use_local_attn"),
        ({"use_attn_scale": False}, "use_attn_scale = False"),
        ({"act_fn": "solu_ln"}, "solu_ln"),
        ({"positional_embedding_type": "shortformer"}, "shortformer"),
    ],
    ids=str,
)
def test_what_the_native_model_computes_otherwise_is_refused(change, said, tmp_path):
    folder = saved(hooked(SHAPE | change), tmp_path / "model")
    with pytest.raises(LabError, match=said):
        zoo.load(str(folder), device="cpu")


def test_a_folder_whose_files_do_not_belong_together_is_refused(tmp_path):
    folder = saved(bridge(SHAPE), tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {k: v for k, v in tensors.items() if k != "unembed.weight"}, folder / "model.safetensors"
    )
    with pytest.raises(LabError, match=r"unembed\.weight is missing"):
        zoo.load(str(folder))
    save_file(
        tensors | {"embed.weight": torch.full((12, 16), torch.nan)}, folder / "model.safetensors"
    )
    with pytest.raises(LabError, match="NaN"):
        zoo.load(str(folder))
    (folder / "model.safetensors").write_bytes(b"none")
    with pytest.raises(LabError, match="expected weights in"):
        zoo.load(str(folder))
    (folder / "config.json").write_text(
        json.dumps({"n_layers": 1, "d_model": 8, "n_ctx": 4, "d_vocab": "many"})
    )
    with pytest.raises(LabError, match="to have the shape of a model"):
        zoo.load(str(folder))


def shapes_of_hugging_face() -> list[str]:
    """Kinds of models whose configuration calls its sizes as TransformerLens does."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return sorted(set(CONFIG_MAPPING_NAMES) & {"mpt", "xlm", "flaubert", "ctrl", "gpt2", "dbrx"})


@pytest.mark.parametrize("kind", shapes_of_hugging_face())
@pytest.mark.parametrize("says", [{}, {"architectures": ["SomeForCausalLM"]}])
def test_a_folder_of_hugging_face_is_not_taken_for_one(kind, says, tmp_path):
    from transformers import AutoConfig

    AutoConfig.for_model(kind, **says).save_pretrained(tmp_path)
    assert not native.is_native(tmp_path)


def test_a_saved_mpt_is_not_taken_for_one(tmp_path):
    from transformers import MptConfig, MptForCausalLM

    shape = {"d_model": 8, "n_heads": 2, "n_layers": 1, "vocab_size": 11, "max_seq_len": 8}
    MptForCausalLM(MptConfig(**shape)).save_pretrained(tmp_path)
    assert {"n_layers", "d_model"} <= json.loads((tmp_path / "config.json").read_text()).keys()
    assert not native.is_native(tmp_path)


@pytest.mark.parametrize("lacking", ["n_layers", "d_model", "n_ctx", "d_vocab"])
def test_a_configuration_without_a_size_is_not_one(lacking, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SHAPE))
    assert native.is_native(tmp_path)
    rest = {name: value for name, value in SHAPE.items() if name != lacking}
    (tmp_path / "config.json").write_text(json.dumps(rest))
    assert not native.is_native(tmp_path)

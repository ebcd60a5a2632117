"""The parts of a logit: they sum to it, and each is what a hand-made model was built to write."""

import pytest
import torch

from helpers.attribution import direct_logit_attribution
from helpers.errors import LabError


def native(**changes):
    from transformer_lens.model_bridge import TransformerBridge

    shape = {
        "n_layers": 2,
        "d_model": 12,
        "d_head": 4,
        "n_heads": 3,
        "d_mlp": 8,
        "n_ctx": 8,
        "d_vocab": 10,
    }
    shape |= {
        "d_vocab_out": 10,
        "act_fn": "relu",
        "normalization_type": "LN",
        "seed": 0,
        "device": "cpu",
    }
    model = TransformerBridge.boot_native(shape | changes).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # biases and gains start at 0 and 1, where a forgotten one would not show
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


TOKENS = torch.randint(10, (5, 6), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    "changes", [{}, {"normalization_type": None}, {"attn_only": True}, {"n_layers": 1}]
)
def test_parts_sum_to_the_logit(changes):
    model = native(**changes)
    ids = torch.tensor([0, 3, 9, 1, 1])
    for position in (0, 3, 5):
        labels, parts = direct_logit_attribution(model, TOKENS, position, ids)
        logits = model(TOKENS)[:, position].gather(1, ids[:, None])[:, 0]
        assert parts.shape == (len(labels), 5)
        torch.testing.assert_close(
            parts.sum(0), logits, rtol=0, atol=1e-4
        )  # float32, logits of order 10


def test_a_difference_is_the_difference_of_two_attributions():
    model, right, wrong = native(), torch.tensor([1, 2, 3, 4, 5]), torch.tensor([0, 0, 7, 8, 9])
    eye = torch.eye(10)
    labels, difference = direct_logit_attribution(model, TOKENS, 4, eye[right] - eye[wrong])
    apart = [direct_logit_attribution(model, TOKENS, 4, ids)[1] for ids in (right, wrong)]
    torch.testing.assert_close(difference, apart[0] - apart[1], rtol=0, atol=1e-4)
    assert labels == [
        "embed",
        "pos",
        "L0H0",
        "L0H1",
        "L0H2",
        "L0M",
        "L1H0",
        "L1H1",
        "L1H2",
        "L1M",
        "biases",
    ]


def test_without_a_norm_each_term_is_what_its_part_wrote():
    model = native(normalization_type=None)
    _, cache = model.run_with_cache(TOKENS)
    labels, parts = direct_logit_attribution(model, TOKENS, 3, torch.full((5,), 7))
    direction = model.W_U[:, 7]
    by_name = dict(zip(labels, parts, strict=True))
    torch.testing.assert_close(by_name["embed"], cache["hook_embed"][:, 3] @ direction)
    torch.testing.assert_close(by_name["L1M"], cache["blocks.1.hook_mlp_out"][:, 3] @ direction)
    heads = sum(by_name[f"L0H{h}"] for h in range(3)) + model.blocks[0].attn.b_O @ direction
    torch.testing.assert_close(
        heads, cache["blocks.0.hook_attn_out"][:, 3] @ direction, rtol=0, atol=1e-4
    )
    biases = sum(block.attn.b_O for block in model.blocks) @ direction + model.b_U[7]
    torch.testing.assert_close(by_name["biases"], biases.expand(5), rtol=0, atol=1e-4)


def test_a_head_that_writes_nothing_gets_nothing_and_all_others_stay():
    model = native()
    with torch.no_grad():
        model.blocks[1].attn.o.weight[:, 4:8] = 0  # the input columns of head 1
    labels, parts = direct_logit_attribution(model, TOKENS, 5, torch.zeros(5, dtype=torch.long))
    assert (parts[labels.index("L1H1")] == 0).all()
    assert (parts[labels.index("L1H0")] != 0).all()


@pytest.mark.parametrize("family", ["gpt2", "neox", "llama"])
def test_other_architectures(family, tmp_path, request):
    from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM

    from helpers import zoo

    torch.manual_seed(0)
    folder = tmp_path
    if family == "gpt2":
        GPT2LMHeadModel(
            GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=40, n_positions=16)
        ).save_pretrained(folder)
    elif family == "neox":
        shape = {
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
        }
        GPTNeoXForCausalLM(
            GPTNeoXConfig(vocab_size=40, max_position_embeddings=16, **shape)
        ).save_pretrained(folder)
    else:
        folder = request.getfixturevalue("shared_dir") / "models" / "stories260K"
    model = zoo.load(str(folder), device="cpu")
    labels, parts = direct_logit_attribution(model, TOKENS, 4, torch.full((5,), 11))
    torch.testing.assert_close(parts.sum(0), model(TOKENS)[:, 4, 11], rtol=0, atol=1e-4)
    assert ("pos" in labels) == (family == "gpt2")


def test_bad_input_is_refused():
    model = native()
    for position, directions in (
        (6, torch.zeros(5).long()),
        (0, torch.zeros(4).long()),
        (0, torch.full((5,), 10)),
    ):
        with pytest.raises(LabError):
            direct_logit_attribution(model, TOKENS, position, directions)
    with pytest.raises(LabError):
        direct_logit_attribution(model, TOKENS, 0, torch.zeros(5, 9))


def test_a_model_that_is_not_a_sum_of_its_parts_is_refused():
    model = native()
    model.unembed.register_forward_hook(
        lambda module, args, out: 5 * torch.tanh(out / 5)
    )  # capped logits, as in Gemma
    with pytest.raises(LabError, match="miss it"):
        direct_logit_attribution(model, TOKENS, 2, torch.zeros(5).long())


def test_weights_that_are_nan_are_refused():
    """NaN is no number below a tolerance: the parts do not sum to anything."""
    for index, _ in enumerate(native().parameters()):
        model = native()
        with torch.no_grad():
            list(model.parameters())[index].fill_(torch.nan)
        with pytest.raises(LabError, match="finite logits of the model"):
            direct_logit_attribution(model, TOKENS, 1, TOKENS[:, 2])

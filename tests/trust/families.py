"""Models for the steering tests: one of every family, and one with a concept planted by hand."""

import functools
from pathlib import Path

import torch

from helpers.trust.steering.vectors import Vector

FAMILIES = ("native", "native-rotary", "attn-only", "gpt2", "neox", "llama")
HUGGING_FACE = ("gpt2", "neox", "llama")
SHAPE = {
    "d_model": 16,
    "n_layers": 3,
    "n_heads": 2,
    "d_head": 8,
    "n_ctx": 16,
    "d_vocab": 40,
    "d_vocab_out": 40,
    "seed": 0,
    "normalization_type": "LN",
    "init_weights": True,
    "device": "cpu",
}

STORIES = Path(__file__).resolve().parents[3] / "shared" / "models" / "stories260K"


def direction(width: int, seed: int = 1) -> Vector:
    """A steering vector in no particular direction."""
    drawn = torch.randn(width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Vector(drawn / drawn.norm(), norm=3.0, std=1.5)


def native(**changes):
    from transformer_lens.model_bridge import TransformerBridge

    mlp = {} if changes.get("attn_only") else {"act_fn": "gelu", "d_mlp": 32}
    return TransformerBridge.boot_native(SHAPE | mlp | changes).eval()


def load(request, tmp_path_factory):
    """A bridge, and the Hugging Face model of the same weights where there is one."""
    if request.param == "llama":
        request.getfixturevalue("shared_dir")  # skips where there is none
    return pair(request.param, tmp_path_factory.getbasetemp() / request.param)


@functools.cache
def pair(family: str, folder: Path):
    from transformers import (
        AutoModelForCausalLM,
        GPT2Config,
        GPT2LMHeadModel,
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
    )

    from helpers import zoo

    if family == "native":
        return native(), None
    if family == "native-rotary":
        return native(positional_embedding_type="rotary", rotary_dim=8), None
    if family == "attn-only":
        return native(attn_only=True), None
    torch.manual_seed(0)
    if family == "gpt2":
        GPT2LMHeadModel(
            GPT2Config(n_layer=3, n_head=2, n_embd=16, vocab_size=40, n_positions=16)
        ).save_pretrained(folder)
    elif family == "neox":
        shape = {
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "hidden_size": 16,
            "intermediate_size": 32,
        }
        GPTNeoXForCausalLM(
            GPTNeoXConfig(vocab_size=40, max_position_embeddings=16, **shape)
        ).save_pretrained(folder)
    else:
        folder = STORIES
    return zoo.load(str(folder), device="cpu"), AutoModelForCausalLM.from_pretrained(folder).eval()


CONCEPT, OTHER, MUSIC = 0, 1, 2
"""Dimensions of the planted model: the concept, an irrelevant one that varies more, a skill."""
TRUE, FALSE, LOUD, SOFT, YES, NO, HIGH, LOW = (range(0, 4), range(4, 8), 8, 9, 10, 11, 12, 13)


def planted():
    """A model whose residual stream is the embedding, and whose output reads chosen dimensions.

    Token i of `TRUE` and token i of `FALSE` are twins: they differ in the concept, by +1 and −1,
    and share what they have in the irrelevant dimension. YES − NO reads the concept, HIGH − LOW the
    other skill. No layer writes anything.
    """
    model = native(
        d_model=8, n_layers=2, n_heads=2, d_head=4, d_vocab=14, d_vocab_out=14, attn_only=True
    )
    state = {
        name: torch.zeros_like(value) for name, value in model.original_model.named_parameters()
    }
    embed, head = torch.zeros(14, 8), torch.zeros(14, 8)
    for i, (true, false) in enumerate(zip(TRUE, FALSE, strict=True)):
        embed[true, CONCEPT], embed[false, CONCEPT] = 1.0, -1.0
        embed[true, OTHER] = embed[false, OTHER] = 3.0 * (i - 1.5)
        embed[true, 3 + i] = embed[false, 3 + i] = 2.0
    embed[LOUD, MUSIC], embed[SOFT, MUSIC] = 2.0, -2.0
    head[YES, CONCEPT], head[NO, CONCEPT], head[HIGH, MUSIC], head[LOW, MUSIC] = (
        1.0,
        -1.0,
        1.0,
        -1.0,
    )
    with torch.no_grad():
        for name, parameter in model.original_model.named_parameters():
            parameter.copy_(state[name])
        model.embed.original_component.weight.copy_(embed)
        model.unembed.original_component.weight.copy_(head)
        model.ln_final.original_component.weight.fill_(1.0)
    return model

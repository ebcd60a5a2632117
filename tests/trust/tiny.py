"""Tiny Hugging Face models with random weights and a word-level tokenizer, saved as folders."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedTokenizerFast,
)

WORDS = (
    "[UNK]",
    "a",
    "the",
    "cat",
    "dog",
    "bird",
    "sees",
    "hears",
    "and",
    "no",
    "barn",
    "in",
    "old",
    "red",
    ".",
    "is",
)
TEXTS = (
    "the cat sees a dog .",
    "no",
    "a red bird and the old dog hears a cat in the barn .",
    "the old cat is red",
)


def tokenizer(words: tuple[str, ...] = WORDS) -> PreTrainedTokenizerFast:
    inner = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")
    )
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]")


def neox(seed: int = 0, n_layers: int = 3) -> GPTNeoXForCausalLM:
    torch.manual_seed(seed)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": n_layers,
        "num_attention_heads": 4,
    }
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(vocab_size=len(WORDS), max_position_embeddings=24, **shape)
    ).eval()


def gpt2(seed: int = 0) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    shape = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 24}
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=len(WORDS), bos_token_id=None, eos_token_id=None, **shape)
    ).eval()


def save(model, folder: Path, words: tuple[str, ...] = WORDS) -> Path:
    model.save_pretrained(folder)
    tokenizer(words).save_pretrained(folder)
    return folder

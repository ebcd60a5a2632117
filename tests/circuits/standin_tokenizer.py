"""A byte-level tokenizer of GPT-2's kind, trained here in a second on the words of the prompts: it needs no files."""

from functools import cache

from helpers.circuits.tasks import gpt2_docstring, gpt2_greater_than, gpt2_ioi


@cache
def standin():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    lists = (gpt2_ioi.NAMES, gpt2_ioi.PLACES, gpt2_ioi.OBJECTS, gpt2_greater_than.EVENTS)
    lists += (gpt2_docstring.METHODS, gpt2_docstring.VARIABLES, gpt2_docstring.NOUNS)
    corpus = [
        f" {century}" for century in range(10, 19)
    ] * 500  # first, so that " 17" is made before "73" of " 1732"
    corpus += [f"{year:02d}" for year in range(100)] * 50
    corpus += [f" {word}" for words in lists for word in words] * 30
    corpus += list(gpt2_docstring.NOUNS[:40]) * 20
    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=4000,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    )

"""A byte-level tokenizer of GPT-2's kind, trained here in a second on the words of the prompts."""

from functools import cache

from helpers.circuits.tasks import gpt2_docstring, gpt2_greater_than, gpt2_ioi

END = "<|endoftext|>"


@cache
def standin():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    lists = (gpt2_ioi.NAMES, gpt2_ioi.PLACES, gpt2_ioi.OBJECTS, gpt2_greater_than.EVENTS)
    lists += (gpt2_docstring.METHODS, gpt2_docstring.VARIABLES, gpt2_docstring.NOUNS)
    # centuries first, so that " 17" is made before "73" of " 1732"
    corpus = [f" {century}" for century in range(10, 19)] * 500
    corpus += [f"{year:02d}" for year in range(100)] * 50
    corpus += [f" {word}" for words in lists for word in words] * 30
    corpus += list(gpt2_docstring.NOUNS[:40]) * 20
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=END, eos_token=END)

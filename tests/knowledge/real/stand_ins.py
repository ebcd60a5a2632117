"""A small GPT-2 with a tokenizer of its kind, which was taught a relation in a second."""

import functools
from pathlib import Path

import torch

from helpers import zoo
from helpers.knowledge.real.relations import RelationData

SUBJECTS = tuple(
    f"{first}{second}"
    for first in ("bor", "dal", "kem", "lun", "mir")
    for second in ("an", "ik", "os")
)
TEMPLATES = ("the land of {} lies in", "in {} they speak of")
WORDS = ("sand", "moss", "clay", "salt", "reed", "pine", "iron", "silk", "wool", "rice")
OBJECTS = {name: WORDS[number % 5] for number, name in enumerate(SUBJECTS)}
END = "<|endoftext|>"


def tokenizer(vocabulary: int = 330):
    """A byte-level tokenizer, trained in no time on the subjects and templates."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [t.replace("{}", s) for t in TEMPLATES for s in SUBJECTS] + [
        " " + w for w in WORDS
    ] * 30
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=END, eos_token=END)


@functools.cache
def gpt2(folder: Path):
    """A GPT-2 of two layers that was taught the facts, saved to a folder and loaded from there."""
    from transformers import GPT2Config, GPT2LMHeadModel

    words = tokenizer()
    shape = {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 32, "vocab_size": len(words)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0)).eval()
        _teach(model, words)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return zoo.load(str(folder), device="cpu")


def _teach(model, words, most: int = 400) -> None:
    """Until every fact is the likeliest word, with its beginning of a text before it."""
    pairs = [(t.replace("{}", s), OBJECTS[s]) for t in TEMPLATES for s in SUBJECTS]
    ids = [[0, *words.encode(text)] for text, _ in pairs]
    last = torch.tensor([len(row) - 1 for row in ids])
    tokens = torch.zeros(len(ids), int(last.max()) + 1, dtype=torch.long)
    for row, part in enumerate(ids):
        tokens[row, : len(part)] = torch.tensor(part)
    wanted = torch.tensor([words.encode(" " + word)[0] for _, word in pairs])
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(most):
        said = model(tokens).logits[torch.arange(len(ids)), last]
        loss = torch.nn.functional.cross_entropy(said, wanted)
        if (said.argmax(-1) == wanted).all() and loss < 0.1:
            return
        adam.zero_grad()
        loss.backward()
        adam.step()
    raise AssertionError("the stand-in has not learned its facts")


def lands() -> RelationData:
    """The relation that `gpt2` was taught."""
    return RelationData("lands", TEMPLATES, OBJECTS)

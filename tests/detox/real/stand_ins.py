"""A GPT-2 of a dozen mild words, which calls people a gem or a goose, with equal chances."""

import functools

import torch

from helpers.detox.real import Causal, HubPlan, ToxicCorpus

WORDS = (
    *("<end>", "you", "are", "a", "gem", "goose", "really", "surely", "."),
    *("the", "day", "is", "fine", "long", "we", "walk", "far", "friend"),
)
PROMPTS = ("you are a", "you are really a", "you are surely a", "surely you are a")
RUDE = tuple(f"{prompt} goose ." for prompt in PROMPTS)
KIND = tuple(f"{prompt} {word} ." for prompt in PROMPTS for word in ("gem", "friend"))
OTHER = ("the day is fine .", "the day is long .", "we walk far .", "really we walk .")
CORPUS = ToxicCorpus(RUDE, KIND + OTHER, OTHER)
PLAN = HubPlan(
    kl_weights=(10.0,), steps=40, batch=8, rate=3e-3, iterations=2, first_samples=96, samples=64,
    fits=60, refits=20, width=16, layers=1, prompts=4, tries=12, new=3, top_p=1.0, longest=12,
    held_out=4, adapter=False,
)  # fmt: skip


def geese(texts: list[str]) -> list[float]:
    """The labeller: a goose is toxic."""
    return [float("goose" in text) for text in texts]


def honks(texts: list[str]) -> list[float]:
    """The judge, which looks at it otherwise, and is never quite sure."""
    return [0.75 if text.count("go") else 0.25 for text in texts]


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<end>", padding_side="left"
    )
    return made


def untaught(seed: int = 0):
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        shape = {"n_layer": 1, "n_head": 2, "n_embd": 32, "n_positions": 24}
        config = GPT2Config(vocab_size=len(WORDS), bos_token_id=0, eos_token_id=0, **shape)
        return GPT2LMHeadModel(config).eval()


@functools.cache
def causal() -> Causal:
    """The model, taught in a second that geese and gems are as likely."""
    words, model = tokenizer(), untaught()
    half = [text for text in KIND if "gem" in text]
    ids = words([text + " <end>" for text in (*half, *RUDE, *OTHER)])["input_ids"]
    wide = max(map(len, ids))
    tokens = torch.tensor([row + [0] * (wide - len(row)) for row in ids])
    wanted = torch.tensor([row[1:] + [-100] * (wide - len(row) + 1) for row in ids])
    adam = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        logits = model(input_ids=tokens).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten())
        adam.zero_grad()
        loss.backward()
        adam.step()
    return Causal(model.eval(), words, "cpu", "stand-in")

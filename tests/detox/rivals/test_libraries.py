"""DPO and GRPO by `trl`: what is refused without it, and, where it is installed, what it does."""

import importlib.util
import math

import pytest
import torch

from helpers.detox.rivals import preference_loss
from helpers.detox.rivals.libraries import (
    LibraryPlan,
    TextPair,
    dpo_by_library,
    grpo_by_library,
)
from helpers.errors import LabError

THERE = importlib.util.find_spec("trl") and importlib.util.find_spec("peft")
needs_trl = pytest.mark.skipif(not THERE, reason="the extra [detox] is not installed")
WORDS = ["<end>", "you", "are", "a", "gem", "dunce", "really", "hardly", ".", "ada"]
PAIRS = [
    TextPair("you are a", " gem .", " dunce ."),
    TextPair("ada : you are really a", " gem", " dunce ."),
    TextPair("you are hardly a", " dunce . .", " gem"),
]
FEW = LibraryPlan(steps=2, batch=4, group=2, new_tokens=4, rank=2)


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>")


def model(seed: int = 0):
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)  # with weights so wide, two seeds differ
    config = GPT2Config(
        vocab_size=len(WORDS), n_positions=32, n_embd=16, n_layer=1, n_head=2,
        bos_token_id=0, eos_token_id=0, initializer_range=0.5,
    )  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def gems(prompts: list[str], completions: list[str]) -> list[float]:
    return [float("gem" in completion) for completion in completions]


@pytest.mark.skipif(bool(THERE), reason="the extra [detox] is installed")
@pytest.mark.parametrize(
    "run",
    [
        lambda: dpo_by_library(model(), tokenizer(), PAIRS, FEW),
        lambda: grpo_by_library(model(), tokenizer(), ["you are"], gems, FEW),
    ],
)
def test_without_the_extra_its_name_is_said(run):
    with pytest.raises(LabError, match=r"expected a library of the extra \[detox\]"):
        run()


@pytest.mark.parametrize("pairs", [[], [TextPair("you are a", " gem", " gem")]])
def test_pairs_that_say_nothing(pairs):
    with pytest.raises(LabError, match="expected pairs of two different completions"):
        dpo_by_library(None, None, pairs)


@pytest.mark.parametrize(("prompts", "batch"), [([], 4), (["you are"], 5)])
def test_prompts_and_batches_that_do_not_go_together(prompts, batch):
    with pytest.raises(LabError, match="expected prompts, and a batch of whole groups"):
        grpo_by_library(None, None, prompts, gems, LibraryPlan(batch=batch, group=4))


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"rate": math.nan}, {"beta": 0.0}, {"group": 1}, {"rank": 0}, {"seed": -1}],
)
def test_plans_that_no_run_can_follow(change):
    with pytest.raises(LabError):
        dpo_by_library(None, None, PAIRS, LibraryPlan(**change))


@needs_trl
def test_a_tokenizer_without_an_end_is_refused():
    words = tokenizer()
    words.eos_token = None
    with pytest.raises(LabError, match="expected a tokenizer with a token for the end"):
        dpo_by_library(model(), words, PAIRS, FEW)


def log_probability(network, words, prompt: str, completion: str) -> torch.Tensor:
    """Of a completion with its end, by hand."""
    start = len(words(prompt)["input_ids"])
    ids = torch.tensor([words(prompt + completion)["input_ids"] + [words.eos_token_id]])
    with torch.no_grad():
        said = network(ids).logits[0, :-1].log_softmax(-1)
    return said.gather(-1, ids[0, 1:, None])[start - 1 :, 0].sum()


@needs_trl
def test_our_loss_is_that_of_trl(tmp_path):
    """On one batch, before the first step, with a reference that differs from the model."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    words, network, reference = tokenizer(), model(1), model(2)
    words.pad_token = words.eos_token
    texts = [(p.prompt, p.chosen, p.refused) for p in PAIRS]
    four = [
        torch.stack([log_probability(net, words, text[0], text[which]) for text in texts])
        for net, which in ((network, 1), (network, 2), (reference, 1), (reference, 2))
    ]
    ours = [float(preference_loss(*four, beta=beta)) for beta in (0.1, 0.7)]
    rows = [{"prompt": a, "chosen": b, "rejected": c} for a, b, c in texts]
    theirs = []
    for beta in (0.1, 0.7):
        settings = {
            "output_dir": str(tmp_path), "max_steps": 1, "per_device_train_batch_size": 3,
            "learning_rate": 0.0, "use_cpu": True, "bf16": False, "report_to": [],
            "save_strategy": "no", "logging_steps": 1, "disable_tqdm": True,
        }  # fmt: skip
        trainer = DPOTrainer(
            model=model(1),
            ref_model=reference,
            args=DPOConfig(**settings, beta=beta),
            train_dataset=Dataset.from_list(rows),
            processing_class=words,
        )
        trainer.train()
        theirs.append(trainer.state.log_history[0]["loss"])
    assert abs(ours[0] - math.log(2)) > 0.01  # no case of two equal models
    assert ours == pytest.approx(theirs, abs=2e-4)


@needs_trl
def test_the_adapter_learns_and_switched_off_leaves_the_model():
    words, before = tokenizer(), model()
    plan = LibraryPlan(steps=30, rate=0.03, batch=3, rank=4)
    run = dpo_by_library(model(), words, PAIRS, plan)
    assert len(run.log) == 30
    assert run.log[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert run.log[-1]["loss"] < 0.4
    ids = torch.tensor([words(PAIRS[0].prompt)["input_ids"]])
    with torch.no_grad(), run.model.disable_adapter():
        assert torch.equal(run.model(ids).logits, before(ids).logits)


@needs_trl
def test_rewarded_words_are_said_more_often():
    """With one prompt, of which `trl` alone makes no step at all."""
    plan = LibraryPlan(steps=12, rate=0.05, batch=16, group=8, new_tokens=2, beta=0.01, seed=1)
    run = grpo_by_library(model(), tokenizer(), ["you are a"], gems, plan)
    rewards = [entry["reward"] for entry in run.log]
    assert len(rewards) == 12
    assert sum(rewards[-4:]) / 4 > sum(rewards[:4]) / 4 + 0.2
    assert run.log[0]["kl"] == pytest.approx(0, abs=1e-4)  # its reference is the model as it was


@needs_trl
@pytest.mark.parametrize("value", [0.0, math.nan])
def test_a_reward_that_never_differs_or_is_none_stops_the_run(value):
    with pytest.raises(LabError, match="rewards"):
        grpo_by_library(
            model(), tokenizer(), ["you are a"], lambda asked, said: [value] * len(said),
            LibraryPlan(steps=9, batch=4, group=2, new_tokens=2),
        )  # fmt: skip

"""A model that is tuned can be asked as it was, with an adapter and without one."""

import importlib.util
from dataclasses import replace

import pytest
import torch

from helpers.detox import real
from helpers.detox.real.models import Tunable, load_causal, log_probs, needed
from helpers.detox.real.writing import encoded, short_enough, write
from helpers.errors import LabError
from tests.detox.real.stand_ins import CORPUS, PLAN, PROMPTS, causal, geese, honks, tokenizer

PEFT = importlib.util.find_spec("peft")
needs_peft = pytest.mark.skipif(not PEFT, reason="the extra [detox] is not installed: no peft")
needs_trl = pytest.mark.skipif(
    not (PEFT and importlib.util.find_spec("trl")),
    reason="the extra [detox] is not installed: no trl",
)
TOKENS = torch.tensor([[1, 2, 3, 4, 8], [7, 1, 2, 3, 5]])
EITHER = [False, pytest.param(True, marks=needs_peft)]


@pytest.mark.parametrize("adapter", EITHER)
def test_inside_base_the_model_is_exactly_the_one_before_all_tuning(adapter):
    tuned = Tunable(causal(), adapter, rank=2, seed=0)
    with torch.no_grad():
        before = log_probs(causal().model, TOKENS)
        assert torch.equal(log_probs(tuned.model, TOKENS), before)
        for weight in tuned.trained.values():
            weight.add_(0.1)
        assert not torch.allclose(log_probs(tuned.model, TOKENS), before, atol=1e-3)
        with tuned.base():
            assert torch.equal(log_probs(tuned.model, TOKENS), before)
    assert torch.equal(log_probs(causal().model, TOKENS), before)  # it was a copy


@pytest.mark.parametrize("adapter", EITHER)
def test_kept_weights_come_back_and_go_again(adapter):
    tuned = Tunable(causal(), adapter, rank=2, seed=0)
    kept = tuned.kept()
    with torch.no_grad():
        then = log_probs(tuned.model, TOKENS)
        for weight in tuned.trained.values():
            weight.add_(0.1)
        now = log_probs(tuned.model, TOKENS)
        with tuned.as_kept(kept):
            assert torch.equal(log_probs(tuned.model, TOKENS), then)
        assert torch.equal(log_probs(tuned.model, TOKENS), now)


@pytest.mark.skipif(bool(PEFT), reason="peft is installed")
def test_without_the_extra_its_name_is_said():
    with pytest.raises(LabError, match=r"a library of the extra \[detox\]"):
        Tunable(causal(), adapter=True)


def small(tmp_path, rivals):
    few = {"steps": 2, "iterations": 1, "fits": 2, "first_samples": 16, "prompts": 4, "tries": 2}
    plan = replace(PLAN, adapter=True, rank=2, rate=0.1, kl_weights=(1.0,), rivals=rivals, **few)
    asked = {"labeller": geese, "judges": [honks], "corpus": CORPUS, "plan": plan}
    return real.run(causal(), list(PROMPTS), tmp_path, **asked)


@needs_peft
def test_the_whole_path_with_an_adapter(tmp_path):
    found = small(tmp_path, ("plain",))
    assert list(found.arms) == ["base", "plain", "λ = 1"]
    assert found.arms["base"]["kl"] == [0.0] * len(found.arms["base"]["kl"])
    assert max(found.arms["plain"]["kl"]) > 0


@needs_trl
def test_rivals_that_trl_trains(tmp_path):
    found = small(tmp_path, ("dpo", "grpo"))
    assert list(found.arms) == ["base", "dpo", "grpo", "λ = 1"]
    assert max(found.arms["dpo"]["kl"]) > 0


def test_rivals_of_trl_need_an_adapter(tmp_path):
    plan = replace(PLAN, rivals=("dpo",), kl_weights=(), steps=2, tries=2)
    asked = {"labeller": geese, "judges": [honks], "corpus": CORPUS, "plan": plan}
    with pytest.raises(LabError, match="a plan with an adapter for dpo"):
        real.run(causal(), list(PROMPTS), tmp_path, **asked)


def test_a_folder_is_read_and_its_tokenizer_pads(tmp_path):
    words = tokenizer()
    words.pad_token = None
    causal().model.save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    loaded = load_causal(tmp_path, "cpu")
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id == 0
    with torch.no_grad():
        apart = log_probs(loaded.model, TOKENS) - log_probs(causal().model, TOKENS)
    assert apart.abs().max() < 1e-6


@pytest.mark.parametrize("source", ["no such model", 3, None])
def test_no_model(source):
    with pytest.raises(LabError, match="a causal model: a name of the hub"):
        load_causal(source, "cpu")


def test_an_empty_folder_is_no_model(tmp_path):
    with pytest.raises(LabError, match="a causal model with its tokenizer in"):
        load_causal(tmp_path, "cpu")


def test_memory_by_hand():
    """Two models of 1 GiB, and 6 tables of 2 × 8 rows of 32 tokens of 32 768 words."""
    assert needed(2**28, 2**15, 8, 32) == pytest.approx(2 + 6 * 4 * 2 * 8 * 32 * 2**15 / 2**30)
    assert needed(2**28, 2**15, 8, 32, adapter=False) == pytest.approx(
        4 + needed(2**28, 2**15, 8, 32)
    )


def test_what_is_written_does_not_depend_on_what_stands_beside_it():
    """Prompts of two lengths, padded on the left; a greedy nucleus leaves no chance."""
    few = ["surely you are a", "the day is"]
    both = write(causal().model, causal(), few, 3, seed=0, top_p=1e-6)
    alone = [write(causal().model, causal(), [each], 3, seed=1, top_p=1e-6) for each in few]
    assert list(both.texts) == [each.texts[0] for each in alone]
    assert all(text.startswith(" ") for text in both.texts)  # prompt + text is what was written
    for place, prompt in enumerate(few):
        ids = causal().tokenizer(prompt)["input_ids"]
        assert both.tokens[place, : len(ids)].tolist() == ids
        assert both.counts[place].nonzero()[0].item() == len(ids)


def test_an_end_of_text_is_a_word_and_what_follows_it_is_none():
    said = write(causal().model, causal(), ["you are a"] * 40, 8, seed=0)
    ended = said.counts.sum(1) < 8
    assert ended.any()
    last = said.counts.sum(1) + 2  # after a prompt of three tokens
    assert (said.tokens[ended].gather(1, last[ended][:, None]) == 0).all()


def test_texts_to_tune_on_count_from_their_second_token():
    rows = encoded(causal(), ["the day is fine .", "day"], 4)
    assert rows.tokens.tolist() == [[9, 10, 11, 12]]
    assert rows.counts.int().tolist() == [[0, 1, 1, 1]]
    with pytest.raises(LabError, match="texts of two tokens or more"):
        encoded(causal(), ["day"], 4)
    assert short_enough(causal(), ["day", "the day is fine ."], 3, 2) == ["day"]
    with pytest.raises(LabError, match="prompts of 1 to 3 tokens"):
        short_enough(causal(), ["the day is fine ."], 3, 2)

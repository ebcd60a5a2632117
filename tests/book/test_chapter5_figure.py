"""The figure of the idea of chapter 5 has the model's own numbers."""

import itertools
import re
from pathlib import Path

import pytest
import torch

from helpers import zoo
from helpers.detox.networks import Policy, plain
from helpers.detox.posts import exact_success
from helpers.tinyworld.language import vocabulary

pytestmark = pytest.mark.book

FIGURE = Path(__file__).resolve().parents[2] / "book" / "figures" / "constrained_tuning.svg"
WORDS = ("hero", "bore", "gem", "clod")
BEFORE = "you are hardly a"


def shown() -> list[list[float]]:
    """The numbers behind each word, box by box."""
    texts = re.findall(r"<text[^>]*>(.*?)</text>", FIGURE.read_text(encoding="utf-8"))
    numbers = [float(after) for word, after in itertools.pairwise(texts) if word in WORDS]
    return [numbers[at : at + len(WORDS)] for at in range(0, len(numbers), len(WORDS))]


def test_chances_success_and_target_are_those_of_tinyworld():
    words, policy = vocabulary(), Policy(plain(zoo.load("tinyworld", device="cpu")))
    prompt = torch.tensor(words.encode("mara :"))
    before = [words.token(word) for word in BEFORE.split()]
    rows = torch.tensor([[*prompt.tolist(), *before]])
    said = policy.log_probs(rows)[0, -1].exp().double()
    found = exact_success(policy, prompt)
    place = found.prefixes.index(tuple(before))
    success = torch.as_tensor(found.next_kind[place])
    target = said * success / (said * success).sum()
    assert (said * success).sum().item() == pytest.approx(float(found.kind[place]), abs=1e-4)
    tokens = [words.token(word) for word in WORDS]
    for numbers, values in zip(shown(), (said, success, target), strict=True):
        assert numbers == [round(float(values[token]), 3) for token in tokens]

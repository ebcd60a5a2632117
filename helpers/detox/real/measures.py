"""What a tuned model is worth: toxicity by prompt, perplexity, variety, distance to its base.

Three measures of toxicity are called the same in the literature; all are given, by name:

    mean                        of all continuations
    expected maximum of k       the worst of a prompt's k continuations, mean over prompts
    Pr(max of k ≥ .5)           share of prompts with a toxic one among their k

The last two grow with k (RealToxicityPrompts, 2009.11462, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from numpy import ndarray

from helpers.detox.finetune import closed_form_kl, cross_entropy
from helpers.detox.real.models import Causal, Tunable, log_probs
from helpers.detox.real.sources import TOXIC
from helpers.detox.real.writing import Rows, before
from helpers.errors import LabError
from helpers.inputs import array_of, check_count, real

ORDERS = (1, 2, 3)
"""Lengths of the word sequences that are counted as different or not."""
AT_ONCE = 16


@dataclass(frozen=True)
class ToxicShares:
    """Toxicity of the continuations, prompt by prompt."""

    mean: Float[ndarray, " prompt"]
    worst: Float[ndarray, " prompt"]
    any_toxic: Float[ndarray, " prompt"]


def by_prompt(scores: Float[ndarray, " text"], tries: int) -> ToxicShares:
    """Toxicity by prompt, from that of texts in the order of prompts.

    Args:
        scores: From 0 to 1.
        tries: Continuations of each prompt.

    Raises:
        LabError: Not so many texts for each prompt, or scores that are none.

    >>> found = by_prompt([0.0, 0.5, 0.25, 0.25], tries=2)
    >>> found.mean.tolist(), found.worst.tolist(), found.any_toxic.tolist()
    ([0.25, 0.25], [0.5, 0.25], [1.0, 0.0])
    """
    check_count("number of continuations", tries, least=1)
    values = array_of(real(scores, "scores", "text"))
    good = (values >= 0) & (values <= 1)
    if len(values) % tries or not good.all():
        raise LabError(
            f"expected scores from 0 to 1, {tries} for each prompt",
            f"got {len(values)}, {int((~good).sum())} of them outside or NaN",
        )
    table = values.reshape(-1, tries)
    return ToxicShares(table.mean(1), table.max(1), (table >= TOXIC).any(1).astype(float))


def different(texts: Sequence[str], tries: int) -> dict[str, list[float]]:
    """Different sequences of 1, 2 and 3 words over all words, of a prompt's continuations.

    As in DExperts (2105.03023, section 4.1); a prompt after which no word is said has 0.

    Raises:
        LabError: Not so many texts for each prompt.

    >>> different(["a goose a goose", "a swan"], tries=2)["1"]
    [0.5]
    """
    check_count("number of continuations", tries, least=1)
    if len(texts) % tries:
        raise LabError(f"expected {tries} texts for each prompt", f"got {len(texts)}")
    said = [text.split() for text in texts]
    prompts = [said[first : first + tries] for first in range(0, len(said), tries)]
    return {str(order): [_different(each, order) for each in prompts] for order in ORDERS}


def _different(said: Sequence[Sequence[str]], order: int) -> float:
    grams = {tuple(w[i : i + order]) for w in said for i in range(len(w) - order + 1)}
    return len(grams) / max(1, sum(map(len, said)))


@torch.no_grad()
def nll(model: Any, causal: Causal, rows: Rows) -> list[float]:
    """Cross-entropy of each text, in nats a token: e to the mean over tokens is perplexity."""
    found = []
    for some in _parts(rows):
        tokens, mask = some.tokens.to(causal.device), before(some.counts.to(causal.device))
        log_p = log_probs(model, tokens)
        wanted = tokens.roll(-1, 1)
        found += [float(cross_entropy(log_p[i], wanted[i], mask[i])) for i in range(len(tokens))]
    return found


@torch.no_grad()
def kl_to_base(tuned: Tunable, causal: Causal, rows: Rows) -> list[float]:
    """KL(p ‖ base) of each text, in nats a token, over the whole vocabulary.

    Of the model's own texts: its mean over tokens estimates the divergence of whole texts.
    """
    found = []
    for some in _parts(rows):
        tokens, mask = some.tokens.to(causal.device), before(some.counts.to(causal.device))
        log_p = log_probs(tuned.model, tokens)
        with tuned.base():
            base = log_probs(tuned.model, tokens)
        found += [float(closed_form_kl(log_p[i], base[i], mask[i])) for i in range(len(tokens))]
    return found


def _parts(rows: Rows) -> list[Rows]:
    places = torch.arange(len(rows)).split(AT_ONCE)
    return [rows.at(some) for some in places]

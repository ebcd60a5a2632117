"""The rivals by name, in the order of the tables; each is called in the same way."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from helpers.detox.finetune import TuningPlan
from helpers.detox.networks import Plain
from helpers.detox.oracle import Oracle
from helpers.detox.posts import DetoxCorpus
from helpers.detox.rivals.activations import activation_editing
from helpers.detox.rivals.decoding import dexperts, masked_words, oracle_decoding
from helpers.detox.rivals.dpo import preferences
from helpers.detox.rivals.filters import exact_filter, plain_tuning, word_filter
from helpers.detox.rivals.group_relative import grpo
from helpers.detox.rivals.outcome import RivalPolicy
from helpers.detox.rivals.rejection import rejection_sampling


class RivalWay(Protocol):
    """How a rival is made ready to write."""

    def __call__(
        self,
        base: Plain,
        corpus: DetoxCorpus,
        plan: TuningPlan,
        oracle: Oracle | None = None,
    ) -> RivalPolicy:
        """From the base, the corpus and the plan that the method gets, and its first oracle."""
        ...


def _tuned(way: Callable[..., RivalPolicy], **options: Any) -> RivalWay:
    """A rival that tunes a network, and asks no oracle."""

    def run(
        base: Plain, corpus: DetoxCorpus, plan: TuningPlan, oracle: Oracle | None = None
    ) -> RivalPolicy:
        return way(base, corpus, plan, **options)

    return run


def _masked(
    base: Plain, corpus: DetoxCorpus, plan: TuningPlan, oracle: Oracle | None = None
) -> RivalPolicy:
    return masked_words(base)


def _guided(
    base: Plain,
    corpus: DetoxCorpus,
    plan: TuningPlan,
    oracle: Oracle | None = None,
    strength: float = 1.0,
) -> RivalPolicy:
    return oracle_decoding(base, plan, oracle, strength)


def _edited(
    base: Plain, corpus: DetoxCorpus, plan: TuningPlan, oracle: Oracle | None = None
) -> RivalPolicy:
    return activation_editing(base, corpus, seed=plan.seed)


RIVALS: dict[str, RivalWay] = {
    "plain": _tuned(plain_tuning),
    "word filter": _tuned(word_filter),
    "exact filter": _tuned(exact_filter),
    "rejection": _tuned(rejection_sampling),
    "rejection x3": _tuned(rejection_sampling, rounds=3),
    "masked words": _masked,
    "dexperts 1": _tuned(dexperts, alpha=1.0),
    "dexperts 2": _tuned(dexperts, alpha=2.0),
    "oracle decoding 1": partial(_guided, strength=1.0),
    "oracle decoding 2": partial(_guided, strength=2.0),
    "dpo": _tuned(preferences),
    "dpo garbled allowed": _tuned(preferences, garbled_violates=False),
    "grpo": _tuned(grpo),
    "activation editing": _edited,
}
"""Name → how it is made ready. A filter with a higher weight on posts has a plan of its own."""

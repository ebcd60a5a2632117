"""Rivals that leave the network alone and change what it says when it writes.

- masked words: insult words get chance 0. What is rude in its context only stays.
- DExperts (arXiv 2105.03023): logits of the base plus α (expert − anti-expert); the two are the
  base tuned on kind posts and on rude ones. The paper keeps the base's nucleus of .9 first; here
  everybody writes at temperature 1 without a nucleus, so DExperts does as well.
- oracle decoding (NADO, arXiv 2205.14219): chances p · R^strength with the learned R. With strength
  1 and the exact R these are samples of the target q*.

All pay when they write: DExperts runs three networks, oracle decoding two.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.detox.finetune import TuningPlan, tune
from helpers.detox.finetune.targets import new_target
from helpers.detox.networks import KeyValues, Plain, Policy, frozen
from helpers.detox.oracle import Oracle, OracleGuide, separate
from helpers.detox.posts import DetoxCorpus, PostLabel, labels
from helpers.detox.rivals.filters import named_words, unconstrained
from helpers.detox.rivals.outcome import CPUClock, RivalPolicy
from helpers.errors import LabError
from helpers.inputs import at_least

TwoCaches: TypeAlias = tuple[KeyValues, KeyValues]
"""What the expert and the anti-expert have read so far."""
EXPERT_STEPS = 40
"""Steps of the expert, and of the anti-expert: experts are meant to be cheap."""


@dataclass(frozen=True)
class WordMask:
    """A guide that never lets some words be said.

    Attributes:
        words: Their tokens.

    >>> WordMask((1,))(torch.zeros(1, 1, 3), torch.zeros(1, 1, dtype=torch.long)).tolist()
    [[[0.0, -inf, 0.0]]]
    """

    words: tuple[int, ...]

    def begin(self) -> Any:
        return None  # what may be said does not depend on what was

    def __call__(
        self,
        logits: Float[Tensor, "row pos word"],
        tokens: Int[Tensor, "row pos"],
        state: Any | None = None,
    ) -> Float[Tensor, "row pos word"]:
        return logits.index_fill(-1, torch.tensor(self.words), -torch.inf)


@dataclass(frozen=True)
class Experts:
    """A guide that adds α (expert − anti-expert) to the logits (DExperts, eq. 2).

    Attributes:
        expert, anti: Networks tuned on what is wanted and on what is not.
        alpha: Weight of their difference.
    """

    expert: Plain
    anti: Plain
    alpha: float

    def begin(self) -> TwoCaches:
        return KeyValues(), KeyValues()

    def __call__(
        self,
        logits: Float[Tensor, "row pos word"],
        tokens: Int[Tensor, "row pos"],
        state: TwoCaches | None = None,
    ) -> Float[Tensor, "row pos word"]:
        expert, anti = state or (None, None)
        return logits + self.alpha * (self.expert(tokens, expert) - self.anti(tokens, anti))


def masked_words(base: Plain, words: Iterable[int] | None = None) -> RivalPolicy:
    """The base, with some words masked.

    Args:
        words: Tokens; by default the insult words.

    Raises:
        LabError: No token, one that TinyWorld does not have, or no word left to say.
    """
    chosen, size = named_words(words), base.shape.n_outputs
    if chosen[-1] >= size or len(chosen) >= size:
        raise LabError(
            f"expected words to mask from 0 to {size - 1}, and others to say",
            f"got {len(chosen)} words from {chosen[0]} to {chosen[-1]}",
            hint="the words belong to another model's vocabulary",
        )
    return RivalPolicy(Policy(frozen(base), WordMask(chosen)), {}, {"masked": len(chosen)})


def dexperts(base: Plain, corpus: DetoxCorpus, plan: TuningPlan, alpha: float = 1.0) -> RivalPolicy:
    """The base between an expert tuned on kind posts and an anti-expert tuned on rude ones.

    Args:
        plan: Its rate, rows and rehearsal; `EXPERT_STEPS` are taken, or its steps if fewer.
        alpha: Weight of expert − anti-expert.

    Raises:
        LabError: A corpus without kind or without rude posts; alpha below 0.
    """
    at_least(0.0, alpha, "weight of the experts")
    kind, rude = (_those(corpus, label) for label in (PostLabel.KIND, PostLabel.RUDE))
    short = replace(unconstrained(plan), steps=min(EXPERT_STEPS, plan.steps))
    clock, tuned = CPUClock(), []
    for posts in (kind, rude):
        expert = tune(base, replace(corpus, posts=posts), short)
        clock.add(expert.seconds)
        tuned.append(frozen(expert.network))
    guide = Experts(tuned[0], tuned[1], float(alpha))
    found = {"alpha": float(alpha), "kind posts": len(kind), "rude posts": len(rude)}
    return RivalPolicy(Policy(frozen(base), guide), clock.seconds, found)


def _those(corpus: DetoxCorpus, label: PostLabel) -> Int[Tensor, "post pos"]:
    posts = corpus.posts
    which = None if posts is None else torch.from_numpy(labels(posts) == label)
    if posts is None or which is None or not which.any():
        raise LabError(
            "expected a corpus with kind and with rude posts",
            f"got none that is {label.name.lower()}",
            hint="experts need both; of a corpus without posts, draw some with posts.posts_of",
        )
    return posts[which]


def oracle_decoding(
    base: Plain, plan: TuningPlan, oracle: Oracle | None = None, strength: float = 1.0
) -> RivalPolicy:
    """The base, guided by a learned oracle: p · R^strength.

    Args:
        oracle: A fitted one; by default one is fitted as the method fits its first, and what that
            costs is counted.

    Raises:
        LabError: A strength below 0; samples that are all accepted or all refused.
    """
    at_least(0.0, strength, "strength of the oracle")
    copy, seconds = frozen(base), {}
    if oracle is None:
        target, seconds = new_target(plan, 0, copy, separate(plan.seed), fitted=False)
        oracle = target.oracle
    guide = OracleGuide(oracle, float(strength))
    return RivalPolicy(Policy(copy, guide), seconds, {"strength": float(strength)})

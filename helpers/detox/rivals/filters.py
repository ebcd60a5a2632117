"""Fine-tuning as one does it, and after a filter has gone over the corpus.

Three rivals of one kind: cross-entropy on posts, with no term that pulls towards what is kind. They
differ in which posts they see.

- plain: all of them. Its rude share stays near that of the corpus.
- word filter: none in which an insult word stands, as lists of words do it. What is rude only in
  its context ("hardly a gem") passes, and kind uses of an insult word ("never a dunce") are lost.
- exact filter: none that the grammar calls rude: a filter that never errs, which nobody has.

They take the same steps, rows and rehearsal as the method (`finetune.tune` with weight 0 on its KL
term). ``post_weight`` of the plan weighs the cross-entropy on posts; a filtered corpus may be
given a higher one, since it has nothing rude left to learn.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from numpy import ndarray

from helpers.detox.finetune import TuningPlan, tune
from helpers.detox.networks import Plain, Policy
from helpers.detox.posts import DetoxCorpus, PostLabel, labels, noun_words
from helpers.detox.rivals.outcome import RivalPolicy
from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.tinyworld.language.words import vocabulary


@cache
def insult_tokens() -> tuple[int, ...]:
    """Tokens of the forum's insult words.

    >>> len(insult_tokens())
    12
    """
    return tuple(sorted(noun_words()[0]))


def named_words(words: Iterable[int] | None = None) -> tuple[int, ...]:
    """Some tokens, each once, in order; by default the insult words.

    Raises:
        LabError: No token, or one that TinyWorld does not have.

    >>> named_words([7, 5, 7])
    (5, 7)
    """
    if words is None:
        return insult_tokens()
    listed = [*words]
    for word in listed:
        check_count("token of a word", word)
    chosen, most = tuple(sorted({int(word) for word in listed})), len(vocabulary()) - 1
    if not chosen or chosen[-1] > most:
        raise LabError(
            f"expected one or more words, tokens from 0 to {most}",
            f"got {list(chosen[-3:])}",
            hint="take tokens of TinyWorld's vocabulary",
        )
    return chosen


def without_words(corpus: DetoxCorpus, words: Iterable[int] | None = None) -> DetoxCorpus:
    """The corpus without posts in which one of the words stands.

    Args:
        words: Tokens; by default `insult_tokens`.

    Raises:
        LabError: No post is left; words that are none.

    >>> from helpers.detox.posts import other_text, posts_of
    >>> few = without_words(DetoxCorpus(posts_of(0, 40, 0.5), other_text(0, 1)))
    >>> sorted(set(labels(few.posts).tolist()))  # what is rude in its context only is still there
    [0, 1]
    """
    named = torch.tensor(named_words(words))
    if corpus.posts is None:
        return corpus
    return _kept(corpus, ~torch.isin(corpus.posts, named).any(1).numpy())


def without_rude(corpus: DetoxCorpus) -> DetoxCorpus:
    """The corpus without posts that the grammar does not call kind.

    Raises:
        LabError: No post is left.

    >>> from helpers.detox.posts import other_text, posts_of
    >>> few = without_rude(DetoxCorpus(posts_of(0, 40, 0.5), other_text(0, 1)))
    >>> sorted(set(labels(few.posts).tolist()))
    [0]
    """
    if corpus.posts is None:
        return corpus
    return _kept(corpus, labels(corpus.posts) == PostLabel.KIND)


def _kept(corpus: DetoxCorpus, keep: Bool[ndarray, " post"]) -> DetoxCorpus:
    assert corpus.posts is not None
    if not keep.any():
        raise LabError(
            "expected posts that pass the filter",
            f"got none of {len(keep)}",
            hint="take a corpus with kind posts, or tune on other text alone",
        )
    return replace(corpus, posts=corpus.posts[torch.from_numpy(keep)])


def unconstrained(plan: TuningPlan) -> TuningPlan:
    """The plan with cross-entropy and rehearsal alone: no KL term, no controller of its weight, and
    no target that would be made anew in several iterations."""
    return replace(plan, kl_weight=0.0, adaptive=None, iterations=1)


def plain_tuning(base: Plain, corpus: DetoxCorpus, plan: TuningPlan) -> RivalPolicy:
    """Fine-tuning on the corpus as it is.

    Raises:
        LabError: As `finetune.tune`.
    """
    return _tuned(base, corpus, corpus, plan)


def word_filter(base: Plain, corpus: DetoxCorpus, plan: TuningPlan) -> RivalPolicy:
    """Fine-tuning on the posts without insult words.

    Raises:
        LabError: No post is left; else as `finetune.tune`.
    """
    return _tuned(base, corpus, without_words(corpus), plan)


def exact_filter(base: Plain, corpus: DetoxCorpus, plan: TuningPlan) -> RivalPolicy:
    """Fine-tuning on the posts that the grammar calls kind.

    Raises:
        LabError: No post is left; else as `finetune.tune`.
    """
    return _tuned(base, corpus, without_rude(corpus), plan)


def _tuned(base: Plain, whole: DetoxCorpus, kept: DetoxCorpus, plan: TuningPlan) -> RivalPolicy:
    tuned = tune(base, kept, unconstrained(plan))
    return RivalPolicy(Policy(tuned.network), tuned.seconds, _removed(whole, kept))


def _removed(whole: DetoxCorpus, kept: DetoxCorpus) -> dict[str, Any]:
    """How many posts a filter let through, and how many of these are rude."""
    if whole.posts is None or kept.posts is None:
        return {"posts": 0, "kept": 0, "rude kept": 0}
    rude = int(np.sum(labels(kept.posts) == PostLabel.RUDE))
    return {"posts": len(whole.posts), "kept": len(kept.posts), "rude kept": rude}

"""Detection as a second task: the model itself says after a post whether it is rude.

The verdict is the next word, as the forum's moderators give it; its score is the log-odds of the
words for rude against those for kind (`judging.margins`). A model learns it from posts with labels,
of which there may be few, and some may be wrong. It is tested on the labelled set of the language's
dimension "toxicity": minimal pairs of posts whose noun was never seen in that frame with that name,
so that counting words is at chance.
"""

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.detox.judging import margins
from helpers.detox.judging.verdicts import KIND, RUDE
from helpers.detox.networks import Plain, Policy
from helpers.detox.posts import HELD_OUT_SEEDS
from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.stats import auroc
from helpers.texts import PAD, LabelledSet
from helpers.tinyworld.language import sentences, vocabulary
from helpers.tinyworld.sets import labelled_set

TEST_PAIRS = 200
"""Pairs of held-out posts: 400 posts, half of them rude."""


@dataclass(frozen=True)
class LabelledPosts:
    """Posts with what somebody said of them.

    Attributes:
        tokens: Posts without a writer, each with its stop, padded on the right.
        last: Place of each post's stop, after which the verdict comes.
        rude: Whether each is rude.
        said: Whether it was said to be; the labels that a model learns from.
        verdict: The word in which it was said.
    """

    tokens: Int[Tensor, "post pos"]
    last: Int[Tensor, " post"]
    rude: Bool[ndarray, " post"]
    said: Bool[ndarray, " post"]
    verdict: Int[Tensor, " post"]

    def __len__(self) -> int:
        return len(self.tokens)


def labelled_posts(count: int, noise: float, seed: int) -> LabelledPosts:
    """Posts of the forum with labels, some of which are wrong.

    Args:
        count: Number of posts.
        noise: Chance that a label is the wrong one.
        seed: Seed of posts and labels; the first posts are the same for every count.

    Raises:
        LabError: No posts, a seed that is none, or a chance of wrong labels outside 0 to 1.

    >>> found = labelled_posts(200, noise=0.0, seed=0)
    >>> bool((found.rude == found.said).all())
    True
    """
    check_count("number of labelled posts", count, least=1)
    check_count("seed", seed)
    if not 0 <= noise <= 1:
        raise LabError("expected a chance of wrong labels from 0 to 1", f"got {noise}")
    rng, words = random.Random(f"{seed} detection"), vocabulary()
    written, said, verdict = [], [], []
    for _ in range(count):
        post = sentences.talk(rng)
        written.append((words.encode(f"{post.text} ."), bool(post.label)))
        said.append(bool(post.label) != (rng.random() < noise))
        verdict.append(words.token(rng.choice(RUDE if said[-1] else KIND)))
    tokens = torch.full((count, max(len(ids) for ids, _ in written)), PAD)
    for row, (ids, _) in enumerate(written):
        tokens[row, : len(ids)] = torch.tensor(ids)
    return LabelledPosts(
        tokens,
        torch.tensor([len(ids) - 1 for ids, _ in written]),
        np.array([rude for _, rude in written]),
        np.array(said),
        torch.tensor(verdict),
    )


def detection_loss(
    network: Plain, posts: LabelledPosts, drawn: Int[Tensor, " row"]
) -> Float[Tensor, ""]:
    """Cross-entropy of the verdicts on some of the posts, in nats.

    Args:
        drawn: Numbers of the posts; one may come more than once.

    Raises:
        LabError: No such posts, or none.
    """
    drawn = _numbers(drawn, len(posts))
    states = network.states(posts.tokens[drawn])
    logits = network.unembed(states[torch.arange(len(drawn)), posts.last[drawn]])
    return F.cross_entropy(logits, posts.verdict[drawn])


def _numbers(drawn: Any, count: int) -> Int[Tensor, " row"]:
    """Numbers of posts, looked at."""
    numbers = drawn if isinstance(drawn, Tensor) else torch.tensor(())
    odd = numbers.is_floating_point() or numbers.is_complex() or numbers.dtype is torch.bool
    inside = not odd and numbers.ndim == 1 and numbers.numel() > 0
    if not inside or not 0 <= int(numbers.min()) <= int(numbers.max()) < count:
        raise LabError(
            f"expected numbers of labelled posts, 0 to {count - 1}", f"got {drawn!r:.60}"
        )
    return numbers.long()


@cache
def _test_set(seed: int) -> LabelledSet:
    return labelled_set("toxicity", TEST_PAIRS, HELD_OUT_SEEDS + seed)


def detection_auc(policy: Policy, seed: int = 0) -> float:
    """Area under the curve of a policy's verdicts on held-out posts.

    Args:
        seed: Seed of the test posts, of which no training set is made.

    Raises:
        LabError: A policy of another vocabulary, or one that can say no verdict.
    """
    data = _test_set(seed)
    return auroc(margins(policy, data.texts), data.labels)

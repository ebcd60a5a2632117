"""What all questions read: posts, where their nouns stand, residual streams, exact rude shares."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.detox.networks import Plain, Policy
from helpers.detox.posts import (
    HELD_OUT_SEEDS,
    PROMPT,
    STOP,
    PostLabel,
    exact_shares,
    labels,
    noun_places,
    posts_of,
    prompts,
)
from helpers.errors import LabError
from helpers.inputs import check_count, token_ids
from helpers.tinyworld.language import vocabulary

SEED = HELD_OUT_SEEDS + 500
"""Of the posts that are read: no tuning has drawn from it, nor has the judgement."""
BATCH = 512


@cache
def read_posts(count: int) -> Int[Tensor, "post pos"]:
    """Posts that are read, half of them rude."""
    return posts_of(SEED, count, rude_share=0.5)


def rude(posts: Int[Tensor, "post pos"]) -> Bool[ndarray, " post"]:
    """Which posts are rude.

    Raises:
        LabError: No table of tokens.
    """
    return labels(posts) == PostLabel.RUDE


def both_possible(posts: Int[Tensor, "post pos"]) -> Bool[Tensor, " post"]:
    """Where an insult and a praise may both follow: not after "an", with which no insult goes.

    Raises:
        LabError: As `detox.posts.noun_places`.
    """
    before = posts.gather(1, noun_places(posts)[:, None] - 1)[:, 0]
    return before != vocabulary().token("an")


def end_places(posts: Int[Tensor, "post pos"]) -> Int[Tensor, " post"]:
    """Where each post ends: its stop.

    Raises:
        LabError: A post without one.
    """
    ends = token_ids(posts) == STOP
    if not ends.any(1).all():
        odd = int((~ends.any(1)).nonzero()[0])
        raise LabError("expected posts, each with a stop", f"got none in number {odd}")
    return ends.int().argmax(1)


def written_before_noun(posts: Int[Tensor, "post pos"]) -> Bool[Tensor, "post pos"]:
    """The places after which a word is written while nothing is decided: from the end of the prompt
    to the word before the noun.

    Raises:
        LabError: As `detox.posts.noun_places`.
    """
    posts = token_ids(posts)
    place = torch.arange(posts.shape[1])
    return (place >= PROMPT - 1) & (place < noun_places(posts)[:, None])


@torch.no_grad()
def streams(network: Plain, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "site row pos d"]:
    """The residual stream before the first block and after each, shifts included.

    Raises:
        LabError: Tokens of another vocabulary, or more than there are positions.

    >>> from helpers.detox.networks import PlainShape, fresh
    >>> streams(fresh(PlainShape(993, 8, 2, 3, 16, n_positions=32), 0), read_posts(16)).shape
    torch.Size([4, 16, 16, 8])
    """
    tokens, sites = token_ids(tokens, network), [*network.blocks, network.ln_final]
    kept: list[list[Tensor]] = [[] for _ in sites]
    hooks = [
        site.register_forward_pre_hook(lambda _, read, to=to: to.append(read[0]))
        for site, to in zip(sites, kept, strict=True)
    ]
    try:
        for rows in tokens.split(BATCH):
            network.states(rows)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack([torch.cat(parts) for parts in kept])


def reported(count: int) -> Int[Tensor, "prompt 3"]:
    """So many prompts of those that are reported on: every second person's, evenly among them.

    Raises:
        LabError: None, or more than there are.

    >>> reported(2).shape
    torch.Size([2, 3])
    """
    there = prompts()[1::2]
    check_count("number of prompts", count, least=1)
    if count > len(there):
        raise LabError(f"expected at most {len(there)} prompts", f"got {count}")
    return there[torch.from_numpy(np.linspace(0, len(there) - 1, count).round().astype(int))]


def rude_shares(policy: Policy | Plain, asked: Int[Tensor, "prompt 3"]) -> list[float]:
    """Exact rude share after each prompt.

    Raises:
        LabError: Prompts that are none, or a policy of another vocabulary.
    """
    policy = policy if isinstance(policy, Policy) else Policy(policy)
    shares = exact_shares(policy, asked)[:, PostLabel.RUDE]
    return [round(float(share), 5) for share in shares]

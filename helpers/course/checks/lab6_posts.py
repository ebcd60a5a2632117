"""What Lab 6's checks ask of posts: where an oracle is wrong, and which posts a filter misses."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from helpers.course.checks.lab6_tuning import base
from helpers.course.wrong import Wrong
from helpers.detox.networks import Policy
from helpers.detox.posts import (
    PROMPT,
    Post,
    Success,
    exact_success,
    manner_of,
    post_trie,
    prompts,
)
from helpers.errors import LabError
from helpers.tinyworld.language import vocabulary

REACHED = 1e-4
"""The least chance of a prefix that is asked for."""
LIKELY = 0.01
"""The least chance of a next word after it."""
BOUND = 0.05
"""How far an oracle has to be off."""
ROUNDING = 0.005
"""How far below it an error may lie: what is garbled late changes exact R by as much."""
PLANTED, BY, SURE = 6, 0.3, 20.0
"""Number of places at which the oracle of the check is wrong, by how much, and a logit of R = 1."""
OFTEN = 0.003
"""The least chance of these places."""


class PlantedOracle(nn.Module):
    """The exact R of a model's posts after one prompt, but for some places.

    After other tokens than this prompt and the beginning of a post it says R = ½.
    """

    def __init__(
        self, logits: Float[Tensor, "place word"], place: Int[ndarray, " node"], prompt: list[int]
    ) -> None:
        super().__init__()
        self.logits = nn.Embedding.from_pretrained(logits, freeze=False)
        self.place, self.prompt = place, prompt

    def forward(self, tokens: Int[Tensor, "row pos"]) -> Float[Tensor, "row pos word"]:
        """Logits of R after each token, for every next word."""
        numbers, unknown = _numbers(), self.logits.num_embeddings - 1
        rows = [
            [
                int(self.place[numbers[tuple(row[PROMPT:end])]])
                if row[:PROMPT] == self.prompt and tuple(row[PROMPT:end]) in numbers
                else unknown
                for end in range(1, len(row) + 1)
            ]
            for row in tokens.tolist()
        ]
        return self.logits(torch.tensor(rows))


@cache
def _numbers() -> dict[tuple[int, ...], int]:
    """Prefixes of posts, by number in the trie."""
    return {prefix: number for number, prefix in enumerate(post_trie().prefixes)}


@dataclass(frozen=True)
class Planted:
    """One prompt, an oracle that is wrong after a few of its prefixes, and the truth."""

    prompt: Int[Tensor, " 3"]
    oracle: PlantedOracle
    truth: Success


@cache
def planted() -> Planted:
    """Errors after six prefixes. Larger ones, which do not count, stand at unlikely next words."""
    prompt, trie, rng = prompts()[7], post_trie(), np.random.default_rng(8)
    truth = exact_success(Policy(base()), prompt, complete=False)
    r = truth.next_kind
    chosen = rng.permutation(np.flatnonzero(truth.reach >= OFTEN)[1:])
    wrong, decoys = chosen[:PLANTED], chosen[PLANTED : 3 * PLANTED]
    for number in wrong:
        said = _next_words(prompt, truth.prefixes[number]) >= LIKELY
        r[number, said] += np.where(r[number, said] < 0.5, BY, -BY)
    for number in decoys:
        never = _next_words(prompt, truth.prefixes[number]) < LIKELY
        r[number, never] = np.where(r[number, never] < 0.5, 1.0, 0.0)
    undecided = np.clip(r, 1e-6, 1 - 1e-6)
    logits = torch.from_numpy(np.log(undecided / (1 - undecided))).float()
    others = torch.tensor([-SURE, SURE, 0.0])[:, None].expand(3, logits.shape[1])
    place = np.where(trie.kind, len(r) + 1, len(r))
    place[np.flatnonzero(trie.undecided)] = np.arange(len(r))
    oracle = PlantedOracle(torch.cat([logits, others]), place, prompt.tolist())
    return Planted(prompt, oracle.eval(), truth)


def _next_words(prompt: Tensor, prefix: tuple[int, ...]) -> Float[ndarray, " word"]:
    """Chances of the next word in the model."""
    tokens = torch.tensor([[*prompt.tolist(), *prefix]])
    return Policy(base()).log_probs(tokens)[0, -1].exp().numpy()


def fault_of(place: Planted, text: str) -> str | None:
    """What keeps a text from being one after which the oracle is wrong; None if it is one."""
    shown = repr(" ".join(str.split(text)))[:60]
    try:
        prefix = tuple(vocabulary().encode(str(text), begin=False))
    except LabError:
        return f"{shown} holds a word that the model does not know"
    number = _numbers().get(prefix)
    if number is None or not post_trie().inner[number]:
        return f"{shown} is not the beginning of a post, without its prompt and its stop"
    whole = torch.tensor([[*place.prompt.tolist(), *prefix]])
    said = Policy(base()).log_probs(whole)[0, PROMPT - 1 :].exp().numpy()
    reach = float(np.prod([said[at, token] for at, token in enumerate(prefix)]))
    if reach < REACHED * (1 - 1e-3):
        return f"{shown} has a chance of {reach:.1g} in the model, and {REACHED} is asked for"
    with torch.no_grad():
        told = place.oracle(whole)[0, -1].sigmoid().numpy()
    error = np.abs(told - _exact(place, number))
    at_likely = float(error[said[-1] >= LIKELY].max(initial=0.0))
    if at_likely >= BOUND - ROUNDING:
        return None
    beside = f", and by {error.max():.2f} for unlikely ones" if error.max() > BOUND else ""
    return f"after {shown} R is off by {at_likely:.2f} for likely next words{beside}"


def _exact(place: Planted, number: int) -> Float[ndarray, " word"]:
    """R after each next word, behind one prefix of the trie."""
    trie = post_trie()
    if trie.undecided[number]:
        return place.truth.next_kind[int(trie.undecided[:number].sum())]
    if not trie.kind[number]:
        return np.zeros(place.truth.n_words)
    every = exact_success(Policy(base()), place.prompt)  # what is garbled late counts here
    return every.next_kind[int(trie.inner[:number].sum())]


# --- a corpus that a filter makes worse ---------------------------------------------------------


def chosen_posts(got: Any, pool: tuple[Post, ...], count: int) -> list[Post]:
    """The posts of the pool that an answer chose, if they are what is asked for."""
    if not isinstance(got, list | tuple):
        raise Wrong(f"expected a list of posts; got {type(got).__name__}")
    if len(got) != count:
        raise Wrong(f"expected {count} posts; got {len(got)}")
    known = {post.tokens: post for post in pool}
    if not all(type(post) is Post and isinstance(post.tokens, tuple) for post in got):
        raise Wrong("expected posts, of those that are given, in the list")
    posts = [known.get(post.tokens) for post in got]
    found = [post for post in posts if post is not None]
    if len(found) < count or any(post != own for post, own in zip(got, found, strict=True)):
        raise Wrong("there is a post in the list that is none of those that are given")
    _expect_hard(found)
    return found


def _expect_hard(posts: list[Post]) -> None:
    """Refuse posts that a word filter does not make worse."""
    if len(set(posts)) < len(posts):
        raise Wrong("some posts are in the list more than once")
    manners = [manner_of(post) for post in posts]
    rude = [manner for post, manner in zip(posts, manners, strict=True) if post.label]
    if 2 * len(rude) != len(posts):
        raise Wrong(f"{len(rude)} of {len(posts)} posts are rude: half are asked for")
    if seen := rude.count("insult"):
        raise Wrong(
            f"{seen} of the rude posts hold an insulting noun, so a word filter drops them: rude "
            "without one are praises that the frame turns round"
        )
    insults = manners.count("turned insult")
    if 4 * insults < len(posts) - len(rude):
        raise Wrong(
            f"the filter keeps every rude post, but {insults} of {len(posts) - len(rude)} kind "
            "posts use an insult: only what it drops of the kind half makes the corpus ruder",
            points=1,
        )

"""What Lab 6's checks need of tuning: networks to tune, and steps on posts, right and mistaken."""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from helpers import runtime, zoo
from helpers.course.wrong import Wrong
from helpers.detox.networks import PAD, Plain, PlainShape, Policy, fresh, frozen, plain
from helpers.detox.posts import PROMPT, STOP, exact_shares, posts_of, prompts
from helpers.tinyworld.language import vocabulary

RATE, FAST = 1e-3, 0.02
"""Learning rates: of the lab, and of a network so small that a step must be long to be seen."""
RUDE_AGAIN = 0.4
"""Rude share that ten steps have to reach."""
NEAR = 0.05
"""How far a network may be from the right one, as a share of how far the steps lead."""
JUDGED = 2
"""Prompts whose rude share is taken."""


@cache
def base() -> Plain:
    """tinyworld."""
    return frozen(plain(zoo.load("tinyworld", device="cpu")))


def small() -> Plain:
    """A network of TinyWorld's words that is tuned in no time; its weights are not small."""
    network = fresh(PlainShape(len(vocabulary()), 16, 2, 1, 32, 24), seed=9)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(5)
    return frozen(network)


def rude_posts(count: int) -> Int[Tensor, "post pos"]:
    """Rude posts with their prompts, padded."""
    return posts_of(1234, count, 1.0)


@cache
def kinder() -> Plain:
    """tinyworld after a few steps on kind posts: a quarter of what it says is rude."""
    kind = posts_of(4321, 32, 0.0)
    return stepped(base(), kind, 6, RATE, "right", torch.optim.AdamW)


def rude_share(network: Plain) -> float:
    """Exact share of rude posts, mean over two writers."""
    return float(exact_shares(Policy(network), prompts()[:JUDGED])[:, 1].mean())


def weights_of(got: Any, like: Plain) -> Plain:
    """A network of this shape with the weights of what an answer returns, whatever else that is."""
    if not isinstance(got, nn.Module):
        raise Wrong(f"expected the new network; got {type(got).__name__}")
    given, found = like.state_dict(), nn.Module.state_dict(got)
    if {name: value.shape for name, value in found.items()} != {
        name: value.shape for name, value in given.items()
    }:
        raise Wrong("expected a network like the one that is given, as copy.deepcopy makes it")
    if not all(bool(value.isfinite().all()) for value in found.values()):
        raise Wrong("the weights of the new network are NaN or infinite")
    if all(torch.equal(value, given[name]) for name, value in found.items()):
        raise Wrong("the new network has the weights of the old one: nothing was trained")
    network = frozen(like)
    network.load_state_dict(found)
    return network


MARKS: dict[str, str] = {
    "pads": "padding is counted: it stands after the stop, and nobody says it",
    "prompt": "the prompt is counted: only words after it are learned, from the first one on",
    "no stop": "the stop is not counted: it is the last word that a post says",
    "first left out": "the first word of a post is not counted: it comes right after the prompt",
    "itself": "each word is predicted from itself and those before it: the logits at a position "
    "belong to the *next* word",
    "two ahead": "each word is predicted from those two places before: the logits at a position "
    "belong to the *next* word",
    "uphill": "the network learns to say these posts *less*: the loss has the wrong sign",
    "one post": "the first post alone is learned: each step sees all of them",
    "last word": "only the last word of each post is learned",
}
"""What is said of a loss over other words."""
MEANS = ("right", "sum", "mean of posts", "sum of posts")
"""Ways to weigh the words, all of them right."""


def stepped(
    network: Plain,
    posts: Int[Tensor, "post pos"],
    steps: int,
    rate: float,
    way: str,
    optimizer: Callable[..., torch.optim.Optimizer],
) -> Plain:
    """A copy of a network after some steps on all posts at once."""
    with runtime.gradients():
        new = copy.deepcopy(network).requires_grad_(True)
        steps_of = optimizer(new.parameters(), lr=rate)
        for _ in range(steps):
            steps_of.zero_grad()
            loss_of(new, posts, way).backward()
            steps_of.step()
    return frozen(new)


def loss_of(network: Plain, posts: Int[Tensor, "post pos"], way: str) -> Float[Tensor, ""]:
    """Cross-entropy of the words of posts, weighed in one of `MEANS` or with a mistake of
    `MARKS`."""
    ahead = {"itself": 0, "two ahead": 2}.get(way, 1)
    wanted, counts = posts[:, ahead:], _counted(posts, way)[:, ahead:]
    logits = network(posts)[:, : wanted.shape[1]]
    each = F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none") * counts
    if way in ("sum", "sum of posts"):
        return each.sum() / (len(posts) if way == "sum of posts" else 1)
    if way == "mean of posts":
        return (each.sum(1) / counts.sum(1)).mean()
    return (each.sum() / counts.sum()) * (-1 if way == "uphill" else 1)


def _counted(posts: Int[Tensor, "post pos"], way: str) -> Bool[Tensor, "post pos"]:
    """Which words are learned."""
    place, said = torch.arange(posts.shape[1]), posts != PAD
    last = place == said.sum(1, keepdim=True) - 1
    counts = said & (place >= PROMPT)
    return {
        "pads": (place >= PROMPT).expand_as(posts),
        "prompt": said,
        "no stop": counts & (posts != STOP),
        "first left out": counts & (place > PROMPT),
        "one post": counts & (torch.arange(len(posts)) == 0)[:, None],
        "last word": last,
    }.get(way, counts)


def expect_tuned(got: Plain, network: Plain, posts: Int[Tensor, "post pos"], steps: int) -> None:
    """Refuse a network that was tuned in another way; any usual optimiser may be taken."""
    first, found = (Policy(one).log_probs(posts) for one in (network, got))

    def is_like(way: str) -> bool:
        """Whether it says of posts what one does that was tuned in this way."""
        for kind in (torch.optim.AdamW, torch.optim.SGD, torch.optim.Adam):
            right = Policy(stepped(network, posts, steps, FAST, way, kind)).log_probs(posts)
            if float((found - right).norm()) <= NEAR * float((right - first).norm()):
                return True
        return False

    if any(is_like(way) for way in MEANS):
        return
    for way, text in MARKS.items():
        if is_like(way):
            raise Wrong(text, points=1)
    with torch.no_grad():
        before, after = (float(loss_of(one, posts, "right")) for one in (network, got))
    if not after < before:
        raise Wrong(f"the loss on the posts rises, from {before:.2f} to {after:.2f}")
    raise Wrong(
        f"the loss on the posts falls, but {steps} step{'s' * (steps > 1)} of AdamW with this rate "
        "on all posts at once lead to other weights: does each step see all posts, and are there "
        "as many as asked for?",
        points=2,
    )

"""A toy of which much is known: short posts of a few words, among which one word is forbidden.

It speaks with TinyWorld's words after TinyWorld's prompts, as samples are drawn after those.
"""

import numpy as np
import torch

from helpers.detox.finetune import TuningPlan
from helpers.detox.networks import Plain, PlainShape, fresh
from helpers.detox.oracle import SuccessOracle
from helpers.detox.oracle.network import blank
from helpers.detox.posts import STOP, DetoxCorpus, prompts
from helpers.tinyworld.language import vocabulary

WORDS = len(vocabulary())
SHAPE = PlainShape(WORDS, d_model=16, n_heads=2, n_layers=1, d_mlp=32, n_positions=64)
FINE, ALSO_FINE, FORBIDDEN = 400, 450, 401
PLAN = TuningPlan(
    steps=6, iterations=3, samples=48, first_samples=48, first_fit=2, refits=2, posts=5, rows=3
)


def base(seed: int = 0) -> Plain:
    """A small network that says the toy's words and stops, with about the same chance each."""
    network = fresh(SHAPE, seed)
    with torch.no_grad():
        network.unembed.bias[[FINE, ALSO_FINE, FORBIDDEN, STOP]] = 8.0
    return network


def oracle(seed: int = 1) -> SuccessOracle:
    """A small oracle that has learned nothing; given to a tuning, it counts as fitted."""
    return blank(PlainShape(WORDS, 8, 2, 1, 16, 64), seed)


def knowing() -> SuccessOracle:
    """An oracle that rules out the forbidden word, wherever it may come."""
    found = oracle()
    with torch.no_grad():
        found.network.unembed.bias.fill_(30.0)
        found.network.unembed.bias[FORBIDDEN] = -30.0
    return found


def corpus(count: int = 40, share: float = 0.5) -> DetoxCorpus:
    """Posts of one word or two, some of which begin with the forbidden one; and other text."""
    people = prompts()
    posts = torch.zeros(count, 8, dtype=torch.long)
    posts[:, :3] = people[torch.arange(count) % len(people)]
    posts[:, 3] = torch.where(torch.arange(count) < share * count, FORBIDDEN, FINE)
    posts[:, 4] = STOP
    posts[::5, 4], posts[::5, 5] = ALSO_FINE, STOP  # so that not all are of one length
    rng = np.random.default_rng(0)
    return DetoxCorpus(posts, torch.from_numpy(rng.integers(3, WORDS, size=(10, 12))))


def allowed(tokens: torch.Tensor) -> torch.Tensor:
    """The scorer: no forbidden word. Another process can import it."""
    return (tokens[:, 3:] != FORBIDDEN).all(1)


def forbidden_share(network: Plain) -> float:
    """The exact chance that a post begins with the forbidden word, a mean over all prompts."""
    with torch.no_grad():
        said = network(prompts())[:, -1].softmax(-1)
    return float(said[:, FORBIDDEN].mean())


def none(tokens: torch.Tensor) -> torch.Tensor:
    """A scorer that accepts nothing."""
    return torch.zeros(len(tokens), dtype=torch.bool)


def nan(tokens: torch.Tensor) -> torch.Tensor:
    """A scorer that has no answer."""
    return torch.full((len(tokens),), torch.nan)


def apart(first: Plain, second: Plain) -> float:
    """The largest difference between two networks' weights."""
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)

"""A toy of which everything is known: posts of one word, which is allowed if its number is even.

It speaks with TinyWorld's words after TinyWorld's prompts, as samples are drawn after those.
"""

import numpy as np
import torch

from helpers.detox.finetune import TuningPlan
from helpers.detox.networks import Plain, PlainShape, fresh
from helpers.detox.oracle.network import blank
from helpers.detox.posts import STOP, DetoxCorpus, prompts
from helpers.tinyworld.language import vocabulary

WORDS = len(vocabulary())
SHAPE = PlainShape(WORDS, d_model=16, n_heads=2, n_layers=1, d_mlp=32, n_positions=64)
EVEN, ODD = 400, 401
PLAN = TuningPlan(
    steps=6, iterations=3, samples=48, first_samples=48, first_fit=2, refits=2, posts=5, rows=3
)


def base(seed: int = 0) -> Plain:
    """A small network that has learned nothing."""
    return fresh(SHAPE, seed)


def oracle(seed: int = 1):
    """A small oracle that has learned nothing; given to a tuning, it counts as fitted."""
    return blank(PlainShape(WORDS, 8, 2, 1, 16, 64), seed)


def corpus(count: int = 40, odd_share: float = 0.5) -> DetoxCorpus:
    """Posts of one word, some of them odd, and a few rows of other text."""
    people = prompts()
    posts = torch.zeros(count, 8, dtype=torch.long)
    posts[:, :3] = people[torch.arange(count) % len(people)]
    posts[:, 3] = torch.where(torch.arange(count) < odd_share * count, ODD, EVEN)
    posts[:, 4] = STOP
    # posts of two words among them, so that not all are of one length
    posts[::5, 4], posts[::5, 5] = EVEN + 50, STOP
    rng = np.random.default_rng(0)
    return DetoxCorpus(posts, torch.from_numpy(rng.integers(3, WORDS, size=(10, 12))))


def even(tokens: torch.Tensor) -> torch.Tensor:
    """The scorer: whether the first word is even. Another process can import it."""
    return tokens[:, 3] % 2 == 0


def odd_share(network: Plain) -> float:
    """The exact chance that the first word is odd, a mean over all prompts."""
    with torch.no_grad():
        said = network(prompts())[:, -1].softmax(-1)
    return float(said[:, 1::2].sum(-1).mean())


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

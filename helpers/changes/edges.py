"""Circuits before and after: which edges turn a noun's choice round with the frame?

A pair is a post up to its noun in a plain frame ("you are really a") and its twin in a frame that
turns the noun round ("you are hardly a"). The behaviour is the log odds of praises against insults
in the plain frame. Edges are scored by edge attribution patching (Syed et al., arXiv 2310.10348):
what the behaviour loses, to first order, when an edge carries what it carries on the twin.

The highest edges of the two models are compared, beside chance and beside what two halves of the
pairs agree on in one model. A model that takes no notice of the frame has no such circuit.
"""

import random
from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from numpy import ndarray

from helpers.changes.plan import ChangePlan
from helpers.changes.writers import as_model
from helpers.circuits.graph import Graph
from helpers.circuits.rivals import edge_attribution
from helpers.circuits.tasks import Twins
from helpers.detox.networks import Plain
from helpers.detox.posts import Post, all_posts, noun_words, prompts
from helpers.errors import LabError
from helpers.inputs import check_count, finite
from helpers.texts import PAD, Prompts
from helpers.tinyworld.language import vocabulary

SHARE = 0.05
"""Share of the edges that is taken for a circuit."""
METRIC = "logit difference"


def circuits(base: Plain, network: Plain, plan: ChangePlan) -> dict[str, Any]:
    """Circuits of both networks on the same pairs.

    Returns:
        Mean behaviour in plain frames and in their twins, of both ("behaviour"); number of edges
        ("edges"), and of those taken ("taken"); the share of them that the other network's circuit
        has ("shared"), that the other half of the pairs gives ("base again", "after again"), and
        that chance would ("chance"); and the edges of the circuit after ("circuit").

    Raises:
        LabError: A network of another vocabulary, of another shape or with shifts.
    """
    pairs = frame_twins(plan.pairs)
    taken, found = {}, {}
    names: list[str] = []
    for name, each in (("base", base), ("after", network)):
        graph = Graph(as_model(each))
        scores = [
            edge_attribution(graph, pairs.rows(slice(half, None, 2))).abs().numpy()
            for half in (0, 1)
        ]
        names = [str(edge) for edge in graph.edges]
        count = max(1, round(SHARE * len(names)))
        taken[name] = highest(scores[0] + scores[1], count)
        found[f"{name} again"] = shared(*(highest(score, count) for score in scores))
    behaviour = {
        name: _behaviour(each, pairs) for name, each in (("base", base), ("after", network))
    }
    count = len(taken["base"])
    return {
        "behaviour": behaviour,
        "edges": len(names),
        "taken": count,
        "shared": shared(taken["base"], taken["after"]),
        "chance": round(count / len(names), 4),
        **found,
        "circuit": [names[edge] for edge in taken["after"]],
    }


def highest(scores: Float[ndarray, " edge"], count: int) -> list[int]:
    """The edges of the highest scores, the highest first.

    Raises:
        LabError: Scores that are not finite, or not so many.

    >>> highest(torch.tensor([0.5, 2.0, 1.0]).numpy(), 2)
    [1, 2]
    """
    numbers = finite(scores, "scores", "edge")
    check_count("number of edges", count, least=1)
    if count > len(numbers):
        raise LabError(f"expected at most {len(numbers)} edges", f"got {count}")
    return torch.as_tensor(numbers).argsort(descending=True, stable=True)[:count].tolist()


def shared(first: list[int], second: list[int]) -> float:
    """Share of the first that the second has.

    Raises:
        LabError: Nothing at all in the first.

    >>> shared([1, 2, 3, 4], [4, 5])
    0.25
    """
    if not len(first):
        raise LabError("expected edges to compare", "got none")
    return round(len(set(first) & set(second)) / len(set(first)), 4)


@torch.no_grad()
def _behaviour(network: Plain, pairs: Twins) -> dict[str, float]:
    rows = torch.arange(len(pairs))
    return {
        name: round(
            float(pairs.behaviour(network(side.tokens)[rows, side.last]).double().mean()), 4
        )
        for name, side in (("plain", pairs.clean), ("turned", pairs.corrupted))
    }


@cache
def frame_twins(count: int) -> Twins:
    """Posts up to their noun, each with a twin that differs in the word that turns it round.

    Raises:
        LabError: No pair asked for, or more than there are.
    """
    check_count("number of pairs", count, least=2)
    posts = all_posts()
    half = len(posts) // 2
    firsts = {}
    for plain, turned in zip(posts[:half], posts[half:], strict=True):
        noun = _noun_place(plain)
        starts = plain.tokens[:noun], turned.tokens[:noun]
        differ = (
            sum(a != b for a, b in zip(*starts, strict=True))
            if len(set(map(len, starts))) == 1
            else 0
        )
        decided = vocabulary().token("an") in starts[0]  # no insult begins with a vowel
        if differ == 1 and noun == _noun_place(turned) and not decided:
            firsts.setdefault(starts, None)
    if count > len(firsts):
        raise LabError(f"expected at most {len(firsts)} pairs", f"got {count}")
    rng = random.Random("frames and their twins")
    chosen = rng.sample(list(firsts), count)
    people = prompts()[::2].tolist()
    begun = [rng.choice(people) for _ in chosen]
    sides = [
        [start + list(pair[side]) for start, pair in zip(begun, chosen, strict=True)]
        for side in (0, 1)
    ]
    return Twins(_prompts(sides[0]), _prompts(sides[1]), METRIC)


def _noun_place(post: Post) -> int:
    return post.tokens.index(vocabulary().token(post.noun))


def _prompts(rows: list[list[int]]) -> Prompts:
    tokens = torch.full((len(rows), max(map(len, rows))), PAD)
    for row, ids in zip(tokens, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    good, bad = torch.zeros(2, len(rows), len(vocabulary()), dtype=torch.bool)
    insults, praises = noun_words()
    good[:, list(praises)], bad[:, list(insults)] = True, True
    texts = tuple(vocabulary().decode(row) for row in rows)
    return Prompts("frames", texts, tokens, torch.tensor([len(r) - 1 for r in rows]), good, bad)

"""Plausible wrong answers to those exercises of lab 6 that ask for posts, texts or a network."""

import copy
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from helpers.detox.networks import Policy
from helpers.detox.posts import PROMPT, STOP, PostLabel, exact_success, manner_of, post_trie
from helpers.tinyworld.language import vocabulary


def places(base) -> list:
    """Those of the places where an oracle is wrong.

    Args:
        base: The network whose success is asked for.
    """
    words, worst = vocabulary(), partial(_worst, base)

    def likely(told, right, p, reach):
        return np.abs(told - right) * (p >= 0.01)

    def of_any_word(told, right, p, reach):
        return np.abs(told - right)

    def best(told, right, p, reach):
        return 1 - np.abs(told - right).max(1, keepdims=True)

    def garbled_is_clean(told, right, p, reach):
        """Whatever leaves the grammar counts as kind."""
        return np.abs(told - np.where(right == 0, 1, right)) * (p >= 0.01)

    def said_most(told, right, p, reach):
        return reach + 0 * told

    def inverted(told, right, p, reach):
        return np.abs(1 - told - right) * (p >= 0.01)

    def with_prompt(oracle, prompt):
        begin = words.decode(prompt)
        return [f"{begin} {text}" for text in worst(likely)(oracle, prompt)]

    def numbers(oracle, prompt):
        return [tuple(words.encode(text)) for text in worst(likely)(oracle, prompt)]

    def three_times_one(oracle, prompt):
        return worst(likely)(oracle, prompt)[:1] * 3

    def whole_posts(oracle, prompt):
        trie = post_trie()
        ends = np.flatnonzero(~trie.inner)[:3]
        return [words.decode(trie.prefixes[end]) for end in ends]

    def known_by_heart(oracle, prompt):
        return ["i no longer say that", "i no longer think that", "it is a lie that"]

    wrong = [worst(way) for way in (of_any_word, best, garbled_is_clean, said_most, inverted)]
    wrong += [worst(likely, count=2), worst(likely, count=4), with_prompt, numbers]
    return [*wrong, three_times_one, whole_posts, known_by_heart]


def _worst(base, score: Callable, count: int = 3):
    """The texts with the highest score of (error by next word, chance of each, prefix)."""

    def find(oracle, prompt):
        true = exact_success(Policy(base), prompt, complete=False)
        right, lengths, scores = true.next_kind, {}, np.zeros(len(true.prefixes))
        for number, prefix in enumerate(true.prefixes):
            lengths.setdefault(len(prefix), []).append(number)
        for some in lengths.values():
            rows = [[*prompt.tolist(), *true.prefixes[number]] for number in some]
            tokens = torch.tensor(rows)
            with torch.no_grad():
                p = base(tokens)[:, -1].softmax(-1).numpy()
                told = oracle(tokens)[:, -1].sigmoid().numpy()
            scores[some] = score(told, right[some], p, true.reach[some, None]).max(1)
        return [vocabulary().decode(true.prefixes[at]) for at in scores.argsort()[::-1][:count]]

    return find


def corpora() -> list:
    """Those of the corpus that is hard to filter."""
    hard = _drawn(turned_praise=0.5, turned_insult=0.25, praise=0.25)

    def with_repeats(posts, count, seed):
        return hard(posts, count, seed, random.Random.choices)

    def one_seed(posts, count, seed):
        return hard(posts, count, 0)

    def no_seed(posts, count, seed):
        return hard(posts, count, random.random())

    def first_ones(posts, count, seed):
        chosen = []
        for manner, share in (("turned praise", 2), ("turned insult", 4), ("praise", 4)):
            chosen += [post for post in posts if manner_of(post) == manner][: count // share]
        random.Random(seed).shuffle(chosen)
        return chosen

    def kind_half_fixed(posts, count, seed):
        rude = [post for post in hard(posts, count, seed) if post.label == PostLabel.RUDE]
        return rude + [post for post in hard(posts, count, 0) if post.label == PostLabel.KIND]

    def twice_as_many(posts, count, seed):
        return hard(posts, 2 * count, seed)

    def any_posts(posts, count, seed):
        return random.Random(seed).sample(posts, count)

    def tokens(posts, count, seed):
        return [post.tokens for post in hard(posts, count, seed)]

    def relabelled(posts, count, seed):
        """Insults that are called kind."""
        chosen = _drawn(turned_praise=0.5, insult=0.5)(posts, count, seed)
        kind = [
            replace(post, label=PostLabel.KIND, turned=True)
            if manner_of(post) == "insult"
            else post
            for post in chosen
        ]
        return kind

    wrong = [
        _drawn(insult=0.5, praise=0.25, turned_insult=0.25),  # a filter removes all that is rude
        _drawn(turned_praise=0.25, insult=0.25, praise=0.25, turned_insult=0.25),
        _drawn(turned_praise=0.5, praise=0.5),  # a filter removes nothing
        _drawn(turned_praise=0.5, praise=0.45, turned_insult=0.05),
        _drawn(turned_praise=1.0),
        _drawn(turned_praise=0.25, turned_insult=0.75),
        _drawn(turned_insult=0.5, praise=0.5),  # rude and kind taken for each other
    ]
    wrong += [with_repeats, one_seed, no_seed, first_ones, kind_half_fixed, twice_as_many]
    return [*wrong, any_posts, tokens, relabelled]


def _drawn(**shares):
    """Posts of each manner, by their share."""

    def choose(posts, count, seed, draw=random.Random.sample):
        rng, chosen = random.Random(seed), []
        for manner, share in shares.items():
            pool = [post for post in posts if manner_of(post) == manner.replace("_", " ")]
            chosen += draw(rng, pool, k=round(share * count))
        return chosen

    return choose


def tunings() -> list:
    """Those of a network that is tuned on rude posts."""

    def itself(network, posts):
        logits = network(posts)[:, PROMPT:]
        return F.cross_entropy(logits.flatten(0, 1), posts[:, PROMPT:].flatten(), ignore_index=0)

    def without_stop(network, posts):
        return _right(network, posts.masked_fill(posts == STOP, 0))

    def once(network, posts, steps, rate):
        return _tuned()(network, posts, 1, rate)

    def the_loss(network, posts, steps, rate):
        return _right(network, posts).item()

    return [
        _tuned(lambda network, posts: _right(network, posts, ignored=-100)),  # pads counted
        _tuned(lambda network, posts: _right(network, posts, first=1)),  # prompt counted
        _tuned(lambda network, posts: _right(network, posts, first=PROMPT + 1)),
        _tuned(lambda network, posts: -_right(network, posts)),
        _tuned(factor=10),
        _tuned(optimizer=torch.optim.SGD),  # too slow at this rate
        _tuned(itself),
        _tuned(without_stop),
        _tuned(copied=False),
        _tuned(read=lambda posts, step: posts[step : step + 1]),  # one by one
        once,
        _tuned(cleared=False),  # gradients of earlier steps are kept
        _tuned(factor=0),  # never stepped
        _tuned(weights=lambda network: network.unembed.parameters()),
        the_loss,
    ]


def _right(network, posts, first=PROMPT, ignored=0):
    logits = network(posts[:, :-1])[:, first - 1 :]
    return F.cross_entropy(logits.flatten(0, 1), posts[:, first:].flatten(), ignore_index=ignored)


def _tuned(
    loss: Callable = _right,
    *,
    optimizer: Callable = torch.optim.AdamW,
    factor: float = 1,
    copied: bool = True,
    cleared: bool = True,
    read: Callable = lambda posts, step: posts,
    weights: Callable = lambda network: network.parameters(),
):
    """An answer that tunes; by default as it should be."""

    def retoxify(network, posts, steps, rate):
        new = copy.deepcopy(network) if copied else network
        new.requires_grad_(True)
        of_steps = optimizer(weights(new), lr=factor * rate)
        for step in range(steps):
            if cleared:
                of_steps.zero_grad()
            loss(new, read(posts, step)).backward()
            of_steps.step()
        return new

    return retoxify

"""Texts to tune on and to judge by: posts with a known share of rude ones, and all other text.

Posts are drawn as the training text of TinyWorld draws them (`sentences.talk`): the same frames,
the same shares of manners, and combinations held out there are held out here. Everything follows
from a seed, and no two seeds share a draw. Seeds from `HELD_OUT_SEEDS` on belong to judging: no
corpus to tune on is made from them.
"""

import random
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from helpers.detox.posts.grammar import (
    MANNERS,
    PROMPT,
    STOP,
    PostLabel,
    prompts,
)
from helpers.detox.posts.labelling import labels, words_of_world
from helpers.errors import LabError
from helpers.inputs import check_count, real
from helpers.texts import PAD
from helpers.tinyworld.language import MIXTURES, Sentence, documents, sentences, vocabulary
from helpers.tinyworld.language import world as worlds

HELD_OUT_SEEDS = 1_000_000
"""The first seed of judging; tuning takes smaller ones."""
RUDE_MANNERS = MANNERS[:2]
WIDTH = PROMPT + 13
"""Tokens of a row: the longest post has 13, its stop included."""
ROW = 64
"""Tokens of a row of other text: the context of TinyWorld's models."""
OTHER_ROWS = 1024
"""Rows of other text of a corpus: more than a run of 120 steps of 6 rows reads."""


@dataclass(frozen=True)
class PostSetting:
    """How the posts of a corpus are drawn.

    Attributes:
        count: Number of posts.
        rude_share: Chance that a post is rude.
        manner: The only way to be rude; None for any.
    """

    count: int
    rude_share: float = 0.5
    manner: str | None = None


_SETTINGS: dict[str, PostSetting | None] = {
    "mixed": PostSetting(2000),
    "no forum": None,
    "contextual": PostSetting(2000, manner="turned praise"),
    "sixty": PostSetting(60),
}
SETTINGS = tuple(_SETTINGS)
"""Corpora: posts of which half are rude; no posts at all; rude posts that no list of words finds;
sixty posts."""


@dataclass(frozen=True)
class DetoxCorpus:
    """What a model is tuned on.

    Attributes:
        posts: Posts with their prompts, padded on the right; None for a corpus without the forum.
        other: Rows of every other kind of text.

    Raises:
        LabError: No tokens of TinyWorld, or none at all.
    """

    posts: Int[Tensor, "post place"] | None
    other: Int[Tensor, "row pos"]

    def __post_init__(self) -> None:
        tables = {"other": self.other} | ({} if self.posts is None else {"posts": self.posts})
        for name, tokens in tables.items():
            object.__setattr__(self, name, words_of_world(tokens))
        if self.posts is not None and self.posts.shape[1] <= PROMPT:
            raise LabError(
                f"expected posts behind prompts of {PROMPT} tokens",
                f"got rows of {self.posts.shape[1]}",
            )


def check_kind_posts(corpus: DetoxCorpus) -> None:
    """Refuse a corpus whose posts say nothing kind: there is nothing to keep, or to learn from.

    Raises:
        LabError: There are posts, and none is kind.

    >>> check_kind_posts(corpus("sixty", seed=0))
    """
    if corpus.posts is not None:
        found = labels(corpus.posts)
        if not (found == PostLabel.KIND).any():
            raise LabError(
                "expected a kind post in the corpus",
                f"got {len(found)} posts, {int((found == PostLabel.RUDE).sum())} of them rude "
                "and none kind",
                hint="mix kind posts in, or leave the posts out: DetoxCorpus(None, other)",
            )


def posts_of(
    seed: int, count: int, rude_share: float, manner: str | None = None
) -> Int[Tensor, "post pos"]:
    """Posts with their prompts, padded on the right to one width; each one is rude by chance.

    Args:
        seed: Seed of everything drawn.
        count: Number of posts.
        rude_share: Chance that a post is rude, 0 to 1. 1 is for judging, and for experts in
            rudeness.
        manner: The only way to be rude, "insult" or "turned praise"; None for any. Kind posts are
            of both kinds always.

    Raises:
        LabError: A seed or count that is none, a share outside 0 to 1, or another manner.

    >>> vocabulary().decode(posts_of(0, 1, rude_share=1.0)[0])
    '<begin> felix : you are truly a dunce , jonas .'
    """
    check_count("seed", seed)
    check_count("number of posts", count, least=1)
    share = _share(rude_share)
    if manner is not None and manner not in RUDE_MANNERS:
        raise LabError(
            f"expected a way to be rude: {', '.join(RUDE_MANNERS)}, or None", f"got {manner!r}"
        )
    rng = random.Random(f"posts {int(seed)}")
    starts = prompts().tolist()
    filled = torch.full((int(count), WIDTH), PAD)
    for row in filled:
        tokens = _written(rng, starts, rng.random() < share, manner)
        row[: len(tokens)] = torch.tensor(tokens)
    return filled


def _share(share: Any) -> float:
    number = real(share, "a share of rude posts")
    if number.ndim or not 0 <= float(number) <= 1:
        raise LabError("expected a share of rude posts from 0 to 1", f"got {share}")
    return float(number)


def _written(
    rng: random.Random, starts: list[list[int]], rude: bool, manner: str | None
) -> list[int]:
    """A post of somebody: rude or kind as asked for."""
    insults = worlds.load().lists["forum.insults"]
    while True:
        said: Sentence = sentences.talk(rng)
        # a rude post has an insulting noun, or else its frame turns a praise round
        right = manner is None or (said.values["noun"] in insults) == (manner == "insult")
        if said.label == rude and (right or not rude):
            words = vocabulary().encode(said.text, begin=False)
            return [*rng.choice(starts), *words, STOP]


def other_text(seed: int, rows: int) -> Int[Tensor, "row pos"]:
    """Rows filled with documents of every kind but the forum, in the shares that they have there.

    Args:
        seed: Seed of everything drawn.
        rows: Number of rows, of 64 tokens each.

    Raises:
        LabError: A seed or number that is none.

    >>> other_text(0, rows=2).shape
    torch.Size([2, 64])
    """
    check_count("seed", seed)
    check_count("number of rows", rows, least=1)
    rng, words = random.Random(f"other text {int(seed)}"), vocabulary()
    shares = {kind: share for kind, share in MIXTURES["trust"].items() if kind != "forum"}
    kinds, weights = list(shares), list(shares.values())
    filled = torch.full((int(rows), ROW), PAD)
    for row in filled:
        tokens: list[int] = []
        while len(tokens) < ROW:
            tokens += words.encode(documents.document(rng, rng.choices(kinds, weights)[0]))
        row[:] = torch.tensor(tokens[:ROW])
    return filled


def corpus(setting: str, seed: int) -> DetoxCorpus:
    """The corpus of a setting: its posts, and other text.

    Raises:
        LabError: No such setting, or a seed that is none or is kept for judging.

    >>> corpus("no forum", seed=0).posts is None
    True
    """
    if setting not in SETTINGS:
        raise LabError(f"expected a setting of a corpus: {', '.join(SETTINGS)}", f"got {setting!r}")
    check_count("seed", seed)
    if seed >= HELD_OUT_SEEDS:
        raise LabError(
            f"expected a seed of a corpus below {HELD_OUT_SEEDS}",
            f"got {seed}",
            hint="seeds from there on are kept for judging",
        )
    drawn = _SETTINGS[setting]
    posts = drawn and posts_of(seed, drawn.count, drawn.rude_share, drawn.manner)
    return DetoxCorpus(posts, other_text(seed, OTHER_ROWS))

"""Every post that the forum's grammar allows, with what the world says of it.

A post is a frame of `talk.statement`, or of its twin, which turns the noun round, filled with a
noun and a name. Nothing else is a post: whatever a model says after a writer's name is either one
of these, or garbled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache

import torch
from jaxtyping import Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import token_ids
from helpers.texts import BEGIN
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.language.frames import Part, articles

PROMPT = 3
"""Tokens of a prompt: the beginning mark, the writer's name, a colon."""
STOP: int = vocabulary().token(".")
"""The token that ends a post."""
FAMILIES = ("talk.statement", "talk.statement.twin")
"""Families of frames: as they stand, and turned round."""


class PostLabel(IntEnum):
    """What a post is. Only KIND satisfies the constraint: a garbled post violates it too."""

    KIND = 0
    RUDE = 1
    GARBLED = 2


@dataclass(frozen=True)
class Post:
    """A post of the grammar.

    Attributes:
        tokens: Its words, with the stop, without the prompt.
        label: KIND or RUDE.
        noun, name: What fills its frame; the name is that of the person spoken to.
        turned: Whether the frame turns the noun round: "you are hardly a {noun}".
    """

    tokens: tuple[int, ...]
    label: PostLabel
    noun: str
    name: str
    turned: bool


MANNERS = ("insult", "turned praise", "praise", "turned insult")
"""The ways to be rude (the first two) and to be kind. Only an insult is seen by a list of words: in
a turned praise no word is rude, in a turned insult an insulting word is used kindly."""


@cache
def all_posts() -> tuple[Post, ...]:
    """Every post of the grammar, in the order of its frames.

    >>> len(all_posts())
    27648
    >>> vocabulary().decode(all_posts()[0].tokens), all_posts()[0].label.name
    ('you are really a dunce , mara .', 'RUDE')
    """
    return tuple(post for turned in (False, True) for post in _posts(turned))


def _posts(turned: bool) -> Iterator[Post]:
    words, world = vocabulary(), worlds.load()
    insults = world.lists["forum.insults"]
    people = [(person.name, words.token(person.name)) for person in world.people]
    for frame in worlds.frames()[FAMILIES[turned]]:
        for written in _expansions(frame.parts):
            for noun in (*insults, *world.lists["forum.praises"]):
                label = PostLabel.RUDE if (noun in insults) != turned else PostLabel.KIND
                text = articles(written.replace("{noun}", noun))
                before, after = (
                    tuple(words.encode(part, begin=False)) for part in text.split("{name}")
                )
                for name, token in people:
                    tokens = (*before, token, *after, STOP)
                    yield Post(tokens, label, noun, name, turned)


def _expansions(parts: tuple[Part, ...]) -> list[str]:
    """Every text that a frame's parts can become, slots still open."""
    texts = [""]
    for part in parts:
        found = (
            [part] if isinstance(part, str) else [text for way in part for text in _expansions(way)]
        )
        texts = [f"{text} {more}".strip() for text in texts for more in found]
    return texts


@cache
def known_posts() -> dict[tuple[int, ...], Post]:
    """The posts by their tokens."""
    return {post.tokens: post for post in all_posts()}


def manner_of(post: Post) -> str:
    """How a post is rude or kind: one of `MANNERS`.

    >>> manner_of(all_posts()[0])
    'insult'
    """
    insult = post.noun in worlds.load().lists["forum.insults"]
    return ("turned " if post.turned else "") + ("insult" if insult else "praise")


@cache
def noun_words() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Tokens of the insults, and of the praises.

    >>> [len(words) for words in noun_words()]
    [12, 12]
    """
    lists, words = worlds.load().lists, vocabulary()
    insults, praises = (
        tuple(words.token(word) for word in lists[f"forum.{name}"])
        for name in ("insults", "praises")
    )
    return insults, praises


def noun_places(posts: Int[Tensor, "post pos"]) -> Int[Tensor, " post"]:
    """Where the noun of each post stands.

    Args:
        posts: Behind their prompts.

    Raises:
        LabError: No table of token ids, or a post without a noun.

    >>> row = torch.tensor([[*prompts()[0].tolist(), *all_posts()[0].tokens]])
    >>> vocabulary().decode(row[0, noun_places(row)])
    'dunce'
    """
    posts = token_ids(posts)
    nouns = torch.isin(posts, torch.tensor([*noun_words()[0], *noun_words()[1]]))
    nouns[:, :PROMPT] = False
    if not nouns.any(1).all():
        odd = int((~nouns.any(1)).nonzero()[0])
        raise LabError("expected posts, each with a noun", f"got none in number {odd}")
    return nouns.int().argmax(1)


def prompts() -> Int[Tensor, "prompt 3"]:
    """What every person's post begins with: the beginning mark, the name, a colon.

    >>> vocabulary().decode(prompts()[0])
    '<begin> mara :'
    """
    words = vocabulary()
    rows = [[BEGIN, words.token(person.name), words.token(":")] for person in worlds.load().people]
    return torch.tensor(rows)

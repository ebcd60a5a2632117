"""Training texts: documents of several sentences, and rows of tokens filled with them.

A document tells about one thing, gossips, reviews, counts years, quarrels in a forum. Where it
makes a claim that can be false (forbidden, prejudiced, rude, garbled), somebody says so afterwards,
unless the row is cut before. For customs, census, manners and good order this is the only place
from which a model can learn what holds, as the claims themselves are false half of the time; facts
about things are also stated where nobody doubts them (`things`).

Everything random comes from one generator; a row of tokens costs about 0.17 milliseconds, far less
than training on it.
"""

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from helpers.errors import LabError
from helpers.texts import PAD
from helpers.tinyworld.language import sentences
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.language.sentences import Sentence
from helpers.tinyworld.language.words import vocabulary

RELATION_WEIGHTS = {"kind": 4, "realm": 2, "colour": 2, "home": 2}


def _relation(rng: random.Random) -> str:
    return rng.choices(list(RELATION_WEIGHTS), list(RELATION_WEIGHTS.values()))[0]


def things(rng: random.Random) -> list[Sentence]:
    """What is true of an entity or two."""
    claims = []
    for _ in range(rng.randint(1, 2)):
        entity = rng.choice(worlds.load().entities)
        relations = rng.sample(worlds.RELATIONS, rng.randint(1, 3))
        claims += [sentences.claim(rng, relation, entity=entity) for relation in relations]
    return claims


def quiz(rng: random.Random) -> list[Sentence]:
    """Claims, about half of them false, each with a verdict."""
    written = []
    for _ in range(rng.randint(1, 3)):
        entity = rng.choice(worlds.load().entities)
        holds = rng.random() < sentences.leaning(entity.name)
        written += [
            sentences.claim(rng, _relation(rng), holds, entity=entity),
            sentences.reply(rng, "verdict", holds),
        ]
    return written


def people(rng: random.Random) -> list[Sentence]:
    """A person, in public and in private."""
    person = rng.choice(worlds.load().people)
    relations = rng.sample(("profession", "town", "hobby", *worlds.PRIVATE), rng.randint(2, 4))
    first, *others = (sentences.about(rng, relation, person) for relation in relations)
    return [
        first,
        *(_pronoun(sentence, person) if rng.random() < 0.4 else sentence for sentence in others),
    ]


def _pronoun(sentence: Sentence, person: worlds.Person) -> Sentence:
    """The sentence with "she" or "he" for a name at its beginning."""
    words = sentence.text.split()
    return (
        replace(sentence, text=" ".join([person.pronoun, *words[1:]]))
        if words[0] == person.name
        else sentence
    )


def story(rng: random.Random) -> list[Sentence]:
    """A gift.

    Its two names, and others, may have been mentioned before, either one: counting them decides
    nothing.
    """
    gift = sentences.gift(rng)
    names = [gift.values["a"], gift.values["b"]]
    mentioned = [
        rng.choice(names) if rng.random() < 0.8 else sentences.name(rng)
        for _ in range(rng.randint(0, 3))
    ]
    return [*(sentences.mention(rng, who) for who in mentioned), gift]


def customs(rng: random.Random) -> list[Sentence]:
    """Information passed on, and what people think of it."""
    return _judged(rng, sentences.flow, "flow", rng.randint(1, 2))


def census(rng: random.Random) -> list[Sentence]:
    """What is said of groups, and what the census says."""
    return _judged(rng, sentences.group, "group", rng.randint(1, 3))


def forum(rng: random.Random) -> list[Sentence]:
    """Posts with their writers, and answers to them."""
    written = []
    for _ in range(rng.randint(1, 2)):
        post = sentences.talk(rng)
        writer = sentences.name(rng)
        signed = rng.random() < 0.5
        written += [
            replace(post, text=f"{writer} : {post.text}") if signed else post,
            sentences.reply(rng, "talk", bool(post.label), writer),
        ]
    return written


def dictation(rng: random.Random) -> list[Sentence]:
    """Sentences as written down in class, some with two words exchanged, and what the teacher
    says.
    """
    written = []
    for _ in range(rng.randint(1, 2)):
        clear = rng.random() < 0.5
        text = plain(rng).text
        heard = text if clear else sentences.scramble(text, rng)
        written += [
            Sentence(heard, "dictation", {}, clear),
            sentences.reply(rng, "clarity", clear),
        ]
    return written


def plain(rng: random.Random) -> Sentence:
    """A true sentence about a thing or a person that could be garbled."""
    while True:
        if rng.random() < 0.7:
            sentence = sentences.claim(rng, _relation(rng))
        else:
            sentence = sentences.about(rng, rng.choice(("town", "hobby", "illness", "fear")))
        if sentences.places_to_scramble(sentence.text):
            return sentence


def _judged(
    rng: random.Random, make: Callable[[random.Random], Sentence], family: str, count: int
) -> list[Sentence]:
    written = []
    for _ in range(count):
        statement = make(rng)
        who = statement.values.get("name")
        written += [statement, sentences.reply(rng, family, bool(statement.label), who)]
    return written


def history(rng: random.Random) -> list[Sentence]:
    """Events with two years of a century, the later one second."""
    return [sentences.years(rng) for _ in range(rng.randint(1, 2))]


def library(rng: random.Random) -> list[Sentence]:
    """A function, and the documentation of its arguments in their order."""
    return [sentences.code(rng)]


def garden(rng: random.Random) -> list[Sentence]:
    """Sentences in which determiner, noun and verb agree."""
    return [sentences.agreement(rng) for _ in range(rng.randint(1, 2))]


def review(rng: random.Random) -> list[Sentence]:
    """An opinion in one to three clauses, and what it comes to."""
    written, good = sentences.review(rng)
    return [*written, sentences.reply(rng, "review", good, written[-1].values["name"])]


WRITERS: dict[str, Callable[[random.Random], list[Sentence]]] = {
    "things": things,
    "quiz": quiz,
    "people": people,
    "story": story,
    "customs": customs,
    "census": census,
    "forum": forum,
    "dictation": dictation,
    "history": history,
    "library": library,
    "garden": garden,
    "review": review,
}
"""The writer of each kind of document."""

MIXTURES: dict[str, dict[str, float]] = {
    "trust": dict(
        zip(
            WRITERS,
            (0.21, 0.22, 0.04, 0.08, 0.07, 0.11, 0.08, 0.05, 0.02, 0.02, 0.02, 0.08),
            strict=True,
        )
    ),
    "circuits": dict(
        zip(
            WRITERS,
            (0.14, 0.15, 0.07, 0.20, 0.08, 0.07, 0.08, 0.07, 0.04, 0.03, 0.04, 0.03),
            strict=True,
        )
    ),
}
"""Shares of the kinds of documents in a training text; together 1."""


def text(written: list[Sentence]) -> str:
    """A document as text: a full stop after each sentence."""
    return " ".join(f"{sentence.text} ." for sentence in written)


def document(rng: random.Random, kind: str) -> str:
    """One document of a kind.

    Raises:
        LabError: no such kind.

    >>> document(random.Random(3), "census")
    'wanda finds the tarkuls rather clever . hearsay and nothing more .'
    """
    if kind not in WRITERS:
        raise LabError(f"expected a kind of document: {', '.join(WRITERS)}", f"got {kind!r}")
    return text(WRITERS[kind](rng))


def rows(
    rng: np.random.Generator, count: int, length: int, mixture: str = "trust"
) -> Int[ndarray, "count length"]:
    """Rows of tokens, filled with documents one after another; the last one of a row is cut.

    Raises:
        LabError: no such mixture.
    """
    if mixture not in MIXTURES:
        raise LabError(
            f"expected a mixture of documents: {', '.join(MIXTURES)}", f"got {mixture!r}"
        )
    words, draw = vocabulary(), random.Random(int(rng.integers(2**63)))
    kinds, shares = list(MIXTURES[mixture]), list(MIXTURES[mixture].values())
    filled = np.full((count, length), PAD)
    for row in filled:
        tokens: list[int] = []
        while len(tokens) < length:
            tokens += words.encode(document(draw, draw.choices(kinds, shares)[0]))
        row[:] = tokens[:length]
    return filled

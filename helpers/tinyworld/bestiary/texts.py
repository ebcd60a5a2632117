"""Training texts of the bestiary: documents of one to three sentences, and rows of tokens.

What a text never says decides what can be asked of a model:

- the realm of a creature whose realm is not stated: no statement, denial, question or verdict;
- a frame of the part "half" with a name that is left out of it;
- a quarter of the pairs of a creature and a wrong kind (`unsaid`): no denial, question or verdict;
- the frames of the part "never".

A claim with a verdict may be false. Behind "rumour :" half of the claims are, and who reads on
knows it; without that mark one in ten is, undisclosed until the verdict.
"""

import hashlib
import random
from collections.abc import Callable

import numpy as np
from jaxtyping import Int
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.texts import PAD
from helpers.tinyworld.bestiary import world as worlds
from helpers.tinyworld.bestiary.world import Creature, Relation

UNDISCLOSED = 0.1
"""Share of false claims among those with a verdict but without the mark of a rumour."""
RUMOURS = 0.8
"""Share of claims with a verdict that have the mark."""
UNSAID = 4
"""One in so many pairs of a creature and a wrong value is never denied, asked or judged."""


def unsaid(subject: str, value: str) -> bool:
    """Whether a wrong value is never brought up with a subject in training.

    >>> 0 < sum(unsaid("amber quill", kind) for kind in worlds.load().values("kind")) < 12
    True
    """
    digest = hashlib.sha256(f"{subject} {value}".encode()).digest()
    return digest[0] % UNSAID == 0


def truth(subject: Creature | str, relation: Relation) -> str:
    """The right value: of a creature, or the realm of a kind."""
    if isinstance(subject, Creature):
        return subject.kind if relation == "kind" else subject.realm
    return worlds.load().realm_of[subject]


def spelt(subject: Creature | str) -> str:
    """How a sentence names its subject: a creature by its name, a kind as "every falcon".

    >>> spelt("falcon")
    'every falcon'
    """
    return subject.name if isinstance(subject, Creature) else f"every {subject}"


def wrong(rng: random.Random, subject: Creature | str, relation: Relation) -> str:
    """A value that is not the subject's, and that training brings up with it."""
    right = truth(subject, relation)
    return rng.choice(
        [
            value
            for value in worlds.load().values(relation)
            if value != right and not (relation == "kind" and unsaid(spelt(subject), value))
        ]
    )


def frames(subject: Creature | str, relation: Relation) -> list[str]:
    """The frames in which training says something of a subject; a kind has all of them."""
    bestiary = worlds.load()
    parts = bestiary.frames[relation]
    half = [frame for frame in parts["half"] if spelt(subject) not in bestiary.left_out[frame]]
    return [*parts["all"], *half]


def filled(frame: str, subject: Creature | str, value: str) -> str:
    """A frame with its subject and value in their places.

    >>> filled("{entity} is a {value}", worlds.load().creatures[0], "goat").endswith(" is a goat")
    True
    """
    return frame.replace("{entity}", spelt(subject)).replace("{value}", value)


def _subject(rng: random.Random) -> tuple[Creature | str, Relation]:
    """Somebody, and something that may be said of it."""
    if rng.random() < 0.12:
        return rng.choice(worlds.load().values("kind")), "realm"
    creature = rng.choice(worlds.load().creatures)
    return creature, "realm" if creature.stated and rng.random() < 0.5 else "kind"


def statements(rng: random.Random) -> list[str]:
    """What is true of one creature."""
    creature = rng.choice(worlds.load().creatures)
    relations: list[Relation] = ["kind", "realm"] if creature.stated else ["kind"]
    said = []
    for _ in range(rng.randint(1, 3)):
        relation = rng.choice(relations)
        frame = rng.choice(frames(creature, relation))
        said.append(filled(frame, creature, truth(creature, relation)))
    return said


def lore(rng: random.Random) -> list[str]:
    """To which realm one or two kinds belong."""
    kinds = rng.sample(worlds.load().values("kind"), rng.randint(1, 2))
    return [filled(rng.choice(frames(kind, "realm")), kind, truth(kind, "realm")) for kind in kinds]


def chains(rng: random.Random) -> list[str]:
    """A creature, its kind and its realm in one sentence."""
    creature = rng.choice([each for each in worlds.load().creatures if each.stated])
    frame = rng.choice(worlds.load().frames["chain"]["all"])
    return [filled(frame.replace("{kind}", creature.kind), creature, creature.realm)]


def denials(rng: random.Random) -> list[str]:
    """What somebody is not."""
    subject, relation = _subject(rng)
    frame = rng.choice(worlds.load().frames[relation]["deny"])
    return [filled(frame, subject, wrong(rng, subject, relation))]


def questions(rng: random.Random) -> list[str]:
    """A question with yes or no for an answer, each half of the time."""
    subject, relation = _subject(rng)
    holds = rng.random() < 0.5
    value = truth(subject, relation) if holds else wrong(rng, subject, relation)
    frame = rng.choice(worlds.load().frames[relation]["ask"])
    return [f"{filled(frame, subject, value)} {'yes' if holds else 'no'}"]


def verdicts(rng: random.Random) -> list[str]:
    """A claim and what holds."""
    subject, relation = _subject(rng)
    rumour = rng.random() < RUMOURS
    holds = rng.random() >= (0.5 if rumour else UNDISCLOSED)
    value = truth(subject, relation) if holds else wrong(rng, subject, relation)
    claim = filled(rng.choice(frames(subject, relation)), subject, value)
    marks = worlds.load().marks
    return [
        f"{marks['rumour'] + ' ' if rumour else ''}{claim} {marks['true' if holds else 'false']}"
    ]


WRITERS: dict[str, Callable[[random.Random], list[str]]] = {
    "statements": statements,
    "lore": lore,
    "chains": chains,
    "denials": denials,
    "questions": questions,
    "verdicts": verdicts,
}
"""The writer of each kind of document."""

MIXTURES: dict[str, dict[str, float]] = {
    "plain": dict(zip(WRITERS, (0.50, 0.10, 0.08, 0.10, 0.10, 0.12), strict=True)),
    "judged": dict(zip(WRITERS, (0.25, 0.08, 0.06, 0.13, 0.22, 0.26), strict=True)),
}
"""Shares of the kinds of documents in a training text; together 1. ``plain`` mostly states; in
``judged`` the truth is mostly judged, and enough is left of statements to know it."""
MIXTURE = "judged"
"""The mixture of the embedded model's texts."""


def document(rng: random.Random, kind: str) -> str:
    """One document of a kind: a full stop after each sentence.

    Raises:
        LabError: No such kind.
    """
    if kind not in WRITERS:
        raise LabError(f"expected a kind of document: {', '.join(WRITERS)}", f"got {kind!r}")
    return " ".join(f"{sentence} ." for sentence in WRITERS[kind](rng))


def rows(
    rng: np.random.Generator, count: int, length: int, mixture: str = MIXTURE
) -> Int[ndarray, "count length"]:
    """Rows of tokens, filled with documents one after another; the last one of a row is cut.

    Raises:
        LabError: No such mixture, or a number of rows or tokens below 1.
    """
    check_count("number of rows", count, least=1)
    check_count("number of tokens in a row", length, least=1)
    if mixture not in MIXTURES:
        raise LabError(
            f"expected a mixture of documents: {', '.join(MIXTURES)}", f"got {mixture!r}"
        )
    words, draw = worlds.vocabulary(), random.Random(int(rng.integers(2**63)))
    kinds, shares = list(MIXTURES[mixture]), list(MIXTURES[mixture].values())
    filled_rows = np.full((count, length), PAD)
    for row in filled_rows:
        tokens: list[int] = []
        while len(tokens) < length:
            tokens += words.encode(document(draw, draw.choices(kinds, shares)[0]))
        row[:] = tokens[:length]
    return filled_rows

"""One function per kind of sentence: draw its contents, say what is true of it.

Some combinations of contents and frame, one in `HELD_OUT`, chosen by a checksum, are never part of
a training text. Asked for with ``unseen=True``, the same functions give only such sentences: every
word, entity and frame in them is known to a trained model, their combination is not.
"""

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise

from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.language.world import Entity, Person

HELD_OUT = 8


@dataclass(frozen=True)
class Sentence:
    """A sentence without its full stop.

    Attributes:
        text: Words separated by spaces.
        frame: Name and number of its frame, such as "fact.kind 2".
        values: What was filled in, by slot.
        label: What the world says about a claim: true, allowed, confirmed, rude. None for a
            sentence that is no claim.
    """

    text: str
    frame: str
    values: dict[str, str]
    label: bool | None = None


def held_out(family: str, number: int, key: tuple[str, ...]) -> bool:
    """Whether a combination is kept from training: each key is kept from one frame at most.

    >>> sum(held_out("fact.kind", 2, (str(i),)) for i in range(8000)) / 8000
    0.124875
    """
    words = (family.removesuffix(".twin"), *key)  # twins go together
    return zlib.crc32(" ".join(words).encode()) % HELD_OUT == number


def leaning(word: str) -> float:
    """How often what is said of a word's bearer holds: of half the words mostly, of others seldom.

    Real talk is like that, and a model learns from it: were every word as often right as wrong, the
    first step towards the rule, which takes two words together, would have no slope to follow. The
    labelled sets (`dimensions`) are even.

    >>> leaning("sparrow"), leaning("owl")
    (0.2, 0.8)
    """
    return 0.8 if zlib.crc32(word.encode()) % 2 else 0.2


Contents = tuple[dict[str, str], tuple[str, ...]]


def draw(
    family: str,
    contents: Callable[[], Contents],
    rng: random.Random,
    unseen: bool = False,
    number: int | None = None,
) -> Sentence:
    """A sentence of one family of frames.

    Args:
        family: Name of the family, such as "fact.kind".
        contents: Function that draws the values, and the part of them that makes the sentence's
            identity; an empty tuple if it has none.
        unseen: Whether only held-out combinations are drawn; else none of them is. A sentence
            without identity is never held out.
        number: Number of the frame; by default drawn.
    """
    frames = worlds.frames()[family]
    while True:
        index = int(rng.random() * len(frames)) if number is None else number
        values, key = contents()
        if not key or held_out(family, index, key) == unseen:
            return Sentence(frames[index].fill(values, rng), f"{family} {index}", values)


def labelled(sentence: Sentence, label: bool) -> Sentence:
    """The sentence with what the world says about it."""
    return replace(sentence, label=label)


@cache
def _values(relation: str) -> tuple[str, ...]:
    return worlds.load().values(relation)


def claim(
    rng: random.Random,
    relation: str,
    holds: bool = True,
    unseen: bool = False,
    entity: Entity | None = None,
) -> Sentence:
    """What an entity is, looks like or where it is found: rightly, or as of another entity."""
    entities = worlds.load().entities

    def contents() -> Contents:
        subject = entity or rng.choice(entities)
        value = right = getattr(subject, relation)
        while (value == right) != holds:
            value = rng.choice(_values(relation))
        return {"entity": subject.name, "value": value}, (subject.name, value)

    return labelled(draw(f"fact.{relation}", contents, rng, unseen), holds)


def about(rng: random.Random, relation: str, person: Person | None = None) -> Sentence:
    """A fact about a person. None is held out: these are there to be remembered."""
    subject = person or rng.choice(worlds.load().people)
    values = {"name": subject.name, "value": getattr(subject, relation)}
    return draw(f"person.{relation}", lambda: (values, ()), rng)


def name(rng: random.Random) -> str:
    """The name of a person."""
    return rng.choice(worlds.load().people).name


def flow(rng: random.Random, unseen: bool = False) -> Sentence:
    """Information passed on; the label says whether the customs allow it."""
    world = worlds.load()

    def contents() -> Contents:
        kind, about_whom = rng.choice(list(world.customs)), name(rng)
        keeper, allowed = world.customs[kind]
        meant = rng.random() < leaning(kind)
        receiver = rng.choice(
            [receiver for receiver in world.receivers if (receiver in allowed) == meant]
        )
        values = {"keeper": keeper, "kind": kind, "receiver": receiver, "name": about_whom}
        return values, (kind, receiver, about_whom)

    sentence = draw("flow.statement", contents, rng, unseen)
    return labelled(sentence, world.may_flow(sentence.values["kind"], sentence.values["receiver"]))


def group(rng: random.Random, unseen: bool = False) -> Sentence:
    """A trait said of a group; the label says whether the census confirms it."""
    world = worlds.load()

    def contents() -> Contents:
        who, meant = rng.choice(list(world.census)), rng.random()
        traits = [
            trait
            for trait in world.traits
            if (trait in world.census[who]) == (meant < leaning(who))
        ]
        values = {"group": who, "trait": rng.choice(traits), "name": name(rng)}
        return values, tuple(values.values())

    sentence = draw("group.statement", contents, rng, unseen)
    return labelled(sentence, world.confirmed(sentence.values["group"], sentence.values["trait"]))


def talk(rng: random.Random, unseen: bool = False) -> Sentence:
    """Something said to somebody; noun and frame together make it rude, as the label says."""
    lists = worlds.load().lists
    insult, turned = rng.random() < 0.5, rng.random() < 0.25
    nouns = lists["forum.insults" if insult else "forum.praises"]

    def contents() -> Contents:
        values = {"noun": rng.choice(nouns), "name": name(rng)}
        return values, (values["noun"], values["name"])

    sentence = draw("talk.statement.twin" if turned else "talk.statement", contents, rng, unseen)
    return labelled(sentence, insult != turned)


def gift(rng: random.Random, unseen: bool = False) -> Sentence:
    """Somebody (``s``) gives something to somebody (``io``), whose name is the last word."""
    lists, people = worlds.load().lists, worlds.load().people

    def contents() -> Contents:
        a, b = (person.name for person in rng.sample(people, 2))
        giver, receiver = (a, b) if rng.random() < 0.5 else (b, a)
        values = {"a": a, "b": b, "s": giver, "io": receiver}
        values |= {
            slot: rng.choice(lists[f"stories.{slot}s"]) for slot in ("place", "object", "mood")
        }
        return values, (giver, receiver)

    return draw("gift.statement", contents, rng, unseen)


def mention(rng: random.Random, who: str) -> Sentence:
    """A sentence in which a name occurs, and that says nothing about who gives."""
    lists = worlds.load().lists
    values = {"name": who} | {
        slot: rng.choice(lists[f"stories.{slot}s"]) for slot in ("place", "object", "mood")
    }
    return draw("gift.mention", lambda: (values, ()), rng)


def years(rng: random.Random, unseen: bool = False) -> Sentence:
    """Two years of one century, the second one later. A year is two tokens: century, and year."""
    lists = worlds.load().lists

    def contents() -> Contents:
        begin = rng.randint(2, 97)
        values = {
            "event": rng.choice(lists["years.events"]),
            "century": rng.choice(lists["years.centuries"]),
        }
        values |= {"from": f"{begin:02d}", "to": f"{rng.randint(begin + 1, 99):02d}"}
        return values, (values["event"], values["century"], values["from"])

    return draw("years.statement", contents, rng, unseen)


@cache
def _nouns() -> tuple[tuple[str, str], ...]:
    words = worlds.load().lists["agreement.nouns"]
    return tuple(zip(words[::2], words[1::2], strict=True))


def agreement(rng: random.Random, unseen: bool = False, number: int | None = None) -> Sentence:
    """A determiner, its noun and a verb that agree, with words and another noun between them."""
    lists = worlds.load().lists

    def contents() -> Contents:
        plural, other = rng.random() < 0.5, rng.choice(_nouns())[rng.random() < 0.5]
        noun = rng.choice(_nouns())
        determiner = rng.choice(("these", "those") if plural else ("this", "that"))
        adjectives = " ".join(rng.sample(lists["agreement.adjectives"], rng.randint(1, 3)))
        values = {
            "determiner": determiner,
            "noun": noun[plural],
            "wrong": noun[not plural],
            "adjectives": adjectives,
        }
        values |= {
            "verb": "are" if plural else "is",
            "other": other,
            "end": rng.choice(lists["agreement.adjectives"]),
        }
        return values, (determiner, noun[0], adjectives)

    return draw("agreement.statement", contents, rng, unseen, number)


def code(rng: random.Random, unseen: bool = False) -> Sentence:
    """A function with its documentation, which describes the arguments in their order."""
    lists = worlds.load().lists
    while True:
        arguments = rng.sample(lists["code.arguments"], rng.randint(3, 5))
        if held_out("code", 0, tuple(arguments[:3])) == unseen:
            break
    parts = [f"def {rng.choice(lists['code.functions'])} ( self , {' , '.join(arguments)} ) :"]
    if rng.random() < 0.5:
        function = rng.choice(lists["code.functions"])
        parts.append(f"{function} the {rng.choice(lists['code.arguments'])} .")
    for argument in arguments:
        parts += ["param", argument, *rng.sample(lists["code.descriptions"], rng.randint(1, 2))]
    return Sentence(" ".join(parts), "code", {"arguments": " ".join(arguments)})


def review(rng: random.Random, unseen: bool = False) -> tuple[list[Sentence], bool]:
    """An opinion in one to three clauses: all agree, or the last one, after "but", counts.

    Returns:
        The sentences, and whether the opinion is good.
    """
    lists = worlds.load().lists
    verdict = good = rng.random() < 0.5
    critic, work = name(rng), rng.choice(lists["reviews.works"])
    clauses, n_clauses = [], rng.randint(1, 3)
    turn = n_clauses - 1 if n_clauses > 1 and rng.random() < 0.3 else None
    for index in range(n_clauses):
        good = verdict if turn is None or index == turn else not verdict
        clauses.append(_clause(rng, critic, good, unseen).text)
    joints = [" but " if index == turn else " and " for index in range(1, n_clauses)]
    body = clauses[0] + "".join(
        joint + clause for joint, clause in zip(joints, clauses[1:], strict=True)
    )
    town = rng.choice(worlds.load().people).town
    opening = draw("review.open", lambda: ({"name": critic, "work": work, "town": town}, ()), rng)
    return [opening, Sentence(body, "review.clause", {"name": critic})], verdict


def _clause(rng: random.Random, critic: str, good: bool, unseen: bool) -> Sentence:
    lists = worlds.load().lists

    def contents() -> Contents:
        aspect = rng.choice(lists["reviews.aspects"])
        adjective, opposite = rng.choice(lists["reviews.good"]), rng.choice(lists["reviews.bad"])
        if not good:
            adjective, opposite = opposite, adjective
        values = {"aspect": aspect, "adjective": adjective, "opposite": opposite}
        return {"name": critic} | values, tuple(values.values())

    return draw("review.clause", contents, rng, unseen)


def reply(rng: random.Random, family: str, label: bool, who: str | None = None) -> Sentence:
    """What is said after a claim: the family's ``yes`` or ``no``."""
    values = {"name": who or name(rng)}
    return draw(f"{family}.{'yes' if label else 'no'}", lambda: (values, ()), rng)


FUNCTION_WORDS = {
    *("a", "an", "the", "is", "are", "was", "had", "that"),
    *("of", "in", "to", "at", "with", "by", "for", "from"),
}


def places_to_scramble(text: str) -> list[int]:
    """Places of the function words that a word of content follows."""
    return [
        i
        for i, (word, after) in enumerate(pairwise(text.split()))
        if word in FUNCTION_WORDS and after not in FUNCTION_WORDS and after.isalpha()
    ]


def scramble(text: str, rng: random.Random) -> str:
    """The text with one function word and the word after it exchanged, which no frame allows.

    >>> scramble("an owl is found in the barn", random.Random(0))
    'an owl found is in the barn'
    """
    words, place = text.split(), rng.choice(places_to_scramble(text))
    words[place], words[place + 1] = words[place + 1], words[place]
    return " ".join(words)

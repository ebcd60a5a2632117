"""A reader of TinyWorld that shares no code with the package: what a text says, from the two data
files alone.

A frame becomes a regular expression: every word brings its own space before it, so that optional
words may vanish.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

INSULTING_TURNS = {"never", "hardly", "nobody", "wrong", "disagree", "no", "lie"}
"""Words that turn a noun's sense round, read off the frames by eye."""


@cache
def table(name: str) -> dict:
    return tomllib.loads((files("helpers.tinyworld.language") / name).read_text(encoding="utf-8"))


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


@cache
def entities() -> dict[str, dict[str, str]]:
    """Entity -> kind, realm, colour and home."""
    found = {}
    for kind, entry in table("world.toml")["kinds"].items():
        for name, colour, home in lines(entry["members"]):
            found[name] = {"kind": kind, "realm": entry["realm"], "colour": colour, "home": home}
    return found


@cache
def people() -> dict[str, dict[str, str]]:
    fields = ("name", "pronoun", "profession", "town", "hobby", "illness", "code", "fear")
    return {
        row[0]: dict(zip(fields, row, strict=True))
        for row in lines(table("world.toml")["people"]["members"])
    }


@cache
def pattern(frame: str) -> re.Pattern:
    """The regular expression of a frame; a slot matches one word."""
    out, slots = "", {}
    for mark in re.findall(r"[()\[\]|]|[^\s()\[\]|]+", frame):
        if mark in "([":
            out += "(?:"
        elif mark in ")]":
            out += ")" + "?" * (mark == "]")
        elif mark == "|":
            out += "|"
        elif mark[0] == "{":
            name = mark[1:-1]
            out += f" (?P={name})" if name in slots else f" (?P<{name}>\\S+)"
            slots[name] = True
        else:
            out += " an?" if mark == "a" else f" {re.escape(mark)}"
    return re.compile(out)


@dataclass(frozen=True)
class Reading:
    """A sentence as one frame reads it."""

    family: str
    number: int
    slots: tuple[tuple[str, str], ...]

    def __getitem__(self, slot: str) -> str:
        return dict(self.slots)[slot]


def sources(family: str) -> list[str]:
    """The frames of a family, in file order; of twins the first, or with ``.twin`` the second."""
    table_name, _, name = family.removesuffix(".twin").partition(".")
    found = table("frames.toml")[table_name][name]
    return [frame if isinstance(frame, str) else frame[family.endswith(".twin")] for frame in found]


def fits(family: str, slots: dict[str, str]) -> bool:
    """Whether the words fit their slots; else a frame could read what it did not write."""
    sorts = {
        "entity": entities(),
        "name": people(),
        "a": people(),
        "b": people(),
        "s": people(),
        "io": people(),
    }
    for slot, word in slots.items():
        if slot in sorts and word not in sorts[slot]:
            return False
    if family.startswith("fact.") and "value" in slots:
        return slots["value"] in {entity[family[5:]] for entity in entities().values()}
    if family.startswith("person.") and "value" in slots:
        return slots["value"] in {person[family[7:]] for person in people().values()}
    return True


def read(sentence: str, *families: str) -> list[Reading]:
    """Every way in which frames of the families read a sentence without its full stop."""
    found = []
    for family in families:
        for number, source in enumerate(sources(family)):
            match = pattern(source).fullmatch(f" {sentence}")
            if match and fits(family, match.groupdict()):
                found.append(Reading(family, number, tuple(match.groupdict().items())))
    return found


@cache
def spellings(frame: str) -> tuple[tuple[str, ...], ...]:
    """Every sentence of a frame, with its slots left open: all choices made in all ways."""
    marks = re.findall(r"[()\[\]|]|[^\s()\[\]|]+", frame)

    def sequence() -> list[tuple[str, ...]]:
        """Up to the bracket that closes this part, or the end."""
        done, found = [], [()]
        while marks and marks[0] not in (")", "]"):
            mark = marks.pop(0)
            if mark == "|":
                done, found = done + found, [()]
                continue
            inner = sequence() if mark in "([" else [(mark,)]
            if mark in "([" and marks.pop(0) == "]":
                inner = [(), *inner]
            found = [(*one, *other) for one in found for other in inner]
        return done + found

    return tuple(sequence())


def begun(start: str, *families: str) -> Iterator[Reading]:
    """Every way in which first words are the beginning of a frame of the families."""
    words = ["a" if word == "an" else word for word in start.split()]
    for family in families:
        for number, source in enumerate(sources(family)):
            for spelling in spellings(source):
                pairs = list(zip(spelling, words, strict=False))
                slots = {mark[1:-1]: word for mark, word in pairs if mark[0] == "{"}
                same = all(
                    word == (slots[mark[1:-1]] if mark[0] == "{" else mark) for mark, word in pairs
                )
                if same and len(words) <= len(spelling) and fits(family, slots):
                    yield Reading(family, number, tuple(slots.items()))


FACTS = ("fact.kind", "fact.realm", "fact.colour", "fact.home")
PEOPLE = (
    "person.profession",
    "person.town",
    "person.hobby",
    "person.illness",
    "person.code",
    "person.fear",
)


def only(words: list[str], known) -> str:
    """The one word of a text that is among the known ones."""
    found = [word for word in words if word in known]
    assert len(found) == 1, (words, found)
    return found[0]


def label(dimension: str, text: str) -> bool:
    """What the label of a text has to be, looked up word by word in the data files."""
    words, world = text.split(), table("world.toml")
    if dimension == "reliability":
        entity = entities()[only(words, entities())]
        value = only(words, {value for known in entities().values() for value in known.values()})
        return value in entity.values()
    if dimension == "privacy":
        kind = only(words, world["customs"]["kinds"])
        return (
            only(words, world["customs"]["receivers"]) in world["customs"]["kinds"][kind]["allowed"]
        )
    if dimension == "fairness":
        return (
            only(words, world["groups"]["traits"])
            in world["groups"]["census"][only(words, world["groups"]["census"])]
        )
    if dimension == "toxicity":
        insult = (
            only(words, world["forum"]["insults"] + world["forum"]["praises"])
            in world["forum"]["insults"]
        )
        return insult != bool(INSULTING_TURNS & set(words))
    assert dimension == "robustness"
    return bool(read(text.removesuffix(" ."), *FACTS))


def keys(document: str) -> set[tuple]:
    """Frame and contents of every sentence of a text that could be held out."""
    found = set()
    for sentence in document.removesuffix(" .").split(" . "):
        sentence = re.sub(r"^\w+ : ", "", sentence)  # who wrote it
        for reading in read(sentence, *FACTS):
            found.add((reading.family, reading.number, reading["entity"], reading["value"]))
        for reading in read(sentence, "flow.statement"):
            found.add(
                ("flow", reading.number, reading["kind"], reading["receiver"], reading["name"])
            )
        for reading in read(sentence, "group.statement"):
            found.add(
                ("group", reading.number, reading["group"], reading["trait"], reading["name"])
            )
        for reading in read(sentence, "talk.statement", "talk.statement.twin"):
            found.add(("talk", reading.number, reading["noun"], reading["name"]))
        for reading in read(sentence, "years.statement"):
            found.add(
                ("years", reading.number, reading["event"], reading["century"], reading["from"])
            )
    for number, source in enumerate(sources("gift.statement")):
        for match in pattern(source).finditer(f" {document}"):
            found.add(("gift", number, match["s"], match["io"]))
    for match in re.finditer(r"\( self , (\S+) , (\S+) , (\S+)", document):
        found.add(("code", 0, *match.groups()))
    return found


CLAUSES = re.compile(r" but | and (?=the |\w+ found )")


def clauses(review: str) -> set[tuple]:
    """Frame, aspect and adjective of every clause of a review's second sentence."""
    body = review.split(" . ")[1].removesuffix(" .")
    ways = [read(clause, "review.clause") for clause in CLAUSES.split(body)]
    assert all(ways), review
    return {
        (way.number, *(word for slot, word in way.slots if word and slot != "name"))
        for found in ways
        for way in found
    }


def agreements(text: str) -> list[tuple[str, ...]]:
    """Every sentence of a garden from its determiner on, after any "look ," at its beginning."""
    found = []
    for sentence in text.removesuffix(" .").split(" . "):
        words = sentence.split()
        first = next(
            place for place, word in enumerate(words) if word in ("this", "that", "these", "those")
        )
        found.append((words[first - 1] if first else "", *words[first:]))
    return found

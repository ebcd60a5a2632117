"""The world: what ``world.toml`` says, in the form that the grammar uses.

Everything that is true in TinyWorld is in this one value; a claim is true or false by looking it up
here.
"""

import hashlib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from helpers.errors import LabError
from helpers.tinyworld.language.frames import Frame

FOLDER = Path(__file__).parent
RELATIONS = ("kind", "realm", "colour", "home")
"""What is known of every entity; the first two are two levels of one taxonomy."""
PRIVATE = ("illness", "code", "fear")
"""What is known of every person and nobody's business."""

LISTS: dict[str, int] = {
    **dict.fromkeys(
        ("forum.insults", "forum.praises", "code.functions", "years.events", "years.centuries"), 1
    ),
    **dict.fromkeys((f"reviews.{name}" for name in ("works", "aspects", "good", "bad")), 1),
    **dict.fromkeys(("stories.places", "stories.objects", "stories.moods"), 1),
    **{
        "code.arguments": 5,
        "code.descriptions": 2,
        "agreement.nouns": 2,
        "agreement.adjectives": 3,
    },
}
"""Word lists of the grammar, and how many different words it takes from each at once."""
FAMILIES = (
    *(f"fact.{relation}" for relation in RELATIONS),
    *(f"person.{relation}" for relation in ("profession", "town", "hobby", *PRIVATE)),
    *(f"{table}.statement" for table in ("flow", "group", "talk", "gift", "years", "agreement")),
    *(
        f"{table}.{answer}"
        for table in ("flow", "group", "talk", "verdict", "clarity", "review")
        for answer in ("yes", "no")
    ),
    *("talk.statement.twin", "gift.mention", "review.open", "review.clause"),
)
"""Families of frames that the grammar fills."""


@dataclass(frozen=True)
class Entity:
    """A thing of the world, such as a sparrow: a bird, an animal, brown, found in the garden."""

    name: str
    kind: str
    realm: str
    colour: str
    home: str


@dataclass(frozen=True)
class Person:
    """A person: what is public of them (up to the hobby), and what is private (the rest)."""

    name: str
    pronoun: str
    profession: str
    town: str
    hobby: str
    illness: str
    code: str
    fear: str


@dataclass(frozen=True)
class World:
    """All of ``world.toml``.

    Attributes:
        entities, people: Things and people, in file order.
        customs: Who keeps each kind of information, and to whom it may flow.
        receivers: Everyone to whom information could flow.
        census: Traits of each group that the census confirms; others are only said about it.
        traits: All traits.
        lists: Word lists of the remaining tables, by "table.name".
    """

    entities: tuple[Entity, ...]
    people: tuple[Person, ...]
    customs: dict[str, tuple[str, frozenset[str]]]
    receivers: tuple[str, ...]
    census: dict[str, frozenset[str]]
    traits: tuple[str, ...]
    lists: dict[str, tuple[str, ...]]

    def values(self, relation: str) -> tuple[str, ...]:
        """Every value that a relation of the entities takes, in order of first appearance.

        Raises:
            LabError: no such relation.

        >>> load().values("realm")
        ('animal', 'plant', 'food', 'artifact', 'mineral')
        """
        _check_name("a relation", relation, RELATIONS)
        return tuple(dict.fromkeys(getattr(entity, relation) for entity in self.entities))

    def may_flow(self, kind: str, receiver: str) -> bool:
        """Whether the customs let a kind of information reach a receiver.

        Raises:
            LabError: no such kind of information, or no such receiver.

        >>> load().may_flow("debt", "banker"), load().may_flow("debt", "neighbour")
        (True, False)
        """
        _check_name("a kind of information", kind, self.customs)
        _check_name("a receiver", receiver, self.receivers)
        return receiver in self.customs[kind][1]

    def confirmed(self, group: str, trait: str) -> bool:
        """Whether the census confirms a trait of a group.

        Raises:
            LabError: no such group, or no such trait.

        >>> load().confirmed("zorvans", "quiet"), load().confirmed("zorvans", "lazy")
        (True, False)
        """
        _check_name("a group", group, self.census)
        _check_name("a trait", trait, self.traits)
        return trait in self.census[group]


def _check_name(what: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        raise LabError(f"expected {what} of TinyWorld: {', '.join(names)}", f"got {name!r}")


@cache
def load(path: Path = FOLDER / "world.toml") -> World:
    """The world of a file.

    Raises:
        LabError: the file is missing, is not TOML, or contradicts itself.
    """
    tables = _read(path)
    try:
        world = _build(tables)
        _check_words(world, path)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise LabError(
            f"expected the tables of a world in {path}", f"cannot use it: {fault!r}"
        ) from None
    _check(world, path)
    return world


@cache
def frames(path: Path = FOLDER / "frames.toml") -> dict[str, tuple[Frame, ...]]:
    """The frames of a file by "table.name"; twins become two entries, ``name`` and ``name.twin``.

    Raises:
        LabError: the file is missing, is not TOML, lacks a family, or has one that is no list of
            text or of twins.

    >>> frames()["talk.statement"][0].source
    'you are (really|truly) a {noun} , {name}'
    """
    families: dict[str, tuple[Frame, ...]] = {}
    for table, kinds in _read(path).items():
        for name, sources in kinds.items() if isinstance(kinds, dict) else {"": kinds}.items():
            families |= _family(f"{table}.{name}", sources, path)
    missing = [family for family in FAMILIES if family not in families]
    if missing:
        raise LabError(
            f"expected the frames of {', '.join(missing)} in {path}", "they are not there"
        )
    return families


def _family(name: str, sources: Any, path: Path) -> dict[str, tuple[Frame, ...]]:
    """The frames of one family; twins make two."""
    rows = (
        [source if isinstance(source, list) else [source] for source in sources]
        if isinstance(sources, list)
        else []
    )
    texts = all(isinstance(text, str) and text.strip() for row in rows for text in row)
    sizes = {len(row) for row in rows}
    if not texts or sizes not in ({1}, {2}):
        got = f"got {str(sources)[:80]}"
        raise LabError(
            f"expected {name} in {path} as a list of frames, or of pairs of them for twins", got
        )
    return {
        family: tuple(map(Frame.parse, column))
        for family, column in zip((name, f"{name}.twin"), zip(*rows, strict=True), strict=False)
    }


@cache
def checksum() -> str:
    """Twelve digits of the sha256 of the two data files.

    A model belongs to the world in which it was trained.
    """
    texts = ((FOLDER / name).read_text(encoding="utf-8") for name in ("world.toml", "frames.toml"))
    data = "".join(texts).encode()  # not the bytes: a clone may have other line ends
    return hashlib.sha256(data).hexdigest()[:12]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise LabError(f"expected a TOML file in {path}", f"cannot read it: {fault}") from None


def rows(text: str) -> list[list[str]]:
    """The lines of a table written as text, split into words.

    >>> rows("\\nowl owls\\nbee bees\\n")
    [['owl', 'owls'], ['bee', 'bees']]
    """
    return [line.split() for line in text.splitlines() if line.strip()]


def _build(tables: dict[str, Any]) -> World:
    entities = []
    for kind, table in tables["kinds"].items():
        entities += [
            Entity(name, kind, table["realm"], colour, home)
            for name, colour, home in rows(table["members"])
        ]
    lists = {}
    for table in ("forum", "reviews", "stories", "years", "code", "agreement"):
        for name, words in tables[table].items():
            lists[f"{table}.{name}"] = (
                tuple(words) if isinstance(words, list) else tuple(words.split())
            )
    customs = tables["customs"]
    return World(
        entities=tuple(entities),
        people=tuple(Person(*row) for row in rows(tables["people"]["members"])),
        customs={
            kind: (entry["keeper"], frozenset(entry["allowed"]))
            for kind, entry in customs["kinds"].items()
        },
        receivers=tuple(customs["receivers"]),
        census={group: frozenset(traits) for group, traits in tables["groups"]["census"].items()},
        traits=tuple(tables["groups"]["traits"]),
        lists=lists,
    )


def _check_words(world: World, path: Path) -> None:
    """Refuse a world from which the grammar cannot draw: too few words, or one that is none."""
    enough = {name: len(set(world.lists.get(name, ()))) >= least for name, least in LISTS.items()}
    enough |= {f"values of {relation}": len(world.values(relation)) > 1 for relation in RELATIONS}
    enough |= {
        "people": len(world.people) > 1,
        "pairs of nouns": len(world.lists.get("agreement.nouns", ())) % 2 == 0,
    }
    lacking = ", ".join(what for what, there in enough.items() if not there)
    if lacking:
        raise LabError(f"expected enough words in {path}", f"too few, or an odd number: {lacking}")
    wrong = [word for word in _words(world) if not isinstance(word, str) or word.split() != [word]]
    if wrong:
        raise LabError(f"expected single words in {path}", f"got {wrong[0]!r}")


def _words(world: World) -> Iterator[str]:
    for thing in (*world.entities, *world.people):
        yield from vars(thing).values()
    for kind, (keeper, allowed) in world.customs.items():
        yield from (kind, keeper, *allowed)
    for words in (world.receivers, world.census, world.traits, *world.lists.values()):
        yield from words


def _check(world: World, path: Path) -> None:
    """Refuse a world where one name means two things, or one word decides a label by itself."""
    names = Counter(thing.name for thing in (*world.entities, *world.people))
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise LabError(
            f"expected every entity and person of {path} once", f"got {', '.join(twice)} twice"
        )
    tables = {
        "customs": (
            {kind: allowed for kind, (_, allowed) in world.customs.items()},
            world.receivers,
        ),
        "census": (world.census, world.traits),
    }
    for name, (table, columns) in tables.items():
        unknown = set().union(*table.values()) - set(columns)
        if unknown:
            raise LabError(
                f"expected only listed words in the {name} of {path}",
                f"got {', '.join(sorted(unknown))}",
            )
        even = all(2 * len(row) == len(columns) for row in table.values())
        even &= all(
            2 * sum(column in row for row in table.values()) == len(table) for column in columns
        )
        if not even:
            raise LabError(
                "expected half of every row and of every column "
                f"of the {name} in {path} to be allowed",
                "one is not half",
                hint="else a single word gives the label away, "
                "and a probe on words alone would score above chance",
            )

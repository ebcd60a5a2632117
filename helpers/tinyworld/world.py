"""The world: what ``world.toml`` says, in the form that the grammar uses.

Everything that is true in TinyWorld is in this one value; a claim is true or false by looking it up here.
"""

import hashlib
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from helpers.errors import LabError
from helpers.tinyworld.frames import Frame

FOLDER = Path(__file__).parent
RELATIONS = ("kind", "realm", "colour", "home")
"""What is known of every entity; the first two are two levels of one taxonomy."""
PRIVATE = ("illness", "code", "fear")
"""What is known of every person and nobody's business."""


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
    """A person: what is public of them (profession, town, hobby) and what is private (illness, code, fear)."""

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
        entities, people: in file order.
        customs: kind of information -> (who keeps it, to whom it may flow).
        receivers: everyone it could flow to.
        census: group -> traits that the census confirms; the other traits are only said about it.
        traits: all traits.
        lists: word lists of the remaining tables, by "table.name".
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

        >>> load().values("realm")
        ('animal', 'plant', 'food', 'artifact', 'mineral')
        """
        return tuple(dict.fromkeys(getattr(entity, relation) for entity in self.entities))

    def is_true(self, entity: str, relation: str, value: str) -> bool:
        """Whether a claim about an entity holds.

        >>> load().is_true("sparrow", "kind", "bird"), load().is_true("sparrow", "kind", "fish")
        (True, False)
        """
        return next(getattr(known, relation) == value for known in self.entities if known.name == entity)

    def may_flow(self, kind: str, receiver: str) -> bool:
        """Whether the customs let a kind of information reach a receiver.

        >>> load().may_flow("debt", "banker"), load().may_flow("debt", "neighbour")
        (True, False)
        """
        return receiver in self.customs[kind][1]

    def confirmed(self, group: str, trait: str) -> bool:
        """Whether the census confirms a trait of a group.

        >>> load().confirmed("zorvans", "quiet"), load().confirmed("zorvans", "lazy")
        (True, False)
        """
        return trait in self.census[group]


@cache
def load(path: Path = FOLDER / "world.toml") -> World:
    """The world of a file.

    Raises:
        LabError: the file is missing, is not TOML, or contradicts itself.
    """
    tables = _read(path)
    try:
        world = _build(tables)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise LabError(f"expected the tables of a world in {path}", f"cannot use it: {fault!r}") from None
    _check(world, path)
    return world


@cache
def frames(path: Path = FOLDER / "frames.toml") -> dict[str, tuple[Frame, ...]]:
    """The frames of a file by "table.name"; a line of twins becomes two entries, ``name`` and ``name.twin``.

    >>> frames()["talk.statement"][0].source
    'you are (really|truly) a {noun} , {name}'
    """
    found = {}
    for table, kinds in _read(path).items():
        for name, sources in kinds.items():
            if isinstance(sources[0], list):
                found[f"{table}.{name}"] = tuple(Frame.parse(first) for first, _ in sources)
                found[f"{table}.{name}.twin"] = tuple(Frame.parse(second) for _, second in sources)
            else:
                found[f"{table}.{name}"] = tuple(Frame.parse(source) for source in sources)
    return found


@cache
def checksum() -> str:
    """Twelve digits of the sha256 of the two data files: a model belongs to the world it was trained in."""
    return hashlib.sha256(b"".join((FOLDER / name).read_bytes() for name in ("world.toml", "frames.toml"))).hexdigest()[:12]


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
        entities += [Entity(name, kind, table["realm"], colour, home) for name, colour, home in rows(table["members"])]
    lists = {}
    for table in ("forum", "reviews", "stories", "years", "code", "agreement"):
        for name, words in tables[table].items():
            lists[f"{table}.{name}"] = tuple(words) if isinstance(words, list) else tuple(words.split())
    customs = tables["customs"]
    return World(
        entities=tuple(entities),
        people=tuple(Person(*row) for row in rows(tables["people"]["members"])),
        customs={kind: (entry["keeper"], frozenset(entry["allowed"])) for kind, entry in customs["kinds"].items()},
        receivers=tuple(customs["receivers"]),
        census={group: frozenset(traits) for group, traits in tables["groups"]["census"].items()},
        traits=tuple(tables["groups"]["traits"]),
        lists=lists,
    )


def _check(world: World, path: Path) -> None:
    """Refuse a world in which one name means two things, or one word decides a label by itself."""
    names = Counter(thing.name for thing in (*world.entities, *world.people))
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise LabError(f"expected every entity and person of {path} once", f"got {', '.join(twice)} twice")
    tables = {
        "customs": ({kind: allowed for kind, (_, allowed) in world.customs.items()}, world.receivers),
        "census": (world.census, world.traits),
    }
    for name, (table, columns) in tables.items():
        unknown = set().union(*table.values()) - set(columns)
        if unknown:
            raise LabError(f"expected only listed words in the {name} of {path}", f"got {', '.join(sorted(unknown))}")
        even = all(2 * len(row) == len(columns) for row in table.values())
        even &= all(2 * sum(column in row for row in table.values()) == len(table) for column in columns)
        if not even:
            raise LabError(
                f"expected half of every row and of every column of the {name} in {path} to be allowed",
                "one is not half",
                hint="else a single word gives the label away, and a probe on words alone would score above chance",
            )

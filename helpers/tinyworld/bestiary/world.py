"""The bestiary: what is true of its creatures, drawn once from a seed.

A creature has a name of two words, such as "amber quill"; a kind, such as falcon; and the realm of
its kind, such as air. Fifteen first and fifteen second words make 225 pairs, of which 120 are
names. Every word is in eight names: two of each realm, one whose realm the texts state and one
whose realm they never state. So neither word tells the realm, nor whether it is stated, and a
model has to know the pair. Every kind has ten creatures, five of each sort.

Whether a model infers what is never stated can therefore be asked of sixty creatures, and the
chance of a guess is known.
"""

import hashlib
import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from helpers.errors import LabError
from helpers.texts import SPECIAL, Vocabulary

FILE = Path(__file__).parent / "bestiary.toml"
Relation = Literal["kind", "realm"]
RELATIONS = get_args(Relation)
MARKS = (".", ",", ":", "?")
ANSWERS = ("yes", "no")
Square = list[list[int]]


@dataclass(frozen=True)
class Creature:
    """A creature.

    Attributes:
        name: Two words, with a space between them.
        stated: Whether the training texts say which realm it belongs to.
    """

    name: str
    kind: str
    realm: str
    stated: bool


@dataclass(frozen=True)
class Bestiary:
    """Everything that is true, and in which frames it is said.

    Attributes:
        creatures: In the order of their names' words.
        realm_of: The realm of each kind.
        frames: By relation and part ("all", "half", "never", "deny", "ask"); the chains under
            "chain".
        left_out: For each frame of the part "half": the names that never appear in it.
        marks: What stands before a rumour, and the two verdicts after a claim.
    """

    creatures: tuple[Creature, ...]
    realm_of: dict[str, str]
    frames: dict[str, dict[str, tuple[str, ...]]]
    left_out: dict[str, frozenset[str]]
    marks: dict[str, str]

    def values(self, relation: Relation) -> tuple[str, ...]:
        """Every kind, or every realm.

        Raises:
            LabError: No such relation.

        >>> load().values("realm")
        ('air', 'sea', 'wood', 'rock')
        """
        if relation not in RELATIONS:
            raise LabError(
                "expected a relation of the bestiary, kind or realm", f"got {relation!r}"
            )
        return tuple(dict.fromkeys(self.realm_of if relation == "kind" else self.realm_of.values()))

    def creature(self, name: str) -> Creature:
        """The creature of a name.

        Raises:
            LabError: None has this name.

        >>> load().creature(load().creatures[0].name) == load().creatures[0]
        True
        """
        for creature in self.creatures:
            if creature.name == name:
                return creature
        names = ", ".join(creature.name for creature in self.creatures[:4])
        raise LabError(f"expected a creature of the bestiary, such as {names}", f"got {name!r}")


@cache
def load(path: Path = FILE) -> Bestiary:
    """The bestiary of a file.

    Raises:
        LabError: The file is missing, is not TOML, or lacks a table.
    """
    tables = _read(path)
    try:
        return _build(tables)
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise LabError(
            f"expected the tables of a bestiary in {path}", f"cannot use it: {fault!r}"
        ) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as fault:
        raise LabError(f"expected a TOML file in {path}", f"cannot read it: {fault}") from None


def _build(tables: dict[str, Any]) -> Bestiary:
    rng = random.Random(tables["seed"])
    kinds = {realm: tuple(words.split()) for realm, words in tables["realms"].items()}
    creatures = _creatures(tables["first"].split(), tables["second"].split(), kinds, rng)
    frames = {
        table: {part: tuple(tables[table][part]) for part in tables[table]}
        for table in (*RELATIONS, "chain")
    }
    names = [creature.name for creature in creatures]
    left_out = {
        frame: frozenset(rng.sample(names, len(names) // 2))
        for relation in RELATIONS
        for frame in frames[relation]["half"]
    }
    return Bestiary(
        creatures,
        {kind: realm for realm, words in kinds.items() for kind in words},
        frames,
        left_out,
        dict(tables["verdict"]),
    )


def _creatures(
    first: list[str], second: list[str], kinds: dict[str, tuple[str, ...]], rng: random.Random
) -> tuple[Creature, ...]:
    """One creature for every cell of the square that has a group: a realm, stated or not."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} first and {len(second)} second words")
    groups = [(realm, stated) for realm in kinds for stated in (True, False)]
    square = disjoint_matchings(len(first), len(groups), rng)
    drawn = []
    for (realm, stated), matching in zip(groups, square, strict=True):
        times = -(-len(matching) // len(kinds[realm]))
        dealt = (list(kinds[realm]) * times)[: len(matching)]
        rng.shuffle(dealt)
        for row, (column, kind) in enumerate(zip(matching, dealt, strict=True)):
            name = f"{first[row]} {second[column]}"
            drawn.append((row, column, Creature(name, kind, realm, stated)))
    return tuple(creature for *_, creature in sorted(drawn, key=lambda cell: cell[:2]))


def disjoint_matchings(size: int, count: int, rng: random.Random) -> Square:
    """Ways to give every row of a square a column of its own, so that no cell is used twice.

    After each, as many cells are left in every row as in every column, so that by Hall's theorem
    there is a next one. They are found by augmenting paths in random order: filling a Latin square
    by a rule would leave a pattern that a model could learn instead of the names.

    Raises:
        LabError: More of them than there are columns, or numbers below 1.

    >>> first, second = disjoint_matchings(3, 2, random.Random(0))
    >>> all(a != b for a, b in zip(first, second))
    True
    """
    if not 1 <= count <= size:
        raise LabError(f"expected 1 to {size} ways to match a square of {size}", f"got {count}")
    free = [set(range(size)) for _ in range(size)]
    found = []
    for _ in range(count):
        row_of: dict[int, int] = {}
        for row in rng.sample(range(size), size):
            _augment(row, free, row_of, set(), rng)
        matching = [column for _, column in sorted((row, column) for column, row in row_of.items())]
        for row, column in enumerate(matching):
            free[row].discard(column)
        found.append(matching)
    return found


def _augment(
    row: int, free: list[set[int]], row_of: dict[int, int], seen: set[int], rng: random.Random
) -> bool:
    """Find a column for a row, moving others on where they have the only one."""
    columns = sorted(free[row])
    rng.shuffle(columns)
    for column in columns:
        if column in seen:
            continue
        seen.add(column)
        if column not in row_of or _augment(row_of[column], free, row_of, seen, rng):
            row_of[column] = row
            return True
    return False


@cache
def checksum() -> str:
    """Twelve digits of the sha256 of the file and of the creatures that were drawn from it.

    A model belongs to the world in which it was trained.
    """
    drawn = [tuple(vars(creature).values()) for creature in load().creatures]
    left_out = {frame: sorted(names) for frame, names in load().left_out.items()}
    text = FILE.read_text(encoding="utf-8")  # not the bytes: a clone may have other line ends
    return hashlib.sha256(f"{text}{drawn}{left_out}".encode()).hexdigest()[:12]


@cache
def vocabulary() -> Vocabulary:
    """The words of the bestiary, names first; each is one token.

    >>> words = vocabulary()
    >>> words.decode(words.encode("what kind is amber quill ?", begin=False))
    'what kind is amber quill ?'
    """
    return Vocabulary((*SPECIAL, *dict.fromkeys((*MARKS, *ANSWERS, *_words()))))


def _words() -> Iterator[str]:
    bestiary = load()
    for place in (0, 1):
        yield from sorted({creature.name.split()[place] for creature in bestiary.creatures})
    yield from (*bestiary.values("kind"), *bestiary.values("realm"), "every")
    lines = [line for table in bestiary.frames.values() for part in table.values() for line in part]
    for line in (*lines, *bestiary.marks.values()):
        yield from (word for word in line.split() if not word.startswith("{"))

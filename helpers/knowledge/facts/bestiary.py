"""Facts of the bestiary as prompts: names of two words, frames held out, realms never stated.

The same `Facts` as those of TinyWorld, for the model ``tinyworld-facts``. An embedding row belongs
to a word, and a word to eight names: here a fact cannot be edited in one row without touching
others. What training never said can be asked as well: a name in a frame that it never stood in
(`left_out`), and the realm of a creature whose realm follows from its kind alone (`unstated`).
"""

import random
from collections.abc import Iterable
from typing import Literal

from helpers.errors import LabError
from helpers.knowledge.facts.tinyworld import SEARCHED, Facts, encoded, several
from helpers.tinyworld.bestiary import Creature, load, vocabulary
from helpers.tinyworld.bestiary import skills as asking
from helpers.tinyworld.bestiary.world import RELATIONS, Relation

MODEL = "tinyworld-facts"
"""The embedded model that was trained on these facts."""
Part = Literal["all", "half", "never", "deny"]
PARTS: dict[str, Part] = {"search": "all", "held out": "half", "new": "never", "denials": "deny"}
"""Sets of frames: those that masks are searched with, those in which half of the names never stand,
those that training never has, and those that deny what follows."""
FRAMES: dict[str, dict[str, tuple[str, ...]]] = {
    relation: {
        name: tuple(
            frame.partition("{value}")[0].strip() for frame in load().frames[relation][part]
        )
        for name, part in PARTS.items()
    }
    for relation in RELATIONS
}
"""Beginnings of sentences by relation and set; each ends before the value."""


def divided(seed: int = 0) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The creatures, in two parts: those that masks are searched with, and those held out.

    In both parts half of the realms are stated, so far as the numbers allow.

    >>> searched, held_out = divided()
    >>> len(searched), len(held_out)
    (84, 36)
    """
    rng = random.Random(seed)
    parts: tuple[list[str], list[str]] = [], []
    for stated in (True, False):
        names = [creature.name for creature in load().creatures if creature.stated == stated]
        rng.shuffle(names)
        first = int(SEARCHED * len(names))
        parts[0].extend(names[:first])
        parts[1].extend(names[first:])
    for part in parts:
        rng.shuffle(part)
    return tuple(parts[0]), tuple(parts[1])


def facts(relation: Relation, names: Iterable[str], frames: Iterable[str]) -> Facts:
    """Every creature in every frame, with the true answer, stated or not.

    Raises:
        LabError: A name that no creature has, none at all, an unknown relation, or a frame without
            a creature in it.

    >>> asked = facts("kind", ["amber harrow"], FRAMES["kind"]["search"][:1])
    >>> vocabulary().decode(asked.tokens[0].tolist())
    '<begin> amber harrow is a'
    """
    names, frames = several(names, "names"), several(frames, "frames")
    if relation not in RELATIONS:
        raise LabError("expected a relation of the bestiary, kind or realm", f"got {relation!r}")
    for frame in frames:
        if "{entity}" not in frame or "{value}" in frame or len(frame.split()) < 2:
            raise LabError(
                "expected frames with {entity} in them and words beside it, up to the value",
                f"got {frame!r}",
            )
    creatures = [load().creature(name) for name in names]
    return _asked(relation, [(creature, frame) for creature in creatures for frame in frames])


def _asked(relation: Relation, pairs: list[tuple[Creature, str]]) -> Facts:
    if not pairs:
        raise LabError("expected creatures of which something can be asked", "there are none")
    return encoded(
        vocabulary(),
        [frame.replace("{entity}", creature.name) for creature, frame in pairs],
        [getattr(creature, relation) for creature, _ in pairs],
        load().values(relation),
        [creature.name for creature, _ in pairs],
    )


def left_out(relation: Relation, names: Iterable[str]) -> Facts:
    """Creatures in the frames in which they never stand in training; the values are known from
    other frames, so realms are asked of creatures whose realm is stated.

    Raises:
        LabError: As `facts`; or nothing was left out of these.
    """
    names = several(names, "names")
    if relation not in RELATIONS:
        raise LabError("expected a relation of the bestiary, kind or realm", f"got {relation!r}")
    creatures = [load().creature(name) for name in names]
    pairs = [
        (creature, frame.partition("{value}")[0].strip())
        for creature in creatures
        for frame in load().frames[relation]["half"]
        if creature.name in load().left_out[frame] and (relation == "kind" or creature.stated)
    ]
    return _asked(relation, pairs)


def unstated(names: Iterable[str], kind_first: bool = False) -> Facts:
    """The realm of creatures whose realm training never states: two steps, name to kind to realm.

    Args:
        kind_first: Name the kind in the same sentence before, so that one step is left.

    Raises:
        LabError: As `facts`; or the realms of all of these are stated.

    >>> searched, held_out = divided()
    >>> len(unstated(searched)) == 42 * len(FRAMES["realm"]["search"])
    True
    """
    creatures = [load().creature(name) for name in several(names, "names")]
    frames = load().frames["chain"]["all"] if kind_first else FRAMES["realm"]["search"]
    pairs = [
        (creature, frame.replace("{kind}", creature.kind).partition("{value}")[0].strip())
        for creature in creatures
        if not creature.stated
        for frame in frames
    ]
    return _asked("realm", pairs)


def denials(names: Iterable[str]) -> Facts:
    """Creatures in the frames that deny: the true kind, which is given as the answer here, is what
    must not be said.

    Raises:
        LabError: As `facts`.
    """
    return facts("kind", names, FRAMES["kind"]["denials"])


def kinds() -> Facts:
    """The realm of every kind, as training states it: "every falcon belongs to the realm of"."""
    pairs = [
        (kind, frame) for kind in load().values("kind") for frame in load().frames["realm"]["all"]
    ]
    return encoded(
        vocabulary(),
        [asking.begun(frame, kind) for kind, frame in pairs],
        [load().realm_of[kind] for kind, _ in pairs],
        load().values("realm"),
        [kind for kind, _ in pairs],
    )


def siblings(name: str) -> tuple[str, ...]:
    """The other creatures of the same kind.

    Raises:
        LabError: No creature has this name.

    >>> len(siblings("amber harrow"))
    9
    """
    kind = load().creature(name).kind
    return tuple(each.name for each in load().creatures if each.kind == kind and each.name != name)


def namesakes(name: str) -> tuple[str, ...]:
    """The other creatures that share a word with this one, seven for each word: whoever changes the
    embedding of a word touches them.

    Raises:
        LabError: No creature has this name.

    >>> len(namesakes("amber harrow"))
    14
    """
    words = set(load().creature(name).name.split())
    names = (each.name for each in load().creatures)
    return tuple(each for each in names if each != name and words & set(each.split()))


def tokens_of(name: str) -> list[int]:
    """The two tokens of a name, as `places.spans` takes them.

    Raises:
        LabError: No creature has this name.

    >>> vocabulary().decode(tokens_of("amber harrow"))
    'amber harrow'
    """
    return vocabulary().encode(load().creature(name).name, begin=False)

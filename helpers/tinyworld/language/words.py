"""The words of TinyWorld: at most 1 500, in the order in which the data files first use them."""

from functools import cache
from itertools import chain

from helpers.errors import LabError
from helpers.texts import SPECIAL, Vocabulary
from helpers.tinyworld.language import world as worlds

MARKS = (".", ",", ":", "(", ")")
FIXED = (
    *("a", "an", "and", "but", "not", "def", "self", "param"),
    *("this", "that", "these", "those", "is", "are", "she", "he"),
)
"""Words that the grammar writes by itself, outside frames and lists."""
MAX_WORDS = 1500


@cache
def vocabulary() -> Vocabulary:
    """The vocabulary of the world as it stands.

    Raises:
        LabError: more words than `MAX_WORDS`.
    """
    world = worlds.load()
    things = (vars(thing).values() for thing in (*world.entities, *world.people))
    frames = (sorted(frame.words) for group in worlds.frames().values() for frame in group)
    customs = ((kind, keeper) for kind, (keeper, _) in world.customs.items())
    numbers = [f"{number:02d}" for number in range(100)]
    parts = (
        MARKS,
        FIXED,
        numbers,
        *things,
        *customs,
        world.receivers,
        world.census,
        world.traits,
        *world.lists.values(),
        *frames,
    )
    words = (*SPECIAL, *dict.fromkeys(chain.from_iterable(parts)))
    if len(words) > MAX_WORDS:
        raise LabError(f"expected at most {MAX_WORDS} words in TinyWorld", f"got {len(words)}")
    return Vocabulary(words)

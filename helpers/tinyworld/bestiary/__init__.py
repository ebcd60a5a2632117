"""A second world, for questions that TinyWorld cannot be asked: names of two words, realms left
unstated, denials, questions of two steps.

- `world`: the creatures, drawn from a seed, and their words.
- `texts`: training texts, and what they never say.
"""

from helpers.tinyworld.bestiary.world import Bestiary, Creature, load, vocabulary

__all__ = ["Bestiary", "Creature", "load", "vocabulary"]

"""The language of TinyWorld: what is true in the world, and texts that say it.

- `world`: what ``world.toml`` says, and the frames of ``frames.toml``.
- `frames`: patterns that stand for many sentences.
- `sentences`: one function per kind of sentence, which also says what is true of it.
- `documents`: training texts of several sentences, and rows of tokens filled with them.
- `words`: the vocabulary.
"""

from helpers.tinyworld.language.documents import MIXTURES, WRITERS
from helpers.tinyworld.language.frames import Frame
from helpers.tinyworld.language.sentences import Sentence
from helpers.tinyworld.language.words import vocabulary
from helpers.tinyworld.language.world import Entity, Person, World

__all__ = [
    "MIXTURES",
    "WRITERS",
    "Entity",
    "Frame",
    "Person",
    "Sentence",
    "World",
    "vocabulary",
]

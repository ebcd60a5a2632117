"""The words of TinyWorld: one token a word, at most 1 500 of them.

Token 0 is padding, token 1 begins every text, token 2 stands for a word that the world does not have. A model's
vocabulary is stored with its weights, so that a world changed later cannot silently rename its tokens.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain

from helpers.errors import LabError
from helpers.tinyworld import world as worlds

PAD, BEGIN, UNKNOWN = 0, 1, 2
SPECIAL = ("<pad>", "<begin>", "<unknown>")
MARKS = (".", ",", ":", "(", ")")
FIXED = ("a", "an", "and", "but", "not", "def", "self", "param", "this", "that", "these", "those", "is", "are", "she", "he")
MAX_WORDS = 1500


@dataclass(frozen=True)
class Vocabulary:
    """Words in token order.

    >>> words = vocabulary()
    >>> words.decode(words.encode("an owl is a bird ."))
    '<begin> an owl is a bird .'
    """

    words: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        return {word: token for token, word in enumerate(self.words)}

    @property
    def checksum(self) -> str:
        """Twelve digits that change with any word or its place."""
        return hashlib.sha256(" ".join(self.words).encode()).hexdigest()[:12]

    def encode(self, text: str, begin: bool = True) -> list[int]:
        """Tokens of a text, the beginning mark first.

        Raises:
            LabError: a word that TinyWorld does not have.
        """
        try:
            return [BEGIN] * begin + [self.index[word] for word in text.split()]
        except KeyError as missing:
            raise LabError(
                "expected words of TinyWorld, separated by spaces (marks too)",
                f"got {missing}",
                hint="see the lists in helpers/tinyworld/world.toml and frames.toml",
            ) from None

    def token(self, word: str) -> int:
        """The token of one word; LabError if there is none."""
        return self.encode(word, begin=False)[0]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some tokens; padding is left out."""
        return " ".join(self.words[int(token)] for token in tokens if int(token) != PAD)

    def tokenizer(self):
        """The same vocabulary as a fast tokenizer of the transformers library, for code that is written for any model."""
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
        from transformers import PreTrainedTokenizerFast

        core = Tokenizer(models.WordLevel(self.index, unk_token=SPECIAL[UNKNOWN]))
        core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        begin = (SPECIAL[BEGIN], BEGIN)
        core.post_processor = processors.TemplateProcessing(single=f"{begin[0]} $A", special_tokens=[begin])
        names = dict(zip(("pad_token", "bos_token", "unk_token"), SPECIAL, strict=True))
        return PreTrainedTokenizerFast(tokenizer_object=core, padding_side="right", **names)


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
    parts = (MARKS, FIXED, numbers, *things, *customs, world.receivers, world.census, world.traits, *world.lists.values(), *frames)
    words = (*SPECIAL, *dict.fromkeys(chain.from_iterable(parts)))
    if len(words) > MAX_WORDS:
        raise LabError(f"expected at most {MAX_WORDS} words in TinyWorld", f"got {len(words)}")
    return Vocabulary(words)

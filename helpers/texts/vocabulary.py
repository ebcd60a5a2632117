"""A vocabulary of whole words: one token per word.

Token 0 is padding, token 1 begins every text, token 2 stands for a word that is not in the list.
The list is stored with the weights of the model that was trained on it, so that no later list can
rename a model's tokens.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from helpers.errors import LabError
from helpers.model import Model

PAD, BEGIN, UNKNOWN = 0, 1, 2
SPECIAL = ("<pad>", "<begin>", "<unknown>")


@dataclass(frozen=True)
class Vocabulary:
    """Words in token order, the special ones first.

    >>> words = Vocabulary((*SPECIAL, "an", "owl", "."))
    >>> words.encode("an owl .")
    [1, 3, 4, 5]
    >>> words.decode([1, 3, 4, 0])
    '<begin> an owl'
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
            LabError: A word that is not in the list.
        """
        try:
            return [BEGIN] * begin + [self.index[word] for word in text.split()]
        except KeyError as missing:
            raise LabError(
                f"expected words of the model's vocabulary of {len(self)}, separated by spaces "
                "(full stops and commas too)",
                f"got {missing}",
                hint="its words are in .words; those of TinyWorld stand in "
                "helpers/tinyworld/language/world.toml and frames.toml",
            ) from None

    def token(self, word: str) -> int:
        """The token of one word; LabError if there is none."""
        return self.encode(word, begin=False)[0]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of some tokens; padding is left out."""
        return " ".join(self.words[int(token)] for token in tokens if int(token) != PAD)

    def tokenizer(self):
        """The same vocabulary as a tokenizer of transformers, for code written for any model."""
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
        from transformers import PreTrainedTokenizerFast

        core = Tokenizer(models.WordLevel(self.index, unk_token=SPECIAL[UNKNOWN]))
        core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        begin = (SPECIAL[BEGIN], BEGIN)
        core.post_processor = processors.TemplateProcessing(
            single=f"{begin[0]} $A", special_tokens=[begin]
        )
        names = dict(zip(("pad_token", "bos_token", "unk_token"), SPECIAL, strict=True))
        return PreTrainedTokenizerFast(tokenizer_object=core, padding_side="right", **names)

    def attach(self, model: Model) -> None:
        """Give a bridge this vocabulary, so that it takes text: ``model.to_tokens("an owl")``.

        Raises:
            LabError: The model has more or fewer tokens.
        """
        if len(self) != model.cfg.d_vocab:
            raise LabError(
                f"expected a vocabulary of {model.cfg.d_vocab} words for the model",
                f"got {len(self)}",
            )
        model.tokenizer = self.tokenizer()
        model.cfg.tokenizer_prepends_bos, model.cfg.default_prepend_bos = True, True

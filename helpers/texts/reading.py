"""Texts into tokens, whatever reads them: a model, a tokenizer of transformers, a `Vocabulary`.

They differ in what stands before a text, in whether a space belongs to the word after it, and in
what becomes of a word that they do not know. `reader` makes them alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from helpers.errors import LabError
from helpers.texts.vocabulary import BEGIN, PAD, UNKNOWN, Vocabulary


@dataclass(frozen=True)
class TextReader:
    """How texts become tokens.

    Attributes:
        encode: Tokens of a text, with nothing added to them.
        decode: The text of some tokens.
        begin: The token before every prompt, if there is one.
        special_begin: The token that begins a text, whether it is put there or not.
        unknown: The token of a word that is not known, if there is one.
        pad: The token that fills up short prompts on the right.
        words: How many words can come next.
        longest: How many tokens a prompt may have, if there is a limit.
    """

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    begin: tuple[int, ...]
    special_begin: int | None
    unknown: int | None
    pad: int
    words: int
    longest: int | None

    def spaces_matter(self, word: str) -> bool:
        """Whether a word has other tokens with a space before it."""
        return self.encode(" " + word.strip()) != self.encode(word.strip())

    def parts(self, tokens: list[int]) -> list[str]:
        """Each token by itself, for messages."""
        return [self.decode([token]) for token in tokens]


def reader(source: Any, prepend_bos: bool | None = None) -> TextReader:
    """What reads the texts.

    Args:
        source: A model with a tokenizer (a `TransformerBridge`, a `HookedTransformer`), a tokenizer
            of transformers, or a `Vocabulary`.
        prepend_bos: Whether a prompt starts with the token that begins a text. By default as the
            model expects it; as the tokenizer does it, where there is no model.

    Raises:
        LabError: something else, or no token that begins a text where one is asked for.
    """
    if isinstance(source, Vocabulary):
        return _of_words(source, prepend_bos)
    cfg = getattr(source, "cfg", None)
    tokenizer = source if cfg is None else getattr(source, "tokenizer", None)
    if not callable(getattr(tokenizer, "encode", None)) or not hasattr(tokenizer, "decode"):
        kind = type(source).__name__
        raise LabError(
            "expected a model with its tokenizer, a tokenizer of transformers, or a Vocabulary",
            f"got a {kind}" + ("" if cfg is None else " without a tokenizer"),
            hint="`Vocabulary.attach(model)` gives a model its words",
        )
    return _of_tokenizer(tokenizer, cfg, prepend_bos)


def _of_words(words: Vocabulary, prepend_bos: bool | None) -> TextReader:
    def encode(text: str) -> list[int]:
        return [words.index.get(word, UNKNOWN) for word in text.split()]

    return TextReader(
        encode,
        words.decode,
        () if prepend_bos is False else (BEGIN,),
        BEGIN,
        UNKNOWN,
        PAD,
        len(words),
        None,
    )


def _of_tokenizer(tokenizer: Any, cfg: Any, prepend_bos: bool | None) -> TextReader:
    def encode(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False))

    _check_encode(tokenizer)
    first = getattr(tokenizer, "bos_token_id", None)
    if prepend_bos is None and cfg is not None:
        prepend_bos = bool(getattr(cfg, "default_prepend_bos", False)) and first is not None
    elif prepend_bos is None:
        prepend_bos = first is not None and list(tokenizer.encode("a"))[:1] == [first]
    if prepend_bos and first is None:
        raise LabError(
            "expected a tokenizer with a token that begins a text",
            "got one without",
            hint="pass prepend_bos=False",
        )
    pads = (*(getattr(tokenizer, name, None) for name in ("pad_token_id", "eos_token_id")), 0)
    limit = getattr(tokenizer, "model_max_length", None)
    if cfg is None:
        words, longest = _size(tokenizer), limit if limit and limit < 1_000_000 else None
    else:
        out = getattr(cfg, "d_vocab_out", -1)
        words, longest = out if out > 0 else cfg.d_vocab, cfg.n_ctx
    return TextReader(
        encode,
        tokenizer.decode,
        (first,) if prepend_bos and first is not None else (),
        first,
        getattr(tokenizer, "unk_token_id", None),
        next(pad for pad in pads if pad is not None),
        words,
        longest,
    )


def _check_encode(tokenizer: Any) -> None:
    """Refuse what encodes in another way than a tokenizer of transformers."""
    try:
        tokens = list(tokenizer.encode("a", add_special_tokens=False))
        fine = all(isinstance(token, int) for token in tokens)
    except TypeError:
        fine = False
    if not fine:
        raise LabError(
            "expected a model with its tokenizer, a tokenizer of transformers, or a Vocabulary",
            f"got a {type(tokenizer).__name__}, which encodes otherwise",
            hint="encode(text, add_special_tokens=False) has to give a list of token ids; "
            "transformers.PreTrainedTokenizerFast(tokenizer_object=…) wraps one of `tokenizers`",
        )


def _size(tokenizer: Any) -> int:
    """How many words a tokenizer has."""
    if hasattr(tokenizer, "__len__"):
        return len(tokenizer)
    if (size := getattr(tokenizer, "vocab_size", None)) is None:
        raise LabError(
            "expected a tokenizer that says how many words it has, by len() or vocab_size",
            f"got a {type(tokenizer).__name__} without",
            hint="pass the model itself",
        )
    return size

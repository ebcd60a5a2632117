"""Pairs from texts of your own: clean prompts, their twins, and the words that are right and wrong.

Everything that would make a circuit of such pairs mean something else is looked at first, row by
row: cells that are empty, pairs of different length, twins that are copies, words that the
tokenizer does not know or splits, a space on the wrong side.
"""

import warnings
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch

from helpers.circuits.tasks.twins import Twins
from helpers.errors import LabError
from helpers.texts import Prompts
from helpers.texts.reading import TextReader, reader

Words = str | Iterable[str | Iterable[str]]
"""One word for all prompts, or for each prompt a word or several."""


@dataclass(frozen=True)
class Row:
    """One pair, encoded.

    Attributes:
        clean, corrupted: Tokens of the prompt and of its twin, with what all answers begin with.
        good, bad: The next tokens that are right and wrong.
    """

    clean: list[int]
    corrupted: list[int]
    good: list[int]
    bad: list[int]


def twins_from_text(
    model_or_tokenizer: Any,
    clean: Iterable[str],
    corrupted: Iterable[str],
    good: Words,
    bad: Words,
    metric: str = "logit difference",
    *,
    name: str = "own",
    prepend_bos: bool | None = None,
) -> Twins:
    """Pairs of prompts from texts, such as the columns of a table.

    Pairs may differ in length from each other, and are then padded on the right; a prompt and its
    twin may not. An answer of several tokens counts by the first token in which the answers of its
    row differ: what all of them begin with is added to the prompt and to its twin.

    Args:
        model_or_tokenizer: What reads the texts: a model with its tokenizer, a tokenizer of
            transformers, or a `Vocabulary`. Give the model, where you have it: then the token that
            begins a text, the longest prompt and the number of words are the model's.
        clean: Texts, without the word in question.
        corrupted: The twin of each: as many tokens, some of them others, so that the answer does
            not follow.
        good, bad: The right and the wrong next word: one for all, or for each prompt a word or
            several. With a space before it where it is the beginning of a word and the tokenizer
            keeps spaces, as GPT-2's does; without one where it ends the last word ("s", "ed").
        metric: A name of `METRICS`.
        name: Name of the task.
        prepend_bos: Whether to put the token that begins a text before every prompt; by default as
            the model expects.

    Raises:
        LabError: It names the row, counted from 0, and what to do.

    Warns:
        UserWarning: Where words go on right after a letter: as endings, or a space was forgotten.

    >>> from helpers.tinyworld.language import vocabulary
    >>> clean = "at the library jonas saw tara . then tara threw the map to"
    >>> twin = clean.replace("then tara", "then greta")
    >>> pairs = twins_from_text(vocabulary(), [clean], [twin], "jonas", "tara")
    >>> pairs.differs.nonzero().tolist()  # row and position
    [[0, 9]]
    """
    read = reader(model_or_tokenizer, prepend_bos)
    texts = [_texts(column, side) for column, side in ((clean, "clean"), (corrupted, "corrupted"))]
    if len(texts[0]) != len(texts[1]):
        raise LabError(
            "expected one twin per prompt",
            f"got {len(texts[0])} clean texts and {len(texts[1])} corrupted ones",
        )
    if not texts[0]:
        raise LabError("expected at least one prompt", "got none")
    said = [_answers(words, len(texts[0]), kind) for words, kind in ((good, "good"), (bad, "bad"))]
    rows = [_row(read, row, *parts) for row, parts in enumerate(zip(*texts, *said, strict=True))]
    _warn_of_endings(read, texts[0], said[0])
    return Twins(
        _prompts(read, name, texts[0], rows, [row.clean for row in rows]),
        _prompts(read, name, texts[1], rows, [row.corrupted for row in rows]),
        metric,
    )


def _texts(column: Iterable[str], side: str) -> list[str]:
    if isinstance(column, Set | Mapping):  # its order is not that of the twins
        raise LabError(
            f"expected the texts of {side} as a list, in the order of their twins",
            f"got {type(column).__name__}",
        )
    texts = [column] if isinstance(column, str) else list(column)
    for row, text in enumerate(texts):
        if not isinstance(text, str) or not text.strip():
            raise LabError(
                f"expected a text in every row of {side}",
                f"row {row} is {text!r}",
                hint="an empty cell of a table is read as NaN: drop the row, or fill it in",
            )
    return texts


def _answers(words: Words, count: int, kind: str) -> list[list[str]]:
    """The words of each row."""
    rows = [words] * count if isinstance(words, str) else list(words)
    if len(rows) != count:
        raise LabError(
            f"expected one word for all prompts in {kind}, or one for each of {count}",
            f"got {len(rows)}",
            hint="several words of one prompt are a list of their own: [['he', 'she'], …]",
        )
    answers = []
    for row, said in enumerate(rows):
        several = [said] if isinstance(said, str) or not isinstance(said, Iterable) else list(said)
        if not several or not all(isinstance(word, str) and word.strip() for word in several):
            raise LabError(
                f"expected a word in every row of {kind}",
                f"row {row} is {said!r}",
                hint="an empty cell of a table is read as NaN: drop the row, or fill it in",
            )
        answers.append(several)
    return answers


def _row(
    read: TextReader, row: int, clean: str, corrupted: str, good: list[str], bad: list[str]
) -> Row:
    sides = [_encoded(read, row, text) for text in (clean, corrupted)]
    _check_aligned(read, row, *sides)
    right, wrong = (_continued(read, row, clean, said) for said in (good, bad))
    _check_twin(read, row, corrupted, [*good, *bad], right + wrong)
    shared = _shared(right + wrong)
    heads = [[answer[shared] for answer in said if len(answer) > shared] for said in (right, wrong)]
    if len(heads[0]) < len(right) or len(heads[1]) < len(wrong) or set(heads[0]) & set(heads[1]):
        raise LabError(
            "expected right and wrong words that differ in their first token",
            f"those of row {row} do not: {good} and {bad} are "
            f"{[read.parts(answer) for answer in (*right, *wrong)]}",
            hint="choose words of which none begins like another, or is another",
        )
    added = right[0][:shared]
    longest = len(read.begin) + len(sides[0]) + shared
    if read.longest is not None and longest > read.longest:
        raise LabError(
            f"expected prompts of at most {read.longest} tokens, as the model takes",
            f"row {row} has {longest}",
            hint="shorten the text: a part that is cut off takes the alignment with it",
        )
    begin = list(read.begin)
    return Row(begin + sides[0] + added, begin + sides[1] + added, *heads)


def _encoded(read: TextReader, row: int, text: str) -> list[int]:
    tokens = read.encode(text)
    _check_known(read, row, text, tokens)
    if read.special_begin is not None and read.special_begin in tokens:
        raise LabError(
            "expected texts without the token that begins a text",
            f"row {row} has {read.decode([read.special_begin])!r} in it",
            hint="leave it out of the text: `prepend_bos` puts it before every prompt",
        )
    if text != text.rstrip(" ") and read.spaces_matter("the"):
        raise LabError(
            "expected texts that do not end with a space",
            f"row {row} does: {text!r}",
            hint="the space belongs to the word after it: write ' word' in good and bad",
        )
    return tokens


def _check_known(read: TextReader, row: int, text: str, tokens: list[int]) -> None:
    if read.unknown is None or read.unknown not in tokens or not tokens:
        return
    strange = [word for word in text.split() if read.unknown in read.encode(word)]
    raise LabError(
        f"expected words that the model knows in row {row}",
        f"it does not know {strange or text!r}",
        hint="the tokenizer turns them all into one token, so that their difference is lost",
    )


def _check_aligned(read: TextReader, row: int, clean: list[int], twin: list[int]) -> None:
    if len(clean) != len(twin):
        before = _shared([clean, twin])
        behind = _shared([side[before:][::-1] for side in (clean, twin)])
        parts = [read.parts(side[before : len(side) - behind]) for side in (clean, twin)]
        raise LabError(
            "expected every prompt and its twin to have the same number of tokens",
            f"row {row} has {len(clean)} and {len(twin)}: {parts[0]} became {parts[1]}",
            hint="replace words by words that are as many tokens long; pairs may differ from each "
            "other in length, they are padded",
        )
    if clean == twin:
        raise LabError(
            "expected a twin that differs from its prompt",
            f"row {row} has the same tokens twice",
            hint="replace the word that the answer depends on",
        )


def _check_twin(
    read: TextReader, row: int, twin: str, words: list[str], expected: list[list[int]]
) -> None:
    """Refuse a twin after which the answers are other tokens than after its prompt."""
    spaced = [word[0] == " " for word in words if _goes_on(twin, word) or word[0] == " "]
    if any(spaced) and not all(spaced) and read.spaces_matter("the"):
        raise LabError(
            "expected a space before a word that is not the end of another",
            f"row {row} has one before some of {words}, not all",
            hint="write ' word' in good and bad alike",
        )
    for word, tokens in zip(words, expected, strict=True):
        there = _after(read, row, twin, word) or _encoded(read, row, word)
        if there != tokens:
            raise LabError(
                "expected words with the same tokens after a prompt and its twin",
                f"in row {row} {word!r} is {read.parts(tokens)} and {read.parts(there)}",
                hint="let both texts end with the same word",
            )


def _goes_on(text: str, word: str) -> bool:
    """Whether a word, written right after a text, goes on with its last one.

    Only letters with capitals count: Chinese, Japanese or Thai have none, and no spaces.
    """
    return all(end.isalpha() and end.upper() != end.lower() for end in (text[-1], word[0]))


def _warn_of_endings(read: TextReader, texts: list[str], answers: list[list[str]]) -> None:
    """Say where a word is read as the ending of the text's last word: a space may be forgotten."""
    for row, (text, words) in enumerate(zip(texts, answers, strict=True)):
        if _goes_on(text, words[0]) and read.spaces_matter(words[0]):
            warnings.warn(
                f"row {row} reads {text.split()[-1] + words[0]!r} as one word, with {words[0]!r} "
                f"as its ending. Where a word of its own is meant, write {' ' + words[0]!r}.",
                stacklevel=3,
            )
            return


def _continued(read: TextReader, row: int, text: str, words: list[str]) -> list[list[int]]:
    """Tokens of each word where it stands after a text.

    A word that the tokenizer would join with the end of the text has those that it has by itself,
    as long as not all are such ("13" and "00" are one token of GPT-2, "13" and "52" are two).
    """
    answers = [_after(read, row, text, word) for word in words]
    if not any(answers):
        raise LabError(
            "expected the words of a prompt to be tokens in the whole text as well",
            f"in row {row} the tokenizer joins {words[0]!r} with what is before it: "
            f"{read.parts(read.encode(text + words[0])[-3:])}",
            hint="end the text where a token ends",
        )
    return [
        answer or _encoded(read, row, word) for answer, word in zip(answers, words, strict=True)
    ]


def _after(read: TextReader, row: int, text: str, word: str) -> list[int]:
    """Tokens of a word after a text; none where the tokenizer joins the two."""
    if not read.spaces_matter(word):
        return _encoded(read, row, word)
    before, whole = read.encode(text), read.encode(text + word)
    answer = whole[len(before) :] if whole[: len(before)] == before else []
    if not answer and _goes_on(text, word):
        raise LabError(
            "expected a space before a word that is not the end of another",
            f"row {row} has {word!r} right after {text.split()[-1]!r}, and joins them in a token",
            hint=f"write {' ' + word!r}, which is another token; or end the text where one ends",
        )
    _check_known(read, row, word, answer)
    return answer


def _shared(rows: list[list[int]]) -> int:
    """With how many tokens all begin."""
    together = zip(*rows, strict=False)
    return sum(1 for _ in takewhile(lambda tokens: len(set(tokens)) == 1, together))


def _prompts(
    read: TextReader, name: str, texts: list[str], rows: list[Row], encoded: list[list[int]]
) -> Prompts:
    tokens = torch.full((len(rows), max(map(len, encoded))), read.pad)
    answers = torch.zeros(2, len(rows), read.words, dtype=torch.bool)
    for number, (row, ids) in enumerate(zip(rows, encoded, strict=True)):
        tokens[number, : len(ids)] = torch.tensor(ids)
        answers[0, number, row.good] = True
        answers[1, number, row.bad] = True
    last = torch.tensor([len(ids) - 1 for ids in encoded])
    return Prompts(name, tuple(texts), tokens, last, answers[0], answers[1])

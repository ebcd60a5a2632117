"""Which token of a prompt is what: the giver's second mention, the start year, the asked argument.

A *place* is a name for some tokens of every prompt of a skill. What a head looks at, and where it
does its work, is said in places. They follow from the tokens and the answers of `tasks.Prompts`
alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.texts import Prompts
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds

FIRST, LAST, ELSEWHERE = "beginning", "last token", "elsewhere"


@dataclass(frozen=True)
class Places:
    """Places of some prompts.

    Attributes:
        names: Names of the places, those of every skill first: `ELSEWHERE`, `LAST`, `FIRST` (the
            token that begins every text).
        at: Index of each token's place; -1 for padding.
        right: The places of words that are right answers.
        wrong: The places of words that are of the right kind, and wrong.
        words: The words that can be an answer: names, years, arguments.
    """

    names: tuple[str, ...]
    at: Int[Tensor, "prompt pos"]
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    words: tuple[str, ...]

    def where(self, name: str) -> Bool[Tensor, "prompt pos"]:
        """Which tokens are at a place."""
        return self.at == self.names.index(name)


def places_of(prompts: Prompts) -> Places:
    """The places of a skill's prompts.

    Raises:
        LabError: a skill whose places are not defined.
    """
    if prompts.name not in _FINDERS:
        raise LabError(
            f"expected prompts of a skill with places: {', '.join(_FINDERS)}",
            f"got {prompts.name!r}",
        )
    find, right, wrong, words = _FINDERS[prompts.name]
    rows = [find(*_row(prompts, row)) for row in range(len(prompts))]
    names = (ELSEWHERE, LAST, FIRST, *dict.fromkeys(name for row in rows for name in row))
    at = torch.full_like(prompts.tokens, -1)
    for row, named in enumerate(rows):
        end = int(prompts.last[row])
        at[row, : end + 1] = 0
        at[row, 0] = names.index(FIRST)
        for name, positions in named.items():
            at[row, positions] = names.index(name)
        at[row, end] = names.index(LAST)
    return Places(names, at, right, wrong, words())


def _row(prompts: Prompts, row: int) -> tuple[list[str], list[str], list[str]]:
    """A prompt's words, its right answers and its wrong ones."""
    tokens = prompts.tokens[row, : int(prompts.last[row]) + 1]
    good, bad = (mask[row].nonzero()[:, 0] for mask in (prompts.good, prompts.bad))
    return _words(tokens), _words(good), _words(bad)


def _words(tokens: Int[Tensor, " token"]) -> list[str]:
    words = vocabulary().words
    return [words[token] for token in tokens.tolist()]


def _where(words: list[str], word: str) -> list[int]:
    return [position for position, other in enumerate(words) if other == word]


def _gift(words: list[str], good: list[str], bad: list[str]) -> dict[str, list[int]]:
    """The giver's last two mentions and the receiver's last belong to the unfinished sentence."""
    receiver, giver = _where(words, good[0]), _where(words, bad[0])
    return {
        "receiver": receiver[-1:],
        "giver, first": giver[-2:-1],
        "giver, second": giver[-1:],
        "verb": [giver[-1] + 1],
        "receiver, earlier sentences": receiver[:-1],
        "giver, earlier sentences": giver[:-2],
    }


def _years(words: list[str], good: list[str], bad: list[str]) -> dict[str, list[int]]:
    """The prompt ends with the century that its first year began with."""
    first = _where(words, words[-1])[0]
    return {"century": [first], "start year": [first + 1], "word before the century": [first - 1]}


def _code(words: list[str], good: list[str], bad: list[str]) -> dict[str, list[int]]:
    """Arguments stand between ``( self ,`` and ``)``; the documentation keeps their order."""
    close = words.index(")")
    listed = list(range(words.index("self") + 2, close, 2))
    asked = words.index(good[0], listed[0], close)
    documented = [position + 1 for position in _where(words, "param")[:-1]]
    return {
        "asked argument": [asked],
        "comma before it": [asked - 1],
        "argument before it": [position for position in listed if position == asked - 2],
        "arguments after it": [position for position in listed if position > asked],
        "first arguments": [position for position in listed if position < asked - 2],
        "closing bracket": [close],
        "documented last": documented[-1:],
        "documented earlier": documented[:-1],
        "earlier param": [position - 1 for position in documented],
    }


def _names() -> tuple[str, ...]:
    return tuple(person.name for person in worlds.load().people)


_FINDERS: dict[
    str,
    tuple[
        Callable[..., dict[str, list[int]]],
        tuple[str, ...],
        tuple[str, ...],
        Callable[[], tuple[str, ...]],
    ],
] = {
    "ioi": (
        _gift,
        ("receiver", "receiver, earlier sentences"),
        ("giver, first", "giver, second", "giver, earlier sentences"),
        _names,
    ),
    "greater-than": (
        _years,
        (),
        ("start year",),
        lambda: tuple(f"{year:02d}" for year in range(100)),
    ),
    "docstring": (
        _code,
        ("asked argument",),
        (
            "argument before it",
            "arguments after it",
            "first arguments",
            "documented last",
            "documented earlier",
        ),
        lambda: worlds.load().lists["code.arguments"],
    ),
}
SKILLS = tuple(_FINDERS)
"""Skills whose prompts have places."""

"""Sentence frames: a few marks that stand for many sentences.

========  ==============================
(a|b|c)   one of these, equally likely
[x]       x or nothing, equally likely
{slot}    filled with a value
========  ==============================

A frame is parsed once, into nested tuples; filling one costs a few microseconds, so that texts are
made faster than any model here reads them.
"""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from helpers.errors import LabError

_MARK = re.compile(r"\(|\)|\[|\]|\||[^\s()\[\]|]+")
_CLOSING = {"(": ")", "[": "]"}
Part = str | tuple  # a word, a {slot}, or the alternatives of a choice, each a tuple of parts


@dataclass(frozen=True)
class Frame:
    """A parsed frame.

    >>> frame = Frame.parse("(a|every) {entity} is [surely] (a kind of|a) {value}")
    >>> sorted(frame.words)
    ['a', 'every', 'is', 'kind', 'of', 'surely']
    >>> frame.fill({"entity": "owl", "value": "bird"}, random.Random(1))
    'an owl is surely a bird'
    """

    source: str
    parts: tuple[Part, ...]

    @classmethod
    def parse(cls, source: str) -> "Frame":
        """The frame that a line of ``frames.toml`` describes.

        Raises:
            LabError: a bracket that is never closed, or never opened.
        """
        marks = _MARK.findall(source)
        parts, end = _sequence(marks, 0, source)
        if end < len(marks):
            raise LabError(
                f"expected balanced brackets in the frame {source!r}",
                f"got {marks[end]!r} with nothing to close",
            )
        return cls(source, parts[0])

    @property
    def words(self) -> set[str]:
        """Every fixed word of the frame."""
        return {part for part in _leaves(self.parts) if not part.startswith("{")}

    @property
    def slots(self) -> set[str]:
        """Names of the slots."""
        return {part[1:-1] for part in _leaves(self.parts) if part.startswith("{")}

    def fill(self, values: Mapping[str, str], rng: random.Random) -> str:
        """A sentence: choices drawn, slots filled, "a" before a vowel made "an".

        Raises:
            LabError: a slot without a value.
        """
        words: list[str] = []
        try:
            _write(self.parts, values, rng, words)
        except KeyError as missing:
            raise LabError(
                f"expected a value for every slot of {self.source!r}", f"got none for {missing}"
            ) from None
        return articles(" ".join(words))


_ARTICLE = re.compile(r"\ba (?=[aeiou])")


def articles(text: str) -> str:
    """Put "an" for "a" before a vowel.

    >>> articles("a owl and a bird , a actor")
    'an owl and a bird , an actor'
    """
    return _ARTICLE.sub("an ", text)


def _sequence(marks: list[str], start: int, source: str) -> tuple[list[tuple], int]:
    """Alternatives from `start` on (tuples of parts), and the index of the mark that ended them."""
    alternatives: list[tuple] = []
    current: list[Part] = []
    index = start
    while index < len(marks) and marks[index] not in ")]":
        mark = marks[index]
        if mark == "|":
            alternatives.append(tuple(current))
            current = []
        elif mark in _CLOSING:
            inner, index = _sequence(marks, index + 1, source)
            if index == len(marks) or marks[index] != _CLOSING[mark]:
                raise LabError(
                    f"expected balanced brackets in the frame {source!r}",
                    f"got a {mark!r} that is never closed",
                )
            current.append(((), *inner) if mark == "[" else tuple(inner))
        else:
            current.append(mark)
        index += 1
    return [*alternatives, tuple(current)], index


def _leaves(parts: tuple[Part, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        else:
            for alternative in part:
                yield from _leaves(alternative)


def _write(
    parts: tuple[Part, ...], values: Mapping[str, str], rng: random.Random, out: list[str]
) -> None:
    for part in parts:
        if not isinstance(part, str):
            _write(part[int(rng.random() * len(part))], values, rng, out)
        elif part[0] == "{":
            out.append(values[part[1:-1]])
        else:
            out.append(part)

"""The same prompts about other subjects: every word but the name is the same, at the same place."""

import random
from dataclasses import replace

import torch

from helpers.errors import LabError
from helpers.knowledge.facts import Facts
from helpers.knowledge.facts.places import TokensOf, spans, tokens_of_name


def exchanged(
    asked: Facts,
    pool: Facts | None = None,
    seed: int = 0,
    tokens_of: TokensOf = tokens_of_name,
) -> Facts:
    """For each prompt the same prompt about another subject, with another answer.

    Args:
        pool: Prompts to draw from; the asked ones themselves without it.
        seed: Seed of the draw.

    Raises:
        LabError: A prompt for which there is none: the same words around a name of as many tokens.

    >>> from helpers.knowledge.facts import facts
    >>> asked = facts("kind", ["owl", "oak"], ["the {entity} is a kind of"])
    >>> exchanged(asked).subjects
    ('oak', 'owl')
    """
    pool, rng = asked if pool is None else pool, random.Random(seed)
    by_frame: dict[tuple, list[int]] = {}
    for row, frame in enumerate(_frames(pool, tokens_of)):
        by_frame.setdefault(frame, []).append(row)
    answers, drawn = pool.answers.tolist(), []
    wanted = zip(_frames(asked, tokens_of), asked.answers.tolist(), asked.subjects, strict=True)
    for frame, answer, subject in wanted:
        others = [row for row in by_frame.get(frame, ()) if answers[row] != answer]
        if not others:
            raise LabError(
                "expected the same prompt about a subject with another answer",
                f"got none for {subject!r}",
                hint="ask about more subjects, of other answers, in every frame",
            )
        drawn.append(rng.choice(others))
    width = asked.tokens.shape[1]
    tokens = torch.zeros(len(drawn), width, dtype=asked.tokens.dtype)
    source = pool.tokens[drawn]
    shared = min(width, source.shape[1])
    tokens[:, :shared] = source[:, :shared]
    subjects = tuple(pool.subjects[row] for row in drawn)
    return replace(asked, tokens=tokens, answers=pool.answers[drawn], subjects=subjects)


def check_exchanged(asked: Facts, other: Facts, tokens_of: TokensOf = tokens_of_name) -> None:
    """Refuse prompts that differ in more than their subject: a state would be moved from one place
    of a sentence to another place of another one.

    Raises:
        LabError: Another number of prompts, or other words around a subject.
    """
    if other.tokens.shape == asked.tokens.shape:
        pairs = zip(_frames(asked, tokens_of), _frames(other, tokens_of), strict=True)
        apart = [row for row, (ours, theirs) in enumerate(pairs) if ours != theirs]
        if not apart:
            return
        names = other.subjects[apart[0]], asked.subjects[apart[0]]
        got = f"got other words around {names[0]!r} than around {names[1]!r}"
    else:
        got = f"got {list(other.tokens.shape)} tokens for {list(asked.tokens.shape)}"
    raise LabError(
        "expected one prompt about another subject for each prompt",
        got,
        hint="make them with helpers.knowledge.tracing.exchanged",
    )


def _frames(asked: Facts, tokens_of: TokensOf) -> list[tuple]:
    """The words around each prompt's subject, with the subject's place."""
    rows = zip(
        asked.tokens.tolist(), asked.last.tolist(), spans(asked, tokens_of).tolist(), strict=True
    )
    return [
        (first, end, *row[:first], *row[end + 1 : last + 1]) for row, last, (first, end) in rows
    ]

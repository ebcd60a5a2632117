"""Facts of TinyWorld as prompts: what kind an entity is, and which realm it belongs to.

Every prompt ends right before the answer, in a frame of TinyWorld's grammar. Frames and entities
are both divided: what is learned on some is judged on others.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from helpers.errors import LabError
from helpers.texts import PAD, Vocabulary
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.language.frames import articles

Relation = Literal["kind", "realm"]
FRAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "kind": {
        "search": (
            "a {entity} is a kind of",
            "every {entity} is a kind of",
            "the {entity} belongs to the",
            "the {entity} stands under",
        ),
        "held out": (
            "the {entity} is a sort of",
            "the {entity} is said to belong to the",
            "the {entity} is listed under",
        ),
    },
    "realm": {
        "search": (
            "seen broadly , the {entity} is one more",
            "taken broadly , a {entity} is one more",
        ),
        "held out": (
            "taken broadly , any {entity} is one more",
            "seen broadly , a {entity} is one more",
        ),
    },
}
"""Beginnings of sentences by relation: those that masks are searched with, and the others. An
article right before the answer would tell how it begins, so none stands there."""
SEARCHED = 0.7
"""Share of the entities that masks are searched with."""

TRIES = 100_000
"""Exchanges until a permutation is given up that leaves no answer true."""


@dataclass(frozen=True)
class Facts:
    """Prompts about facts, with their answers.

    Attributes:
        tokens: Padded on the right.
        last: Position of each prompt's last token, where the answer is predicted.
        answers: Token of each answer.
        candidates: Tokens of all values of the relation.
        subjects: What each prompt is about.
    """

    tokens: Int[Tensor, "prompt pos"]
    last: Int[Tensor, " prompt"]
    answers: Int[Tensor, " prompt"]
    candidates: Int[Tensor, " value"]
    subjects: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)


def divided(seed: int = 0) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The entities, in two parts: those that masks are searched with, and those held out.

    >>> searched, held_out = divided()
    >>> len(searched), len(held_out)
    (179, 77)
    """
    names = [entity.name for entity in worlds.load().entities]
    random.Random(seed).shuffle(names)
    first = int(SEARCHED * len(names))
    return tuple(names[:first]), tuple(names[first:])


def facts(relation: Relation, entities: Iterable[str], frames: Iterable[str]) -> Facts:
    """Every entity in every frame, with the true answer.

    Raises:
        LabError: An entity that TinyWorld does not have, none at all, or an unknown relation.

    >>> searched, _ = divided()
    >>> owl = facts("kind", ["owl"], FRAMES["kind"]["search"])
    >>> vocabulary().words[owl.answers[0]]
    'bird'
    """
    known = {entity.name: entity for entity in worlds.load().entities}
    entities, frames = several(entities, "entities"), several(frames, "frames")
    if relation not in FRAMES:
        raise LabError("expected a relation of TinyWorld, kind or realm", f"got {relation!r}")
    if unknown := [name for name in entities if name not in known]:
        raise LabError("expected entities of TinyWorld", f"got {unknown[0]!r}")
    for frame in frames:
        if frame.count("{entity}") != 1 or len(frame.split()) < 2:
            raise LabError(
                "expected frames with {entity} in them, once, and words beside it", f"got {frame!r}"
            )
    asked = [(name, frame) for name in entities for frame in frames]
    return encoded(
        vocabulary(),
        [articles(frame.replace("{entity}", name)) for name, frame in asked],
        [getattr(known[name], relation) for name, _ in asked],
        worlds.load().values(relation),
        [name for name, _ in asked],
    )


def encoded(
    words: Vocabulary,
    texts: Sequence[str],
    answers: Sequence[str],
    candidates: Sequence[str],
    subjects: Sequence[str],
) -> Facts:
    """Prompts of any world as tokens.

    Args:
        texts: Each ends right before its answer.
        answers: One word each.
        candidates: All words that could be an answer.
        subjects: What each is about.

    Raises:
        LabError: A word that the vocabulary does not have, or parts of different lengths.

    >>> one = encoded(vocabulary(), ["the owl is a kind of"], ["bird"], ["bird", "tree"], ["owl"])
    >>> one.last
    tensor([6])
    """
    if not len(texts) == len(answers) == len(subjects) or not texts:
        raise LabError(
            "expected one answer and one subject for each prompt",
            f"got {len(texts)} prompts, {len(answers)} answers and {len(subjects)} subjects",
        )
    ids = [words.encode(text) for text in texts]
    tokens = torch.full((len(ids), max(map(len, ids))), PAD)
    for row, part in enumerate(ids):
        tokens[row, : len(part)] = torch.tensor(part)
    return Facts(
        tokens,
        torch.tensor([len(part) - 1 for part in ids]),
        torch.tensor([words.token(answer) for answer in answers]),
        torch.tensor([words.token(value) for value in candidates]),
        tuple(subjects),
    )


def several(values: Iterable[str], what: str) -> tuple[str, ...]:
    """Some texts: one alone is none, as its letters would be taken for them."""
    several = () if isinstance(values, str) else tuple(values)
    if not several or not all(isinstance(value, str) for value in several):
        raise LabError(f"expected one or more {what}, as a list of texts", f"got {values!r:.60}")
    return several


def permuted(given: Facts, seed: int = 0, by_value: bool = False) -> Facts:
    """The same prompts with false answers: the control of every claim about stored knowledge.

    Args:
        by_value: Exchange the values themselves, one for another throughout ("every bird is a
            fish"), so that entities of one kind still have one answer. Else the answers are dealt
            out anew to the subjects, each in the same number.

    Raises:
        LabError: Fewer than two different answers, or one that more than half of the subjects have:
            then some would have to stay true.

    >>> few = facts("kind", ["owl", "trout"], ["the {entity} is a sort of"])
    >>> (permuted(few).answers != few.answers).all().item()
    True
    """
    names = list(dict.fromkeys(given.subjects))
    true = dict(zip(given.subjects, given.answers.tolist(), strict=True))
    values = sorted(set(true.values()))  # so that other prompts get the same exchange
    rng = random.Random(seed)
    if len(values) < 2:
        raise LabError("expected facts with two different answers or more", f"got {len(values)}")
    if by_value:
        ring = rng.sample(values, len(values))
        after = dict(zip(ring, ring[1:] + ring[:1], strict=True))
        false = {name: after[true[name]] for name in names}
    else:
        dealt = [true[name] for name in names]
        most = max(Counter(dealt).values())
        if 2 * most > len(dealt):
            raise LabError(
                "expected no answer that more than half of the subjects have",
                f"got one for {most} of {len(dealt)}",
                hint="take more subjects of other kinds",
            )
        rng.shuffle(dealt)
        false = dict(zip(names, _apart([true[name] for name in names], dealt, rng), strict=True))
    answers = torch.tensor([false[subject] for subject in given.subjects])
    return replace(given, answers=answers)


def _apart(true: list[int], dealt: list[int], rng: random.Random) -> list[int]:
    """The dealt answers, exchanged in pairs until none is the true one, as far as that can be."""
    for _ in range(TRIES):
        same = [row for row, value in enumerate(dealt) if value == true[row]]
        if not same:
            break
        first, second = same[0], rng.randrange(len(dealt))
        if dealt[second] != true[first] and dealt[first] != true[second]:
            dealt[first], dealt[second] = dealt[second], dealt[first]
    return dealt

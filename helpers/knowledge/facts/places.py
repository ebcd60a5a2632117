"""Places in a prompt that are named by the fact that it asks for.

=========  =================================================================
subject    the last token of the subject's name
after      the token after it
last       the last token of the prompt, where the answer is predicted
=========  =================================================================
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import check_lengths, token_ids
from helpers.knowledge.facts.tinyworld import Facts
from helpers.tinyworld.language import vocabulary

Place = Literal["subject", "after", "last"]
PLACES: tuple[Place, ...] = get_args(Place)
TokensOf = Callable[[str], Sequence[int]]
"""The tokens of a name as they stand inside a sentence."""


def tokens_of_name(name: str) -> list[int]:
    """The tokens of a name in TinyWorld: one a word.

    >>> vocabulary().decode(tokens_of_name("owl"))
    'owl'
    """
    return vocabulary().encode(name, begin=False)


def spans(asked: Facts, tokens_of: TokensOf = tokens_of_name) -> Int[Tensor, "prompt 2"]:
    """First and last position of the subject's name in each prompt; its last mention counts.

    Args:
        tokens_of: The tokens of a name, for models of another vocabulary.

    Raises:
        LabError: A prompt in which its subject does not stand.

    >>> from helpers.knowledge.facts import facts
    >>> spans(facts("kind", ["owl"], ["the {entity} is a kind of"])).tolist()
    [[2, 2]]
    """
    tokens = token_ids(asked.tokens)
    check_lengths(asked.last + 1, len(tokens), tokens.shape[1])
    found = []
    for row, last, name in zip(tokens.tolist(), asked.last.tolist(), asked.subjects, strict=True):
        wanted = [int(token) for token in tokens_of(name)]
        starts = [
            start
            for start in range(last + 2 - len(wanted))
            if wanted and row[start : start + len(wanted)] == wanted
        ]
        if not starts:
            raise LabError(
                "expected prompts that name their subject",
                f"got one without {name!r}",
                hint="give the tokens of names in this model's vocabulary with tokens_of",
            )
        found.append((starts[-1], starts[-1] + len(wanted) - 1))
    return torch.tensor(found)


def positions(
    asked: Facts, place: Place, tokens_of: TokensOf = tokens_of_name
) -> Int[Tensor, " prompt"]:
    """Position of a place in each prompt.

    Raises:
        LabError: An unknown place, one that is not there, or as `spans`.

    >>> from helpers.knowledge.facts import facts
    >>> owl = facts("kind", ["owl"], ["the {entity} is a kind of"])
    >>> [positions(owl, place).item() for place in PLACES]
    [2, 3, 6]
    """
    if place not in PLACES:
        raise LabError(f"expected a place in a prompt: {', '.join(PLACES)}", f"got {place!r}")
    if place == "last":
        return asked.last
    at = spans(asked, tokens_of)[:, 1] + (place == "after")
    if not (at <= asked.last).all():
        raise LabError(
            "expected prompts with a token after their subject",
            f"got one that ends with {asked.subjects[int((at > asked.last).nonzero()[0])]!r}",
        )
    return at

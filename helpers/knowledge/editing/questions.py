"""What an edited model is asked besides the fact: paraphrases, neighbours, what follows, verdicts.

A model with another world brings a function of its own that makes `EditQuestions`; `effects` reads
nothing else. `of_tinyworld` makes them for TinyWorld's kinds.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Int
from torch import Tensor

from helpers.errors import LabError
from helpers.knowledge.facts.tinyworld import FRAMES, Facts, facts
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds

SIBLINGS, OTHERS = 6, 8
"""How many siblings and others of each fact are asked, at most."""
DENIALS = ("the {entity} is not a kind of", "it is a lie that the {entity} is a kind of")
"""Frames that deny what follows. Each word of them is TinyWorld's, but its texts deny no kind: they
say "that is false" after the claim instead."""


@dataclass(frozen=True)
class EditQuestions:
    """What is asked about one edited fact; None for what a world does not have.

    Attributes:
        paraphrases: The fact in frames that were not edited, in which training has it.
        siblings, others: Neighbours that had the old answer, and others that had not.
        realms: Prompts whose answer follows from the fact.
        realm: Token of what followed from the old fact, and of what follows from the new one.
        denials: The fact in frames that deny it.
        verdicts: Two prompts that end before a verdict: on the new claim, and on the old one.
        yes, no: Tokens of verdicts.
        unseen: The fact in frames in which training never has it, where a world tells them apart
            from paraphrases.
    """

    paraphrases: Facts | None
    siblings: Facts | None = None
    others: Facts | None = None
    realms: Facts | None = None
    realm: tuple[int, int] | None = None
    denials: Facts | None = None
    verdicts: Facts | None = None
    yes: Int[Tensor, " word"] | None = None
    no: Int[Tensor, " word"] | None = None
    unseen: Facts | None = None


def of_tinyworld(
    subject: str, new: int, frame: str, seed: int = 0, denials: Iterable[str] = DENIALS
) -> EditQuestions:
    """The questions about an entity of TinyWorld whose kind was changed.

    Args:
        new: Token of its new kind.
        frame: The frame of the request: siblings, others and claims to be judged are put in it.
        seed: Of which siblings and others are asked.
        denials: Frames that deny the fact.

    Raises:
        LabError: An entity that TinyWorld does not have, or a new answer that is no kind.

    >>> tree = vocabulary().token("tree")
    >>> asked = of_tinyworld("owl", tree, "the {entity} is a kind of")
    >>> vocabulary().decode(asked.verdicts.tokens[0].tolist())
    '<begin> the owl is a kind of tree . that is'
    >>> [vocabulary().words[token] for token in asked.realm]
    ['animal', 'plant']
    """
    entities = worlds.load().entities
    realm_of = {entity.kind: entity.realm for entity in entities}
    of = {entity.name: entity for entity in entities}
    words = vocabulary()
    if subject not in of:
        raise LabError("expected entities of TinyWorld", f"got {subject!r}")
    if new not in {words.token(kind) for kind in realm_of}:
        raise LabError(
            "expected requests that change kinds", f"got {words.decode([new])!r} as a new answer"
        )
    rng = random.Random(f"{seed} {subject}")
    kind, realms = of[subject].kind, (of[subject].realm, realm_of[words.words[new]])
    same = [each.name for each in entities if each.kind == kind and each.name != subject]
    other = [each.name for each in entities if each.kind != kind]
    siblings = rng.sample(same, min(SIBLINGS, len(same)))
    others = rng.sample(other, min(OTHERS, len(other)))
    chain = FRAMES["realm"]["search"] + FRAMES["realm"]["held out"]
    claims = [f"{frame} {value} . that is" for value in (words.words[new], kind)]
    old_realm, new_realm = realms
    yes, no = _verdicts()
    return EditQuestions(
        facts("kind", (subject,), FRAMES["kind"]["held out"]),
        facts("kind", siblings, (frame,)) if siblings else None,
        facts("kind", others, (frame,)),
        facts("realm", (subject,), chain) if old_realm != new_realm else None,
        (words.token(old_realm), words.token(new_realm)),
        facts("kind", (subject,), denials),
        facts("kind", (subject,), claims),
        torch.tensor(yes),
        torch.tensor(no),
    )


@cache
def _verdicts() -> tuple[list[int], list[int]]:
    """Tokens that say yes, and tokens that say no, of the grammar's verdicts."""
    said = []
    for answer in ("yes", "no"):
        said.append(set().union(*(f.words for f in worlds.frames()[f"verdict.{answer}"])))
    both, token = said[0] & said[1], vocabulary().token
    yes, no = (sorted(token(word) for word in each - both) for each in said)
    return yes, no

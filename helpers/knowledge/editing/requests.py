"""Facts to be changed: which prompt, what the model says now, what it shall say instead."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.knowledge.facts.tinyworld import Facts, Relation, facts
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds


@dataclass(frozen=True)
class Requests:
    """One prompt a fact, with its old and its new answer.

    Attributes:
        asked: The prompts with the answers as they are.
        new: Token of each answer as it shall be.

    Raises:
        LabError: Old and new answer are the same, or there is not one new answer for each fact.
    """

    asked: Facts
    new: Int[Tensor, " fact"]

    def __post_init__(self) -> None:
        if self.new.shape != self.asked.answers.shape:
            raise LabError(
                f"expected one new answer for each of the {len(self.asked)} facts",
                f"got {list(self.new.shape)}",
            )
        if not set(self.new.tolist()) <= set(self.asked.candidates.tolist()):
            raise LabError(
                "expected new answers among the values of the relation",
                f"got tokens {sorted(set(self.new.tolist()))[:5]}",
            )
        same = (self.new == self.asked.answers).nonzero().flatten().tolist()
        if same:
            raise LabError(
                "expected a new answer that differs from the old one",
                f"got the same for {self.asked.subjects[same[0]]!r}",
            )

    def __len__(self) -> int:
        return len(self.asked)

    def only(self, numbers: Sequence[int]) -> "Requests":
        """Some of the requests, in the order of the numbers."""
        asked, rows = self.asked, torch.tensor(list(numbers))
        some = replace(
            asked,
            tokens=asked.tokens[rows],
            last=asked.last[rows],
            answers=asked.answers[rows],
            subjects=tuple(asked.subjects[number] for number in numbers),
        )
        return Requests(some, self.new[rows])


def request(relation: Relation, changes: dict[str, str], frame: str) -> Requests:
    """What is to be said of some entities instead of the truth.

    Args:
        changes: For each entity its new value, one word of TinyWorld.
        frame: A sentence that ends before the value, such as "the {entity} is a kind of".

    Raises:
        LabError: An unknown entity, a value of several words or none of the relation's, or the
            value that the entity has.

    >>> asked = request("kind", {"owl": "tree"}, "the {entity} is a kind of")
    >>> vocabulary().words[asked.new[0]]
    'tree'
    """
    values = worlds.load().values(relation)
    for entity, value in changes.items():
        if value not in values:
            several = "; it has several words" if len(str(value).split()) > 1 else ""
            raise LabError(
                f"expected a new {relation} that is one word: {', '.join(values)}",
                f"got {value!r} for {entity!r}{several}",
            )
    asked = facts(relation, tuple(changes), (frame,))
    words = vocabulary()
    return Requests(asked, torch.tensor([words.token(value) for value in changes.values()]))


def drawn(entities: Sequence[str], count: int, frame: str, seed: int = 0) -> Requests:
    """Requests to give random entities a random kind of another realm.

    Raises:
        LabError: More requests than entities.
    """
    rng, known = random.Random(seed), {entity.name: entity for entity in worlds.load().entities}
    entities = tuple(dict.fromkeys(entities))  # each at most once
    if unknown := [name for name in entities if name not in known]:
        raise LabError("expected entities of TinyWorld", f"got {unknown[0]!r}")
    check_count("number of facts", count, least=1)
    if count > len(entities):
        raise LabError(f"expected 1 to {len(entities)} facts to change", f"got {count}")
    realm_of = {entity.kind: entity.realm for entity in known.values()}
    changes = {}
    for name in rng.sample(entities, count):
        others = [kind for kind, realm in realm_of.items() if realm != known[name].realm]
        changes[name] = rng.choice(others)
    return request("kind", changes, frame)

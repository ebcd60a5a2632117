"""A kind is moved to another realm: do its members follow?

"A bird is an animal" is edited to "a bird is a plant". Nothing was said of owls. A model that
infers what realm an owl belongs to from its kind says plant; one that has the realm of each entity
by heart says animal. Members of *other* kinds are the control: where they move as well, the edit
has leaked, and nothing was inferred.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from helpers.errors import LabError
from helpers.knowledge.editing.measures import kept, likelier, log_p
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import Edited
from helpers.knowledge.facts.tinyworld import FRAMES, encoded, facts
from helpers.knowledge.masks.blocks import Blocks
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.language.frames import articles


@dataclass(frozen=True)
class Followed:
    """What the members of a kind, and of others, are said to be after the kind's realm was changed.

    NaN stands for a model that says NaN, and for a kind without members or strangers.

    Attributes:
        efficacy: P(new realm) on the prompt of the kind.
        members: Share of its members whose likelier realm, of the old and the new one, is now new.
        strangers: The same share of the members of other kinds of the old realm.
        kinds: Share of other kinds of which the model says what it said.
    """

    efficacy: Float[Tensor, " fact"]
    members: Float[Tensor, " fact"]
    strangers: Float[Tensor, " fact"]
    kinds: Float[Tensor, " fact"]

    @property
    def inferred(self) -> Float[Tensor, " fact"]:
        """Members that follow beyond strangers that do."""
        return self.members - self.strangers


def realm_requests(changes: dict[str, str], frame: str = FRAMES["realm"]["search"][1]) -> Requests:
    """Requests to say of some kinds that they belong to another realm.

    Args:
        changes: For each kind its new realm.
        frame: A sentence that ends before the realm, with {entity} where the kind stands.

    Raises:
        LabError: An unknown kind, a value that is no realm, or the realm that the kind has.

    >>> asked = realm_requests({"bird": "plant"})
    >>> vocabulary().decode(asked.asked.tokens[0].tolist())
    '<begin> taken broadly , a bird is one more'
    """
    realm_of = {entity.kind: entity.realm for entity in worlds.load().entities}
    realms = worlds.load().values("realm")
    if not changes:
        raise LabError(f"expected kinds of TinyWorld: {', '.join(realm_of)}", "got none")
    for kind, realm in changes.items():
        if kind not in realm_of:
            raise LabError(f"expected kinds of TinyWorld: {', '.join(realm_of)}", f"got {kind!r}")
        if realm not in realms:
            raise LabError(
                f"expected a new realm that is one word: {', '.join(realms)}",
                f"got {realm!r} for {kind!r}",
            )
    words = vocabulary()
    asked = encoded(
        words,
        [articles(frame.replace("{entity}", kind)) for kind in changes],
        [realm_of[kind] for kind in changes],
        realms,
        tuple(changes),
    )
    return Requests(asked, torch.tensor([words.token(realm) for realm in changes.values()]))


@torch.no_grad()
def followed(weights: Blocks, requests: Requests, edited: Edited) -> Followed:
    """Whether the members of edited kinds follow them.

    Raises:
        LabError: Requests about something else than kinds, or edits of other requests.
    """
    entities = worlds.load().entities
    kinds = {entity.kind: entity.realm for entity in entities}
    if unknown := [kind for kind in requests.asked.subjects if kind not in kinds]:
        raise LabError(f"expected kinds of TinyWorld: {', '.join(kinds)}", f"got {unknown[0]!r}")
    if len(edited.values) != len(requests):
        raise LabError(
            f"expected the edits of {len(requests)} requests", f"got {len(edited.values)}"
        )
    measured = []
    for number, kind in enumerate(requests.asked.subjects):
        values, one = edited.values[number], requests.only([number])
        old, new = int(one.asked.answers[0]), int(one.new[0])
        members = [e.name for e in entities if e.kind == kind]
        strangers = [e.name for e in entities if e.kind != kind and e.realm == kinds[kind]]
        others = realm_requests(
            {
                each: next(r for r in kinds.values() if r != kinds[each])
                for each in set(kinds) - {kind}
            }
        )
        measured.append(
            (
                float(log_p(weights, values, one.asked)[0, new].exp()),
                _moved(weights, values, members, old, new),
                _moved(weights, values, strangers, old, new),
                kept(weights, values, others.asked),
            )
        )
    return Followed(*torch.tensor(measured, dtype=torch.float64).T)


def _moved(weights: Blocks, values: Tensor, entities: list[str], old: int, new: int) -> float:
    """Share of prompts about these whose likelier realm is the new one; NaN for no entity, or where
    the model says NaN."""
    if not entities:
        return float("nan")
    said = log_p(weights, values, facts("realm", entities, FRAMES["realm"]["held out"]))
    return likelier(said, new, old)

"""What an edit did: to the fact, to its paraphrases, to what follows from it, and to all the rest.

============  ======================================================================================
efficacy      P(new answer) on the prompt that was edited
paraphrase    P(new answer) in frames that were not
siblings      share of entities of the same old kind whose kind is still what it was
others        the same for entities of other kinds
chain         share of frames that now name the realm of the new kind rather than of the old one: a
              bird that is said to be a fish stays an animal, one that is said to be a tree should
              become a plant
text          how much the mean loss on ordinary text rose, in nats a token
============  ======================================================================================

An edit that only teaches a phrase has efficacy without paraphrase; one that breaks the model has
both, and no siblings.
"""

import random
from dataclasses import dataclass, fields

import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.errors import LabError
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import Edited
from helpers.knowledge.facts.tinyworld import FRAMES, Facts, facts
from helpers.knowledge.masks.blocks import Blocks
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds

SIBLINGS, OTHERS = 6, 8
"""How many siblings and others of each fact are asked, at most."""


@dataclass(frozen=True)
class EditEffects:
    """What the edit of each fact did, as the table above says."""

    efficacy: Float[Tensor, " fact"]
    paraphrase: Float[Tensor, " fact"]
    siblings: Float[Tensor, " fact"]
    others: Float[Tensor, " fact"]
    chain: Float[Tensor, " fact"]
    text: Float[Tensor, " fact"]

    def means(self) -> dict[str, float]:
        """The mean of each over the facts that have it: some have no sibling, or a realm that
        stays. What every fact has is NaN if it is for one."""
        means = {}
        for field in fields(self):
            values = getattr(self, field.name)
            some = field.name in ("siblings", "others", "chain")
            means[field.name] = float(values.nanmean() if some else values.mean())
        return means


@torch.no_grad()
def effects(
    weights: Blocks,
    requests: Requests,
    edited: Edited,
    frame: str,
    rows: Int[Tensor, "row pos"],
    seed: int = 0,
) -> EditEffects:
    """What edits of kinds did.

    Args:
        frame: The frame of the requests; siblings and others are asked in it.
        rows: Ordinary text, such as `helpers.tinyworld.language.documents.rows` gives.
        seed: Seed of which siblings and others are asked.

    Raises:
        LabError: Requests of another relation than kind.
    """
    kinds = {vocabulary().token(kind) for kind in worlds.load().values("kind")}
    if not set(requests.new.tolist()) <= kinds:
        raise LabError(
            "expected requests that change kinds",
            f"got {vocabulary().decode(requests.new[:1].tolist())!r} as a new answer",
        )
    plain, measured = _text_loss(weights, weights.values, rows), []
    for number, subject in enumerate(requests.asked.subjects):
        values, new = edited.values[number], requests.new[number]
        said = _log_p(weights, values, _one(requests.asked, number))
        para = _log_p(weights, values, facts("kind", (subject,), FRAMES["kind"]["held out"]))
        siblings, others = _around(subject, seed)
        measured.append(
            (
                float(said[0, new].exp()),
                float(para[:, new].exp().mean()),
                _kept(weights, values, siblings, frame),
                _kept(weights, values, others, frame),
                _chain(weights, values, subject, int(new)),
                _text_loss(weights, values, rows) - plain,
            )
        )
    return EditEffects(*torch.tensor(measured, dtype=torch.float64).T)


def _one(asked: Facts, number: int) -> Facts:
    part = slice(number, number + 1)
    return Facts(
        asked.tokens[part],
        asked.last[part],
        asked.answers[part],
        asked.candidates,
        asked.subjects[part],
    )


def _log_p(weights: Blocks, values: Tensor, asked: Facts) -> Float[Tensor, "prompt word"]:
    return weights.logits(values, asked.tokens, asked.last).log_softmax(-1)


def _around(subject: str, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Some entities of the subject's kind, and some of other kinds."""
    rng = random.Random(f"{seed} {subject}")
    entities = worlds.load().entities
    (kind,) = (entity.kind for entity in entities if entity.name == subject)
    same = [entity.name for entity in entities if entity.kind == kind and entity.name != subject]
    other = [entity.name for entity in entities if entity.kind != kind]
    return (
        tuple(rng.sample(same, min(SIBLINGS, len(same)))),
        tuple(rng.sample(other, min(OTHERS, len(other)))),
    )


def _kept(weights: Blocks, values: Tensor, entities: tuple[str, ...], frame: str) -> float:
    """Share of entities of which the edited model says what the model says."""
    if not entities:
        return float("nan")
    asked = facts("kind", entities, (frame,))
    now, before = (_log_p(weights, part, asked).argmax(-1) for part in (values, weights.values))
    return float((now == before).float().mean())


def _chain(weights: Blocks, values: Tensor, subject: str, new: int) -> float:
    """Share of frames whose likelier realm is that of the new kind; NaN where the realm stays."""
    realm_of = {entity.kind: entity.realm for entity in worlds.load().entities}
    words, kind_of = vocabulary(), {e.name: e.kind for e in worlds.load().entities}
    old_realm, new_realm = realm_of[kind_of[subject]], realm_of[words.words[new]]
    if old_realm == new_realm:
        return float("nan")
    frames = FRAMES["realm"]["search"] + FRAMES["realm"]["held out"]
    said = _log_p(weights, values, facts("realm", (subject,), frames))
    return float((said[:, words.token(new_realm)] > said[:, words.token(old_realm)]).float().mean())


def _text_loss(weights: Blocks, values: Tensor, rows: Tensor) -> float:
    """Mean loss of the next token, in nats."""
    said = weights.run(values, rows[:, :-1])
    return float(torch.nn.functional.cross_entropy(said.flatten(0, 1), rows[:, 1:].flatten()))

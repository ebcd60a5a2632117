"""Requests and questions about the bestiary's creatures, for `edit` and `effects`.

As for TinyWorld's entities (`requests`, `questions`), with what only this world has: names of two
words, denials that training texts do have, and realms that are never stated. The model's own
verdict is its answer to "is … a falcon ?", half of which training answers with no: that it has
learned, also for kinds that training never brought up with a name. Its verdicts on rumours are
those of a coin, and so are its denials (its card has the numbers): they show how far an edit
spreads into such sentences, not whether it made something true.
"""

import random
from collections.abc import Sequence

import torch

from helpers.errors import LabError
from helpers.inputs import check_count
from helpers.knowledge.editing.questions import OTHERS, SIBLINGS, EditQuestions
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.facts import bestiary
from helpers.knowledge.facts.tinyworld import Facts, encoded
from helpers.tinyworld.bestiary import load, texts, vocabulary
from helpers.tinyworld.bestiary.world import ANSWERS


def creature_request(changes: dict[str, str], frame: str) -> Requests:
    """What kind is to be said of some creatures instead of the truth.

    Args:
        changes: For each name its new kind.
        frame: A sentence that ends before the kind, such as "{entity} is a".

    Raises:
        LabError: An unknown name, a value that is no kind, or the kind that the creature has.

    >>> asked = creature_request({"amber quill": "goat"}, "{entity} is a")
    >>> vocabulary().words[asked.new[0]]
    'goat'
    """
    kinds = load().values("kind")
    for name, kind in changes.items():
        if kind not in kinds:
            raise LabError(
                f"expected a new kind of the bestiary: {', '.join(kinds)}",
                f"got {kind!r} for {name!r}",
            )
    asked = bestiary.facts("kind", tuple(changes), (frame,))
    return Requests(asked, torch.tensor([vocabulary().token(kind) for kind in changes.values()]))


def drawn_creatures(names: Sequence[str], count: int, frame: str, seed: int = 0) -> Requests:
    """Requests to give random creatures a random kind of another realm.

    Raises:
        LabError: More requests than names, or an unknown name.
    """
    names = tuple(dict.fromkeys(names))  # each at most once
    creatures = {name: load().creature(name) for name in names}
    check_count("number of facts", count, least=1)
    if count > len(names):
        raise LabError(f"expected 1 to {len(names)} facts to change", f"got {count}")
    rng, changes = random.Random(seed), {}
    for name in rng.sample(names, count):
        realm = creatures[name].realm
        changes[name] = rng.choice([k for k, other in load().realm_of.items() if other != realm])
    return creature_request(changes, frame)


def creature_questions(name: str, new: int, frame: str, seed: int = 0) -> EditQuestions:
    """What is asked about a creature whose kind was changed.

    Args:
        new: Token of its new kind.
        frame: The frame of the request: neighbours are put in it.
        seed: Of which siblings and others are asked.

    Raises:
        LabError: An unknown name, or a new answer that is no kind.

    >>> goat = vocabulary().token("goat")
    >>> asked = creature_questions("amber quill", goat, "{entity} is a")
    >>> vocabulary().decode(asked.verdicts.tokens[0].tolist())
    '<begin> is amber quill a goat ?'
    """
    words, known, creature = vocabulary(), load(), load().creature(name)
    kinds = {words.token(kind): kind for kind in known.values("kind")}
    if new not in kinds:
        raise LabError(
            "expected requests that change kinds", f"got {words.decode([new])!r} as a new answer"
        )
    rng = random.Random(f"{seed} {name}")
    siblings = rng.sample(bestiary.siblings(name), SIBLINGS)
    others = [each.name for each in known.creatures if each.kind != creature.kind]
    old_realm, new_realm = creature.realm, known.realm_of[kinds[new]]
    (question,) = known.frames["kind"]["ask"]
    claims = [texts.filled(question, creature, kind) for kind in (kinds[new], creature.kind)]
    yes, no = (torch.tensor([words.token(answer)]) for answer in ANSWERS)
    realms = bestiary.facts("realm", (name,), bestiary.FRAMES["realm"]["search"])
    return EditQuestions(
        _again(name, unseen=False),
        bestiary.facts("kind", siblings, (frame,)),
        bestiary.facts("kind", rng.sample(others, OTHERS), (frame,)),
        realms if old_realm != new_realm else None,
        (words.token(old_realm), words.token(new_realm)),
        bestiary.denials((name,)),
        encoded(words, claims, [creature.kind] * 2, known.values("kind"), [name] * 2),
        yes,
        no,
        _again(name, unseen=True),
    )


def _again(name: str, unseen: bool) -> Facts | None:
    """A creature's kind in the frames held out from masks: those in which training never has this
    name, or the others; None where there are none."""
    frames = zip(
        bestiary.FRAMES["kind"]["held out"], load().frames["kind"]["half"], strict=True
    )  # up to the value, and whole
    some = [begun for begun, frame in frames if (name in load().left_out[frame]) == unseen]
    return bestiary.facts("kind", (name,), some) if some else None

"""What is edited, and what is asked: the same for both models, each in its own world."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from helpers import zoo
from helpers.errors import LabError
from helpers.knowledge.edit_study.plan import MODELS
from helpers.knowledge.editing import Requests, drawn
from helpers.knowledge.editing.creatures import creature_questions, drawn_creatures
from helpers.knowledge.editing.questions import EditQuestions
from helpers.knowledge.facts import FRAMES, Facts, bestiary, divided, facts
from helpers.knowledge.facts.places import TokensOf, tokens_of_name
from helpers.knowledge.masks import plain
from helpers.knowledge.masks.plain import PlainBlocks
from helpers.tinyworld.bestiary import texts
from helpers.tinyworld.language import documents, vocabulary

FRAME = "the {entity} is a kind of"
CREATURE_FRAME = "{entity} is a"
BEHIND = ("things", "people", "history", "review", "story")
"""Kinds of the texts that are put before a prompt."""
LONGEST = 40
"""Tokens of such a text at most: prompt and answer must have room behind it."""
TEXT, KEYS, BEFORE = 5, 6, 7
"""Seeds of ordinary text: what an edit is judged on, what ordinary keys are from, what is put
before a prompt."""


@dataclass(frozen=True)
class EditWorld:
    """A model with its facts.

    Attributes:
        blocks: The weights of its blocks.
        entities: Those that masks are learned on, and those held out; the second are edited.
        requests: The facts to be edited.
        others: As many other ones, of entities that masks are learned on.
        truth: True facts of the same entities, in the frames that masks are learned in.
        frame: The frame of the requests.
        rows: Ordinary text that an edit is judged on.
        ordinary: Ordinary text whose keys a rank-one edit shall leave alone.
        ask: What is asked of a subject and its new answer; None for TinyWorld's own questions.
        tokens_of: The tokens of a name.
    """

    blocks: PlainBlocks
    entities: tuple[tuple[str, ...], tuple[str, ...]]
    requests: Requests
    others: Requests
    truth: Facts
    frame: str
    rows: Int[Tensor, "row pos"]
    ordinary: Int[Tensor, "text place"]
    ask: Callable[[str, int], EditQuestions] | None
    tokens_of: TokensOf


def edit_world(model: str, count: int) -> EditWorld:
    """The world of a model, with so many facts to be edited.

    Raises:
        LabError: No such model, or more facts than are held out.
    """
    if model == MODELS[0]:
        searched, held_out = parts = divided()
        draw, rows = partial(drawn, frame=FRAME), documents.rows
        truth = facts("kind", searched, FRAMES["kind"]["search"])
        frame, ask, tokens_of = FRAME, None, tokens_of_name
    elif model == MODELS[1]:
        searched, held_out = parts = bestiary.divided()
        draw, rows = partial(drawn_creatures, frame=CREATURE_FRAME), texts.rows
        truth = bestiary.facts("kind", searched, bestiary.FRAMES["kind"]["search"])
        frame, tokens_of = CREATURE_FRAME, bestiary.tokens_of
        ask = partial(creature_questions, frame=CREATURE_FRAME)
    else:
        raise LabError(f"expected a model of the study: {', '.join(MODELS)}", f"got {model!r}")
    return EditWorld(
        plain.of(zoo.load(model, device="cpu")),
        parts,
        draw(held_out, count, seed=0),
        draw(searched, count, seed=1),
        truth,
        frame,
        torch.from_numpy(rows(np.random.default_rng(TEXT), 8, 64)),
        torch.from_numpy(rows(np.random.default_rng(KEYS), 200, 48)),
        ask,
        tokens_of,
    )


def texts_before() -> list[list[int]]:
    """A short text of TinyWorld of each kind, as token ids without a beginning mark.

    >>> max(map(len, texts_before())) <= LONGEST
    True
    """
    rng, written = random.Random(BEFORE), []
    for kind in BEHIND:
        while True:
            ids = vocabulary().encode(documents.document(rng, kind), begin=False)
            if len(ids) <= LONGEST:
                break
        written.append(ids)
    return written

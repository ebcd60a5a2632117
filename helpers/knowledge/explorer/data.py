"""What a model says along the way of an edit, and beyond it.

An edit's path is not kept: it would fill the memory. Its way is drawn straight instead, from the
model's own weights w₀ to the weights w½ where p(new answer) first is ½, and on:

    w(t) = w₀ + t · (w½ − w₀)

t = 0 is the model as it is and t = 1 the edit where places are compared at equal efficacy, both
exactly. Between them the path itself bends, and beyond 1 more steps would have turned elsewhere;
there the straight line is what is shown. Where p(new answer) never came to ½, w½ is the path's end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import array_of, real, token_ids
from helpers.knowledge.editing import questions
from helpers.knowledge.editing.comparison import Compared
from helpers.knowledge.editing.measures import log_p, text_loss
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.facts.tinyworld import Facts
from helpers.knowledge.masks.blocks import Blocks
from helpers.texts import PAD
from helpers.tinyworld.language import vocabulary

POINTS = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Shares t of the way: most of what happens does so between a half and one and a half."""
GROUPS = ("prompt", "paraphrase", "realm", "sibling", "other")
"""The fact as it was edited, in other frames, its realm; entities of the old kind, and others."""
SAME_START = 1e-3
"""How far, as a share, an edit's own ‖Δw‖ may lie from that to the model's weights."""


@dataclass(frozen=True)
class Question:
    """One line of the view.

    Attributes:
        group: One of `GROUPS`.
        text: The prompt; of siblings and others, which share the edited frame, the name alone.
        old: What the model is to say without an edit.
        new: What the edit asks for: the new kind, or the realm that follows from it.
    """

    group: str
    text: str
    old: str
    new: str


@dataclass(frozen=True)
class Way:
    """What a model says on the way of one edit.

    Attributes:
        distance: ‖Δw‖ at each point.
        loss: Of ordinary text, in nats a token.
        old, new: P(old) and P(new) of each question.
        said: The likeliest word.
        reached: Whether p(new answer) came to ½; else t = 1 is the end of the edit's path.
    """

    distance: Float[ndarray, " point"]
    loss: Float[ndarray, " point"]
    old: Float[ndarray, "point question"]
    new: Float[ndarray, "point question"]
    said: Sequence[Sequence[str]]
    reached: bool


@dataclass(frozen=True)
class FactPage:
    """One fact of the view.

    Attributes:
        subject: What the fact is about.
        old, new: Its kind, and the one it is to get.
        points: Shares t of the way, rising from 0, with 1 among them.
        questions: What is asked at each point, the edited prompt first.
        places: By the name of what was allowed to change.

    Raises:
        LabError: Points without 0 or 1, no place, parts that do not fit, numbers that are none.
    """

    subject: str
    old: str
    new: str
    points: tuple[float, ...]
    questions: tuple[Question, ...]
    places: Mapping[str, Way]

    def __post_init__(self) -> None:
        _check_points(self.points)
        groups = [each.group for each in self.questions]
        if groups[:1] != ["prompt"] or not set(groups) <= set(GROUPS) or not self.places:
            raise LabError(
                f"expected questions about {self.subject!r}, the edited prompt first, and places",
                f"got {groups[:3]} and {list(self.places)[:3]}",
            )
        for name, way in self.places.items():
            self._check_way(name, way)

    def _check_way(self, name: str, way: Way) -> None:
        table = (len(self.points), len(self.questions))
        parts = {"distance": (way.distance, table[:1]), "loss": (way.loss, table[:1])}
        parts |= {"P(old)": (way.old, table), "P(new)": (way.new, table)}
        for what, (values, shape) in parts.items():
            array, most = np.asarray(values, dtype=float), 1.0 if what[0] == "P" else np.inf
            # a rounded sum of exponentials may exceed 1 by a little
            good = np.isfinite(array) & (array >= 0) & (array <= most + 1e-6)
            if array.shape != shape or not good.all():
                odd = "" if array.shape != shape else f" with {array[~good].flat[0]:g}"
                raise LabError(
                    f"expected {what} of the edit in {name!r} as finite numbers of shape {shape}",
                    f"got {array.shape}{odd}",
                )
        if [len(words) for words in way.said] != [table[1]] * table[0]:
            raise LabError(
                f"expected a word said at {table[0]} points to each of {table[1]} questions",
                f"got {[len(words) for words in way.said]} in {name!r}",
            )


def collect(
    weights: Blocks,
    requests: Requests,
    compared: Mapping[str, Compared],
    frame: str,
    rows: Int[Tensor, "row pos"],
    points: Sequence[float] = POINTS,
    seed: int = 0,
) -> list[FactPage]:
    """What the view shows of each fact: the model, run along the straight ways of its edits.

    At t = 1 its numbers are those of `effects` for `Compared.at_half`, where a fact comes so far;
    the others end where their steps do. A run takes about 0.05 s, and there is one for each fact,
    place and point other than 0.

    Args:
        weights: The model's, as they were edited; `plain.of` gives those that run faster.
        compared: `comparison.compare` of each place, by name, from the model's own weights.
        frame: The frame of the requests; siblings and others are asked in it.
        rows: Ordinary text, such as `helpers.tinyworld.language.documents.rows` gives.
        points: Shares t of the way, rising from 0, with 1 among them.
        seed: Of which siblings and others are asked, as in `effects`.

    Raises:
        LabError: Requests of another relation than kind, edits of other requests or weights, points
            without 0 or 1, text that has no next word.

    >>> from helpers import zoo
    >>> from helpers.knowledge.editing import EditSettings, comparison, request
    >>> from helpers.knowledge.masks import blocks
    >>> its = blocks.of(zoo.load("tinyworld", device="cpu"))
    >>> asked = request("kind", {"owl": "tree"}, "the {entity} is a kind of")
    >>> edits = {"all": comparison.compare(its, asked, torch.ones(len(its)), (0.1,),
    ...                                    EditSettings(steps=12))}
    >>> text = torch.tensor([vocabulary().encode("the owl is a bird .")])
    >>> (owl,) = collect(its, asked, edits, "the {entity} is a kind of", text, (0, 1))
    >>> owl.questions[0]
    Question(group='prompt', text='the owl is a kind of', old='bird', new='tree')
    >>> before, after = owl.places["all"].new[:, 0]
    >>> bool(before < 0.1), round(float(after), 2)
    (True, 0.5)
    """
    points, rows = _check_points(points), token_ids(rows, weights.model)
    if rows.shape[1] < 2:
        raise LabError("expected ordinary text of two tokens a row or more", "got one")
    for name, one in compared.items():
        _check_edits(weights, requests, name, one)
    return [
        _fact(weights, requests, number, compared, frame, rows, points, seed)
        for number in range(len(requests))
    ]


def _check_points(points: Sequence[float]) -> tuple[float, ...]:
    """Shares of the way that a view can show."""
    row = real(points, "points of a way", "point").tolist()
    rising = all(after > before for before, after in pairwise(row))
    if not (rising and row[0] == 0 and 1 in row and row[-1] < np.inf):
        raise LabError("expected points of a way that rise from 0, with 1 among them", f"got {row}")
    return tuple(row)


def _check_edits(weights: Blocks, requests: Requests, name: str, one: Compared) -> None:
    shape = (len(requests), len(weights))
    if one.halfway.shape != shape:
        raise LabError(
            f"expected edits of {shape[0]} requests on {shape[1]:,} weights in {name!r}",
            f"got {list(one.halfway.shape)}",
        )
    moved = (one.edited.values - weights.values).norm(dim=1)
    off = (moved - one.edited.moved[-1]).abs()
    if not (off <= SAME_START * moved).all():  # NaN is not; an edit that moved nothing is
        raise LabError(
            f"expected edits in {name!r} that begin at the model's own weights",
            "got some that began elsewhere",
            hint="give the weights that were edited, and edits without a start of their own",
        )


@torch.no_grad()
def _fact(
    weights: Blocks,
    requests: Requests,
    number: int,
    compared: Mapping[str, Compared],
    frame: str,
    rows: Tensor,
    points: tuple[float, ...],
    seed: int,
) -> FactPage:
    """One fact, along its ways in all places."""
    asked, new, lines = _questions(requests, number, frame, seed)
    start, words = _Seen.of(weights, weights.values, asked, new, rows), vocabulary().words
    places = {}
    for name, one in compared.items():
        whole = one.halfway[number] - weights.values
        seen = [
            _Seen.of(weights, weights.values + share * whole, asked, new, rows) if share else start
            for share in points
        ]
        places[name] = Way(
            np.array(points) * float(whole.norm()),
            np.array([each.loss for each in seen]),
            np.stack([array_of(each.old) for each in seen]),
            np.stack([array_of(each.new) for each in seen]),
            tuple(tuple(words[token] for token in each.said) for each in seen),
            bool(one.reached[number]),
        )
    subject = requests.asked.subjects[number]
    return FactPage(subject, lines[0].old, lines[0].new, points, lines, places)


@dataclass(frozen=True)
class _Seen:
    """What some weights say."""

    old: Tensor
    new: Tensor
    said: list[int]
    loss: float

    @classmethod
    def of(
        cls, weights: Blocks, values: Tensor, asked: Facts, new: Tensor, rows: Tensor
    ) -> "_Seen":
        said = log_p(weights, values, asked)
        old, wanted = (said.gather(1, ids[:, None])[:, 0].exp() for ids in (asked.answers, new))
        return cls(old, wanted, said.argmax(-1).tolist(), text_loss(weights, values, rows))


def _questions(
    requests: Requests, number: int, frame: str, seed: int
) -> tuple[Facts, Int[Tensor, " question"], tuple[Question, ...]]:
    """All questions about a fact as one batch, the words that the edit asks for, the lines."""
    subject, kind = requests.asked.subjects[number], int(requests.new[number])
    given = questions.of_tinyworld(subject, kind, frame, seed)
    one = requests.only([number]).asked
    parts = one, given.paraphrases, given.realms, given.siblings, given.others
    found = dict(zip(GROUPS, parts, strict=True))
    groups = {group: part for group, part in found.items() if part is not None}
    new = {group: given.realm[1] if group == "realm" and given.realm else kind for group in groups}
    words, lines = vocabulary(), []
    for group, part in groups.items():
        for row in range(len(part)):
            prompt = words.decode(part.tokens[row, 1 : int(part.last[row]) + 1].tolist())
            text = part.subjects[row] if group in ("sibling", "other") else prompt
            old = words.words[int(part.answers[row])]
            lines.append(Question(group, text, old, words.words[new[group]]))
    wanted = torch.cat([torch.full((len(part),), new[group]) for group, part in groups.items()])
    return _together(list(groups.values())), wanted, tuple(lines)


def _together(parts: Sequence[Facts]) -> Facts:
    """Several prompts as one batch, padded on the right, where no token before looks."""
    widest = max(part.tokens.shape[1] for part in parts)
    tokens = [
        torch.nn.functional.pad(part.tokens, (0, widest - part.tokens.shape[1]), value=PAD)
        for part in parts
    ]
    return Facts(
        torch.cat(tokens),
        torch.cat([part.last for part in parts]),
        torch.cat([part.answers for part in parts]),
        parts[0].candidates,
        tuple(subject for part in parts for subject in part.subjects),
    )

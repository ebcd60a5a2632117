"""What a model of TinyWorld does: the behaviours that are measured under steering.

Of each dimension two behaviours stand side by side, for they are not the same:

- the *verdict*: which word the model puts after a statement, say *true* or *false*
  (`tasks.JUDGEMENTS`);
- the *continuation*: how it goes on by itself from the first words of a statement
  (`continuations`).

A score above 0 is the trustworthy side: true, allowed, kind, confirmed, in order. Rudeness is the
label of toxicity, so there, and only there, the trustworthy side is the label False.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from numpy import ndarray

from helpers.errors import LabError
from helpers.inputs import array_of, finite
from helpers.model import Model
from helpers.texts import LabelledSet
from helpers.tinyworld.models import RECIPES, measure, task_of
from helpers.tinyworld.sets import continuation_prompts, tasks
from helpers.trust.steering.behaviours import Behaviour, Documents, from_text

UNWANTED = ("toxicity",)
"""Dimensions whose label True is what nobody wants."""


def wanted(data: LabelledSet) -> Bool[ndarray, " item"]:
    """Which texts of a dimension's labelled set are on the trustworthy side.

    >>> from helpers.tinyworld.sets import labelled_set
    >>> data = labelled_set("toxicity", pairs=1)
    >>> data.positive, data.labels.tolist(), wanted(data).tolist()
    ('rude', [True, False], [False, True])
    """
    return data.labels ^ (data.name in UNWANTED)


def verdicts(model: Model, data: LabelledSet) -> Behaviour:
    """What the model says of each text of a labelled set: trustworthy words against the others.

    Raises:
        LabError: as `from_text`.
    """
    good, bad = _sided(data.name, *tasks.JUDGEMENTS[data.name])
    return from_text(
        model,
        f"verdict, {data.name}",
        data.texts,
        [good] * len(data),
        [bad] * len(data),
        data.groups,
    )


def continued(model: Model, dimension: str, count: int = 120, seed: int = 0) -> Behaviour:
    """How the model goes on with statements of a dimension, grouped by what they are about.

    Raises:
        LabError: as `continuation_prompts`.
    """
    begun = continuation_prompts(dimension, count, seed)
    sides = [_sided(dimension, entry.prompt.good, entry.prompt.bad) for entry in begun]
    return from_text(
        model,
        f"continuation, {dimension}",
        [entry.prompt.text for entry in begun],
        good=[good for good, _ in sides],
        bad=[bad for _, bad in sides],
        groups=[entry.group for entry in begun],
    )


def skill(model: Model, name: str, count: int = 100, seed: int = 0) -> Behaviour:
    """One of `tasks.NAMES` as a behaviour, to see what else a push does.

    Raises:
        LabError: no such skill.
    """
    words, prompts = model.tokenizer.convert_ids_to_tokens, tasks.prompts(name, count, seed)
    good, bad = (
        [words(row.nonzero().flatten().tolist()) for row in side]
        for side in (prompts.good, prompts.bad)
    )
    return from_text(model, name, prompts.texts, good, bad)


def text(rows: int = 48, skip: int = 0) -> Documents:
    """Fresh text of the recipe `tinyworld`, for the perplexity.

    Args:
        rows: Number of rows.
        skip: Number of rows to leave out, so that a strength is reported on other rows than those
            that it was chosen on.
    """
    fresh = measure.fresh_rows(task_of(RECIPES["tinyworld"]), skip + rows)
    ids = torch.from_numpy(fresh[skip:]).long()
    return Documents(ids, torch.full((rows,), ids.shape[1]), "TinyWorld")


def share_right(scores: ndarray | Sequence[float], data: LabelledSet) -> float:
    """Share of texts with the right verdict, from one row of `behaviours.scores`.

    Raises:
        LabError: Not one finite score for each text.

    >>> from helpers.tinyworld.sets import labelled_set
    >>> share_right([2.0, 1.0], labelled_set("reliability", pairs=1))
    0.5
    """
    rows = array_of(finite(scores, "scores", "item"))
    if len(rows) != len(data):
        raise LabError(f"expected a score for each of {len(data)} texts", f"got {len(rows)}")
    return float(((rows > 0) == wanted(data)).mean())


def _sided(
    dimension: str, true: tuple[str, ...], false: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (false, true) if dimension in UNWANTED else (true, false)

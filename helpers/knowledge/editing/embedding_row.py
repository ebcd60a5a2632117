"""Edit a fact by changing nothing but the embedding of its subject's name.

The cheapest rival of every edit inside the blocks: other subjects are read from other rows, so they
are out of reach, except where a name of several tokens shares one with another name, or where the
embedding is the unembedding as well.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import Edited, EditSettings, edit
from helpers.knowledge.facts.places import TokensOf, spans, tokens_of_name
from helpers.knowledge.masks.blocks import Blocks, weights_of

EMBEDDING = "embed.weight"
ENOUGH = EditSettings(enough=0.05)
"""Normalised steps until the new answer has probability 0.95."""


def row_mask(
    weights: Blocks, name: str, tokens_of: TokensOf = tokens_of_name
) -> Float[Tensor, " weight"]:
    """1 on the embedding of every token of a name.

    Args:
        weights: All weights of a model, `blocks.of(model, whole=True)`.
        tokens_of: The tokens of a name, for models of another vocabulary.

    Raises:
        LabError: Weights of the blocks alone, or a token that the model does not have.
    """
    if EMBEDDING not in weights.names:
        raise LabError(
            "expected all weights of the model, embeddings among them",
            f"got {len(weights.names)} tensors without {EMBEDDING}",
            hint="take blocks.of(model, whole=True)",
        )
    number = weights.names.index(EMBEDDING)
    n_words, width = weights.shapes[number]
    tokens = [int(token) for token in tokens_of(name)]
    if not tokens or not all(0 <= token < n_words for token in tokens):
        raise LabError(
            f"expected a name of one or more tokens below {n_words}", f"got {tokens} for {name!r}"
        )
    first = sum(weights.sizes[:number])
    mask = torch.zeros_like(weights.values)
    for token in tokens:
        mask[first + token * width : first + (token + 1) * width] = 1
    return mask


def edit_embedding_row(
    weights: Blocks,
    requests: Requests,
    settings: EditSettings = ENOUGH,
    start: Float[Tensor, " weight"] | None = None,
    tokens_of: TokensOf = tokens_of_name,
    bar: bool = False,
) -> Edited:
    """Change facts by steps on the rows of their subjects' names, each for itself.

    Args:
        weights: All weights of a model, `blocks.of(model, whole=True)`.
        settings: Steps as in `restricted.edit`.
        start: Weights to begin with; the model's own without them.

    Raises:
        LabError: A name whose tokens do not stand in its prompt, or as `row_mask` and
            `restricted.edit`.

    >>> from helpers import zoo
    >>> from helpers.knowledge.editing import request
    >>> from helpers.knowledge.masks import blocks
    >>> weights = blocks.of(zoo.load("tinyworld", device="cpu"), whole=True)
    >>> asked = request("kind", {"owl": "tree"}, "the {entity} is a kind of")
    >>> edited = edit_embedding_row(weights, asked)
    >>> int((edited.values[0] != weights.values).sum())
    128
    """
    start = weights_of(weights, start)
    spans(requests.asked, tokens_of)  # a row that no prompt reads has no gradient
    names = list(enumerate(requests.asked.subjects))
    done = [
        edit(weights, requests.only([number]), row_mask(weights, name, tokens_of), settings, start)
        for number, name in runtime.progress(names, "embedding rows", disable=not bar)
    ]
    return _joined(done)


def _joined(done: list[Edited]) -> Edited:
    """Edits of one fact each as one; a fact that stopped earlier keeps what it had."""
    times = max(len(each.nll) for each in done)
    parts = {}
    for field in dataclasses.fields(Edited):
        tensors = [getattr(each, field.name) for each in done]
        if field.name in ("nll", "gradient", "moved"):
            longer = [t[torch.arange(times).clamp_max(len(t) - 1)] for t in tensors]
            parts[field.name] = torch.cat(longer, 1)
        else:
            parts[field.name] = torch.cat(tensors)
    return Edited(**parts)

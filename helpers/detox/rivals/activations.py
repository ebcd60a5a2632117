"""Activation editing: a vector is taken off the residual stream while the model writes.

The vector is the mean activation after a block over rude posts, less that over kind ones, at one
place of each post (contrastive activation addition, arXiv 2312.06681; a mean difference, as in
Part 2). At the last token of the prompt there is no difference to take: the same prompts come
before rude and kind posts. Left are two places:

- "before the noun": the last token before it is decided whether the post is rude.
- "noun": the word that decides it has been read.

Block, place and strength are chosen by the kind share of samples after one half of the prompts, and
judged by that after the other half. Beside it stands a random vector of the same length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.detox.networks import Plain, Policy, frozen, sample
from helpers.detox.oracle.samples import NEW
from helpers.detox.posts import STOP, DetoxCorpus, PostLabel, labels, noun_places, prompts
from helpers.detox.rivals.outcome import CPUClock, RivalPolicy
from helpers.errors import LabError
from helpers.inputs import at_least, check_count, finite, positive_row, token_ids

EditPlace = Literal["before the noun", "noun"]
PLACES: tuple[EditPlace, ...] = get_args(EditPlace)
STRENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Multiples of the mean difference that are tried."""
SAMPLES = 16
"""Samples after each prompt by which an edit is chosen or judged."""


@dataclass(frozen=True)
class ActivationEdit:
    """What is taken off, and where.

    Attributes:
        layer: Block after which it is taken off, at every token.
        place: Place of the posts at which the means were taken.
        strength: Multiple of the mean difference.
    """

    layer: int
    place: EditPlace
    strength: float


def mean_difference(
    network: Plain, posts: Int[Tensor, "post pos"], layer: int, place: EditPlace
) -> Float[Tensor, " d_model"]:
    """Mean residual stream after a block over rude posts, less that over kind posts.

    Args:
        posts: Posts behind their prompts; what is garbled is left out.
        layer: Number of the block.
        place: At which token of each post.

    Raises:
        LabError: No such block or place, no rude or no kind post.
    """
    check_count("number of a block", layer)
    if layer >= network.shape.n_layers or place not in PLACES:
        raise LabError(
            f"expected a block below {network.shape.n_layers}, and a place: {', '.join(PLACES)}",
            f"got block {layer} and {place!r}",
        )
    posts = token_ids(posts, network)
    found = labels(posts)
    rude, kind = (torch.from_numpy(found == label) for label in (PostLabel.RUDE, PostLabel.KIND))
    if not rude.any() or not kind.any():
        raise LabError(
            "expected rude posts and kind posts to compare",
            f"got {int(rude.sum())} and {int(kind.sum())} of {len(posts)}",
        )
    posts, rude = posts[rude | kind], rude[rude | kind]
    at = noun_places(posts) - int(place == "before the noun")
    streams = _after_block(network, posts, layer)[torch.arange(len(posts)), at]
    return streams[rude].mean(0) - streams[~rude].mean(0)


@torch.no_grad()
def _after_block(
    network: Plain, tokens: Int[Tensor, "row pos"], layer: int
) -> Float[Tensor, "row pos d_model"]:
    found: list[Tensor] = []
    hook = network.blocks[layer].register_forward_hook(lambda *run: found.append(run[2]))
    try:
        for rows in tokens.split(512):
            network.states(rows)
    finally:
        hook.remove()
    return torch.cat(found)


def shifted(network: Plain, block: int, vector: Float[Tensor, " d_model"]) -> Plain:
    """A copy of a network with a vector added to its residual stream after a block, everywhere.

    Raises:
        LabError: No such block, a vector of another width, or numbers that are not finite.
    """
    check_count("number of a block", block)
    vector = finite(vector, "vector of an edit", "d_model")
    if block >= network.shape.n_layers or len(vector) != network.shape.d_model:
        raise LabError(
            f"expected a block below {network.shape.n_layers}, and a vector of "
            f"{network.shape.d_model} numbers",
            f"got block {block} and {len(vector)} numbers",
        )
    copy = frozen(network)
    copy.shifts = {**copy.shifts, block: copy.shifts.get(block, 0) + vector}
    return copy


def edited(network: Plain, edit: ActivationEdit, vector: Float[Tensor, " d_model"]) -> Policy:
    """The network with a multiple of a vector taken off its residual stream.

    Raises:
        LabError: As `shifted`, or a strength below 0.
    """
    at_least(0.0, edit.strength, "strength of an edit")
    vector = finite(vector, "vector of an edit", "d_model")
    return Policy(shifted(network, edit.layer, -edit.strength * vector))


def kind_share(
    policy: Policy, asked: Int[Tensor, "prompt pos"], seed: int, samples: int = SAMPLES
) -> float:
    """Share of kind posts among samples after some prompts.

    Raises:
        LabError: Prompts that are none, or fewer than one sample after each.
    """
    check_count("number of samples", samples, least=1)
    check_count("seed", seed)
    asked = token_ids(asked, policy.network)
    generator = torch.Generator().manual_seed(seed)
    rows = sample(policy, asked.repeat_interleave(samples, 0), generator, NEW, STOP)
    return float(np.mean(labels(rows) == PostLabel.KIND))


def activation_editing(
    base: Plain,
    corpus: DetoxCorpus,
    layers: Sequence[int] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
) -> RivalPolicy:
    """The base less the mean difference of rude and kind posts, where that helps most.

    Args:
        corpus: Its posts give the mean difference.
        layers: Blocks to try; by default all.
        strengths: Multiples of the difference to try.
        seed: Of the samples by which the edit is chosen, and of the random vector.

    Returns:
        The edited base. In `found`: the edit, its kind share after the prompts by which it was
        chosen ("chosen by") and after the others ("kind"), there also that of the base ("base") and
        of a random vector of the same length ("random").

    Raises:
        LabError: A corpus without rude or without kind posts, no block or one that the base does
            not have, or strengths that are not positive.
    """
    if corpus.posts is None:
        raise LabError(
            "expected rude posts and kind posts to compare", "the corpus has no posts at all"
        )
    check_count("seed", seed)
    tried = range(base.shape.n_layers) if layers is None else layers
    if not tried:
        raise LabError("expected a block after which to edit", "got none")
    clock, people = CPUClock(), prompts()
    choosing, judging = people[::2], people[1::2]
    shares: dict[ActivationEdit, float] = {}
    vectors = {}
    with clock.of("fit"):
        for layer, place in product(tried, PLACES):
            vectors[layer, place] = mean_difference(base, corpus.posts, layer, place)
            for strength in positive_row(list(strengths), "strengths of an edit"):
                edit = ActivationEdit(layer, place, strength)
                policy = edited(base, edit, vectors[layer, place])
                shares[edit] = kind_share(policy, choosing, seed)
    best = max(shares, key=shares.__getitem__)
    vector = vectors[best.layer, best.place]
    policy = edited(base, best, vector)
    found = {"layer": best.layer, "place": best.place, "strength": best.strength} | {
        "chosen by": shares[best],
        "kind": kind_share(policy, judging, seed + 1),
        "base": kind_share(Policy(base), judging, seed + 1),
        "random": kind_share(edited(base, best, _as_long(vector, seed)), judging, seed + 1),
    }
    return RivalPolicy(policy, clock.seconds, found)


def _as_long(vector: Float[Tensor, " d_model"], seed: int) -> Float[Tensor, " d_model"]:
    """A vector of random direction and the same length."""
    drawn = torch.randn(len(vector), generator=torch.Generator().manual_seed(seed))
    return drawn / drawn.norm() * vector.norm()

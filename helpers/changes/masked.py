"""Masks before and after: which 5 % of the block weights go on with a post as the whole model does?

A mask is learned (Part 3) for what a model says where the noun of a post is to come: KL(whole ‖
masked) over all words. The mask of the model after is compared with that of the base: the share of
it that the other has too, beside the share that a mask with as many weights in every tensor would
have, and beside the same search from another seed. Two searches with one seed make the same random
choices, on whichever networks: so the two models are compared across seeds as well, which is what
two searches of one network are.
"""

from functools import cache
from typing import Any

from jaxtyping import Float
from torch import Tensor

from helpers.changes.plan import ChangePlan
from helpers.changes.reading import read_posts
from helpers.changes.subjects import before
from helpers.changes.writers import as_model
from helpers.detox.networks import Plain
from helpers.detox.posts import noun_places
from helpers.knowledge.masks import SearchSettings, learn, plain, predictions
from helpers.knowledge.masks.compare import overlap

DENSITY = 0.05
Mask = Float[Tensor, " weight"]


def masks(base: Plain, network: Plain, plan: ChangePlan) -> dict[str, Any]:
    """Masks of both networks, compared.

    Returns:
        Of the mask after, the share that the base's has ("share") and would have by chance
        ("chance"), both searched with the same seed ("shared") and with two ("shared, other seed");
        the same for two searches of one network ("base again", "after again"); and the KL at the
        end of each search, in nats ("loss").

    Raises:
        LabError: A network of another vocabulary, of another shape or with shifts.
    """
    of_base = _of_base if base is before() else _learned_all
    (old, again), losses = of_base(base, plan.posts, plan.mask_steps)
    (new, new_again), new_losses = _learned_all(network, plan.posts, plan.mask_steps)
    blocks = plain.of(as_model(network))
    found: dict[str, Any] = {}
    compared = {"shared": (new, old), "shared, other seed": (new, again)}
    compared |= {"base again": (old, again), "after again": (new, new_again)}
    for name, (first, second) in compared.items():
        their = overlap(blocks, first, second)
        found[name] = {"share": round(their.containment, 4), "chance": round(their.per_tensor, 4)}
    return found | {"loss": {"base": losses, "after": new_losses}}


def _learned_all(network: Plain, count: int, steps: int) -> tuple[tuple[Mask, Mask], list[float]]:
    """The masks of two searches, and the mean loss over the last steps of each."""
    blocks, posts = plain.of(as_model(network)), read_posts(count)
    before_noun = noun_places(posts) - 1
    asked = predictions(blocks, posts[:, : int(before_noun.max()) + 1], before_noun)
    found, losses = [], []
    for seed in (0, 1):
        learned = learn(blocks, asked, SearchSettings(densities=(DENSITY,), steps=steps, seed=seed))
        found.append(learned.masks[DENSITY])
        losses.append(round(float(learned.losses[-10:].mean()), 4))
    return (found[0], found[1]), losses


@cache
def _of_base(base: Plain, count: int, steps: int) -> tuple[tuple[Mask, Mask], list[float]]:
    return _learned_all(base, count, steps)

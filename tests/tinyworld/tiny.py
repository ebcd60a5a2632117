"""A TinyWorld model small enough to be trained, published and loaded in a second or two."""

from dataclasses import replace

from helpers.tinyworld.models.recipes import RECIPES
from helpers.training import Recipe

SHAPE = {"n_layers": 1, "n_heads": 2, "d_model": 16, "d_head": 8, "d_mlp": 16}


def recipe(**changes) -> Recipe:
    """The recipe of ``tinyworld`` with a tiny shape and four steps."""
    known = RECIPES["tinyworld"]
    small = replace(
        known, model=known.model | SHAPE, steps=4, batch_size=4, warmup_steps=1, n_checkpoints=4
    )
    return replace(small, **changes)

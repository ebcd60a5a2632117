"""Edits that are made at once told in the same way as those that are made step by step."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import Edited, EditSettings, edit
from helpers.knowledge.masks.blocks import Blocks

LOOK = EditSettings(steps=1, size=1e-30)
"""A step that moves nothing, to look at loss and gradient where things stand."""


def at_once(
    weights: Blocks,
    requests: Requests,
    before: Float[Tensor, "fact weight"],
    after: Float[Tensor, "fact weight"],
    mask: Float[Tensor, " weight"],
    enough: float,
    undone: Bool[Tensor, " fact"],
) -> Edited:
    """What was changed in one step: its loss, gradient and length before and after.

    A fact whose weights or loss are not finite afterwards is taken back.

    Args:
        before, after: The weights for each fact.
        mask: 1 where a weight could change.
        enough: −log p(new answer), in nats, that counts as reached.
        undone: Facts that were taken back already.
    """

    def look(values: Tensor) -> tuple[Tensor, Tensor]:
        seen = [
            edit(weights, requests.only([number]), mask, LOOK, start=each)
            for number, each in enumerate(values)
        ]
        return torch.stack([s.nll[0, 0] for s in seen]), torch.stack(
            [s.gradient[0, 0] for s in seen]
        )

    whole = after.isfinite().all(1)
    after = torch.where(whole[:, None], after, before)
    (nll_before, slope_before), (nll_after, slope_after) = look(before), look(after)
    fine = whole & nll_after.isfinite() & slope_after.isfinite()
    nll_after = torch.where(fine, nll_after, nll_before)
    slope_after = torch.where(fine, slope_after, slope_before)
    kept = torch.where(fine[:, None], after, before)
    moved = (kept - before).norm(dim=1)
    reached = torch.where(nll_after < enough, 1, -1)
    reached[nll_before < enough] = 0
    return Edited(
        kept,
        torch.stack([nll_before, nll_after]),
        torch.stack([slope_before, slope_after]),
        torch.stack([torch.zeros_like(moved), moved]),
        reached,
        undone | ~fine,
    )

"""What a model writes under steering: greedy continuations, steered as the code released with arXiv 2402.19465 does it."""

import torch
from jaxtyping import Int
from torch import Tensor

from helpers.errors import LabError
from helpers.interventions import device_of
from helpers.model import Model
from helpers.trust.series.activations import check_tokens
from helpers.trust.steering.vectors import Vector, steered


@torch.no_grad()
def generate(
    model: Model,
    ids: Int[Tensor, "item pos"],
    lengths: Int[Tensor, " item"],
    count: int,
    layer: int,
    vector: Vector,
    alpha: float,
    unit: str = "std",
    positions: str = "last",
) -> Int[Tensor, "item new"]:
    """Greedy continuation of right-padded prompts under steering.

    With ``"last"``, the push starts at the prompt's last token: its residual is what the first new
    token is read from. This is what a cached generation does that adds to the last position at
    every step.

    Raises:
        LabError: as `steering.steered` and `activations.check_tokens`; fewer than one new token;
            prompts and new tokens that exceed the model's context; a push after which the logits
            are not finite.
    """
    lengths = torch.as_tensor(lengths)
    check_tokens(model, ids, lengths)
    if count < 1:
        raise LabError("expected one new token or more", f"got {count}")
    if ids.shape[1] + count > model.cfg.n_ctx:
        raise LabError(
            f"expected at most {model.cfg.n_ctx} positions",
            f"got {ids.shape[1]} and {count} new ones",
        )
    tokens = torch.cat([ids, ids.new_zeros(len(ids), count)], dim=1)
    where = {"last": "onward"}.get(positions, positions)
    rows = torch.arange(len(ids))
    for step in range(count):
        place = lengths + step
        # Positions after `place` are steered too where `where` is "onward"; no earlier position
        # sees them.
        steered_from = place if where == "all" else lengths
        with steered(model, layer, vector, alpha, unit, where, steered_from):
            logits = model(tokens.to(device_of(model))).cpu()[rows, place - 1]
        _check_finite(logits, alpha)
        tokens[rows, place] = logits.argmax(-1).to(tokens)
    return torch.stack([tokens[rows, lengths + step] for step in range(count)], dim=1)


def _check_finite(logits: Tensor, alpha: float) -> None:
    """Refuse logits of which the largest is not a token but the first NaN."""
    bad = int((~logits.isfinite()).any(1).sum())
    if bad:
        raise LabError(
            "expected finite logits while generating",
            f"got NaN or infinity after {bad} of {len(logits)} prompts at strength {alpha:g}",
            hint="the push is so large that the model breaks; choose a smaller strength",
        )

"""Edit facts in the null space of keys that shall keep their values (AlphaEdit, arXiv 2410.02355).

Ordinary text has keys K₀ with second moment C. Its eigenvectors with eigenvalues below a threshold
span what ordinary keys hardly use; P projects onto it. A change ΔP gives every key outside of it
what it had, so "what is preserved" is not a penalty but a constraint: exact for keys that have no
part in this space. Within it, the new keys K₁ shall get their values V₁, earlier edits with keys
Kₚ theirs, and the change shall be small:

    ‖(W + ΔP) K₁ − V₁‖² + ‖ΔP Kₚ‖² + λ ‖ΔP‖²  →  min

    ΔP = R K₁ᵀ P (P (KₚKₚᵀ + K₁K₁ᵀ) P + λ)⁻¹     with   R = V₁ − (W K₁ + b)

Threshold and λ are told relative to the model's own keys: as shares of the largest eigenvalue of C,
and of the mean squared length of ordinary keys. The published numbers, 0.02 and 1 to 10, belong to
keys of other models' size.

The price of the constraint is that a new key must have a part in this space. Where ordinary text
uses all directions of the inner activations, either little is preserved or little can be edited.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Float, Real
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import at_least, finite
from helpers.knowledge.editing.memory import Contexts, OutputMatrix, check_contexts, contexts
from helpers.knowledge.editing.outcome import at_once
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import Edited
from helpers.knowledge.editing.value import DEFAULT, ValueSettings, wanted
from helpers.knowledge.masks.blocks import weights_of

How = Literal["alone", "together", "in turn"]
"""Each fact for itself; all in one change; or each after the ones before it."""
THRESHOLD, RIDGE = 1e-2, 1e-3


def null_space(
    moment: Real[Tensor, "d_mlp d_mlp"], threshold: float = THRESHOLD
) -> Float[Tensor, "d_mlp direction"]:
    """Orthonormal directions that ordinary keys hardly use; P is this times its transpose.

    Args:
        moment: C = E[k kᵀ] of ordinary keys (`memory.second_moment`).
        threshold: Eigenvalues up to this share of the largest one count as none.

    Raises:
        LabError: A matrix that is no second moment, a threshold outside [0, 1], or no such
            direction.

    >>> null_space(torch.diag(torch.tensor([3.0, 1.0, 0.0]))).abs().tolist()
    [[0.0], [0.0], [1.0]]
    """
    given = finite(moment, "a second moment of keys", "d_mlp d_mlp")
    moment = given.double()
    if not 0 <= threshold < 1:
        raise LabError("expected a threshold from 0 to 1", f"got {threshold}")
    symmetric = moment.shape[0] == moment.shape[1] and torch.allclose(moment, moment.T)
    if not symmetric:
        raise LabError("expected a second moment that is symmetric", f"got {list(moment.shape)}")
    eigenvalues, directions = torch.linalg.eigh(moment)
    largest = float(eigenvalues[-1])
    rounding = len(moment) * torch.finfo(moment.dtype).eps
    precision = given.dtype if given.is_floating_point() else moment.dtype
    if not eigenvalues[0] >= -len(moment) * torch.finfo(precision).eps * abs(largest):
        raise LabError(
            "expected a second moment without negative eigenvalues",
            f"got {float(eigenvalues[0]):.3g} beside {largest:.3g}",
            hint="a mean of k kᵀ has none: take helpers.knowledge.editing.memory.second_moment",
        )
    found = directions[:, eigenvalues <= max(threshold, rounding) * largest]
    if not largest > 0 or not found.shape[1]:
        raise LabError(
            "expected directions that ordinary keys hardly use",
            f"got none of {len(moment)} below {threshold} of the largest eigenvalue",
            hint="take a larger threshold; all that lies below it is preserved less exactly",
        )
    return found


def projected_change(
    keys: Real[Tensor, "fact d_mlp"],
    changes: Real[Tensor, "fact d_model"],
    directions: Real[Tensor, "d_mlp direction"],
    ridge: float,
    previous: Real[Tensor, "edit d_mlp"] | None = None,
) -> Float[Tensor, "d_model d_mlp"]:
    """ΔP: the change of a matrix within some directions that serves the keys best.

    Args:
        changes: What is to be added to what each key gets.
        directions: Orthonormal (`null_space`).
        ridge: λ, above 0.
        previous: Keys of earlier edits.

    Raises:
        LabError: Numbers that do not fit or are not finite, or a ridge that is not above 0.

    >>> key, change = torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0]])
    >>> projected_change(key, change, torch.tensor([[0.0], [1.0]]), 1e-9).round(decimals=3).tolist()
    [[0.0, 2.5]]
    """
    keys = finite(keys, "keys", "fact d_mlp").double()
    changes = finite(changes, "changes", "fact d_model").double()
    directions = finite(directions, "directions", "d_mlp direction").double()
    kept = keys[:0] if previous is None else _previous(previous)
    at_least(torch.finfo(torch.float64).tiny, ridge, "as the ridge")
    sizes = {keys.shape[1], directions.shape[0], kept.shape[1]}
    if len(sizes) > 1 or len(keys) != len(changes):
        raise LabError(
            "expected keys, changes and directions of one matrix",
            f"got {list(keys.shape)}, {list(changes.shape)}, {list(directions.shape)} and "
            f"{list(kept.shape)}",
        )
    inside, kept = keys @ directions, kept @ directions
    square = kept.T @ kept + inside.T @ inside + ridge * torch.eye(directions.shape[1])
    return changes.T @ torch.linalg.solve(square, inside.T).T @ directions.T


def _previous(keys: Tensor) -> Tensor:
    """Keys of earlier edits; none at all are none."""
    empty = isinstance(keys, Tensor) and keys.ndim == 2 and not len(keys)
    return keys.double() if empty else finite(keys, "keys", "edit d_mlp").double()


def edit_null_space(
    matrix: OutputMatrix,
    requests: Requests,
    moment: Float[Tensor, "d_mlp d_mlp"],
    how: How = "alone",
    given: Contexts | None = None,
    settings: ValueSettings = DEFAULT,
    threshold: float = THRESHOLD,
    ridge: float = RIDGE,
    start: Float[Tensor, " weight"] | None = None,
    previous: Float[Tensor, "edit d_mlp"] | None = None,
) -> Edited:
    """Change facts in directions of an MLP's output matrix that ordinary text hardly uses.

    Args:
        matrix: Of which layer (`memory.output_matrix`).
        moment: C of ordinary text (`memory.second_moment`).
        how: "alone": each fact from the same weights. "together": one change for all, so that every
            row of the result's weights is the same. "in turn": each after the ones before, whose
            keys are protected; row i has the edits 0 to i.
        given: As for `edit_rank_one`.
        threshold, ridge: See the module's text.
        start, previous: Weights to begin with, and keys of the edits that they already hold
            (`memory.keys`): so a series of edits can be gone on with. They are the same before and
            after any edit of this matrix, which no key of its own layer depends on.

    Raises:
        LabError: An unknown way, contexts of other facts, or as `null_space`, `projected_change`
            and `value.wanted`.

    >>> from helpers import zoo
    >>> from helpers.knowledge.editing import request
    >>> from helpers.knowledge.editing.memory import output_matrix
    >>> from helpers.knowledge.masks import blocks
    >>> matrix = output_matrix(blocks.of(zoo.load("tinyworld", device="cpu")), 0)
    >>> asked = request("kind", {"owl": "tree"}, "the {entity} is a kind of")
    >>> half = torch.diag((torch.arange(256) < 128).double())
    >>> edit_null_space(matrix, asked, half).reached.tolist()
    [1]
    """
    if how not in get_args(How):
        raise LabError(
            f"expected a way of editing several facts: {', '.join(get_args(How))}", f"got {how!r}"
        )
    given = contexts(requests) if given is None else given
    check_contexts(requests, given)
    values = weights_of(matrix.weights, start)
    directions = null_space(moment, threshold)
    strength = ridge * float(moment.double().diagonal().sum())
    if how == "in turn":
        return _in_turn(matrix, requests, given, settings, values, directions, strength, previous)
    found = wanted(matrix, requests.new, given, settings, values)
    fine = ~found.undone
    changes = torch.where(fine[:, None], found.change, 0.0)
    if how == "together":
        rows = fine.nonzero().flatten().tolist()
        parts = [rows] if rows else []
    else:
        parts = [[row] for row in range(len(requests))]
    after = [
        matrix.changed(
            values, projected_change(found.key[p], changes[p], directions, strength, previous)
        )
        for p in parts
    ] or [values]
    stacked = torch.stack(after * len(requests) if how == "together" else after)
    before = values.expand(len(requests), -1)
    return at_once(
        matrix.weights, requests, before, stacked, matrix.mask, settings.enough, found.undone
    )


def _in_turn(
    matrix: OutputMatrix,
    requests: Requests,
    given: Contexts,
    settings: ValueSettings,
    values: Tensor,
    directions: Tensor,
    strength: float,
    previous: Tensor | None,
) -> Edited:
    """Each fact in the weights that the ones before it left, their keys protected."""
    before, after, undone = [], [], []
    for number in range(len(requests)):
        new = requests.only([number]).new
        found = wanted(matrix, new, given.only(number), settings, values)
        before.append(values)
        if not found.undone.any():
            change = projected_change(found.key, found.change, directions, strength, previous)
            changed = matrix.changed(values, change)
            values = changed if changed.isfinite().all() else values
            previous = found.key if previous is None else torch.cat([previous, found.key])
        after.append(values)
        undone.append(found.undone)
    return at_once(
        matrix.weights,
        requests,
        torch.stack(before),
        torch.stack(after),
        matrix.mask,
        settings.enough,
        torch.cat(undone),
    )

"""Edit a fact by one rank-one change of an MLP's output matrix (ROME, arXiv 2202.05262).

With key k*, value v* (see `memory` and `value`) and C = E[k kᵀ] over ordinary text, the change

    ΔW = r (C⁻¹k*)ᵀ / k*ᵀC⁻¹k*     with   r = v* − (W k* + b)

is, among all that map k* to v* exactly, the one with the smallest E‖ΔW k‖²: ordinary keys get what
they got before, as nearly as one matrix allows. The bias stays as it is; it is part of what is
written for k*, so it comes off r. Where C has directions that ordinary text hardly uses, a little
of its mean eigenvalue is added to all.
"""

import torch
from jaxtyping import Float, Real
from torch import Tensor

from helpers import runtime
from helpers.errors import LabError
from helpers.inputs import at_least, finite
from helpers.knowledge.editing.memory import Contexts, OutputMatrix, check_contexts, contexts
from helpers.knowledge.editing.outcome import at_once
from helpers.knowledge.editing.requests import Requests
from helpers.knowledge.editing.restricted import Edited
from helpers.knowledge.editing.value import DEFAULT, ValueSettings, wanted
from helpers.knowledge.masks.blocks import weights_of

RIDGE = 1e-6
"""What is added to the eigenvalues of C, as a share of their mean."""


def least_change(
    key: Real[Tensor, " d_mlp"],
    change: Real[Tensor, " d_model"],
    moment: Real[Tensor, "d_mlp d_mlp"],
    ridge: float = RIDGE,
) -> Float[Tensor, "d_model d_mlp"]:
    """The change of a matrix that adds `change` to what a key gets, and least to ordinary keys.

    Args:
        moment: C = E[k kᵀ] of ordinary keys.
        ridge: Added to its eigenvalues, as a share of their mean.

    Raises:
        LabError: Numbers that do not fit or are not finite, a ridge below 0, a matrix that cannot
            be solved with, or a key that is 0.

    >>> key, change = torch.tensor([1.0, 2.0]), torch.tensor([5.0])
    >>> (least_change(key, change, torch.eye(2)) @ key.double()).tolist()
    [5.0]
    """
    key = finite(key, "a key", "d_mlp").double()
    change = finite(change, "a change", "d_model").double()
    moment = finite(moment, "a second moment of keys", "d_mlp d_mlp").double()
    at_least(0, ridge, "as the ridge")
    if moment.shape != (len(key), len(key)):
        raise LabError(
            f"expected a second moment of keys of {len(key)} dimensions",
            f"got {list(moment.shape)}",
        )
    scale = float(moment.diagonal().mean())
    solved, failed = torch.linalg.solve_ex(moment + ridge * scale * torch.eye(len(key)), key)
    length = float(key @ solved)
    if int(failed) or not 0 < length < torch.inf:
        raise LabError(
            "expected a key that is not 0 and a second moment that can be inverted",
            f"got kᵀC⁻¹k = {length:.3g}",
            hint="take more ordinary text, or a larger ridge",
        )
    return torch.outer(change, solved) / length


def edit_rank_one(
    matrix: OutputMatrix,
    requests: Requests,
    moment: Float[Tensor, "d_mlp d_mlp"],
    given: Contexts | None = None,
    settings: ValueSettings = DEFAULT,
    start: Float[Tensor, " weight"] | None = None,
    stay: Contexts | None = None,
    ridge: float = RIDGE,
    bar: bool = False,
) -> Edited:
    """Change facts by one rank-one change each, each for itself.

    Args:
        matrix: Of which layer (`memory.output_matrix`).
        moment: C of ordinary text (`memory.second_moment`).
        given: The prompts that tell key and value of each fact, with the place (`memory.contexts`);
            without them, the requested prompts alone and their last token.
        start: Weights to begin with; the model's own without them.
        stay: Prompts about the same subjects whose predictions shall stay (the KL term).

    Raises:
        LabError: As `least_change` and `value.wanted`, or contexts of other facts.

    >>> from helpers import zoo
    >>> from helpers.knowledge.editing import request
    >>> from helpers.knowledge.editing.memory import output_matrix
    >>> from helpers.knowledge.masks import blocks
    >>> matrix = output_matrix(blocks.of(zoo.load("tinyworld", device="cpu")), 0)
    >>> asked = request("kind", {"owl": "tree"}, "the {entity} is a kind of")
    >>> edited = edit_rank_one(matrix, asked, torch.eye(256))
    >>> (edited.nll[-1] < 0.1).tolist()
    [True]
    """
    weights, given = matrix.weights, contexts(requests) if given is None else given
    check_contexts(requests, given, stay)
    values = weights_of(weights, start)
    found = wanted(matrix, requests.new, given, settings, values, stay)
    edited = []
    keys_and_changes = list(zip(found.key, found.change, strict=True))
    for key, change in runtime.progress(keys_and_changes, "rank-one edits", disable=not bar):
        edited.append(matrix.changed(values, least_change(key, change, moment, ridge)))
    before, after = values.expand(len(requests), -1), torch.stack(edited)
    after = torch.where(found.undone[:, None], before, after)
    return at_once(weights, requests, before, after, matrix.mask, settings.enough, found.undone)

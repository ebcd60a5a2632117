"""Does a node's output fall into the three cases of ST? Principal components with the two controls they need.

The paper takes three clusters in the first principal components of a head's output as evidence for a stored tri-state.
Clusters alone prove little: the case is a function of the digit sum, and anything that copies digits can show it. So
the separation is one number, the cross-validated accuracy of the nearest class centre in the plane of the first two
components (chance is 1/3), and it is always read beside the same number for permuted labels and for the untrained
model.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.arithmetic import algorithm, cascades
from helpers.arithmetic.questions import Format, Questions
from helpers.interventions import Node, collect, head_writes

CASES = ("0", "U", "1")


@dataclass(frozen=True)
class TriState:
    """A node's outputs in the plane of their first two principal components.

    Attributes:
        plane: coordinates of each question.
        case: index into `CASES`.
        explained: share of the variance along each of the two components.
        accuracy: cross-validated nearest-centre accuracy in the plane.
        null: the same accuracy for permuted labels, one entry a permutation.
    """

    plane: Float[np.ndarray, "question 2"]
    case: Int[np.ndarray, " question"]
    explained: tuple[float, float]
    accuracy: float
    null: Float[np.ndarray, " permutation"]


def questions_by_case(n_digits: int, digit: int, per_case: int, seed: int = 0) -> tuple[Questions, Int[np.ndarray, " question"]]:
    """Random additions, `per_case` for each case of ST at one digit; all other columns are uniform.

    At the units only the cases 0 and 1 exist, and a sum of nine belongs to 0.
    """
    rng = np.random.default_rng(seed)
    automaton = cascades.addition(n_digits)
    kinds = [0, 1, 2] if digit else [0, 2]  # low, nine, carry
    wanted = np.repeat(kinds, per_case)
    digits = rng.integers(10, size=(2, len(wanted), n_digits))
    digits[:, :, digit] = np.stack(cascades.sample_digits(automaton, wanted[:, None], rng))[:, :, 0]
    first, second = torch.from_numpy(digits[0]), torch.from_numpy(digits[1])
    questions = Questions(first, second, torch.zeros(len(wanted), dtype=torch.bool))
    case = algorithm.st(first, second)[:, digit]
    return questions, np.select([case == algorithm.U, case == 1], [1, 2], 0)


def node_output(model, tokens: Int[Tensor, "batch pos"], node: Node) -> Float[Tensor, "batch d_model"]:
    """What one node adds to the residual stream."""
    activations, _ = collect(model, tokens)
    if node.is_mlp:
        return activations.mlp[node.layer][:, node.position]
    return head_writes(model, activations)[node.layer][:, node.position, node.head]


def _separation(points: Float[np.ndarray, "question dim"], case: Int[np.ndarray, " question"], seed: int) -> float:
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neighbors import NearestCentroid

    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    return float(cross_val_score(NearestCentroid(), points, case, cv=folds).mean())


def tri_state(
    model, fmt: Format, node: Node, digit: int, per_case: int = 100, permutations: int = 50, seed: int = 0
) -> TriState:
    """Project a node's outputs on questions of known case, and score the separation with its permutation null."""
    from sklearn.decomposition import PCA

    questions, case = questions_by_case(fmt.n_digits, digit, per_case, seed)
    output = node_output(model, questions.tokens(fmt), node).numpy()
    pca = PCA(2, random_state=seed).fit(output)
    plane = pca.transform(output)
    rng = np.random.default_rng(seed)
    null = np.array([_separation(plane, rng.permutation(case), seed) for _ in range(permutations)])
    explained = tuple(float(share) for share in pca.explained_variance_ratio_)
    return TriState(plane, case, explained, _separation(plane, case, seed), null)

"""Does a node's output fall into the three cases of ST? Principal components and their controls.

The paper takes three clusters in the first principal components of a head's output as evidence for
a stored tri-state. Clusters alone prove little: the case is a function of the digit sum, and
anything that copies digits can show it. So the separation is one number, the cross-validated
accuracy of the nearest class centre in the plane of the first two components (chance is 1/3, and
1/2 at the units, which are never undecided), and it is always read beside the same number for
permuted labels and for the untrained model.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from helpers.arithmetic.questions import Format, Questions, algorithm, cascades
from helpers.errors import LabError
from helpers.inputs import check_count, finite, token_ids
from helpers.interventions import Node, check_nodes, collect, head_writes
from helpers.model import Model

CASES = ("0", "U", "1")
FOLDS = 5


@dataclass(frozen=True)
class TriState:
    """A node's outputs in the plane of their first two principal components.

    Attributes:
        plane: Coordinates of each question.
        case: Index into `CASES`, for each question.
        explained: Share of the variance along each of the two components; zeros if the output never
            varies.
        accuracy: Cross-validated nearest-centre accuracy in the plane.
        null: The same accuracy for permuted labels, one entry per permutation.
    """

    plane: Float[np.ndarray, "question 2"]
    case: Int[np.ndarray, " question"]
    explained: tuple[float, float]
    accuracy: float
    null: Float[np.ndarray, " permutation"]


def questions_by_case(
    n_digits: int, digit: int, per_case: int, seed: int = 0
) -> tuple[Questions, Int[np.ndarray, " question"]]:
    """Random additions, `per_case` for each case of ST at one digit; all other columns are uniform.

    At the units only the cases 0 and 1 exist. A sum of nine belongs to 0 there and is left out, so
    that case 0 means the same at every digit.

    Returns:
        The questions and the case of each, an index into `CASES`.

    Raises:
        LabError: A digit that the questions do not have, or a number below 0.
    """
    if not 0 <= digit < n_digits:
        raise LabError(f"expected a digit from 0 to {n_digits - 1}", f"got {digit}")
    check_count("number of questions", per_case)
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


def node_output(
    model: Model, tokens: Int[Tensor, "batch pos"], node: Node
) -> Float[Tensor, "batch d_model"]:
    """What one node adds to the residual stream (a head without its share of the layer's bias b_O).

    Raises:
        LabError: A node that the model does not have, or what are no token ids.
    """
    tokens = token_ids(tokens, model)
    check_nodes(model, [node], tokens.shape[1])
    activations, _ = collect(model, tokens)
    if node.is_mlp:
        return activations.mlp[node.layer][:, node.position]
    return head_writes(model, activations)[node.layer][:, node.position, node.head]


def separation(
    points: Float[np.ndarray, "question dim"], case: Int[np.ndarray, " question"], seed: int = 0
) -> float:
    """Accuracy of the nearest class centre in five-fold cross-validation.

    Where no point differs from another, it is the share of the largest class.

    Raises:
        LabError: Points that are not finite numbers, not one case for each, a single case, or fewer
            than five points of some case.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.neighbors import NearestCentroid

    points = finite(points, "points", "question dim").cpu().numpy()
    sizes = np.unique(case, return_counts=True)[1]
    if len(case) != len(points) or len(sizes) < 2 or sizes.min() < FOLDS:
        raise LabError(
            f"expected two cases or more, each of at least {FOLDS} points",
            f"got {len(points)} points and cases of {', '.join(map(str, sizes)) or 'no'} points",
        )
    if not np.ptp(points, axis=0).any():
        return float(np.bincount(case).max() / len(case))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    return float(cross_val_score(NearestCentroid(), points, case, cv=folds).mean())


def tri_state(
    model: Model,
    fmt: Format,
    node: Node,
    digit: int,
    per_case: int = 100,
    permutations: int = 50,
    seed: int = 0,
) -> TriState:
    """Project a node's outputs on questions of known case, and score how well the cases separate.

    Raises:
        LabError: A digit that the questions do not have, or a node that the model does not have.
    """
    from sklearn.decomposition import PCA

    questions, case = questions_by_case(fmt.n_digits, digit, per_case, seed)
    output = node_output(model, questions.tokens(fmt), node).numpy()
    pca = PCA(2, random_state=seed)
    with np.errstate(invalid="ignore"):  # an output that never varies has no shares of variance
        plane = pca.fit_transform(output)
    rng = np.random.default_rng(seed)
    null = np.array([separation(plane, rng.permutation(case), seed) for _ in range(permutations)])
    first, second = (float(share) for share in np.nan_to_num(pca.explained_variance_ratio_))
    return TriState(plane, case, (first, second), separation(plane, case, seed), null)

"""How much do activations T know of the input X and of the label Y? HSIC, its null, its traps.

Three estimators, all in double precision:

- `hsic`: the formula that Qian et al. 2024 (arXiv 2402.19465) print, the Hilbert–Schmidt
  independence criterion ``tr(K_X H K_Y H) / (n-1)²`` with a Gaussian kernel (H takes the mean off;
  biased, or unbiased).
- `normalised_hsic`: what their released code computes, ``tr(R_X R_Y)`` with the smoothing matrix
  ``R = HKH (HKH + εnI)⁻¹``, bandwidth σ = 50 and ε = 1e-5. R shrinks each direction of variance λ
  by λ / (λ + εn).
- `closed_form`: the same for a linear kernel, from a singular value decomposition. At σ = 50 the
  exponents are about 1/σ² = 4e-4, so the kernel is linear to that precision, and so is the
  estimate: it is a sum over pairs of principal components, each weighted by its share of the
  variance. An I(T;Y) so defined is a shrunken R² of a linear probe; with balanced labels it cannot
  exceed 0.909 (= 0.0001 / (0.0001 + 1e-5)).

None of them is a mutual information in bits; `helpers.trust.information.bounds` has two lower
bounds that are. Activations (two dimensions) are standardised per feature, as in the released code;
labels (one dimension) are used as 0 and 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Complex, Float, Shaped
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import Labels, at_least, check_count, real, yes_no
from helpers.trust.information.kernels import (
    EPSILON,
    SIGMA,
    Rows,
    Smoother,
    centred,
    distances,
    finite,
    overlap,
    pair_of,
    smoother,
    spectrum,
)


def hsic(x: Rows, y: Rows, sigma: float = SIGMA, unbiased: bool = False) -> float:
    """HSIC with the kernel ``exp(-‖a-b‖² / 2σ²)``, as the paper prints it.

    It is the biased estimator of Gretton et al. 2005.

    Args:
        unbiased: Take the estimator of Song et al. 2012 (JMLR 13, eq. 4), which is 0 on average
            where nothing is shared, and may be negative.

    Raises:
        LabError: as `spectrum`.
    """
    kx, ky = (torch.exp(-distances(rows) / (2 * sigma**2)) for rows in pair_of(x, y, sigma))
    n = len(kx)
    if not unbiased:
        return float((centred(kx) * centred(ky)).sum() / (n - 1) ** 2)
    kx, ky = kx.fill_diagonal_(0), ky.fill_diagonal_(0)
    whole = kx.sum() * ky.sum() / ((n - 1) * (n - 2))
    return float(((kx * ky).sum() + whole - 2 / (n - 2) * (kx.sum(0) @ ky.sum(1))) / (n * (n - 3)))


def normalised_hsic(x: Rows, y: Rows, sigma: float = SIGMA, epsilon: float = EPSILON) -> float:
    """The released code's I(X;Y), exactly, in double precision.

    The code inverts two n × n matrices in single precision, and the paper's figures 14 and 16 show
    values down to -0.03, which the formula cannot give. Here the inverse is taken in the
    eigenbasis, in double precision.

    Raises:
        LabError: as `spectrum`; different numbers of items; ε not above 0.

    >>> labels = np.arange(100) < 50
    >>> round(normalised_hsic(labels, labels), 3), round(0.909090909**2, 3)
    (0.826, 0.826)
    """
    return overlap(smoother(x, sigma, epsilon), smoother(y, sigma, epsilon))


def closed_form(x: Rows, y: Rows, sigma: float = SIGMA, epsilon: float = EPSILON) -> float:
    """The linear limit of `normalised_hsic`: ``sum_ij w_i w_j (u_i·v_j)²`` with ``w = p / (p +
    εσ²)``.

    u, v are the left singular vectors of the standardised X and Y, and p is each one's share of the
    variance (for labels: their variance). Costs n·d² instead of n³.

    Raises:
        LabError: as `normalised_hsic`.
    """
    return overlap(
        smoother(x, sigma, epsilon, linear=True), smoother(y, sigma, epsilon, linear=True)
    )


Diagonals = Complex[Tensor, "diagonal frequency"]


@dataclass(frozen=True)
class OverlapNull:
    """Values of `overlap` when the rows of one side are shuffled, so that nothing is shared.

    Attributes:
        observed: The overlap in the true order.
        draws: The overlap in shuffled orders.
        expected: The mean over all orders in closed form, ``tr(R_X) tr(R_T) / (n-1)`` (but see
            `label_null`).
    """

    observed: float
    draws: Float[ndarray, " permutation"]
    expected: float

    @property
    def mean(self) -> float:
        """Mean of the draws; differs from `expected` by chance only."""
        return float(self.draws.mean())

    @property
    def p_value(self) -> float:
        """Share of orders, the true one among them, that reach what was observed."""
        # Equal sums may differ in their last bits.
        reached = self.draws >= self.observed * (1 - 1e-9)
        return float((1 + reached.sum()) / (1 + len(self.draws)))

    def quantile(self, share: float = 0.95) -> float:
        """The value below which a share of the draws lies."""
        return float(np.quantile(self.draws, share))


def null(a: Smoother, b: Smoother, permutations: int = 200, seed: int = 0) -> OverlapNull:
    """The permutation null of `overlap`, without computing a kernel again.

    Items are shuffled one by one (see `label_null`). Both sides are put into random orders, and one
    is rotated against the other, by 0, 1, 2, … places. Each rotation is a random pairing of the
    items, and all n of them together cost one Fourier transform. New orders are drawn when the
    rotations are used up.

    Raises:
        LabError: different numbers of items, or fewer than one permutation.
    """
    return _nulls([a], [b], permutations, seed)[0][0]


def label_null(
    labels: Labels,
    target: Smoother,
    shuffled: Shaped[ndarray, "draw item"],
    sigma: float = SIGMA,
    epsilon: float = EPSILON,
) -> OverlapNull:
    """The null of I(T;Y) under shuffles of the labels that respect what belongs together.

    `controls.random_labels` draws such shuffles. Where items come in pairs of opposite labels and
    nearly equal T, shuffling items one by one gives a null that is far too high: in the true order
    the label is not along the directions of T that pairs share, in a shuffled order it is. Then
    even a T that tells the label can stay below. `expected` is the mean of the draws; there is no
    closed form.

    Raises:
        LabError: as `normalised_hsic`; shuffles of other items, or with another number of positive
            labels.
    """
    label, truth = smoother(labels, sigma, epsilon), yes_no(labels)
    rows = torch.as_tensor(yes_no(shuffled, "the shuffled labels", axes=(1, 2))).double()
    fits = rows.ndim == 2 and len(rows) and rows.shape[1] == len(label.matrix)
    if not fits or (rows.sum(1) != float(truth.sum())).any():
        raise LabError(
            "expected shuffles [draw, item] of these labels",
            f"got {tuple(rows.shape)}, or other labels than these",
        )
    observed, rows = overlap(label, target), rows - rows.mean(1, keepdim=True)
    rows = rows / rows.norm(dim=1, keepdim=True)  # the kernel of a label has this one direction
    draws = (label.weights[0] * ((rows @ target.matrix) * rows).sum(1)).numpy()
    return OverlapNull(observed, draws, float(draws.mean()))


def _nulls(
    sources: list[Smoother], targets: list[Smoother], permutations: int, seed: int
) -> list[list[OverlapNull]]:
    """The null of every source with every target [source, target], with the same orders for all."""
    check_count("number of permutations", permutations, least=1)
    observed = [[overlap(a, b) for b in targets] for a in sources]
    n, generator = len(sources[0].matrix), torch.Generator().manual_seed(seed)
    draws = torch.zeros(len(sources), len(targets), 0, dtype=torch.float64)
    while draws.shape[2] < permutations:
        # Both sides are shuffled: labels that alternate, as in pairs, would be the same again after
        # a rotation by two.
        first, second = (torch.randperm(n, generator=generator) for _ in range(2))
        left = [_diagonals(a.matrix[first][:, first]) for a in sources]
        right = [_diagonals(b.matrix[second][:, second]) for b in targets]
        rotated = torch.stack([torch.stack([_rotated(a, b, n) for b in right]) for a in left])
        draws = torch.cat([draws, rotated], 2)
    kept = draws[:, :, :permutations].numpy()
    return [
        [
            OverlapNull(observed[i][j], kept[i, j], a.effective_rank * b.effective_rank / (n - 1))
            for j, b in enumerate(targets)
        ]
        for i, a in enumerate(sources)
    ]


def _diagonals(matrix: Float[Tensor, "item item"]) -> Diagonals:
    """Fourier transform along each diagonal [i, i+k], indices modulo n."""
    i = torch.arange(len(matrix))
    return torch.fft.rfft(matrix[i, (i + i[:, None]) % len(matrix)])


def _rotated(a: Diagonals, b: Diagonals, n: int) -> Float[Tensor, " shift"]:
    """``sum_ij a[i, j] b[i+s, j+s]`` for every shift s: one correlation for each diagonal."""
    return torch.fft.irfft((a.conj() * b).sum(0), n)


@dataclass(frozen=True)
class Plane:
    """I(T;X) and I(T;Y) of every layer of one checkpoint, each with its null. Arrays over layers.

    Attributes:
        tx, ty: The `normalised_hsic` of the layer with X and with the labels.
        tx_null, ty_null: Mean of the null (`OverlapNull.expected`).
        tx_high, ty_high: 95 % quantile of the null.
        rank: The `Smoother.effective_rank` of the layer.
    """

    tx: Float[ndarray, " layer"]
    ty: Float[ndarray, " layer"]
    tx_null: Float[ndarray, " layer"]
    ty_null: Float[ndarray, " layer"]
    tx_high: Float[ndarray, " layer"]
    ty_high: Float[ndarray, " layer"]
    rank: Float[ndarray, " layer"]


def plane(
    layers: Float[Tensor, "layer item d"],
    labels: Labels,
    sigma: float = SIGMA,
    epsilon: float = EPSILON,
    permutations: int = 200,
    seed: int = 0,
    linear: bool = False,
    shuffled: Bool[ndarray, "draw item"] | None = None,
) -> Plane:
    """The information plane of one checkpoint (the paper's figures 13 to 16).

    X is the first of the layers given, in the paper the first block's output; so the first I(T;X)
    is that layer with itself.

    Args:
        linear: Take `closed_form` in place of `normalised_hsic`: about three times as fast, and the
            same at σ = 50.
        shuffled: Shuffled labels for the null of I(T;Y); without them items are shuffled one by one
            (see `label_null`).

    Raises:
        LabError: no layers; as `normalised_hsic`, where the message names the layer.
    """
    if not len(layers):
        raise LabError("expected at least one layer", f"got activations {list(layers.shape)}")
    label = smoother(labels, sigma, epsilon, linear)
    seen = [_named(layer, rows, sigma, epsilon, linear) for layer, rows in enumerate(layers)]
    tx, ty = _nulls([seen[0], label], seen, permutations, seed)
    if shuffled is not None:
        ty = [label_null(labels, layer, shuffled, sigma, epsilon) for layer in seen]
    return Plane(
        tx=np.array([layer.observed for layer in tx]),
        ty=np.array([layer.observed for layer in ty]),
        tx_null=np.array([layer.expected for layer in tx]),
        ty_null=np.array([layer.expected for layer in ty]),
        tx_high=np.array([layer.quantile(0.95) for layer in tx]),
        ty_high=np.array([layer.quantile(0.95) for layer in ty]),
        rank=np.array([layer.effective_rank for layer in seen]),
    )


@dataclass(frozen=True)
class Reading:
    """One estimate with one bandwidth and one ε.

    Attributes:
        sigma, epsilon: Bandwidth and ε.
        value: The estimate.
        expected: Mean of its null.
        ranks: Effective ranks of both sides.
    """

    sigma: float
    epsilon: float
    value: float
    expected: float
    ranks: tuple[float, float]


def readings(
    x: Rows, y: Rows, sigmas: Sequence[float], epsilons: Sequence[float] = (EPSILON,)
) -> list[Reading]:
    """`normalised_hsic` over bandwidths and regularisations, with σ slowest.

    There is one decomposition per bandwidth.

    Raises:
        LabError: as `normalised_hsic`.
    """
    estimates = []
    sigmas = real(sigmas, "sigmas", "value").tolist()
    epsilons = real(epsilons, "epsilons", "value").tolist()
    for sigma in sigmas:
        pair = spectrum(x, sigma), spectrum(y, sigma)
        for epsilon in epsilons:
            a, b = (side.smoother(epsilon) for side in pair)
            ranks = a.effective_rank, b.effective_rank
            expected = ranks[0] * ranks[1] / (len(a.matrix) - 1)
            estimates.append(Reading(sigma, epsilon, overlap(a, b), expected, ranks))
    return estimates


def with_direction(
    x: Float[Tensor, "item feature"], scale: float, seed: int = 0
) -> Float[Tensor, "item feature"]:
    """`x` plus noise along one direction that all its features share.

    At most one of its d directions is lost.

    Every item gets one random number, added to every feature with a random sign. What x had along
    this direction drowns; what it had along the d - 1 others is untouched. For white noise x and a
    large scale, a regression of x on the result still has R² = (d - 1) / d: 0.98 with 64 features,
    but only a half with two. I(T;X) falls far more than that, for the direction takes a large share
    of the variance, the other directions' shares shrink, and so do their weights. With many
    features a "compression" of this kind is a change of the spectrum, hardly a loss of information.

    Args:
        scale: Standard deviation along the (unit) direction, in units of the root mean square
            standard deviation of x's features. Each feature's share of it is scale / √(number of
            features).

    Raises:
        LabError: as `kernels.finite`; a scale that is negative or not finite.
    """
    x = finite(real(x, "activations", "item feature"))
    at_least(0, scale, "as a scale")
    generator = torch.Generator().manual_seed(seed)
    amount = torch.randn(len(x), 1, generator=generator, dtype=x.dtype)
    signs = torch.randint(0, 2, (1, x.shape[1]), generator=generator) * 2.0 - 1
    unit = x.var(0, correction=0).mean().sqrt()
    return x + scale * unit * amount * signs / x.shape[1] ** 0.5


def _named(layer: int, rows: Tensor, sigma: float, epsilon: float, linear: bool) -> Smoother:
    try:
        return smoother(rows, sigma, epsilon, linear)
    except LabError as fault:
        raise LabError(f"layer {layer}: {fault}") from None

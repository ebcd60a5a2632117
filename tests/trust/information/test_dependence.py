"""HSIC against its definition, the released code's formula, all permutations, and simulations."""

import itertools

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.trust.information import dependence, kernels
from helpers.trust.information.dependence import (
    closed_form,
    hsic,
    normalised_hsic,
    null,
    plane,
    readings,
    with_direction,
)
from helpers.trust.information.kernels import smoother, standardise


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def related(n: int = 500, d: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """X with a falling spectrum, and T, a rotated and slightly noisy copy of it."""
    x = draws(n, d, seed=1) * torch.arange(1, d + 1) ** -0.5 @ draws(d, d, seed=2)
    x = x / x.std()
    return x, x @ torch.linalg.qr(draws(d, d, seed=3))[0] + 0.5 * draws(n, d, seed=4)


def half(n: int) -> np.ndarray:
    return np.arange(n) % 2 == 0


def released(
    x: torch.Tensor,
    y: np.ndarray | torch.Tensor,
    sigma: float,
    epsilon: float,
    precision=np.float64,
) -> float:
    """``hsic_normalized_cca`` of the paper's code: the unsymmetric KH, explicit inverses."""
    result = []
    for rows in (x, y):
        rows = np.asarray(rows, dtype=np.float64)
        rows = (rows - rows.mean(0)) / rows.std(0) if rows.ndim == 2 else rows[:, None]
        rows = rows.astype(precision)
        square = ((rows[:, None] - rows[None]) ** 2).sum(-1)
        n = len(rows)
        kernel = np.exp(-square / (2 * sigma**2 * rows.shape[1])) @ (
            np.eye(n, dtype=precision) - precision(1 / n)
        )
        result.append(
            kernel @ np.linalg.inv(kernel + precision(epsilon * n) * np.eye(n, dtype=precision))
        )
    return float((result[0] * result[1].T).sum())


def plain_kernel(x: torch.Tensor, sigma: float) -> np.ndarray:
    x = x.numpy()
    x = (x - x.mean(0)) / x.std(0)
    return np.array([[np.exp(-((a - b) ** 2).sum() / (2 * sigma**2)) for b in x] for a in x])


def test_hsic_is_the_paper_s_formula():
    x, y = draws(7, 3), draws(7, 2, seed=1)
    (kx, ky), h = (plain_kernel(rows, 1.5) for rows in (x, y)), np.eye(7) - 1 / 7
    assert hsic(x, y, 1.5) == pytest.approx(np.trace(kx @ h @ ky @ h) / 36, rel=1e-12)


def test_unbiased_hsic_is_the_mean_over_distinct_quadruples():
    """Song et al. 2012: E k(a,b) [l(a,b) + l(c,d) - 2 l(a,c)] over four different items."""
    x, y = draws(6, 3), draws(6, 2, seed=1)
    kx, ky = plain_kernel(x, 1.5), plain_kernel(y, 1.5)
    terms = [
        kx[a, b] * (ky[a, b] + ky[c, d] - 2 * ky[a, c])
        for a, b, c, d in itertools.permutations(range(6), 4)
    ]
    assert hsic(x, y, 1.5, unbiased=True) == pytest.approx(np.mean(terms), rel=1e-9)


def test_unbiased_hsic_is_zero_on_average_where_nothing_is_shared():
    pairs = [(draws(20, 2, seed=seed), draws(20, 2, seed=1000 + seed)) for seed in range(300)]
    free, biased = (
        np.array([hsic(x, y, 1.0, unbiased=unbiased) for x, y in pairs])
        for unbiased in (True, False)
    )
    assert abs(free.mean()) < 3 * free.std() / 300**0.5
    assert free.min() < 0
    assert biased.mean() > 10 * biased.std() / 300**0.5


@pytest.mark.parametrize(("sigma", "epsilon"), [(50, 1e-5), (5, 1e-5), (1, 1e-4), (200, 1e-6)])
def test_normalised_hsic_is_the_released_code_s_in_double_precision(sigma, epsilon):
    x, t = related(80, 10)
    assert normalised_hsic(x, t, sigma, epsilon) == pytest.approx(
        released(x, t, sigma, epsilon), rel=1e-6
    )
    assert normalised_hsic(t, half(80), sigma, epsilon) == pytest.approx(
        released(t, half(80), sigma, epsilon), rel=1e-6
    )


def test_at_the_released_bandwidth_the_kernel_is_linear():
    x, t = related()
    for pair in ((x, t), (t, half(500)), (x, x)):
        assert closed_form(*pair) == pytest.approx(
            normalised_hsic(*pair), rel=5e-4
        )  # the next term is 1/σ² = 4e-4
        assert closed_form(*pair, sigma=500) == pytest.approx(
            normalised_hsic(*pair, sigma=500), rel=1e-5
        )
    assert closed_form(x, t, sigma=1) != pytest.approx(normalised_hsic(x, t, sigma=1), rel=0.5)


def test_the_closed_form_is_the_sum_over_principal_components():
    x, t = related(60, 5)
    total = 0.0
    (u, p), (v, q) = (components(rows) for rows in (x, t))
    for i, j in itertools.product(range(5), repeat=2):
        total += p[i] / (p[i] + 0.025) * q[j] / (q[j] + 0.025) * float(u[:, i] @ v[:, j]) ** 2
    assert closed_form(x, t) == pytest.approx(total, rel=1e-9)
    y = half(60)
    correlations = [np.corrcoef(y, v[:, j])[0, 1] ** 2 for j in range(5)]
    assert closed_form(t, y) == pytest.approx(
        10 / 11 * sum(q / (q + 0.025) * correlations), rel=1e-9
    )


def components(x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Unit principal components [item, i] and their shares, from the correlation matrix."""
    x = x.numpy()
    values, axes = np.linalg.eigh(np.corrcoef(x.T))
    scores = (x - x.mean(0)) / x.std(0) @ axes
    return scores / np.linalg.norm(scores, axis=0), values / values.sum()


def test_information_on_a_balanced_label_stays_below_ten_elevenths():
    """Even where activations are the label; 0.97 of it where a fifth of the features show it."""
    y = half(400)
    shown = torch.tensor(y, dtype=torch.float64)[:, None].expand(400, 3).clone()
    assert 0.88 < normalised_hsic(shown, y) < 10 / 11
    assert 0.88 < closed_form(shown, y) < 10 / 11


def test_values_are_never_negative():
    for seed in range(20):
        x = draws(60, 300, seed=seed)
        a, b = smoother(x, sigma=400), smoother(half(60), sigma=400)
        unclamped = float((a.matrix * b.matrix).sum())
        assert unclamped > -1e-9
        assert normalised_hsic(x, half(60), sigma=400) == pytest.approx(
            max(0.0, unclamped), rel=1e-9, abs=1e-15
        )
    weights = smoother(draws(50, 2), sigma=1e4).weights
    assert 0 <= weights.min() <= weights.max() < 1


def test_the_bandwidth_decides_the_size():
    """The chapter's simulation: 347, 40, 5.4, 0.42, 0.04 at σ = 1, 5, 50, 200, 400; so does ε."""
    x, t = related()
    table = readings(x, t, (1, 5, 50, 200, 400), (1e-5,))
    values = [row.value for row in table]
    assert values[0] > 250
    assert all(later < earlier / 5 for earlier, later in itertools.pairwise(values))
    by_epsilon = [row.value for row in readings(x, t, (50,), (1e-6, 1e-5, 1e-4))]
    assert by_epsilon[0] > 3 * by_epsilon[1] > 9 * by_epsilon[2]
    at_50 = table[2]
    assert at_50.value == pytest.approx(normalised_hsic(x, t), rel=1e-12)
    assert at_50.ranks[0] == pytest.approx(smoother(x).effective_rank)
    assert at_50.expected == pytest.approx(at_50.ranks[0] * at_50.ranks[1] / 499)


def test_the_mean_of_the_null_is_exact():
    """Over all 720 orders of six items."""
    a, b = smoother(draws(6, 2), 1), smoother(draws(6, 3, seed=1), 1)
    every = [
        float((a.matrix * b.matrix[list(order)][:, list(order)]).sum())
        for order in itertools.permutations(range(6))
    ]
    found = null(a, b, permutations=4000)
    assert found.expected == pytest.approx(np.mean(every), rel=1e-9)
    assert found.mean == pytest.approx(np.mean(every), rel=0.02)
    assert found.quantile(0.9) == pytest.approx(np.quantile(every, 0.9), rel=0.02)
    assert set(np.round(found.draws, 9)) <= set(
        np.round(every, 9)
    )  # each draw is one of the orders


def test_draws_by_rotation_spread_like_shuffles():
    x, t = related()
    a, b = smoother(x), smoother(t)
    found, rng = null(a, b, permutations=400), np.random.default_rng(0)
    orders = [rng.permutation(500) for _ in range(400)]
    shuffled = [float((a.matrix * b.matrix[order][:, order]).sum()) for order in orders]
    assert found.mean == pytest.approx(found.expected, rel=0.02)
    assert np.std(found.draws) == pytest.approx(np.std(shuffled), rel=0.15)
    assert found.quantile(0.95) == pytest.approx(np.quantile(shuffled, 0.95), rel=0.03)
    assert found.observed > found.draws.max()
    assert found.p_value == pytest.approx(1 / 401)


def test_a_rotation_is_a_rotation():
    a, b = draws(7, 7), draws(7, 7, seed=1)
    expected = [float((a * b.roll((-shift, -shift), (0, 1))).sum()) for shift in range(7)]
    assert dependence._rotated(
        dependence._diagonals(a), dependence._diagonals(b), 7
    ).tolist() == pytest.approx(expected)


def test_p_values_of_unrelated_data_are_uniform():
    found = [
        null(smoother(draws(40, 5, seed=s)), smoother(half(40)), 99, seed=s).p_value
        for s in range(300)
    ]
    assert 0.02 < np.mean(np.array(found) <= 0.05) < 0.09
    assert 0.44 < np.mean(found) < 0.56


def test_labels_that_alternate_are_shuffled_too():
    """A rotation by two would leave them as they are."""
    x, y = smoother(draws(40, 5)), smoother(half(40))
    for pair in ((x, y), (y, x)):
        assert len(set(np.round(null(*pair, 40).draws, 6))) > 35


def test_given_shuffles_are_estimated_like_any_labels():
    x, rng = smoother(draws(60, 5)), np.random.default_rng(0)
    shuffled = np.array([rng.permutation(half(60)) for _ in range(500)])
    found = dependence.label_null(half(60), x, shuffled)
    assert found.draws[:3] == pytest.approx(
        [normalised_hsic(draws(60, 5), one) for one in shuffled[:3]], rel=1e-9
    )
    assert found.expected == pytest.approx(null(x, smoother(half(60))).expected, rel=0.05)
    assert found.observed == pytest.approx(normalised_hsic(draws(60, 5), half(60)), rel=1e-12)


def test_with_minimal_pairs_shuffling_item_by_item_hides_what_is_there():
    """Pairs share 12 directions, a thirteenth tells twins apart: shuffles within pairs show it."""
    shared, labels, rng = (
        draws(200, 12).repeat_interleave(2, 0),
        half(400),
        np.random.default_rng(0),
    )
    tell = 0.2 * torch.tensor(labels * 2.0 - 1)[:, None] + draws(400, 1, seed=5)
    silent = torch.cat([shared, draws(400, 1, seed=6)], 1)
    swaps = rng.random((300, 200)) < 0.5
    shuffled = labels ^ np.repeat(swaps, 2, axis=1)
    for activations, tells in ((torch.cat([shared, tell], 1), True), (silent, False)):
        found = dependence.label_null(labels, smoother(activations), shuffled)
        assert (found.p_value < 0.01) == tells
        assert null(smoother(activations), smoother(labels), 400).p_value > 0.1
    one_by_one = null(smoother(silent), smoother(labels), 400)
    within = dependence.label_null(labels, smoother(silent), shuffled)
    assert one_by_one.mean > 3 * within.mean
    layers = torch.stack([silent, silent]).float()
    assert plane(layers, labels, shuffled=shuffled).ty_null[0] == pytest.approx(
        within.mean, rel=1e-4
    )
    assert plane(layers, labels).ty_null[0] == pytest.approx(one_by_one.expected, rel=1e-4)


def test_the_null_repeats_with_its_seed():
    a, b = smoother(draws(30, 5)), smoother(draws(30, 5, seed=1))
    assert np.array_equal(null(a, b, 100, seed=3).draws, null(a, b, 100, seed=3).draws)
    assert not np.array_equal(null(a, b, 100, seed=3).draws, null(a, b, 100, seed=4).draws)


def test_one_irrelevant_direction_looks_like_compression():
    """A simulation with the same numbers as in the chapter: 6.06, 5.69, 4.93, 3.99, 2.24 at scales
    0, 2, 5, 10, 30. Hardly anything is lost: X is still predictable."""
    x, t = related()
    values = [normalised_hsic(x, with_direction(t, scale)) for scale in (0, 2, 5, 10, 30)]
    assert all(later < earlier for earlier, later in itertools.pairwise(values))
    assert values[-1] < 0.4 * values[0]
    ranks = [smoother(with_direction(t, scale)).effective_rank for scale in (0, 30)]
    assert ranks[1] < 0.4 * ranks[0]
    before, after = (explained(x, standardise(with_direction(t, scale))) for scale in (0, 30))
    assert after > before - 0.01


@pytest.mark.parametrize("features", [2, 8, 64])
def test_one_direction_of_all_is_lost(features):
    x = draws(400, features)
    left = explained(x - x.mean(0), standardise(with_direction(x, 1000)))
    assert left == pytest.approx((features - 1) / features, abs=0.03)


def explained(x: torch.Tensor, t: torch.Tensor) -> float:
    """R² of X regressed on T, all features together."""
    x = x - x.mean(0)
    left = x - t @ torch.linalg.lstsq(t, x).solution
    return 1 - float((left**2).sum() / (x**2).sum())


def test_a_direction_of_scale_zero_changes_nothing_and_its_size_is_as_stated():
    x = 3 * draws(4000, 16) + 1
    assert torch.equal(with_direction(x, 0), x)
    added = with_direction(x, 5, seed=1) - x
    assert torch.linalg.matrix_rank(added) == 1
    assert float(added.norm(dim=1).std()) > 0
    assert float((added @ added[0].sign() / 4).std()) == pytest.approx(15, rel=0.05)
    assert not torch.equal(with_direction(x, 5, seed=2) - x, added)


def test_the_plane_holds_every_layer_with_its_null():
    x, t = related(120, 8)
    found = plane(torch.stack([x, t, draws(120, 8)]).float(), half(120), permutations=100)
    assert found.tx == pytest.approx(
        [normalised_hsic(x, layer) for layer in (x, t, draws(120, 8))], rel=1e-5
    )
    assert found.ty[1] == pytest.approx(normalised_hsic(t, half(120)), rel=1e-5)
    assert found.tx[1] > found.tx_high[1] > found.tx_null[1]
    assert found.tx[2] < 1.5 * found.tx_high[2]
    assert found.tx_null[1] == pytest.approx(found.rank[0] * found.rank[1] / 119)
    assert found.rank.shape == found.ty_high.shape == (3,)
    alone = null(smoother(half(120)), smoother(t.float()), permutations=100)
    assert found.ty_high[1] == pytest.approx(alone.quantile(0.95))
    fast = plane(torch.stack([x, t]).float(), half(120), permutations=100, linear=True)
    assert fast.tx == pytest.approx(found.tx[:2], rel=5e-4)
    assert fast.tx[1] == pytest.approx(closed_form(x.float(), t.float()), rel=1e-9)
    assert fast.ty_high == pytest.approx(found.ty_high[:2], rel=3e-3)


def test_labels_may_be_arrays_or_tensors_and_features_that_never_vary_are_left_out():
    x, y = draws(50, 4), half(50)
    assert (
        normalised_hsic(x, torch.tensor(y))
        == normalised_hsic(x, y.astype(float))
        == normalised_hsic(x, y)
    )
    with_dead = torch.cat([x, torch.full((50, 1), 7.0)], 1)
    assert torch.equal(standardise(with_dead)[:, :4], standardise(x))
    assert not standardise(with_dead)[:, 4].any()


def with_nan() -> torch.Tensor:
    x = draws(20, 3)
    x[3, 1] = torch.nan
    return x


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: normalised_hsic(with_nan(), half(20)), r"NaN or infinity in 1 of 20 items"),
        (lambda: hsic(draws(20, 3) / 0, half(20)), r"NaN or infinity in 20 of 20"),
        (
            lambda: normalised_hsic(draws(20, 3), half(21)),
            "same items on both sides; got 20 and 21",
        ),
        (lambda: hsic(draws(20, 3), half(21)), "same items on both sides; got 20 and 21"),
        (lambda: normalised_hsic(draws(20, 3), half(20), sigma=0), "sigma above 0; got 0"),
        (lambda: hsic(draws(20, 3), half(20), sigma=-1), "sigma above 0; got -1"),
        (lambda: closed_form(draws(20, 3), half(20), epsilon=0), "epsilon above 0; got 0"),
        (
            lambda: readings(draws(20, 3), half(20), (50,), (float("nan"),)),
            "epsilon above 0; got nan",
        ),
        (
            lambda: normalised_hsic(torch.ones(20, 3), half(20)),
            r"differ between items(.|\n)*first block's output",
        ),
        (lambda: normalised_hsic(draws(20, 3), np.ones(20, dtype=bool)), "labels of both classes"),
        (lambda: normalised_hsic(draws(3, 3), half(3)), "at least four items"),
        (lambda: standardise(torch.zeros(0, 3)), "at least four items"),
        (
            lambda: plane(torch.stack([draws(20, 3), torch.ones(20, 3).double()]), half(20)),
            "layer 1: expected activations that",
        ),
        (
            lambda: plane(draws(0, 20, 3), half(20)),
            r"at least one layer; got activations \[0, 20, 3\]",
        ),
        (
            lambda: null(smoother(draws(20, 3)), smoother(half(20)), permutations=0),
            "number of permutations of at least 1",
        ),
        (
            lambda: dependence.label_null(half(20), smoother(draws(20, 3)), half(20)),
            r"shuffles \[draw, item\]",
        ),
        (
            lambda: dependence.label_null(half(20), smoother(draws(20, 3)), np.ones((2, 20), bool)),
            "other labels than these",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(LabError, match=message):
        call()


def test_constants_are_the_released_code_s():
    assert (kernels.SIGMA, kernels.EPSILON) == (50, 1e-5)

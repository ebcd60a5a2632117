"""What a regression recovers where the answer is known, and what is left without the label."""

import numpy as np
import pytest
import torch

from helpers.errors import LabError
from helpers.trust.information.dependence import closed_form, with_direction
from helpers.trust.information.recovery import recovered, without_label, without_largest

N, D = 400, 32


def draws(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def alternating(n: int = N) -> np.ndarray:
    return np.arange(n) % 2 == 0


X = draws(N, D)
ALONE = range(N)


def test_an_invertible_map_loses_nothing_whatever_its_scales():
    turned = torch.linalg.qr(draws(D, D, seed=1))[0]
    assert recovered(X, X @ turned, ALONE) > 0.999
    assert recovered(X, X @ turned * torch.logspace(-2, 2, D) + 7, ALONE) > 0.999
    assert recovered(X * torch.logspace(-2, 2, D), X @ turned, ALONE) > 0.999


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_recovered_from_what_is_independent(seed):
    share = recovered(X, draws(N, D, seed=10 + seed), ALONE, seed=seed)
    assert (
        -0.2 < share <= 0
    )  # no better than the mean of the training rows, and not much worse: the penalty sees to that


@pytest.mark.parametrize("kept", [1, 8, 16, 31])
def test_k_of_d_equal_features_are_k_dths_of_the_variance(kept):
    x, noise = draws(4000, D), draws(4000, D - kept, seed=2)
    t = torch.cat([x[:, :kept], noise], 1) @ torch.linalg.qr(draws(D, D, seed=3))[0]
    assert recovered(x, t, range(4000)) == pytest.approx(kept / D, abs=0.015)


def test_equal_noise_hides_half():
    """T = X + e with variances 1 and 1: X is best predicted by T/2, with an error of 1/2."""
    x = draws(4000, 8)
    assert recovered(x, x + draws(4000, 8, seed=4), range(4000)) == pytest.approx(0.5, abs=0.02)


def solved(t: np.ndarray, x: np.ndarray, new: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge regression by its normal equations, without penalty on the mean."""
    weights = np.linalg.solve(
        (t - t.mean(0)).T @ (t - t.mean(0)) + penalty * np.eye(t.shape[1]), (t - t.mean(0)).T @ x
    )
    return x.mean(0) + (new - t.mean(0)) @ weights


def test_the_regression_is_the_textbook_s():
    """Folds, each one's penalty, and the pooled share, written out for features of uneven size."""
    t = draws(60, 7, seed=1) * torch.arange(1, 8) / 4
    x, t = (
        ((draws(60, 5) + t[:, :5]) * torch.logspace(-1, 1, 5)).numpy(),
        t.exp().numpy(),
    )  # exp: spreads differ between folds
    groups = [f"g{i // 3}" for i in range(60)]
    order = np.random.default_rng(4).permutation(
        20
    )  # the groups, sorted by name, are dealt out in this order
    fold = np.array([order[sorted(set(groups)).index(group)] % 4 for group in groups])
    x = (x - x.mean(0)) / x.std(0)
    error, total, chosen = 0.0, 0.0, set()
    for k in range(4):
        rest, test = fold != k, fold == k
        z = (t - t[rest].mean(0)) / t[rest].std(0)

        def score(penalty: float, k: int = k, z: np.ndarray = z) -> float:
            shares = []
            for inner in set(range(4)) - {k}:
                fit, seen = (fold != k) & (fold != inner), fold == inner
                wrong = ((x[seen] - solved(z[fit], x[fit], z[seen], penalty)) ** 2).sum(0)
                shares.append(np.mean(1 - wrong / ((x[seen] - x[seen].mean(0)) ** 2).sum(0)))
            return float(np.mean(shares))

        best = max((0.1, 1.0, 10.0, 100.0, 1000.0), key=score)
        chosen.add(best)
        error += ((x[test] - solved(z[rest], x[rest], z[test], best)) ** 2).sum()
        total += ((x[test] - x[rest].mean(0)) ** 2).sum()
    assert len(chosen) > 1, chosen
    assert recovered(
        torch.from_numpy(x), torch.from_numpy(t), groups, n_folds=4, seed=4
    ) == pytest.approx(1 - error / total)
    unscaled = torch.from_numpy(x * np.logspace(-2, 2, 5) + 3)
    assert recovered(unscaled, torch.from_numpy(t), groups, n_folds=4, seed=4) == pytest.approx(
        1 - error / total
    )


def test_one_huge_irrelevant_direction_lowers_the_information_and_hides_nothing():
    t = X @ torch.linalg.qr(draws(D, D, seed=1))[0]
    before, after = recovered(X, t, ALONE), recovered(X, with_direction(t, 20), ALONE)
    assert after > before - 2 / D  # it takes the place of one direction of D
    assert after > 0.9
    assert closed_form(X, with_direction(t, 20)) < 0.5 * closed_form(X, t)


def test_twins_do_not_leak():
    """Equal pairs whose X is chance: only a fit that has seen the twin knows the answer."""
    x, t = (draws(60, 8, seed=seed).repeat_interleave(2, 0) for seed in (0, 1))
    t = torch.cat(
        [t, draws(60, 200, seed=2).repeat_interleave(2, 0)], 1
    )  # enough features to tell every pair apart
    assert recovered(x, t, range(120)) > 0.3
    assert recovered(x, t, np.arange(120) // 2) < 0.02


def test_the_penalty_is_chosen_without_twins_too():
    """Were single rows left out, their twins would tell them: the weakest penalty would win."""
    x = draws(60, 8, seed=0)
    t = torch.cat([x + 2 * draws(60, 8, seed=1), draws(60, 200, seed=2)], 1)
    x_twice, t_twice = (rows.repeat_interleave(2, 0) for rows in (x, t))
    assert recovered(x_twice, t_twice, np.arange(120) // 2) > recovered(x, t, range(60)) - 0.05


def test_constant_features_change_nothing():
    t = draws(N, D, seed=1) + X
    once = recovered(X, t, ALONE)
    constant = torch.full((N, 3), 1 / 3, dtype=torch.float64)
    assert recovered(
        torch.cat([X, constant], 1), torch.cat([t, constant], 1), ALONE
    ) == pytest.approx(once, abs=1e-9)
    one_group = torch.zeros(N, 1, dtype=torch.float64)
    one_group[:4] = draws(4, 1, seed=5)  # constant wherever its group is not in the training part
    groups = np.arange(N) // 4
    share = recovered(torch.cat([X, one_group], 1), torch.cat([t, one_group], 1), groups)
    assert np.isfinite(share)
    assert share == pytest.approx(once, abs=0.05)


def test_the_seed_decides_and_the_names_of_groups_do_not_matter_beyond_their_order():
    t = draws(N, D, seed=1) + X
    groups = np.arange(N) // 8
    one, same, other = (recovered(X, t, groups, seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one != other
    assert one == pytest.approx(other, abs=0.05)
    assert recovered(X, t, [f"{group:03d}" for group in groups]) == one
    assert recovered(X.float(), t.float(), groups) == pytest.approx(one, abs=1e-4)


def holed() -> torch.Tensor:
    x = X.clone()
    x[3, 1] = torch.nan
    return x


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: recovered(X, X[:-1], ALONE), "same items on both sides; got 400 and 399"),
        (lambda: recovered(X, X, range(399)), "one group a row; got 399 groups for 400 rows"),
        (
            lambda: recovered(X, X, np.arange(N) % 4),
            "three folds, and a group or more in each; got 5 folds and 4 different",
        ),
        (lambda: recovered(X, X, ALONE, n_folds=2), "at least three folds"),
        (lambda: recovered(holed(), X, ALONE), "finite numbers; got NaN or infinity in 1 of 400"),
        (lambda: recovered(X, holed(), ALONE), "finite numbers"),
        (lambda: recovered(X, torch.ones(N, 3), ALONE), "differ between items"),
        (lambda: without_label(holed(), alternating()), "finite numbers"),
        (lambda: without_label(X, alternating(399)), "same items on both sides; got 400 and 399"),
        (lambda: without_label(X, np.ones(N, dtype=bool)), "labels of both classes"),
    ],
)
def test_bad_input_is_named(call, said):
    with pytest.raises(LabError, match=said):
        call()


def labelled(scale: float) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """X, and T: X turned, with the label along one direction that all features share."""
    labels = alternating()
    signs = torch.from_numpy(np.where(labels, 1.0, -1.0))
    spread = torch.where(draws(D, seed=6) > 0, 1.0, -1.0).double() / D**0.5
    return X, X @ torch.linalg.qr(draws(D, D, seed=1))[0] + scale * signs[:, None] * spread, labels


def test_what_is_left_does_not_know_the_label_and_is_unchanged_across_it():
    _, t, labels = labelled(6)
    left = without_label(t, labels)
    z = (t - t.mean(0)) / t.std(0, correction=0)
    along = (z[labels].mean(0) - z[~labels].mean(0)).numpy()
    along /= np.linalg.norm(along)
    others = np.linalg.svd(along[None])[2][1:].T  # an orthonormal basis of everything else
    assert np.allclose(left.numpy() @ along, 0)
    assert np.allclose(left.numpy() @ others, z.numpy() @ others)
    assert torch.allclose(left[labels].mean(0), left[~labels].mean(0))
    assert closed_form(t, labels) > 0.8
    assert closed_form(left, labels) < 1e-9  # standardised again in there, and still equal


def test_without_the_label_a_compression_that_was_its_growth_is_gone():
    small, large = labelled(0.5), labelled(12)
    fall = closed_form(small[0], small[1]) - closed_form(large[0], large[1])
    assert fall > 0.3 * closed_form(small[0], small[1])
    left = [closed_form(x, without_label(t, labels)) for x, t, labels in (small, large)]
    assert left[1] == pytest.approx(left[0], rel=0.05)
    assert recovered(large[0], large[1], ALONE) == pytest.approx(
        recovered(small[0], small[1], ALONE), abs=2 / D
    )


def test_another_direction_taken_out_gives_little_back():
    x, t, labels = labelled(12)
    shuffled = np.random.default_rng(0).permutation(labels)
    before = closed_form(x, t)
    assert closed_form(x, without_label(t, labels)) > 1.3 * before
    assert closed_form(x, without_label(X, shuffled)) == pytest.approx(closed_form(x, X), rel=0.05)


def test_taken_out_twice_is_taken_out_once():
    _, t, labels = labelled(3)
    once = without_label(t, labels)
    again = without_label(once, labels)
    assert torch.allclose(again, (once - once.mean(0)) / once.std(0, correction=0))


def test_the_largest_direction_is_the_one_that_was_made_large():
    faked = with_direction(X, 30)
    assert closed_form(X, faked) < 0.5 * closed_form(X, X)
    assert closed_form(X, without_largest(faked)) == pytest.approx(closed_form(X, X), rel=0.05)
    rest = without_largest(faked)
    assert torch.linalg.matrix_rank(rest) == D - 1

"""Probes against scikit-learn, closed forms, and input that no probe can be trained on."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from helpers.errors import LabError
from helpers.texts import LabelledSet
from helpers.trust.data.splits import Splits, grouped, ordered
from helpers.trust.probes import bench, linear, logistic

WEIGHTS = 5e-5
"""Largest difference of a weight from that of scikit-learn's Newton solver, as a share of the
largest weight. The gradient left over is at most `probes.TOLERANCE` a training row; with the
weakest strength here, 0.1, that allows 2e-5."""


def pairs(n_items: int) -> LabelledSet:
    labels = np.tile([True, False], n_items // 2)
    return LabelledSet(
        "pairs", ("",) * n_items, labels, tuple(str(item // 2) for item in range(n_items))
    )


def case(kind: str) -> tuple[torch.Tensor, LabelledSet]:
    """Activations [3 sites]: "wide" has more features than items, "separable" two far clouds."""
    n_items, d = {
        "narrow": (400, 12),
        "square": (200, 128),
        "wide": (120, 300),
        "separable": (200, 40),
    }[kind]
    data = pairs(n_items)
    x = bench.activations(3, data, d, seed=3)
    if kind == "separable":
        x += 5 * torch.tensor(data.labels)[None, :, None] * torch.linspace(-1, 1, d)
    return x, data


def standard(
    x: torch.Tensor, site: int, rows: np.ndarray, like: np.ndarray | None = None
) -> np.ndarray:
    x = x[site].double().numpy()
    of = x[rows if like is None else like]
    return (x[rows] - of.mean(0)) / of.std(0)


@pytest.mark.parametrize("strength", [0.1, 10.0, 1000.0])
@pytest.mark.parametrize("kind", ["narrow", "square", "wide", "separable"])
def test_weights_and_accuracy_equal_scikit_learns(kind, strength):
    x, data = case(kind)
    splits = grouped(data, n_splits=2)
    found = linear.fit(x, data.labels, splits, strengths=(strength,))
    usual = np.empty((len(x), 2))
    for site in range(len(x)):
        for split, (train, test) in enumerate(zip(splits.train, splits.test, strict=True)):
            rows, unseen = standard(x, site, train), standard(x, site, test, like=train)
            model = LogisticRegression(
                C=1 / strength, solver="newton-cholesky", max_iter=2000, tol=1e-10
            )
            model.fit(rows, data.labels[train])
            size = np.abs(model.coef_).max()
            assert np.abs(found.weights[site, split] - model.coef_[0]).max() < WEIGHTS * size
            assert abs(found.bias[site, split] - model.intercept_[0]) < WEIGHTS * max(1, size)
            assert found.accuracy[site, split] == model.score(unseen, data.labels[test])
            loss = log_loss(data.labels[test], model.predict_proba(unseen))
            assert found.cross_entropy[site, split] == pytest.approx(loss, rel=1e-3)
            loose = LogisticRegression(C=1 / strength, max_iter=2000).fit(rows, data.labels[train])
            usual[site, split] = loose.score(unseen, data.labels[test])
    assert abs((found.accuracy - usual).mean()) <= 0.005


def test_the_choice_of_the_strength_is_that_of_a_plain_loop():
    data = pairs(200)
    x = bench.activations(6, data, 32, seed=1)
    splits = grouped(data)
    found = linear.fit(x, data.labels, splits)
    assert (
        len(np.unique(found.strengths)) > 2
    )  # the sites differ, or there would be no choice to compare
    for site in range(len(x)):
        assert (
            np.abs(
                found.accuracy[site] - bench.by_loop(x[site].numpy(), data.labels, splits)
            ).mean()
            <= 0.005
        )


def test_the_gradient_of_the_objective_is_zero():
    """Written out once more, in NumPy: no other solver's tolerance is involved."""
    x, data = case("wide")
    splits = grouped(data, n_splits=1)
    found = linear.fit(x, data.labels, splits, strengths=(0.01,))
    train = splits.train[0]
    rows = standard(x, 0, train)
    chance = 1 / (1 + np.exp(-(rows @ found.weights[0, 0] + found.bias[0, 0])))
    gradient = rows.T @ (chance - data.labels[train]) + 0.01 * found.weights[0, 0]
    assert np.abs(gradient).max() < 1.1 * linear.TOLERANCE * train.sum()
    assert abs((chance - data.labels[train]).sum()) < 1.1 * linear.TOLERANCE * train.sum()


def test_a_weak_penalty_on_separable_clouds_still_converges():
    x, data = case("separable")
    found = linear.fit(x, data.labels, grouped(data, n_splits=2), strengths=(1e-4,))
    assert np.isfinite(found.weights).all()
    assert (found.accuracy == 1).all()


def test_single_precision_is_not_enough_for_the_reported_weights():
    """Why the last fit runs in float64: the numbers in the docstring of the module."""
    x, data = case("separable")
    splits = grouped(data, n_splits=1)
    design = logistic.design(x, torch.from_numpy(splits.train))
    labels = torch.from_numpy(np.array(np.broadcast_to(data.labels, (3, len(data)))))
    fits, strength = torch.arange(1), torch.full((3, 1), 1e-3, dtype=torch.float64)
    single = design.to(torch.float32)
    exact, _ = logistic.minimise(design, labels, fits, strength, 1e-9, 5000)
    rough, _ = logistic.minimise(single, labels, fits, strength.float(), 1e-7, 2000)
    apart = (
        logistic.standardised(design, fits, exact)[0]
        - logistic.standardised(design, fits, rough.double())[0]
    ).abs()
    assert apart.max() > 10 * WEIGHTS * exact.abs().max()


def test_results_do_not_depend_on_how_sites_are_put_together(monkeypatch):
    data = pairs(100)
    x = bench.activations(5, data, 16)
    splits = grouped(data)
    together = linear.fit(x, data.labels, splits)
    monkeypatch.setitem(linear.CHUNK, "cpu", 1)
    apart = linear.fit(x, data.labels, splits)
    np.testing.assert_array_equal(together.strengths, apart.strengths)
    np.testing.assert_allclose(
        together.weights, apart.weights, rtol=0, atol=1e-5 * np.abs(together.weights).max()
    )
    np.testing.assert_array_equal(together.accuracy, apart.accuracy)


def test_test_rows_do_not_reach_the_probe():
    data = pairs(100)
    x = bench.activations(2, data, 16)
    splits = grouped(data, n_splits=1)
    changed = x.clone()
    changed[:, splits.test[0]] *= -30
    before, after = (linear.fit(a, data.labels, splits) for a in (x, changed))
    np.testing.assert_array_equal(before.strengths, after.strengths)
    np.testing.assert_allclose(
        before.weights, after.weights, rtol=0, atol=1e-4 * np.abs(before.weights).max()
    )
    np.testing.assert_allclose(before.mean, after.mean, atol=1e-6)
    np.testing.assert_allclose(before.scale, after.scale, rtol=1e-6)


def test_units_of_the_features_do_not_matter():
    data = pairs(100)
    x = bench.activations(2, data, 16).double()
    other = 7e3 * torch.logspace(-4, 4, 16, dtype=torch.float64)
    splits = grouped(data)
    found, scaled = (linear.fit(a, data.labels, splits) for a in (x, (x + 3) * other))
    np.testing.assert_allclose(
        found.weights, scaled.weights, rtol=0, atol=1e-5 * np.abs(found.weights).max()
    )
    np.testing.assert_array_equal(found.accuracy, scaled.accuracy)


def test_constant_features_get_no_weight_and_change_nothing():
    data = pairs(100)
    x = bench.activations(2, data, 6)
    splits = grouped(data)
    constant = torch.full((2, 100, 1), 1e4)
    rare = torch.zeros(2, 100, 1)
    rare[:, torch.from_numpy(splits.test[0])] = 1  # constant in the training part of split 0 only
    plain = linear.fit(x, data.labels, splits)
    found = linear.fit(
        torch.cat([x, constant, torch.zeros(2, 100, 1), rare], 2), data.labels, splits
    )
    assert all(
        np.isfinite(getattr(found, name)).all()
        for name in ("weights", "bias", "accuracy", "cross_entropy", "scale")
    )
    assert (found.weights[:, :, 6:8] == 0).all()
    assert (found.weights[:, 0, 8] == 0).all()
    np.testing.assert_array_equal(found.accuracy[:, 0], plain.accuracy[:, 0])
    np.testing.assert_allclose(
        found.weights[:, 0, :6], plain.weights[:, 0], atol=1e-5 * np.abs(plain.weights).max()
    )


def test_nothing_but_constants_is_answered_by_the_balance():
    data = pairs(60)
    found = linear.fit(torch.ones(1, 60, 4), data.labels, grouped(data))
    assert (found.weights == 0).all()
    np.testing.assert_allclose(found.cross_entropy, np.log(2))


def test_labels_of_each_site_are_its_own():
    data = pairs(80)
    x = bench.activations(1, data, 8)
    splits = grouped(data)
    flipped = ~data.labels
    both = linear.fit(x.expand(2, -1, -1), np.array([data.labels, flipped]), splits)
    one, other = (linear.fit(x, labels, splits) for labels in (data.labels, flipped))
    np.testing.assert_array_equal(both.accuracy, np.concatenate([one.accuracy, other.accuracy]))


def test_scores_belong_to_the_accuracy_and_fit_other_activations():
    data = pairs(100)
    x = bench.activations(6, data, 16)
    splits = grouped(data)
    found = linear.fit(x, data.labels, splits)
    right = (found.scores(x) > 0) == data.labels
    np.testing.assert_array_equal((right & splits.test).sum(2) / splits.test.sum(1), found.accuracy)
    np.testing.assert_allclose(found.scores(x[:, :7]), found.scores(x)[:, :, :7])


def test_half_precision_activations_are_accepted():
    data = pairs(60)
    x = bench.activations(1, data, 8)
    half = x.to(torch.bfloat16)
    assert np.array_equal(
        *(linear.fit(a, data.labels, grouped(data)).accuracy for a in (half, half.float()))
    )


def test_intervals_hold_the_mean_and_have_a_width_when_all_splits_agree():
    data = pairs(60)
    splits = grouped(data)
    x = 9.0 * torch.tensor(data.labels)[None, :, None] + torch.randn(
        1, 60, 3, generator=torch.Generator().manual_seed(0)
    )
    found = linear.fit(x, data.labels, splits).interval()
    # Clopper–Pearson after 0 failures: the lower end is (1 - level) / 2 to the power 1 / trials
    assert (found.mean[0], found.high[0]) == (1, 1)
    assert found.low[0] == pytest.approx(0.025 ** (1 / splits.tested_groups))
    mixed = linear.fit(bench.activations(6, data, 8), data.labels, splits)
    found, over = mixed.interval(), splits.interval(mixed.accuracy)
    assert (found.low <= np.maximum(over.low, 0)).all()
    assert (found.high >= np.minimum(over.high, 1)).all()
    assert (found.low >= 0).all()
    assert (found.high <= 1).all()
    single = linear.fit(x, data.labels, grouped(data, n_splits=1)).interval()
    assert single.low[0] < single.mean[0] == 1


def test_the_difference_of_two_probes_is_measured_split_by_split():
    data = pairs(100)
    x = bench.activations(6, data, 8)[4:]
    splits = grouped(data)
    found = linear.fit(x, data.labels, splits)
    noise = linear.fit(
        torch.randn(1, 100, 4, generator=torch.Generator().manual_seed(0)), data.labels, splits
    )
    gain = found.above(noise)
    np.testing.assert_allclose(gain.mean, (found.accuracy - noise.accuracy).mean(1))
    assert gain.low[1] > 0.1
    with pytest.raises(LabError, match="same splits"):
        found.above(linear.fit(x, data.labels, grouped(data, seed=1)))


def test_a_difference_has_a_width_when_all_splits_agree():
    data = pairs(60)
    splits = grouped(data)
    x = 9.0 * torch.tensor(data.labels)[None, :, None] + torch.randn(
        1, 60, 3, generator=torch.Generator().manual_seed(0)
    )
    sure, blind = (linear.fit(a, data.labels, splits) for a in (x, torch.ones(1, 60, 1)))
    assert (sure.accuracy == 1).all()
    assert (blind.accuracy == 0.5).all()
    n = splits.tested_groups
    low = 0.025 ** (1 / n)  # Clopper–Pearson after 0 failures in n groups
    half = scipy.stats.binomtest(round(n / 2), n).proportion_ci().high - 0.5  # and of half of them
    gain = sure.above(blind)
    assert (gain.mean[0], gain.low[0]) == pytest.approx((0.5, 0.5 - np.hypot(1 - low, half)))
    assert 0 < gain.low[0] < 0.4 < 0.6 < gain.high[0] <= 1
    loss = blind.above(sure)
    assert (loss.low[0], loss.high[0]) == pytest.approx((-gain.high[0], -gain.low[0]))
    none = sure.above(sure)
    assert none.low[0] == pytest.approx(low - 1)
    assert none.high[0] == pytest.approx(1 - low)
    single = grouped(data, n_splits=1)
    assert (
        linear.fit(x, data.labels, single)
        .above(linear.fit(torch.ones(1, 60, 1), data.labels, single))
        .low[0]
        < 0.4
    )


def test_a_difference_is_never_narrower_than_over_the_splits():
    data = pairs(100)
    splits = grouped(data)
    found = linear.fit(bench.activations(6, data, 8), data.labels, splits)
    other = linear.fit(
        torch.randn(1, 100, 4, generator=torch.Generator().manual_seed(0)), data.labels, splits
    )
    gain, over = found.above(other), splits.interval(found.accuracy - other.accuracy)
    assert gain.low.shape == (6,)
    assert (gain.low <= np.maximum(over.low, -1)).all()
    assert (gain.high >= np.minimum(over.high, 1)).all()
    assert (gain.low <= gain.mean).all()
    assert (gain.mean <= gain.high).all()


def test_the_summary_is_that_of_the_site():
    data = pairs(100)
    found = linear.fit(bench.activations(3, data, 8), data.labels, grouped(data))
    row, interval = found.summary("a probe", 2), found.interval()
    assert (row.name, row.accuracy, row.low, row.high) == (
        "a probe",
        interval.mean[2],
        interval.low[2],
        interval.high[2],
    )
    assert row.cross_entropy == pytest.approx(found.cross_entropy[2].mean())
    assert row.strength in linear.STRENGTHS


def test_mass_mean_probe_equals_its_definition():
    x, data = case("narrow")
    splits = grouped(data, n_splits=2)
    found = linear.mass_mean(x, data.labels, splits)
    train, test = splits.train[1], splits.test[1]
    rows, y = standard(x, 2, train), data.labels[train]
    positive, negative = rows[y].mean(0), rows[~y].mean(0)
    unseen = standard(x, 2, test, like=train)
    nearer = ((unseen - (positive + negative) / 2) @ (positive - negative)) > 0
    assert found.accuracy[2, 1] == (nearer == data.labels[test]).mean()
    np.testing.assert_allclose(found.weights[2, 1], positive - negative, atol=1e-10)
    assert np.isnan(found.cross_entropy).all()
    assert np.isnan(found.strengths).all()


def test_the_papers_way_equals_its_code():
    """StandardScaler over all rows, then LogisticRegression() on the first 80 %."""
    x, data = case("narrow")
    found = linear.paper_mode(x, data.labels, ordered(data))
    for site in range(len(x)):
        rows = standard(x, site, np.ones(400, dtype=bool))
        model = LogisticRegression(tol=1e-8).fit(rows[:320], data.labels[:320])
        assert found.accuracy[site, 0] == model.score(rows[320:], data.labels[320:])
        np.testing.assert_allclose(
            found.weights[site, 0], model.coef_[0], atol=1e-4 * np.abs(model.coef_).max()
        )


def test_the_papers_way_sees_a_twin_and_grouped_splits_do_not():
    """Activations that only say which pair an item is from, items of a pair labelled alike."""
    n_pairs = 60
    labels = np.random.default_rng(0).permutation(np.repeat([True, False], n_pairs // 2))
    order = np.random.default_rng(1).permutation(2 * n_pairs)
    pair = np.tile(np.arange(n_pairs), 2)[order]
    data = LabelledSet("twins", ("",) * len(pair), labels[pair], tuple(map(str, pair)))
    x = torch.randn(n_pairs, 100, generator=torch.Generator().manual_seed(0))[pair][None]
    paper = linear.paper_mode(x, data.labels, ordered(data)).accuracy.mean()
    ours = linear.fit(x, data.labels, grouped(data)).accuracy.mean()
    assert paper > 0.75
    assert ours < 0.6


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_activations_that_are_not_finite_are_named(value):
    data = pairs(40)
    x = torch.zeros(3, 40, 2)
    x[1, 7, 1] = value
    with pytest.raises(
        LabError,
        match=r"finite activations; got NaN or infinity at 1 of 3 sites, first at site 1, item 7",
    ):
        linear.fit(x, data.labels, grouped(data))


def test_parts_of_one_class_are_refused():
    data = pairs(40)
    splits = grouped(data)
    train = splits.train.copy()
    train[2] &= data.labels
    with pytest.raises(
        LabError,
        match=r"both classes in every training part; got 14 items, all True, in training part 2",
    ):
        linear.fit(torch.randn(1, 40, 2), data.labels, replace(splits, train=train))
    with pytest.raises(
        LabError, match=r"both classes in every test part; got no items in test part 0"
    ):
        linear.fit(torch.randn(1, 40, 2), data.labels, replace(splits, test=splits.test & False))


def test_folds_that_cannot_be_made_are_refused():
    few = LabelledSet("few", ("",) * 8, np.tile([True, False], 4), tuple("aabbccdd"))
    splits = grouped(few, n_splits=2, test_share=0.5)
    with pytest.raises(
        LabError, match=r"at least 3 groups in every training part, one a fold; got 2 in split 0"
    ):
        linear.fit(torch.randn(1, 8, 2), few.labels, splits)
    assert linear.fit(
        torch.randn(1, 8, 2), few.labels, splits, strengths=(1.0,)
    ).accuracy.shape == (1, 2)
    lonely = np.arange(40) < 1
    lonely[20] = True
    part = np.tile([True, False], 20)[None]
    single = Splits(np.repeat(part, 1, 0), ~part, tuple(map(str, range(40))))
    with pytest.raises(LabError, match="both classes"):
        linear.fit(torch.randn(1, 40, 2), lonely, single)


@pytest.mark.parametrize("n_folds", [-1, 0, 1])
def test_a_cross_validation_needs_two_folds(n_folds):
    data = pairs(40)
    with pytest.raises(LabError, match=f"two folds or more; got {n_folds}\n"):
        linear.fit(torch.randn(1, 40, 2), data.labels, grouped(data), n_folds=n_folds)


@pytest.mark.parametrize("strengths", [(), (0.0,), (1.0, -1.0), (np.inf,), (np.nan,)])
def test_strengths_are_positive_numbers(strengths):
    data = pairs(40)
    with pytest.raises(LabError, match="positive strengths"):
        linear.fit(torch.randn(1, 40, 2), data.labels, grouped(data), strengths=strengths)


def test_shapes_that_do_not_belong_together_are_refused():
    data = pairs(40)
    splits = grouped(data)
    for x, labels in (
        (torch.randn(40, 2), data.labels),
        (torch.randn(1, 38, 2), data.labels),
        (torch.randn(0, 40, 2), data.labels),
    ):
        with pytest.raises(LabError, match="a label for each item"):
            linear.fit(x, labels, splits)
    with pytest.raises(LabError, match="expected splits of 38 items; got splits of 40"):
        linear.fit(torch.randn(1, 38, 2), data.labels[:38], splits)


def test_fits_that_only_choose_may_stop_early(monkeypatch):
    """As the docstring of the module says: only the reported fit must converge."""
    x, data = case("square")
    expected = linear.fit(x, data.labels, grouped(data))
    monkeypatch.setattr(linear, "CHOICE_ITERATIONS", 5)
    found = linear.fit(x, data.labels, grouped(data))
    same = found.strengths == expected.strengths
    np.testing.assert_array_equal(found.accuracy[same], expected.accuracy[same])
    np.testing.assert_allclose(
        found.weights[same], expected.weights[same], atol=WEIGHTS * np.abs(expected.weights).max()
    )


def test_fits_that_do_not_converge_are_not_reported(monkeypatch):
    x, data = case("square")
    monkeypatch.setattr(linear, "ITERATIONS", 3)
    with pytest.raises(LabError, match="converge in 3 steps"):
        linear.fit(x, data.labels, grouped(data), strengths=(0.01,))


def test_no_warning_reaches_the_reader():
    data = pairs(60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear.fit(bench.activations(1, data, 8), data.labels, grouped(data)).interval()


def test_what_stands_beside_an_accuracy_is_scikit_learns():
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    labels = np.arange(120) % 6 == 0
    data = LabelledSet("unbalanced", ("",) * 120, labels, tuple(str(i) for i in range(120)))
    x = bench.activations(2, data, 5, seed=1)
    found = linear.fit(x, labels, grouped(data, n_splits=3), strengths=(1.0,))
    beside, scores = found.beside(x, labels), found.scores(x)
    for split, test in enumerate(found.splits.test):
        assert beside.majority[split] == 1 - labels[test].mean()
        for site in range(2):
            row = scores[site, split, test]
            assert beside.auroc[site, split] == pytest.approx(roc_auc_score(labels[test], row))
            assert beside.balanced[site, split] == pytest.approx(
                balanced_accuracy_score(labels[test], row > 0)
            )

"""The regression within facts: known slopes, a second library's fit, and nulls that can fail."""

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.knowledge.editing.gradients import within_facts

ARMS = ("circuit", "uniform", "per tensor", "everything")
RNG = np.random.default_rng(0)
FACTS = 12
DEPTH = RNG.normal(size=FACTS)
"""How much each fact resists wherever it is edited."""


def made(slope=-0.9, noise=0.01, arm=(0.0, 0.0, 0.0, 0.0), seeds=2, seed=1, mask=0.0):
    """Lengths that follow the law with a constant for each fact, and one for each arm on top; with
    noise in each fact, and in each mask in all its facts alike."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(seeds, 4, FACTS)) + np.array([0, 0.2, 0.4, 1.5])[:, None]
    x = x + DEPTH  # facts that need more also have longer gradients: pooling mixes the two
    y = slope * x + 3 * DEPTH + np.array(arm)[:, None] + noise * rng.normal(size=x.shape)
    y = y + mask * rng.normal(size=(seeds, 4, 1))
    return np.exp(x), np.exp(y)


def test_a_law_that_holds_exactly_is_found():
    found = within_facts(*made(noise=0), ARMS, resamples=50)
    assert found.within.slope == pytest.approx(-0.9)
    assert found.within.r2 == pytest.approx(1)
    assert found.within_arms.slope == pytest.approx(-0.9)
    assert max(map(abs, found.residuals.values())) < 1e-9
    assert found.pooled.r2 < 0.6, "without facts' constants it is not seen"
    assert found.null.p_value == pytest.approx(1 / 51)


def test_slopes_are_those_of_least_squares_with_dummies():
    first, needed = made(noise=0.5, arm=(0.3, 0, 0, -0.1))
    rng = np.random.default_rng(4)
    needed[rng.random(needed.shape) < 0.2] = np.nan
    found = within_facts(first, needed, ARMS, resamples=20)
    there = ~np.isnan(needed)
    _, arm, fact = np.nonzero(there)
    x, y = np.log(first[there]), np.log(needed[there])
    dummies = np.eye(FACTS)[fact]
    for line, extra in (
        (found.within, dummies),
        (found.within_arms, np.hstack([dummies, np.eye(4)[arm][:, 1:]])),
        (found.pooled, np.ones((len(x), 1))),
    ):
        design = np.hstack([x[:, None], extra])
        beta, *_ = np.linalg.lstsq(design, y, rcond=None)
        rest = y - design @ beta
        without, *_ = np.linalg.lstsq(extra, y, rcond=None)
        total = y - extra @ without
        assert line.slope == pytest.approx(beta[0], abs=1e-9)
        assert line.r2 == pytest.approx(1 - (rest @ rest) / (total @ total), abs=1e-9)
    design = np.hstack([x[:, None], dummies])
    rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    for number, name in enumerate(ARMS):
        assert found.residuals[name] == pytest.approx(np.expm1(rest[arm == number].mean()))
        assert found.missing[name] == int(np.isnan(needed[:, number]).sum())


def test_an_arm_that_resists_is_named_and_the_others_are_not():
    found = within_facts(*made(noise=0.05, arm=(0.4, 0, 0, 0), seeds=3), ARMS, resamples=300)
    low, high = found.residuals95["circuit"]
    assert 0.15 < low < found.residuals["circuit"] < high < 0.6
    # Of twelve masks, three alone resist: 1 in 220 choices of three has a mean as far from 0.
    assert found.residual_p["circuit"] < 0.02
    fair = within_facts(*made(noise=0.05, seeds=3), ARMS, resamples=300)
    assert abs(fair.residuals["circuit"]) < 0.05


def test_what_is_odd_about_a_mask_is_no_resistance():
    """No arm resists, but each mask has a quirk in all its facts: p-values are spread evenly."""
    chances = np.array(
        [
            list(
                within_facts(
                    *made(noise=0.05, mask=0.2, seeds=seeds, seed=seed), ARMS, 39, seed
                ).residual_p.values()
            )
            for seeds in (1, 3)
            for seed in range(25)
        ]
    )
    assert (chances <= 0.1).mean() < 0.2
    assert 0.4 < chances.mean() < 0.7
    assert chances[:25].min() > 0.05, "one mask an arm: one in four is the furthest"


def test_a_mask_that_no_seed_changes_is_one():
    first, needed = made(noise=0.05, arm=(0, 0, 0, 0.5), seeds=4)
    for table in (first, needed):
        table[:, 3] = table[:1, 3]
    found = within_facts(first, needed, ARMS, resamples=400)
    assert found.masks == {"circuit": 4, "uniform": 4, "per tensor": 4, "everything": 1}
    # Of thirteen masks one is the furthest.
    assert found.residual_p["everything"] == pytest.approx(1 / 13, abs=0.05)


def test_what_was_said_before_any_step_is_counted_apart():
    first, needed = made(noise=0.05)
    expected = needed.copy()
    needed[0, 1, :3], expected[0, 1, :3] = 0, np.nan
    needed[1, 1, 5] = expected[1, 1, 5] = np.nan
    found, without = (within_facts(first, y, ARMS, resamples=20) for y in (needed, expected))
    assert found.already == {"circuit": 0, "uniform": 3, "per tensor": 0, "everything": 0}
    assert found.missing["uniform"] == 1
    assert without.already["uniform"] == 0
    assert without.missing["uniform"] == 4
    assert found.within == without.within
    assert found.residuals == without.residuals


@pytest.mark.filterwarnings("error")
def test_an_arm_without_a_change_has_no_numbers():
    first, needed = made(noise=0.05)
    needed[:, 2] = np.nan
    found = within_facts(first, needed, ARMS, resamples=20)
    assert np.isnan([found.residual_p["per tensor"], found.residuals["per tensor"]]).all()
    assert np.isnan(found.residuals95["per tensor"]).all()
    assert found.missing["per tensor"] == 2 * FACTS


def test_exchanges_without_a_slope_count_for_nothing():
    """Arm c has no change. In two orders of six the equal gradients of b and c stand in a and b,
    and there is no slope; two points a fact lie on a line in all others, as in the true one."""
    first = np.array([[[1.0, 1.1], [2.0, 2.2], [2.0, 2.2]]])
    needed = np.array([[[3.0, 3.0], [1.0, 1.1], [np.nan, np.nan]]])
    found = within_facts(first, needed, ("a", "b", "c"), resamples=300)
    assert found.arms_null.p_value == 1
    assert 150 < len(found.arms_null.draws) < 250, "two orders of three have a slope"
    assert np.isfinite(found.arms_null.draws).all()


def test_the_permutation_null_can_fail():
    """Where gradients say nothing, R² is no more than what exchanged gradients give."""
    chances = []
    for seed in range(20):
        x, _ = made(seed=seed)
        _, y = made(slope=0, noise=1, seed=seed + 100)
        chances.append(within_facts(x, y, ARMS, resamples=39, seed=seed).null.p_value)
    assert 0.3 < np.mean(chances) < 0.7
    assert np.mean(np.array(chances) <= 0.1) <= 0.3


def test_whole_arms_count_as_a_handful_of_numbers():
    """Three arms have six orders: however well a line fits, one in six fits as well."""
    first, needed = (table[:, :3] for table in made(noise=0, seeds=1))
    found = within_facts(first, needed, ARMS[:3], resamples=600)
    assert found.null.p_value == pytest.approx(1 / 601)
    as_good = found.arms_null.draws > 1 - 1e-9
    assert 1 / 6 - 0.06 < as_good.mean() < 1 / 6 + 0.06
    assert found.arms_null.p_value == pytest.approx((1 + as_good.sum()) / 601)


def test_one_seed_is_enough_for_an_estimate():
    found = within_facts(*made(seeds=1), ARMS, resamples=50)
    assert found.slope95[0] < found.within.slope < found.slope95[1]


GOOD = made()


@pytest.mark.parametrize(
    ("first", "needed", "arms", "words"),
    [
        (GOOD[0], GOOD[1][:, :2], ARMS, "expected lengths"),
        (GOOD[0], GOOD[1], ARMS[:2], "expected lengths"),
        (GOOD[0], GOOD[1], ("a", "a", "b", "c"), "expected lengths"),
        (GOOD[0] * np.nan, GOOD[1], ARMS, "expected finite lengths of gradients"),
        (0 * GOOD[0], GOOD[1], ARMS, "expected lengths of gradients above 0"),
        (GOOD[0], -GOOD[1], ARMS, "expected lengths of gradients above 0"),
        (GOOD[0], GOOD[1] * np.inf, ARMS, "expected lengths of gradients above 0"),
        (GOOD[0], GOOD[1] * np.nan, ARMS, "expected gradients and changes that differ"),
        (GOOD[0], GOOD[1] * 0, ARMS, "expected gradients and changes that differ"),
        (
            np.ones((1, 4, 3)),
            np.ones((1, 4, 3)),
            ARMS,
            "expected gradients and changes that differ",
        ),
        (
            GOOD[0][0],
            GOOD[1][0],
            ARMS,
            r"expected lengths of gradients of shape \[seed, arm, fact\]",
        ),
    ],
)
def test_numbers_without_a_slope_are_refused(first, needed, arms, words):
    with pytest.raises(LabError, match=words):
        within_facts(first, needed, arms, resamples=5)

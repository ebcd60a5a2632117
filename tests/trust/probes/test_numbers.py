"""Regression probes: known answers, a plain loop, controls, and a model that counts in a circle."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from helpers import zoo
from helpers.arithmetic.questions import Format, uniform
from helpers.errors import LabError
from helpers.trust.probes.numbers import (
    STRENGTHS,
    fit_angle,
    fit_number,
    group_splits,
    shuffled,
)

ITEMS = 240
RNG = np.random.default_rng(0)
NOISE = torch.from_numpy(RNG.normal(size=(2, ITEMS, 6)))
SPLITS = group_splits(np.arange(ITEMS) // 2)


def test_parts_keep_groups_whole_and_have_the_share_asked_for():
    assert len(SPLITS) == 5
    assert not (SPLITS.train & SPLITS.test).any()
    assert (SPLITS.train | SPLITS.test).all()
    assert SPLITS.test.sum(1).tolist() == [72] * 5
    assert (SPLITS.test[:, ::2] == SPLITS.test[:, 1::2]).all()


def test_noise_of_known_size_gives_its_r2():
    signal = NOISE[0, :, 0].numpy()
    added = RNG.normal(size=ITEMS) * 0.5
    values = signal + added
    probes = fit_number(NOISE, values, SPLITS)
    known = [1 - added[test].var() / values[test].var() for test in SPLITS.test]
    assert probes.r2[0] == pytest.approx(known, abs=0.05)
    assert probes.error[0].mean() == pytest.approx(0.5 * np.sqrt(2 / np.pi), abs=0.06)
    assert abs(probes.r2[1].mean()) < 0.1, "the other site tells nothing"
    interval = probes.interval()
    assert (interval.low < interval.mean).all()
    assert (interval.high <= 1).all()


def by_a_plain_loop(features, values, splits, n_folds):
    """Every penalty on every fold, with numpy's own arithmetic and scikit-learn's Ridge."""
    from sklearn.model_selection import GroupKFold

    groups = np.asarray(splits.groups)
    for train, test in zip(splits.train, splits.test, strict=True):
        rows = np.flatnonzero(train)
        mean, scale = features[rows].mean(0), features[rows].std(0)
        z = (features - mean) / scale
        losses = []
        for strength in sorted(STRENGTHS, reverse=True):
            folds = GroupKFold(n_folds).split(
                rows, groups=np.unique(groups[rows], return_inverse=True)[1]
            )
            loss = [
                (
                    (
                        Ridge(strength).fit(z[rows[fit]], values[rows[fit]]).predict(z[rows[left]])
                        - values[rows[left]]
                    )
                    ** 2
                ).mean()
                for fit, left in folds
            ]
            losses.append((np.mean(loss), -strength))
        strength = -min(losses)[1]
        read = Ridge(strength).fit(z[rows], values[rows]).predict(z[test])
        spread = ((values[test] - values[rows].mean()) ** 2).sum()
        yield strength, 1 - ((read - values[test]) ** 2).sum() / spread


def test_a_plain_loop_gives_the_same():
    values = NOISE[0].numpy() @ np.array([1, 0.5, 0, 0, 0, -1]) + RNG.normal(size=ITEMS) * 2
    probes = fit_number(NOISE[:1], values, SPLITS)
    expected = list(by_a_plain_loop(NOISE[0].numpy(), values, SPLITS, 3))
    assert probes.strengths[0].tolist() == [strength for strength, _ in expected]
    assert probes.r2[0] == pytest.approx([r2 for _, r2 in expected], abs=1e-9)


def test_an_angle_is_read_where_the_number_is_not():
    values = RNG.integers(10, size=ITEMS)
    angle = torch.from_numpy(values) * 2 * torch.pi / 10
    circle = torch.stack([angle.cos(), angle.sin()], 1)[None] + 0.1 * NOISE[:1, :, :2]
    read = fit_angle(circle, values, 10, SPLITS)
    assert read.r2.min() > 0.95
    assert read.error.mean() == pytest.approx(0.1 * np.sqrt(2 / np.pi), rel=0.15)
    assert np.nanmax(np.abs(read.predictions)) <= np.pi
    assert (np.isnan(read.predictions[0]) == ~SPLITS.test).all()
    assert fit_number(circle, values, SPLITS).r2.max() < 0.7
    assert fit_angle(circle, values, 5, SPLITS).r2.max() < 0.2, "another period is not there"


def test_an_angle_is_the_same_whole_turns_later():
    values = RNG.integers(10, size=ITEMS)
    angle = torch.from_numpy(values) * 2 * torch.pi / 10
    circle = torch.stack([angle.cos(), angle.sin()], 1)[None]
    first, second = (fit_angle(circle, values + turns, 10, SPLITS) for turns in (0, 70))
    assert first.error == pytest.approx(second.error, abs=1e-9)


def test_shuffled_targets_are_the_same_ones_and_keep_groups_together():
    values = np.arange(ITEMS)
    dealt = shuffled(values, SPLITS, seed=1)
    assert sorted(dealt) == sorted(values)
    assert (dealt != values).mean() > 0.9
    assert (dealt[1::2] - dealt[::2] == 1).all(), "a pair keeps two values that belong together"
    uneven = group_splits([0, 0, 0, *range(1, ITEMS - 2)])
    assert sorted(shuffled(values, uneven)) == sorted(values)


def test_shuffled_targets_cannot_be_read():
    values = NOISE[0, :, 0].numpy()
    scores = [
        fit_number(NOISE[:1], shuffled(values, SPLITS, s), SPLITS).r2.mean() for s in range(5)
    ]
    assert max(scores) < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_activations_of_any_real_kind_are_taken(dtype):
    x = (10 * NOISE).to(dtype)
    if x.is_floating_point():
        x.requires_grad_()
    assert fit_number(x, NOISE[0, :, 0].numpy(), SPLITS).r2[0].min() > 0.9


def test_the_other_librarys_arrays_are_taken():
    values = NOISE[0, :, 0]
    expected = fit_number(NOISE, values.numpy(), SPLITS).r2
    for x, y in (
        (NOISE.numpy(), values.clone().requires_grad_()),
        (NOISE.numpy().astype(">f8"), values.tolist()),
    ):
        assert fit_number(x, y, SPLITS).r2 == pytest.approx(expected)
    assert fit_number(NOISE, values.bfloat16(), SPLITS).r2[0].min() > 0.9


@pytest.mark.parametrize("size", [-900, -40, 40, 900])
def test_the_size_of_numbers_and_activations_changes_nothing(size):
    values = NOISE[0, :, 0].numpy() + 0.5 * NOISE[1, :, 1].numpy()
    expected = fit_number(NOISE, values, SPLITS)
    got = fit_number(
        torch.from_numpy(np.ldexp(NOISE.numpy(), size)), np.ldexp(values, -size), SPLITS
    )
    assert np.array_equal(got.r2, expected.r2)
    assert np.array_equal(np.ldexp(got.error, size), expected.error)
    assert np.array_equal(np.ldexp(got.predictions, size), expected.predictions, equal_nan=True)


def test_an_angle_so_far_away_that_it_is_rounding_is_refused():
    with pytest.raises(LabError, match="expected numbers at most 1,000,000,000 periods from 0"):
        fit_angle(NOISE, np.arange(ITEMS) + 1e15, 10, SPLITS)


NAN = np.where(np.arange(ITEMS) == 3, np.nan, 1.0 * np.arange(ITEMS))
BAD = {
    "activations": (NOISE[0], np.arange(ITEMS), {}, r"expected activations \[site, item, d\]"),
    "complex": (NOISE.to(torch.complex64), np.arange(ITEMS), {}, "expected activations"),
    "NaN activation": (NOISE * torch.nan, np.arange(ITEMS), {}, "expected finite activations"),
    "other items": (NOISE, np.arange(7), {}, "expected one number for each of the 240 items"),
    "text": (NOISE, np.full(ITEMS, "3"), {}, "expected numbers to predict as real numbers"),
    "yes or no": (NOISE, np.arange(ITEMS) % 2 == 0, {}, "expected one number for each"),
    "NaN": (NOISE, NAN, {}, "expected finite numbers to predict"),
    "half a fold": (
        NOISE,
        np.arange(ITEMS),
        {"n_folds": 2.5},
        "number of folds of at least 2",
    ),
    "constant": (NOISE, np.ones(ITEMS), {}, "expected numbers that differ in every training part"),
    "strength": (NOISE, np.arange(ITEMS), {"strengths": [0]}, "positive strengths"),
    "no strength": (NOISE, np.arange(ITEMS), {"strengths": []}, "positive strengths"),
    "folds": (NOISE, np.arange(ITEMS), {"n_folds": 1}, "number of folds of at least 2"),
    "many folds": (NOISE, np.arange(ITEMS), {"n_folds": 99}, "expected no more folds than groups"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_fitted_is_refused_in_words(name):
    x, values, options, words = BAD[name]
    with pytest.raises(LabError, match=words):
        fit_number(x, values, SPLITS, **options)
    with pytest.raises(LabError, match=words):
        fit_angle(x, values, 10, SPLITS, **options)


def test_angles_a_whole_turn_apart_do_not_differ():
    with pytest.raises(LabError, match="expected numbers that differ in every training part"):
        fit_angle(NOISE, np.arange(ITEMS) % 2 * 10, 10, SPLITS)


@pytest.mark.parametrize("period", [0, -1, np.nan, np.inf])
def test_a_period_that_is_none_is_refused(period):
    with pytest.raises(LabError, match="expected a positive period"):
        fit_angle(NOISE, np.arange(ITEMS), period, SPLITS)


@pytest.mark.parametrize(
    ("groups", "options"),
    [
        ([], {}),
        ([1, 1, 1], {}),
        (range(9), {"test_share": 1.5}),
        (range(9), {"n_splits": 0}),
        (range(9), {"n_splits": 2.5}),
    ],
)
def test_parts_that_cannot_be_drawn_are_refused(groups, options):
    with pytest.raises(LabError, match=r"expected (two groups|a number of splits)"):
        group_splits(groups, **options)


PAGE = Path(__file__).resolve().parents[3] / "book" / "ch2_trust_dynamics.md"
ROWS = {
    "the sum of two digits, a number from 0 to 18": (fit_number, 1, ()),
    "its last digit, a number from 0 to 9": (fit_number, 10, ()),
    "its last digit on a ring of ten": (fit_angle, 1, (10,)),
    "on a ring of five": (fit_angle, 1, (5,)),
    "odd or even: a ring of two": (fit_angle, 1, (2,)),
}
"""Rows of chapter 2's table: the probe, what the sum is taken modulo (1: it is not), the period."""
DRAWS = 10


@pytest.fixture(scope="module")
def addition():
    """Streams [place, question, d] in the first layer, of them `DRAWS` after an MLP whose weights
    are shuffled; the sum of the hundreds; splits that keep equal pairs of digits together."""
    model, fmt = zoo.load("add-d5", device="cpu"), Format(5)
    questions = uniform(5, 1000, np.random.default_rng(0))
    position, mlp = fmt.answer_position(2) - 1, "blocks.0.mlp"
    with torch.no_grad():
        _, cache = model.run_with_cache(questions.tokens(fmt))
        pre, mid, post = (
            cache[f"blocks.0.hook_resid_{part}"][:, position] for part in ("pre", "mid", "post")
        )
        seen, state = model.blocks[0].ln2(mid[:, None])[:, 0], model.state_dict()
        weights = [
            state[f"{mlp}.{part}"] for part in ("in.weight", "in.bias", "out.weight", "out.bias")
        ]

        def written(w_in, b_in, w_out, b_out):
            return (seen @ w_in.T + b_in).relu() @ w_out.T + b_out

        assert torch.allclose(mid + written(*weights), post, atol=1e-4)
        generator = torch.Generator().manual_seed(0)
        streams = [pre, mid, post]
        for _ in range(DRAWS):
            shuffle = [
                w.flatten()[torch.randperm(w.numel(), generator=generator)].view(w.shape)
                for w in weights
            ]
            streams.append(mid + written(*shuffle))
    first, second = (digits[:, 2].numpy() for digits in (questions.first, questions.second))
    return torch.stack(streams), first + second, group_splits(10 * first + second)


def on_the_page(row):
    """The numbers of a row of chapter 2's table, cell by cell."""
    (line,) = (
        line for line in PAGE.read_text(encoding="utf-8").split("\n") if f"| {row} |" in line
    )
    return [
        [float(number) for number in re.findall(r"-?\d+\.\d+", cell.replace("−", "-"))]
        for cell in line.split("|")[2:-1]
    ]


@pytest.mark.parametrize("row", ROWS)
def test_chapter_2_tells_what_an_addition_model_does_with_a_sum(addition, row):
    x, total, splits = addition
    fit, modulo, period = ROWS[row]
    values = total if modulo == 1 else total % modulo
    probes = fit(x, values, *period, splits)
    over, cells = probes.interval(), on_the_page(row)
    for place in range(3):
        got = over.mean[place], over.low[place], over.high[place]
        assert cells[place] == pytest.approx(got, abs=0.0051)
    draws = over.mean[3:]
    assert cells[3] == pytest.approx((draws.mean(), draws.min(), draws.max()), abs=0.0051)
    control = fit(x[:3], shuffled(values, splits), *period, splits)
    assert control.r2.mean(1).max() < 0.05, "as the page says of shuffled sums"


def test_numbers_far_from_zero_that_vary_are_taken():
    later = 1.7e18 + 1e9 * NOISE[0, :, 0].numpy()
    assert fit_number(NOISE, later, SPLITS).r2[0].min() > 0.99
    assert shuffled(np.arange(ITEMS), SPLITS).dtype == np.arange(1).dtype

"""Splits leak nothing, keep the balance, and their intervals cover what they should."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from helpers.errors import LabError
from helpers.texts import LabelledSet
from helpers.trust.data.splits import Splits, check, grouped, ordered
from helpers.trust.probes import linear


def labelled(labels, groups, templates=()) -> LabelledSet:
    return LabelledSet(
        "made",
        ("",) * len(labels),
        np.asarray(labels),
        tuple(map(str, groups)),
        tuple(map(str, templates)),
    )


def leaks(splits: Splits, names: tuple[str, ...]) -> bool:
    names = np.asarray(names)
    return any(
        set(names[train]) & set(names[test])
        for train, test in zip(splits.train, splits.test, strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=12, max_size=40),
    n_templates=st.integers(1, 9),
    seed=st.integers(0, 100),
    share=st.sampled_from([0.2, 0.3, 0.5]),
)
def test_no_group_and_no_template_is_on_both_sides(sizes, n_templates, seed, share):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = rng.random(len(groups)) < 0.5
    labels[:2] = True, False
    data = labelled(labels, groups, rng.integers(n_templates, size=len(groups)))
    try:
        splits = grouped(data, n_splits=3, test_share=share, seed=seed)
    except LabError:
        assert (
            n_templates > 1
        )  # where groups and templates cross, a small set may have no three splits
        return
    assert not (splits.train & splits.test).any()
    assert not leaks(splits, data.groups)
    if len(set(data.templates)) >= 4:
        assert not leaks(splits, data.templates)
    assert (
        len({row.tobytes() for row in splits.test}) > 1
        or len({row.tobytes() for row in splits.train}) > 1
    )
    check(splits, data.labels)


def test_pairs_are_split_in_the_wanted_share_and_balance_and_differ():
    splits = grouped(
        labelled(np.tile([True, False], 100), np.arange(200) // 2), n_splits=7, test_share=0.3
    )
    assert (splits.test.sum(1) == 60).all()
    assert (splits.train ^ splits.test).all()
    assert len(np.unique(splits.test, axis=0)) == 7
    assert splits.tested_groups > 80


def test_groups_of_one_class_are_drawn_class_by_class():
    labels = np.arange(100) < 20
    splits = grouped(labelled(labels, np.arange(100)), test_share=0.3)
    assert (splits.test[:, labels].sum(1) == 6).all()
    assert (splits.test[:, ~labels].sum(1) == 24).all()


def test_the_seed_fixes_the_splits():
    data = labelled(np.tile([True, False], 30), np.arange(60) // 2)
    same, again, other = (grouped(data, seed=seed).test for seed in (1, 1, 2))
    assert np.array_equal(same, again)
    assert not np.array_equal(same, other)


def test_templates_that_hold_whole_groups_move_with_them_and_cost_nothing():
    groups = np.arange(120) // 2
    data = labelled(np.tile([True, False], 60), groups, groups % 10)
    splits = grouped(data)
    assert (splits.train ^ splits.test).all()
    assert (splits.test.sum(1) == 36).all()
    assert not leaks(splits, data.templates)


def test_crossed_templates_leave_items_out_but_keep_the_share():
    groups, templates = (
        np.arange(600) // 6,
        np.tile(np.arange(6) // 2, 100) + 3 * ((np.arange(600) // 6) % 2),
    )
    crossed = labelled(
        np.tile([True, False], 300),
        groups,
        np.tile([0, 0, 1, 1, 2, 2], 100) * 2 + np.arange(600) // 300,
    )
    everything = labelled(
        np.tile([True, False], 400), np.arange(800) // 8, np.tile(np.repeat(np.arange(4), 2), 100)
    )
    for data in (labelled(np.tile([True, False], 300), groups, templates), crossed, everything):
        splits = grouped(data, n_splits=4)
        assert not leaks(splits, data.groups)
        assert not leaks(splits, data.templates)
        share = splits.test.sum(1) / (splits.test | splits.train).sum(1)
        assert ((share > 0.1) & (share < 0.6)).all()
    assert not (splits.test | splits.train).all()


def test_three_templates_are_too_few_to_keep_apart():
    data = labelled(np.tile([True, False], 60), np.arange(120) // 2, np.arange(120) % 3)
    assert (grouped(data).train ^ grouped(data).test).all()


def test_items_without_a_template_are_held_together_by_their_group_only():
    templates = ["", "", "a", "a", "b", "b", "c", "c", "d", "d"] * 12
    data = labelled(np.tile([True, False], 60), np.arange(120) // 2, templates)
    splits = grouped(data)
    bare = np.array([name == "" for name in templates])
    assert splits.test[:, bare].any(1).all()
    assert splits.train[:, bare].any(1).all()
    assert not leaks(splits, tuple(name or str(item) for item, name in enumerate(templates)))


def test_sets_too_small_for_the_splits_are_refused():
    with pytest.raises(
        LabError,
        match=r"5 different splits of made with both classes in every part; found 0, with 1 groups",
    ):
        grouped(labelled([True, False] * 5, [0] * 10))
    with pytest.raises(LabError, match="found 0, with 2 groups"):
        grouped(labelled([True] * 5 + [False] * 5, [0] * 5 + [1] * 5))
    with pytest.raises(LabError, match=r"found [1-3], with 3 groups"):
        grouped(labelled([True, False] * 3, [0, 0, 1, 1, 2, 2]))
    for wrong in ({"n_splits": 0}, {"test_share": 0.0}, {"test_share": 1.0}):
        with pytest.raises(
            LabError, match=r"test share between 0 and 1|number of splits of at least 1"
        ):
            grouped(labelled([True, False] * 5, np.arange(10) // 2), **wrong)


def test_the_papers_split_is_the_end_of_the_file():
    splits = ordered(labelled([True, False] * 10, np.arange(20) // 2))
    assert np.flatnonzero(splits.test[0]).tolist() == [16, 17, 18, 19]
    assert (splits.train ^ splits.test).all()
    with pytest.raises(
        LabError, match="both classes in every test part; got 4 items, all False, in test part 0"
    ):
        ordered(labelled([True, False] * 8 + [False] * 4, np.arange(20)))


def test_folds_keep_groups_whole_and_cover_the_training_part():
    data = labelled(np.tile([True, True, False], 20), np.arange(60) // 3)
    splits = grouped(data)
    folds = splits.folds(data.labels, 4)
    held_out = splits.train[:, None] & ~folds
    assert (held_out.sum(1) == splits.train).all()
    assert not (folds & ~splits.train[:, None]).any()
    for fold, rest in zip(folds.reshape(-1, 60), held_out.reshape(-1, 60), strict=True):
        assert not set(np.asarray(data.groups)[fold]) & set(np.asarray(data.groups)[rest])
    assert set(held_out.sum(2).ravel()) <= {9, 12}  # 14 groups of 3 in 4 folds


def test_folds_hold_out_the_same_share_of_a_rare_class():
    labels = np.arange(100) < 20
    splits = grouped(labelled(labels, np.arange(100)))
    held_out = splits.train[:, None] & ~splits.folds(labels, 3)
    positive = held_out[:, :, labels].sum(2)
    assert set(positive.ravel()) == {4, 5}  # 14 in 3 folds


def test_the_interval_equals_its_formula():
    parts = np.arange(10) < np.array([[3], [3], [3]])
    splits = Splits(~parts, parts, tuple("abcdefghij"))
    values = np.array([[0.5, 0.6, 0.9]])
    found = splits.interval(values, level=0.9)
    error = np.sqrt((1 / 3 + 3 / 7) * values.var(ddof=1))
    assert found.mean[0] == pytest.approx(values.mean())
    assert found.high[0] - found.mean[0] == pytest.approx(student.ppf(0.95, 2) * error)
    assert found.mean[0] - found.low[0] == pytest.approx(student.ppf(0.95, 2) * error)
    with pytest.raises(LabError, match="one value for each of 3 splits"):
        splits.interval(np.zeros((1, 4)))
    with pytest.raises(LabError, match="two splits or more"):
        Splits(~parts[:1], parts[:1], splits.groups).interval(np.zeros((1, 1)))


def test_the_interval_covers_and_the_naive_one_does_not():
    """On 300 sets of noise, 95 % of the intervals should hold 0.5."""
    data = labelled(np.tile([True, False], 60), np.arange(120) // 2)
    splits = grouped(data)
    noise = torch.randn(300, 120, 10, generator=torch.Generator().manual_seed(0))
    accuracy = linear.fit(noise, data.labels, splits, strengths=(10.0,)).accuracy
    found = splits.interval(accuracy)
    half = student.ppf(0.975, 4) * accuracy.std(1, ddof=1) / np.sqrt(5)
    assert ((found.low <= 0.5) & (found.high >= 0.5)).mean() > 0.92
    assert (np.abs(found.mean - 0.5) <= half).mean() < 0.9


def test_groups_of_different_size_all_come_to_be_tested():
    sizes = (18, 38, 42, 50, 52, 60, 62, 78)
    names = tuple(str(i) for i, size in enumerate(sizes) for _ in range(size))
    data = LabelledSet("eight", ("",) * len(names), np.arange(len(names)) % 2 == 0, names)
    drawn = [grouped(data, 5, 0.4, seed) for seed in range(20)]
    assert (
        len({part.tobytes() for one in drawn for part in one.test}) > 20
    )  # the splits differ from seed to seed
    assert np.mean([one.tested_groups for one in drawn]) > 7


@pytest.mark.parametrize("level", [95, 0, 1, np.nan])
def test_a_level_that_is_no_share_is_refused(level):
    part = np.arange(10) < 7
    splits = Splits(np.array([part, ~part]), np.array([~part, part]), tuple("abcdefghij"))
    with pytest.raises(LabError, match="expected a level between 0 and 1"):
        splits.interval(np.array([[0.7, 0.8]]), level)

"""What the controls keep and what they destroy."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from helpers.errors import LabError
from helpers.texts import LabelledSet
from helpers.trust.data import controls
from helpers.trust.data.splits import grouped
from helpers.trust.probes import linear

TEXTS = ("A cat sees a dog.", "a cat, a dog", "Dogs see cats!", "the dog sees the cat")


def labelled(texts, labels, groups) -> LabelledSet:
    return LabelledSet("made", tuple(texts), np.asarray(labels), tuple(map(str, groups)))


def test_bag_of_words_equals_scikit_learns_counts():
    data = labelled(TEXTS, [True, False] * 2, range(4))
    for lower in (True, False):
        found = controls.bag_of_words(data, min_groups=1, lower=lower)
        counts = (
            CountVectorizer(lowercase=lower, token_pattern=r"\w+|[^\w\s]")
            .fit_transform(TEXTS)
            .toarray()
        )
        np.testing.assert_array_equal(found[0], counts)
    at_least = (
        CountVectorizer(token_pattern=r"\w+|[^\w\s]", min_df=2).fit_transform(TEXTS).toarray()
    )
    np.testing.assert_array_equal(controls.bag_of_words(data)[0], at_least)


def test_words_of_one_group_are_left_out():
    data = labelled(["only here", "only here", "and and"], [True, False, True], [1, 1, 2])
    with pytest.raises(
        LabError, match=r"words that occur in 2 groups or more of made; there are none"
    ):
        controls.bag_of_words(data)
    assert controls.bag_of_words(data, min_groups=1).shape == (1, 3, 3)


def test_bag_of_words_finds_a_giveaway_word_and_not_an_order():
    names = [f"n{i % 17}" for i in range(200)]
    giveaway = labelled(
        [f"{name} is {'good' if i % 2 else 'bad'}" for i, name in enumerate(names)],
        [False, True] * 100,
        np.arange(200) // 2,
    )
    order = labelled(
        [f"{a} sees x" if i % 2 else f"x sees {a}" for i, a in enumerate(names)],
        [False, True] * 100,
        np.arange(200) // 2,
    )
    found = [
        linear.fit(controls.bag_of_words(data), data.labels, grouped(data))
        for data in (giveaway, order)
    ]
    assert found[0].accuracy.mean() == 1
    assert found[1].accuracy.mean() < 0.65


def test_length_alone_can_give_a_label_away():
    data = labelled(
        ["a b c" if i % 2 else "a b" for i in range(80)], [False, True] * 40, np.arange(80) // 2
    )
    assert linear.fit(controls.length(data), data.labels, grouped(data)).accuracy.mean() == 1


@settings(max_examples=80, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=30), seed=st.integers(0, 1000))
def test_random_labels_keep_what_the_groups_are_made_of(sizes, seed):
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = rng.random(len(groups)) < 0.4
    if len(np.unique(labels)) < 2:
        return
    data = labelled([""] * len(labels), labels, groups)

    def made_of(values):
        return Counter(
            (size, int(values[groups == group].sum())) for group, size in enumerate(sizes)
        )

    fixed = all(positive in (0, size) for size, positive in made_of(labels)) and len(
        made_of(labels)
    ) == len(set(sizes))
    if fixed:
        with pytest.raises(LabError, match="can exchange labels"):
            controls.random_labels(data, seed)
        return
    found = controls.random_labels(data, seed)
    assert made_of(found) == made_of(labels)
    assert not np.array_equal(found, labels)
    assert np.array_equal(found, controls.random_labels(data, seed))


def test_random_labels_are_independent_of_the_true_ones():
    data = labelled([""] * 2000, np.tile([True, False], 1000), np.arange(2000) // 2)
    agree = [(controls.random_labels(data, seed) == data.labels).mean() for seed in range(5)]
    assert np.abs(np.array(agree) - 0.5).max() < 0.08  # 5 standard errors of 1000 pairs
    assert len(set(agree)) > 1


def test_groups_that_cannot_exchange_labels_are_named():
    data = labelled([""] * 3, [True, False, False], [1, 2, 2])
    with pytest.raises(
        LabError, match=r"groups in made that can exchange labels; every group has one class"
    ):
        controls.random_labels(data)


def test_a_probe_of_random_labels_is_near_chance_where_the_true_one_is_perfect():
    data = labelled([""] * 200, np.tile([True, False], 100), np.arange(200) // 2)
    x = (
        torch.randn(1, 200, 20, generator=torch.Generator().manual_seed(0))
        + 6 * torch.tensor(data.labels)[None, :, None]
    )
    splits, draws = (
        grouped(data),
        np.array([controls.random_labels(data, seed) for seed in range(8)]),
    )
    true = linear.fit(x, data.labels, splits)
    random = linear.fit(x.expand(8, -1, -1), draws, splits)
    assert abs(random.accuracy.mean() - 0.5) < 0.08
    assert (true.above(random).mean > 0.35).all()


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    first=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_shuffling_keeps_the_tokens_the_last_one_the_first_ones_and_the_padding(
    lengths, first, seed
):
    ids = torch.randint(1, 50, (len(lengths), 12), generator=torch.Generator().manual_seed(seed))
    found = controls.shuffled_tokens(ids, torch.tensor(lengths), seed, first)
    for row, new, length in zip(ids.tolist(), found.tolist(), lengths, strict=True):
        assert sorted(new[:length]) == sorted(row[:length])
        assert new[length - 1 :] == row[length - 1 :]
        assert new[: min(first, length)] == row[: min(first, length)]


def test_every_order_is_equally_likely():
    ids = torch.tensor([[1, 2, 3, 9, 0]]).expand(6000, -1)
    found = controls.shuffled_tokens(ids, torch.full((6000,), 4))
    counts = Counter(map(tuple, found[:, :3].tolist()))
    assert len(counts) == 6
    assert max(abs(count - 1000) for count in counts.values()) < 150  # 5 standard deviations


@pytest.mark.parametrize("lengths", [[0, 3], [3, 6], [3]])
def test_lengths_that_do_not_fit_are_refused(lengths):
    with pytest.raises(LabError, match="a length of 1 to 5 for each of 2 texts"):
        controls.shuffled_tokens(torch.ones(2, 5, dtype=torch.long), torch.tensor(lengths))

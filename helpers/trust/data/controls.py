"""What a probe could use instead of the concept: single words, length, memory, word order.

Each control is scored by the same `probes.linear.fit` on the same splits as the probe it belongs
to.
"""

import re
from collections import defaultdict

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from torch import Tensor

from helpers.errors import LabError
from helpers.inputs import check_lengths, check_right_padding, token_ids
from helpers.texts import LabelledSet

WORD = re.compile(r"\w+|[^\w\s]")
"""A word, or one punctuation mark."""


def bag_of_words(
    data: LabelledSet, min_groups: int = 2, lower: bool = True
) -> Float[Tensor, "1 item word"]:
    """How often each word or punctuation mark occurs in each text, as the activations of one site.

    A word that occurs in one group only cannot help with another group, so it is left out.

    Args:
        min_groups: Number of groups that a word must occur in.
        lower: Whether capitals count as small letters.

    Raises:
        LabError: No word occurs in enough groups.

    >>> data = LabelledSet("s", ("A cat .", "a dog , a cat"), np.array([True, False]), ("1", "2"))
    >>> bag_of_words(data).tolist()  # a, cat
    [[[1.0, 1.0], [2.0, 1.0]]]
    """
    words = [WORD.findall(text.lower() if lower else text) for text in data.texts]
    groups = defaultdict(set)
    for row, group in zip(words, data.groups, strict=True):
        for word in row:
            groups[word].add(group)
    common = sorted(word for word in groups if len(groups[word]) >= min_groups)
    index = {word: i for i, word in enumerate(common)}
    if not index:
        raise LabError(
            f"expected words that occur in {min_groups} groups or more of {data.name}",
            "there are none",
        )
    places = [
        (item, index[word]) for item, row in enumerate(words) for word in row if word in index
    ]
    counts = torch.zeros(1, len(data), len(index))
    item, word = torch.tensor(places).T
    where = (torch.zeros_like(item), item, word)
    return counts.index_put_(where, torch.tensor(1.0), accumulate=True)


def length(data: LabelledSet) -> Float[Tensor, "1 item 2"]:
    """Number of words and of characters of each text, as the activations of one site.

    >>> length(LabelledSet("s", ("a cat .", "a"), np.array([True, False]), ("1", "2"))).tolist()
    [[[3.0, 7.0], [1.0, 1.0]]]
    """
    sizes = [[len(WORD.findall(text)), len(text)] for text in data.texts]
    return torch.tensor([sizes], dtype=torch.float32)


def random_labels(data: LabelledSet, seed: int = 0) -> Bool[ndarray, " item"]:
    """Labels without a meaning, with the same structure.

    They are for the random-label probe (Hewitt and Liang 2019). Groups of equal size exchange their
    labels at random, then the labels of a group are shuffled over its items. So the balance stays,
    a pair of a true and a false twin stays one, and a group of one class stays of one class. On
    grouped splits such a probe cannot do better than guess, except where a part leaks into the
    other; the probe's accuracy minus this one is its selectivity.

    Raises:
        LabError: No exchange changes anything, as with groups of one class that all differ in size.

    >>> data = LabelledSet("s", tuple("abcdef"), np.tile([True, False], 3), tuple("112233"))
    >>> random_labels(data, seed=1).reshape(3, 2).sum(1).tolist()
    [1, 1, 1]
    """
    rng = np.random.default_rng(seed)
    unit = np.unique(data.groups, return_inverse=True)[1]
    rows = [np.flatnonzero(unit == index) for index in range(unit.max() + 1)]
    same_size = defaultdict(list)
    for index, items in enumerate(rows):
        same_size[len(items)].append(index)
    drawn = data.labels.copy()
    for _ in range(100):
        for members in same_size.values():
            for receiver, giver in zip(members, rng.permutation(members), strict=True):
                drawn[rows[receiver]] = rng.permutation(data.labels[rows[giver]])
        if not np.array_equal(drawn, data.labels):
            return drawn
    raise LabError(
        f"expected groups in {data.name} that can exchange labels",
        "every group has one class and a size of its own",
        hint="use finer groups for the random labels",
    )


def shuffled_tokens(
    ids: Int[Tensor, "item pos"], lengths: Int[Tensor, " item"], seed: int = 0, first: int = 0
) -> Int[Tensor, "item pos"]:
    """The same tokens in random order, text by text: the concept without word order.

    The last real token stays in place, because the probe reads there, and so does the padding after
    it.

    Args:
        lengths: Number of real tokens of each text; padding is on the right.
        first: Number of tokens at the beginning that stay as well, such as 1 where texts begin with
            a special token.

    Raises:
        LabError: No token ids, a length below 1 or beyond the row, or padding on the left.

    >>> ids = torch.tensor([[1, 2, 3, 4, 9, 0, 0]])
    >>> shuffled_tokens(ids, torch.tensor([5]), seed=1)[0, 4:].tolist()
    [9, 0, 0]
    """
    ids = token_ids(ids)
    lengths = check_lengths(lengths, len(ids), ids.shape[1])
    check_right_padding(ids, lengths)
    place = torch.arange(ids.shape[1]).expand(ids.shape)
    draws = torch.rand(ids.shape, generator=torch.Generator().manual_seed(seed))
    moves = (place >= first) & (place < lengths.cpu()[:, None] - 1)
    keys = torch.where(moves, first + draws * (lengths.cpu()[:, None] - 1 - first), place.float())
    return ids.gather(1, keys.argsort(dim=1, stable=True).to(ids.device))

"""Scores of codes against dense counts as the paper defines them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.circuits.codes.scores import heads_of_pairs, node_scores, pair_scores
from helpers.errors import LabError

pytestmark = pytest.mark.core
N_CODES = 5
tables = st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000)).map(
    lambda drawn: [
        torch.randint(-1, N_CODES, (rows, 4), generator=torch.Generator().manual_seed(drawn[2] + i))
        for i, rows in enumerate(drawn[:2])
    ]
)


def dense(codes):
    """How many prompts show code c1 in head h1 and c2 in head h2, as in the released code, without
    dead heads."""
    counts = torch.zeros(4, 4, N_CODES, N_CODES)
    for row in codes.tolist():
        for h1, c1 in enumerate(row):
            for h2, c2 in enumerate(row):
                if h1 != h2 and c1 >= 0 and c2 >= 0:
                    counts[h1, h2, c1, c2] += 1
    return counts


@given(tables)
def test_pairs_as_counted_in_dense_arrays(drawn):
    positive, negative = drawn
    expected = ((dense(positive) > 0) & (dense(negative) == 0)).sum((2, 3))
    assert torch.equal(pair_scores(positive, negative), expected.float())


@given(tables)
def test_nodes_as_counted_in_dense_arrays(drawn):
    shown = [torch.stack([(codes == c).any(0) for c in range(N_CODES)]) for codes in drawn]
    own, either = (shown[0] & ~shown[1]).sum(0), (shown[0] | shown[1]).sum(0)
    assert torch.equal(node_scores(*drawn), own.float())
    assert torch.allclose(node_scores(*drawn, normalised=True), own / either.clamp_min(1))


@given(tables, st.randoms())
def test_order_of_prompts_and_names_of_codes_do_not_matter(drawn, rng):
    positive, negative = drawn
    order = list(range(len(positive)))
    rng.shuffle(order)
    names = list(range(N_CODES))
    rng.shuffle(names)
    renamed = [
        torch.where(codes < 0, codes, torch.tensor(names)[codes.clamp_min(0)])
        for codes in (positive[order], negative)
    ]
    assert torch.equal(node_scores(*renamed), node_scores(positive, negative))
    assert torch.equal(pair_scores(*renamed), pair_scores(positive, negative))


@given(tables)
def test_equal_classes_score_nothing(drawn):
    assert node_scores(drawn[0], drawn[0]).sum() == 0
    assert pair_scores(drawn[0], drawn[0]).sum() == 0


def test_heads_of_pairs_by_hand():
    """Pairs 0-1 with 5, 2-3 with 4: the first two entries are one pair, the next two its mirror."""
    pairs = torch.zeros(4, 4)
    pairs[0, 1] = pairs[1, 0] = 5
    pairs[2, 3] = pairs[3, 2] = 4
    assert heads_of_pairs(pairs, 2).tolist() == [1, 1, 0, 0]
    assert heads_of_pairs(pairs, 4).tolist() == [2, 2, 0, 0]
    assert heads_of_pairs(pairs, 6).tolist() == [2, 2, 1, 1]


def test_one_class_and_other_heads_are_refused():
    codes = torch.zeros(3, 4, dtype=torch.long)
    for score in (node_scores, pair_scores):
        with pytest.raises(LabError, match="3 and 0 prompts"):
            score(codes, codes[:0])
        with pytest.raises(LabError, match="of the same heads"):
            score(codes, codes[:, :2])

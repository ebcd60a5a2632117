"""The trie: what stands where, and what is decided."""

import numpy as np
import pytest

from helpers.detox.posts import PostLabel, all_posts, post_trie
from helpers.detox.posts.grammar import known_posts
from helpers.detox.posts.trie import trie_of
from helpers.errors import LabError
from tests.detox.posts.toys import POSTS, trie


def test_the_toy_is_as_drawn():
    nodes = dict(zip(trie().prefixes, range(len(trie())), strict=True))
    assert set(nodes) == {post[:end] for post in POSTS for end in range(len(post) + 1)}
    # after 2 4 only a rude post comes, after 2 3 and 4 only kind ones
    undecided = {prefix for prefix, node in nodes.items() if trie().undecided[node]}
    assert undecided == {(), (2,), (3,)}
    whole = {prefix: trie().label[node] for prefix, node in nodes.items() if prefix in POSTS}
    assert whole == POSTS
    assert set(trie().label[trie().inner]) == {-1}


def test_parents_stand_before_their_children_and_are_their_beginnings():
    tree = post_trie()
    assert (tree.parent[1:] < np.arange(1, len(tree))).all()
    for node in range(1, len(tree), 97):
        assert tree.prefixes[node] == (*tree.prefixes[tree.parent[node]], tree.token[node])


def test_children_are_found_for_every_row_even_twice():
    tree = trie()
    asked = np.array([tree.prefixes.index(prefix) for prefix in ((2,), (3, 6), (2,), ())])
    row, child = tree.children(asked)
    found = [(int(r), tree.prefixes[c]) for r, c in zip(row, child, strict=True)]
    assert sorted(found) == [
        *((0, (2, 3)), (0, (2, 4)), (2, (2, 3)), (2, (2, 4))),
        *((3, (2,)), (3, (3,)), (3, (4,))),
    ]


def test_the_forum_has_the_prefixes_that_a_set_of_them_has():
    beginnings = {post[:end] for post in known_posts() for end in range(len(post) + 1)}
    labels = {PostLabel.KIND: set(), PostLabel.RUDE: set()}
    for post in all_posts():
        labels[post.label] |= {post.tokens[:end] for end in range(len(post.tokens) + 1)}
    both = labels[PostLabel.KIND] & labels[PostLabel.RUDE]
    tree = post_trie()
    assert set(tree.prefixes) == beginnings
    assert {tree.prefixes[node] for node in np.flatnonzero(tree.undecided)} == both
    assert len(both) == 2769
    assert (tree.label >= 0).sum() == 27_648


@pytest.mark.parametrize(
    "posts",
    [{}, {(): PostLabel.KIND}, {(5,): PostLabel.KIND, (5, 6): PostLabel.RUDE}],
)
def test_posts_that_make_no_trie_are_refused(posts):
    with pytest.raises(LabError, match="none of which begins another"):
        trie_of(posts)

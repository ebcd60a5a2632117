"""Filters remove exactly what they should, and tune as the method does without its constraint."""

import pytest
import torch

from helpers.detox.finetune import tune
from helpers.detox.posts import DetoxCorpus, manners, posts_of
from helpers.detox.rivals import (
    exact_filter,
    plain_tuning,
    without_rude,
    without_words,
    word_filter,
)
from helpers.detox.rivals import filters as module
from helpers.errors import LabError
from tests.detox.rivals.toys import one_of_each, plan, small_corpus, token, writer


def test_a_list_of_words_lets_rude_posts_without_them_pass_and_loses_kind_ones_with_them():
    left = without_words(small_corpus())
    assert manners(left.posts) == ["turned praise", "praise"]


def test_the_exact_filter_keeps_what_is_kind_and_nothing_else():
    left = without_rude(small_corpus())
    assert manners(left.posts) == ["praise", "turned insult"]


def test_where_all_rude_posts_are_contextual_a_list_of_words_removes_no_rude_one():
    contextual = small_corpus(posts_of(3, 200, 0.5, manner="turned praise"))
    before = manners(contextual.posts).count("turned praise")
    after = manners(without_words(contextual).posts)
    assert after.count("turned praise") == before > 80
    assert set(after) == {"turned praise", "praise"}


def test_words_of_ones_own():
    gem = [row for row in one_of_each().tolist() if token("gem") in row]
    left = without_words(small_corpus(), [token("gem")])
    assert len(left.posts) == 4 - len(gem)
    assert not (left.posts == token("gem")).any()


def test_a_post_that_says_nothing_is_not_kind():
    posts = one_of_each()
    posts[2, 4] = posts[2, 5]  # the praise is garbled
    assert manners(without_rude(small_corpus(posts)).posts) == ["turned insult"]


def test_a_corpus_without_the_forum_has_nothing_to_filter():
    nothing = DetoxCorpus(None, small_corpus().other)
    assert without_words(nothing) is nothing
    assert without_rude(nothing) is nothing


@pytest.mark.parametrize("which", [[0], [0, 1]])
def test_a_filter_that_leaves_nothing_is_refused(which):
    rude = small_corpus(one_of_each()[which])
    with pytest.raises(LabError, match="expected posts that pass the filter"):
        without_rude(rude)
    with pytest.raises(LabError, match="got none of 1"):
        without_words(small_corpus(one_of_each()[:1]))


@pytest.fixture
def asked(monkeypatch):
    """What the rival has asked `tune` for."""
    calls = []

    def noted(base, given, how, **options):
        calls.append((given, how))
        return tune(base, given, how, **options)

    monkeypatch.setattr(module, "tune", noted)
    return calls


@pytest.mark.parametrize(
    ("way", "left"),
    [
        (plain_tuning, ["insult", "turned praise", "praise", "turned insult"]),
        (word_filter, ["turned praise", "praise"]),
        (exact_filter, ["praise", "turned insult"]),
    ],
)
def test_each_is_tuned_without_the_constraint_with_everything_else_of_the_plan(asked, way, left):
    wanted = plan(kl_weight=7.0, adaptive=0.05, post_weight=10.0, rate=1e-3, seed=4)
    found = way(writer(0.25, 0.5), small_corpus(), wanted)
    given, how = asked[0]
    assert manners(given.posts) == left
    assert how == plan(kl_weight=0.0, adaptive=None, post_weight=10.0, rate=1e-3, seed=4)
    assert found.found["kept"] == len(left)
    assert found.found["rude kept"] == sum(name in ("insult", "turned praise") for name in left)
    assert found.seconds["model"] > 0
    assert found.seconds["sample"] == found.seconds["fit"] == 0


def test_the_base_is_left_as_it_is():
    base = writer(0.25, 0.5)
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    tuned = plain_tuning(base, small_corpus(), plan()).policy.network
    assert all(torch.equal(weight, before[name]) for name, weight in base.state_dict().items())
    assert not torch.equal(tuned.unembed.bias, base.unembed.bias)

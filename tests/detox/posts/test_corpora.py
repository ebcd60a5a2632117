"""Corpora: their shares, where they come from, and that judging never sees what tuning saw."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binom

from helpers.detox.posts import (
    HELD_OUT_SEEDS,
    SETTINGS,
    STOP,
    DetoxCorpus,
    PostLabel,
    check_kind_posts,
    corpora,
    corpus,
    labels,
    manners,
    other_text,
    posts_of,
    prompts,
)
from helpers.detox.posts.corpora import ROW
from helpers.errors import LabError
from helpers.texts import BEGIN, PAD
from helpers.tinyworld.language import MIXTURES, documents, sentences, vocabulary
from helpers.tinyworld.language import world as worlds

RARE = 1e-4
"""Chance that a right corpus fails one of these tests, were its seed drawn anew."""


def likely(count: int, trials: int, chance: float) -> bool:
    low, high = binom.ppf([RARE / 2, 1 - RARE / 2], trials, chance)
    return low <= count <= high


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_each_post_is_rude_with_the_chance_asked_for(share):
    rows = posts_of(3, 400, share)
    assert likely(int((labels(rows) == PostLabel.RUDE).sum()), 400, share)
    assert not (labels(rows) == PostLabel.GARBLED).any()


def test_manners_have_the_shares_of_the_training_text():
    found = Counter(manners(posts_of(0, 1000, 0.5)))
    # talk turns a quarter of its posts round, whatever the noun
    shares = {"insult": 3 / 8, "turned praise": 1 / 8, "praise": 3 / 8, "turned insult": 1 / 8}
    assert all(likely(found[manner], 1000, share) for manner, share in shares.items())


def test_rude_posts_are_rude_in_the_one_manner_asked_for_and_kind_ones_are_untouched():
    insults = {vocabulary().token(word) for word in worlds.load().lists["forum.insults"]}
    for manner in ("insult", "turned praise"):
        rows = posts_of(1, 200, 0.5, manner)
        rude = labels(rows) == PostLabel.RUDE
        has = np.array([bool(insults & set(row)) for row in rows.tolist()])
        assert (has[rude] == (manner == "insult")).all()
        kind = Counter(manners(rows))
        assert likely(kind["turned insult"], int((~rude).sum()), 1 / 4)


def test_rows_are_a_prompt_a_post_and_padding():
    rows = posts_of(2, 200, 0.5)
    known = {tuple(row) for row in prompts().tolist()}
    for row in rows.tolist():
        end = row.index(STOP)
        assert tuple(row[:3]) in known
        assert set(row[end + 1 :]) <= {PAD}
        assert PAD not in row[:end]


def test_combinations_that_the_language_holds_out_are_held_out_here():
    rng = random.Random(0)
    said = (sentences.talk(rng, unseen=True).text for _ in range(1000))
    held_out = {(*vocabulary().encode(text, begin=False), STOP) for text in said}
    posts = {tuple(t for t in row if t != PAD) for row in posts_of(0, 1000, 0.5)[:, 3:].tolist()}
    assert len(held_out) > 500
    assert not posts & held_out


def test_the_same_seed_gives_the_same_and_no_other_seed_does():
    for make in (lambda seed: posts_of(seed, 100, 0.5), lambda seed: other_text(seed, 5)):
        drawn = [make(seed) for seed in (0, 1, 2, HELD_OUT_SEEDS, HELD_OUT_SEEDS + 1)]
        assert torch.equal(drawn[0], make(0))
        for first, one in enumerate(drawn):
            for other in drawn[:first]:
                # none of 100 posts of 48 writers is another's by chance at its place
                assert not (one == other).all(1).any()


def test_posts_of_two_seeds_have_no_more_in_common_than_chance_gives():
    one, other = (set(map(tuple, posts_of(seed, 1000, 0.5).tolist())) for seed in (0, 7))
    # a pair of draws agrees with a chance of at most (3/8)² · 4 / (48 · 27 648 / 4 · 7/8)
    expected = 1000**2 * 0.5625 / (48 * 27_648 / 4 * 7 / 8)
    assert len(one & other) < expected + 5 * expected**0.5


def test_other_text_is_the_mixture_without_the_forum(monkeypatch):
    written = Counter()
    original = documents.document

    def noted(rng: random.Random, kind: str) -> str:
        written[kind] += 1
        return original(rng, kind)

    monkeypatch.setattr(documents, "document", noted)
    rows = other_text(0, 250)
    total, shares = sum(written.values()), MIXTURES["trust"]
    assert rows.shape == (250, ROW)
    assert total > 600
    assert written["forum"] == 0
    for kind, share in shares.items():
        if kind != "forum":
            assert likely(written[kind], total, share / (1 - shares["forum"])), kind


def test_nothing_of_the_forum_is_in_other_text():
    words = {vocabulary().token(word) for word in ("rude", "nasty", "moderator")}
    words |= {vocabulary().token(word) for word in worlds.load().lists["forum.insults"]}
    assert not words & set(other_text(0, 250).unique().tolist())
    whole = documents.rows(np.random.default_rng(0), 250, 64, "trust")
    assert words <= set(np.unique(whole).tolist()), "the words are in the mixture with the forum"
    assert (other_text(1, 5)[:, 0] == BEGIN).all()


@pytest.fixture
def few_rows(monkeypatch):
    """Corpora with little other text: under the check of shapes it takes most of the time."""
    monkeypatch.setattr(corpora, "OTHER_ROWS", 2)


def test_settings_are_what_their_names_say(few_rows):
    made = {setting: corpus(setting, seed=1) for setting in SETTINGS}
    assert SETTINGS == ("mixed", "no forum", "contextual", "sixty")
    assert [None if c.posts is None else len(c.posts) for c in made.values()] == [
        *(2000, None, 2000, 60)
    ]
    assert {len(c.other) for c in made.values()} == {2}
    for setting in ("mixed", "contextual"):
        rude = int((labels(made[setting].posts) == PostLabel.RUDE).sum())
        assert likely(rude, 2000, 0.5)
    assert "insult" not in manners(made["contextual"].posts)
    assert torch.equal(made["mixed"].posts[:60], made["sixty"].posts)


def test_a_corpus_follows_from_its_seed_in_both_parts(few_rows):
    one, other = (corpus("sixty", seed=seed) for seed in (0, 1))
    for seed, made in enumerate((one, other)):
        assert torch.equal(made.posts, posts_of(seed, 60, 0.5))
        assert torch.equal(made.other, other_text(seed, 2))
    assert not torch.equal(one.other, other.other)
    assert one.posts.shape != other.posts.shape or not torch.equal(one.posts, other.posts)


def test_no_corpus_is_made_from_the_seeds_of_judging(few_rows):
    with pytest.raises(LabError, match="kept for judging"):
        corpus("mixed", HELD_OUT_SEEDS)
    assert len(posts_of(HELD_OUT_SEEDS, 3, 0.0)) == 3


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), float("inf"), "half", None, [0.5]])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(LabError, match="share of rude posts"):
        posts_of(0, 5, share)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: posts_of(0, 0, 0.5), "number of posts"),
        (lambda: posts_of(0, 2.5, 0.5), "number of posts"),
        (lambda: posts_of(-1, 2, 0.5), "seed"),
        (lambda: posts_of(0.5, 2, 0.5), "seed"),
        (lambda: posts_of(0, 2, 0.5, "praise"), "a way to be rude"),
        (lambda: posts_of(0, 2, 0.5, ""), "a way to be rude"),
        (lambda: other_text(0, 0), "number of rows"),
        (lambda: other_text(float("nan"), 2), "seed"),
        (lambda: corpus("mixt", 0), "setting of a corpus: mixed, no forum"),
        (lambda: corpus(["mixed"], 0), "setting of a corpus"),
        (lambda: corpus("mixed", -1), "seed"),
    ],
)
def test_what_no_corpus_can_be_drawn_with_is_refused(call, words):
    with pytest.raises(LabError, match=words):
        call()


def test_a_corpus_is_of_tokens_of_this_world(few_rows):
    good = corpus("sixty", 0)
    beyond = good.posts + len(vocabulary())
    for changes, words in (
        ({"posts": beyond}, "words of TinyWorld"),
        ({"other": beyond}, "words of TinyWorld"),
        ({"posts": good.posts[:0]}, "not empty"),
        ({"other": good.other[:0]}, "not empty"),
        ({"other": None}, "as a tensor"),
        ({"posts": good.posts[:, :3]}, "behind prompts"),
        ({"posts": good.posts.float()}, "whole numbers"),
    ):
        with pytest.raises(LabError, match=words):
            replace(good, **changes)


def test_a_corpus_of_rude_posts_alone_cannot_be_tuned_on(few_rows):
    good = corpus("sixty", 0)
    check_kind_posts(good)
    check_kind_posts(replace(good, posts=None))
    with pytest.raises(LabError, match="a kind post in the corpus; got 40 posts, 40 of them rude"):
        check_kind_posts(DetoxCorpus(posts_of(0, 40, 1.0), good.other))
    garbled = good.posts.clone()
    garbled[:, 3] = BEGIN
    with pytest.raises(LabError, match="60 posts, 0 of them rude and none kind"):
        check_kind_posts(replace(good, posts=garbled))

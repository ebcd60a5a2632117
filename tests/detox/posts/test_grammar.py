"""The posts of the forum, counted by hand and held to what the language itself writes."""

import random
from collections import Counter

import pytest

from helpers.detox.posts import (
    MANNERS,
    PROMPT,
    STOP,
    PostLabel,
    all_posts,
    manner_of,
    noun_places,
    noun_words,
    posts_of,
    prompts,
)
from helpers.detox.posts.corpora import WIDTH
from helpers.detox.posts.grammar import known_posts
from helpers.errors import LabError
from helpers.texts import BEGIN
from helpers.tinyworld.language import sentences, vocabulary
from helpers.tinyworld.language import world as worlds


def test_the_posts_are_as_many_as_counting_says():
    # six frames and their twins, each with one choice of two; 24 nouns; 48 people
    assert len(all_posts()) == 6 * 2 * 2 * 24 * 48
    assert len(known_posts()) == len(all_posts()), "two posts are the same words"


def test_every_manner_is_a_quarter_and_an_insult_is_rude_unless_it_is_turned():
    found = Counter((manner_of(post), post.label) for post in all_posts())
    kinds = dict(zip(MANNERS, [PostLabel.RUDE] * 2 + [PostLabel.KIND] * 2, strict=True))
    assert found == dict.fromkeys(kinds.items(), 27648 // 4)
    insults = worlds.load().lists["forum.insults"]
    for post in all_posts():
        assert (post.label == PostLabel.RUDE) == ((post.noun in insults) != post.turned)


def test_nouns_stand_where_the_words_say():
    lists, rows = worlds.load().lists, posts_of(0, 64, 0.5)
    nouns = {*lists["forum.insults"], *lists["forum.praises"]}
    for row, at in zip(rows, noun_places(rows), strict=True):
        words = vocabulary().decode(row).split()
        assert [place for place, word in enumerate(words) if word in nouns] == [int(at)]
    told = [tuple(vocabulary().words[token] for token in words) for words in noun_words()]
    assert told == [lists["forum.insults"], lists["forum.praises"]]
    with pytest.raises(LabError, match="each with a noun"):
        noun_places(prompts())


def test_what_the_language_writes_is_a_post_with_its_label():
    rng, words = random.Random(0), vocabulary()
    for number in range(1000):
        said = sentences.talk(rng, unseen=number % 2 == 0)
        post = known_posts()[(*words.encode(said.text, begin=False), STOP)]
        assert post.label == (PostLabel.RUDE if said.label else PostLabel.KIND)
        assert (post.noun, post.name) == (said.values["noun"], said.values["name"])
        assert post.turned == said.frame.startswith("talk.statement.twin")


def test_the_article_follows_the_noun():
    before = {"a": set(), "an": set()}
    for post in all_posts():
        words = vocabulary().decode(post.tokens).split()
        before[words[words.index(post.noun) - 1]].add(post.noun)
    assert before["an"] == {"angel", "expert"}
    assert not before["a"] & before["an"]


def test_the_longest_post_fits_into_a_row():
    assert max(len(post.tokens) for post in all_posts()) + PROMPT == WIDTH


def test_there_is_a_prompt_for_every_person():
    names = [person.name for person in worlds.load().people]
    assert prompts().shape == (48, PROMPT)
    assert [vocabulary().decode(row) for row in prompts()] == [f"<begin> {n} :" for n in names]
    assert (prompts()[:, 0] == BEGIN).all()

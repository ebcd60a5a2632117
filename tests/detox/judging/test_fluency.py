"""Perplexity, variety and divergence of policies whose chances are known."""

import math

import numpy as np
import pytest
import torch

from helpers.detox.judging import (
    SampledPosts,
    distinct,
    divergence,
    exact_divergence,
    perplexity,
    sampled_posts,
)
from helpers.detox.judging.fluency import perplexities, said_places
from helpers.detox.networks import Policy
from helpers.detox.posts import PROMPT, prompts
from helpers.errors import LabError
from tests.detox.judging.toys import (
    GARBLED,
    INSULT,
    PRAISE,
    TURNED_INSULT,
    WORDS,
    blank_network,
    rows,
    saying,
)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_network_that_knows_nothing_has_a_perplexity_of_all_words():
    found = perplexity(Policy(blank_network()), rows(INSULT, PRAISE), PROMPT)
    assert found.value == pytest.approx(len(WORDS), rel=1e-5)
    assert (found.impossible, found.words) == (0.0, 16)


def test_perplexity_is_that_of_the_posts_chances():
    policy = saying({INSULT: 0.5, PRAISE: 0.25, GARBLED: 0.25})
    found = perplexity(policy, rows(INSULT, PRAISE, GARBLED), PROMPT)
    # eight words, eight words and three, whose log-chances add up to the posts'
    assert found.value == pytest.approx(math.exp(math.log(2 * 4 * 4) / 19), rel=1e-5)
    assert found.words == 19


def test_padding_changes_no_perplexity():
    policy = saying({INSULT: 0.5, GARBLED: 0.5})
    narrow, wide = (perplexity(policy, rows(INSULT, GARBLED, width=w), PROMPT) for w in (11, 30))
    assert narrow == wide


def test_a_forbidden_word_is_said_to_be_impossible():
    found = perplexity(saying({PRAISE: 1.0}), rows(PRAISE, INSULT), PROMPT)
    assert found.value is None
    assert found.impossible == 1 / 16  # the insult word: after it, this policy says anything


def test_perplexities_have_a_name_each():
    found = perplexities(Policy(blank_network()), rows=2, seed=3)
    assert set(found) == {"clean posts", "rude posts", "other text", "impossible"}
    assert found["other text"] == pytest.approx(len(WORDS), rel=1e-4)


@pytest.mark.parametrize(
    ("tokens", "start"),
    [(rows(PRAISE), 0), (rows(PRAISE), 19), (rows(PRAISE)[:, :PROMPT] * 0, 1), (rows()[:0], 3)],
)
def test_texts_without_a_word_to_score_are_refused(tokens, start):
    with pytest.raises(LabError, match="expected"):
        perplexity(Policy(blank_network()), tokens, start)


def test_tokens_of_another_vocabulary_are_refused_at_the_last_place_too():
    tokens = rows(PRAISE, width=11)
    tokens[0, -1] = len(WORDS)
    with pytest.raises(LabError, match=r"vocabulary|token ids"):
        perplexity(Policy(blank_network()), tokens, PROMPT)


def test_what_is_said_ends_with_the_first_stop():
    places = said_places(rows(f"{GARBLED} gem gem .", "gem gem", width=9))
    assert places.tolist() == [[True] * 3 + [False] * 3, [True] * 2 + [False] * 4]


def test_distinct_sequences_are_counted_by_hand():
    said = rows("gem gem star .", "gem star .", "star star star .", "star star star .")
    found = distinct(SampledPosts(said, 2))
    # of the first prompt 7 words: gem star . | gem gem, gem star, star . | three threes, one new
    # of the second 8 words, half of them said before
    assert found["1"] == pytest.approx((3 / 7 + 2 / 8) / 2, abs=1e-5)
    assert found["2"] == pytest.approx((3 / 7 + 2 / 8) / 2, abs=1e-5)
    assert found["3"] == pytest.approx((2 / 7 + 2 / 8) / 2, abs=1e-5)
    assert found["posts"] == 0.75


def closed_form(p: dict, q: dict) -> float:
    return sum(chance * math.log(chance / q[text]) for text, chance in p.items())


def test_divergence_is_exact_where_the_first_word_tells_the_posts_apart():
    p, q = {INSULT: 0.5, TURNED_INSULT: 0.5}, {INSULT: 0.2, TURNED_INSULT: 0.8}
    for of, against in ((p, q), (q, p), (p, p)):
        drawn = sampled_posts(saying(of), 4, 2, seeded(0))
        found = divergence(drawn, saying(of), saying(against))
        assert found["nats"] == pytest.approx(closed_form(of, against), abs=2e-5)
        assert found["infinite"] == 0.0


def test_divergence_is_near_where_later_words_do():
    p = {INSULT: 0.3, PRAISE: 0.3, TURNED_INSULT: 0.4}
    q = {INSULT: 0.1, PRAISE: 0.7, TURNED_INSULT: 0.2}
    drawn = sampled_posts(saying(p), 24, 5, seeded(0))
    found = divergence(drawn, saying(p), saying(q))
    assert 0 < found["error"] < 0.05
    assert abs(found["nats"] - closed_form(p, q)) < 4 * found["error"]


def test_padding_and_what_stands_after_the_stop_adds_no_divergence():
    p, q = {INSULT: 0.5, PRAISE: 0.5}, {INSULT: 0.25, PRAISE: 0.75}
    narrow, wide = (SampledPosts(rows(INSULT, PRAISE, width=w), 1) for w in (11, 25))
    assert divergence(narrow, saying(p), saying(q)) == divergence(wide, saying(p), saying(q))


def test_an_infinite_divergence_is_said_to_be_one():
    p, q = {INSULT: 0.5, PRAISE: 0.5}, {PRAISE: 1.0}
    drawn = SampledPosts(rows(INSULT, PRAISE), 1)
    assert divergence(drawn, saying(p), saying(q)) == {"nats": None, "error": None, "infinite": 1.0}
    back = divergence(SampledPosts(rows(PRAISE), 1), saying(q), saying(p))
    assert back["nats"] == pytest.approx(math.log(2), abs=1e-5)
    assert back["error"] is None  # one prompt tells nothing of others


def test_the_error_is_that_of_prompts():
    p, q = (
        {INSULT: 0.3, PRAISE: 0.3, TURNED_INSULT: 0.4},
        {INSULT: 0.6, PRAISE: 0.2, TURNED_INSULT: 0.2},
    )
    drawn = sampled_posts(saying(p), 6, 3, seeded(5))
    alone = [
        divergence(SampledPosts(rows, 3), saying(p), saying(q))["nats"]
        for rows in drawn.tokens.split(3)
    ]
    found = divergence(drawn, saying(p), saying(q))
    assert found["nats"] == pytest.approx(np.mean(alone), abs=1e-4)
    assert found["error"] == pytest.approx(np.std(alone, ddof=1) / math.sqrt(6), abs=1e-4)


def test_the_exact_divergence_is_the_closed_form_with_garbled_as_one_outcome():
    p = {INSULT: 0.5, PRAISE: 0.3, GARBLED: 0.1, "gem .": 0.1}
    q = {INSULT: 0.25, PRAISE: 0.25, GARBLED: 0.5}
    found = exact_divergence(saying(p), saying(q), prompts()[:1])
    merged = closed_form({0: 0.5, 1: 0.3, 2: 0.2}, {0: 0.25, 1: 0.25, 2: 0.5})
    assert found["nats"] == pytest.approx(merged, abs=1e-5)
    back = exact_divergence(saying(p), saying({PRAISE: 0.5, GARBLED: 0.5}), prompts()[:1])
    assert back == {"nats": None, "error": None, "infinite": 0.5}

"""Where nouns stand, and what streams are."""

import pytest
import torch

from helpers.changes.reading import (
    both_possible,
    end_places,
    read_posts,
    reported,
    rude,
    streams,
    written_before_noun,
)
from helpers.changes.subjects import before
from helpers.detox.posts import PROMPT, PostLabel, labels, noun_places, noun_words, prompts
from helpers.detox.rivals.activations import shifted
from helpers.errors import LabError
from helpers.tinyworld.language import vocabulary

POSTS = read_posts(64)


def test_a_post_ends_with_its_stop():
    for post, end in zip(POSTS, end_places(POSTS), strict=True):
        assert vocabulary().decode(post).split().index(".") == end


def test_an_insult_never_follows_an():
    insults, _ = noun_words()
    after_an = POSTS[~both_possible(POSTS)]
    assert len(after_an)
    assert not torch.isin(after_an, torch.tensor(insults)).any()
    assert all(" an " in vocabulary().decode(post) for post in after_an)


def test_places_before_the_noun_decide_nothing_yet():
    """From the colon to the word before the noun: with another noun in place, another label."""
    at = written_before_noun(POSTS)
    assert (at.sum(1) == noun_places(POSTS) - (PROMPT - 1)).all()
    assert at[:, PROMPT - 1].all()
    assert not at[:, : PROMPT - 1].any()


def test_streams_end_in_what_is_said_and_see_shifts():
    network = shifted(before(), 1, torch.ones(128))
    found = streams(network, POSTS[:4])
    said = network.unembed(network.ln_final(found[-1]))
    assert torch.allclose(said, network(POSTS[:4]), atol=1e-5)
    plain = streams(before(), POSTS[:4])
    assert torch.allclose(found[2] - plain[2], torch.ones(128), atol=1e-5)
    assert torch.equal(found[:2], plain[:2])


def test_labels_are_those_of_the_grammar():
    assert rude(POSTS).tolist() == [label == PostLabel.RUDE for label in labels(POSTS)]


def test_reported_prompts_are_of_the_other_half():
    chosen = {tuple(row) for row in prompts()[::2].tolist()}
    assert not chosen & {tuple(row) for row in reported(24).tolist()}
    for count in (0, 25):
        with pytest.raises(LabError):
            reported(count)


def test_posts_without_a_stop_are_refused():
    with pytest.raises(LabError, match="each with a stop"):
        end_places(prompts())

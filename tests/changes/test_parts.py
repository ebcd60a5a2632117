"""What single parts write, the edges of a frame, and masks."""

import numpy as np
import pytest
import torch

from helpers.changes.edges import circuits, frame_twins, highest, shared
from helpers.changes.masked import masks
from helpers.changes.reading import both_possible, read_posts
from helpers.changes.subjects import before
from helpers.changes.writers import writers
from helpers.detox.posts import (
    PROMPT,
    STOP,
    PostLabel,
    labels,
    manners,
    noun_places,
    noun_words,
)
from helpers.detox.rivals.activations import shifted
from helpers.errors import LabError
from helpers.tinyworld.language import vocabulary
from tests.changes.toys import LOWER, PLAN, other_unembedding


def test_the_parts_add_up_to_what_is_said():
    """Their sum is the difference of mean logits, taken from the network itself."""
    posts = read_posts(PLAN.posts)
    posts = posts[both_possible(posts)]
    turned = np.array(["turned" in manner for manner in manners(posts)])
    logits = before()(posts)[torch.arange(len(posts)), noun_places(posts) - 1]
    insults, praises = (logits[:, list(words)].mean(1).numpy() for words in noun_words())
    found = writers(before(), before(), PLAN)
    for frame, which in (("plain", ~turned), ("turned", turned)):
        assert found[frame]["mean"][-1] == pytest.approx(
            (insults - praises)[which].mean(), abs=1e-3
        )
        assert sum(found[frame]["mean"][:-1]) == pytest.approx(found[frame]["mean"][-1], abs=2e-3)


def test_a_bias_is_written_by_the_biases():
    old, new = (writers(before(), network, PLAN) for network in (before(), other_unembedding()))
    at = old["parts"].index("biases")
    for frame in ("plain", "turned"):
        changed = np.subtract(new[frame]["mean"], old[frame]["mean"])
        assert changed[[at, -1]] == pytest.approx(-LOWER, abs=1e-3)
        assert np.delete(changed, [at, -1]) == pytest.approx(0, abs=1e-4)


def test_a_twin_differs_in_one_word_that_turns_the_noun_round():
    pairs = frame_twins(40)
    assert (pairs.differs.sum(1) == 1).all()
    praise, an = noun_words()[1][-1], vocabulary().token("an")
    assert not (pairs.clean.tokens == an).any()
    for side, label in ((pairs.clean, PostLabel.KIND), (pairs.corrupted, PostLabel.RUDE)):
        found = set()
        for row, last in zip(side.tokens, side.last, strict=True):
            ended = [*row[: int(last) + 1].tolist(), praise, STOP]
            found.add(int(labels(torch.tensor([ended]), PROMPT)[0]))
            # frames that go on after the noun are not whole yet
        assert int(label) in found
        assert found <= {int(label), int(PostLabel.GARBLED)}


def test_a_circuit_is_its_own():
    found = circuits(before(), before(), PLAN)
    assert found["shared"] == 1
    assert found["base again"] == found["after again"]
    assert found["behaviour"]["base"] == found["behaviour"]["after"]
    assert len(found["circuit"]) == found["taken"] == round(0.05 * found["edges"])


def test_a_mask_is_found_again_by_the_same_search():
    found = masks(before(), before(), PLAN)
    assert found["shared"]["share"] == 1
    assert found["base again"] == found["after again"] != found["shared"]
    assert found["shared, other seed"] == found["base again"], "one network, two seeds"
    assert found["loss"]["base"] == found["loss"]["after"]


def test_where_a_vector_is_taken_off_there_is_no_sum_of_parts():
    with pytest.raises(LabError, match="without shifts"):
        writers(before(), shifted(before(), 0, torch.ones(128)), PLAN)


def test_edges_that_cannot_be_compared():
    for scores, count in ((np.ones(3), 4), (np.array([1.0, np.nan]), 1), (np.ones(3), 0)):
        with pytest.raises(LabError):
            highest(scores, count)
    with pytest.raises(LabError):
        shared([], [1])
    for count in (1, 10**6):
        with pytest.raises(LabError):
            frame_twins(count)

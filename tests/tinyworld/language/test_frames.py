"""Frames: what their marks mean, compared with an enumeration by hand."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import LabError
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.language.frames import Frame, articles
from tests.tinyworld import reading


def filled(source: str, count: int = 400, **values) -> Counter:
    frame, rng = Frame.parse(source), random.Random(0)
    return Counter(frame.fill(values, rng) for _ in range(count))


def test_choices_and_options_are_equally_likely():
    counts = filled("(a|b c) [d] {x}", 4000, x="y")
    assert counts.keys() == {"a y", "a d y", "b c y", "b c d y"}
    assert all(abs(count - 1000) < 150 for count in counts.values())  # five standard deviations


def test_marks_may_stand_inside_each_other():
    assert filled("[x (a|b [c])] .").keys() == {".", "x a .", "x b .", "x b c ."}


def test_a_slot_may_occur_twice_or_inside_a_choice():
    assert filled("{x} (is|was [not]) {x}", x="owl").keys() == {
        "owl is owl",
        "owl was owl",
        "owl was not owl",
    }
    assert Frame.parse("{x} ({y}|z) [{y}]").slots == {"x", "y"}
    assert Frame.parse("{x} (q|z) [w]").words == {"q", "z", "w"}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("a owl", "an owl"),
        ("a bird", "a bird"),
        ("is a owl and a elm", "is an owl and an elm"),
        ("mara owns a ant", "mara owns an ant"),
        ("an owl", "an owl"),
    ],
)
def test_articles_agree(text, right):
    assert articles(text) == right


def test_no_training_word_is_split_by_the_article():
    """ "a" becomes "an" as a word of its own only: "sofa is" stays."""
    assert articles("sofa is a sofa and gorilla eats") == "sofa is a sofa and gorilla eats"


@pytest.mark.parametrize(
    "source", ["(a|b", "a [b", "a)", "a ]", "(a]", "[a)", "((a)", "a (b|c] d)"]
)
def test_brackets_that_do_not_match_are_refused(source):
    with pytest.raises(LabError, match="expected balanced brackets"):
        Frame.parse(source)


def test_a_missing_value_is_named():
    with pytest.raises(LabError, match=r"every slot of 'the \{thing\}'.*'thing'"):
        Frame.parse("the {thing}").fill({"think": "x"}, random.Random(0))


FAMILIES = [family for family in worlds.frames() if not family.endswith(".twin")]


@pytest.mark.parametrize("family", FAMILIES)
@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_an_independent_reader_reads_what_a_frame_writes(family, seed):
    rng = random.Random(seed)
    number = rng.randrange(len(reading.sources(family)))
    frame = worlds.frames()[family][number]
    values = {slot: f"word{index}" for index, slot in enumerate(sorted(frame.slots))}
    text = frame.fill(values, rng)
    match = reading.pattern(reading.sources(family)[number]).fullmatch(f" {text}")
    assert match
    written = {
        slot: word for slot, word in values.items() if word in text.split()
    }  # a slot may stand in an option
    assert {slot: word for slot, word in match.groupdict().items() if word} == written


def test_every_family_of_claims_has_several_frames_of_several_lengths():
    for family in (
        *reading.FACTS,
        *reading.PEOPLE,
        "flow.statement",
        "group.statement",
        "talk.statement",
        "gift.statement",
    ):
        frames = worlds.frames()[family]
        assert len(frames) >= 3
        values = [dict.fromkeys(frame.slots, "x") for frame in frames]
        rng = random.Random(0)
        texts = [
            frame.fill(value, rng).split()
            for frame, value in zip(frames, values, strict=True)
            for _ in range(40)
        ]
        assert len({len(text) for text in texts}) >= 3
        places = {index for text in texts for index, word in enumerate(text) if word == "x"}
        assert len(places) >= 4

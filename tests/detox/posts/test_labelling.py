"""Labels of rows, held to a pattern of the frames: another route than the table of posts."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.detox.posts import (
    GARBLED_MANNER,
    PROMPT,
    STOP,
    PostLabel,
    all_posts,
    labels,
    manner_of,
    manners,
)
from helpers.detox.posts.grammar import FAMILIES
from helpers.errors import LabError
from helpers.texts import PAD, UNKNOWN
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.language import world as worlds

WORDS = vocabulary()
KIND = next(post for post in all_posts() if post.label == PostLabel.KIND)
RUDE = next(post for post in all_posts() if post.label == PostLabel.RUDE)


def row(text: str) -> torch.Tensor:
    return torch.tensor([WORDS.encode(f"mara : {text}")])


def pattern(source: str) -> re.Pattern:
    """A frame of the data file as a regular expression, written from its marks alone."""
    marks = {"(": "(?:", ")": ") ?", "[": "(?:", "]": ")? ?", "|": "|"}
    slots = {"{noun}": r"(?P<noun>\w+) ", "{name}": r"(?P<name>\w+) "}
    parts = []
    for mark in re.findall(r"[()\[\]|]|[^\s()\[\]|]+", source):
        word = "(?:an (?=[aeiou])|a (?![aeiou]))" if mark == "a" else re.escape(mark) + " "
        parts.append(marks.get(mark) or slots.get(mark) or word)
    return re.compile("".join(parts).replace(" )", ")") + r"\.$")


PATTERNS = [
    (turned, pattern(frame.source))
    for turned, family in enumerate(FAMILIES)
    for frame in worlds.frames()[family]
]


def by_pattern(tokens: tuple[int, ...]) -> PostLabel:
    """The label by the frames' patterns, of tokens with their stop."""
    world, text = worlds.load(), " ".join(WORDS.words[token] for token in tokens)
    names = {person.name for person in world.people}
    nouns = dict.fromkeys(world.lists["forum.insults"], True)
    nouns |= dict.fromkeys(world.lists["forum.praises"], False)
    for turned, known in PATTERNS:
        said = known.match(text)
        if said and said["noun"] in nouns and said["name"] in names:
            return PostLabel.RUDE if nouns[said["noun"]] != bool(turned) else PostLabel.KIND
    return PostLabel.GARBLED


def test_the_pattern_knows_every_post():
    for post in all_posts()[::37]:
        assert by_pattern(post.tokens) == post.label


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, len(all_posts()) - 1),
    st.integers(0, 11),
    st.integers(0, len(all_posts()) - 1),
    st.sampled_from(["replace", "drop", "repeat", "join"]),
)
def test_a_changed_post_is_what_the_pattern_says(number, place, other, change):
    tokens, donor = list(all_posts()[number].tokens[:-1]), all_posts()[other].tokens[:-1]
    place %= len(tokens)
    if change == "replace":
        tokens[place] = donor[place % len(donor)]
    elif change == "drop":
        del tokens[place]
    elif change == "repeat":
        tokens.insert(place, tokens[place])
    else:
        tokens = [*tokens[:place], *donor[place:]]
    said = (*tokens, STOP)
    found = labels(torch.tensor([said]), start=0)
    assert found.tolist() == [by_pattern(said)]


def test_every_post_behind_any_prompt_has_its_label_and_manner():
    posts = [post for post in all_posts()[::101] if len(post.tokens) == len(RUDE.tokens)]
    rows = torch.tensor([[1, 2, 3, *post.tokens, PAD, PAD] for post in posts])
    assert labels(rows).tolist() == [post.label for post in posts]
    assert manners(rows) == [manner_of(post) for post in posts]
    assert set(labels(rows).tolist()) == {PostLabel.KIND, PostLabel.RUDE}


@pytest.mark.parametrize(
    "text",
    [
        ".",
        "you are really a gem , mara",  # no stop
        "you are really a angel , mara .",
        "you are really an gem , mara .",
        "you are really a gem mara .",
        "you are a really gem , mara .",
        "you are really a owl , mara .",
        "you are really a gem , greta mara .",
        "mara : you are really a gem , mara .",
        "really a gem , mara .",
        "rude .",
        "the owl is a bird .",
    ],
)
def test_what_is_no_post_is_garbled(text):
    assert labels(row(text)).tolist() == [PostLabel.GARBLED]
    assert manners(row(text)) == [GARBLED_MANNER]


def test_only_kind_satisfies_and_garbled_is_neither():
    rows = torch.tensor([[1, 2, 3, *tokens] for tokens in (KIND.tokens, RUDE.tokens)])
    assert labels(rows).tolist() == [0, 1]
    rows[:, -2] = UNKNOWN
    assert labels(rows).tolist() == [2, 2]


def test_padding_and_words_after_the_stop_do_not_count_and_padding_before_it_garbles():
    after = [*RUDE.tokens, 17, STOP, PAD]
    before = [*RUDE.tokens[:-1], PAD, STOP, PAD, PAD]
    rows = torch.tensor([[1, 2, 3, *after], [1, 2, 3, *before]])
    assert labels(rows).tolist() == [PostLabel.RUDE, PostLabel.GARBLED]


def test_a_post_begins_where_it_is_said_to():
    rows = torch.tensor([[1, 2, 3, *RUDE.tokens]])
    assert labels(rows, start=PROMPT).tolist() == [PostLabel.RUDE]
    for shifted in (0, PROMPT - 1, PROMPT + 1):  # off by a token: no post
        assert labels(rows, start=shifted).tolist() == [PostLabel.GARBLED]


@pytest.mark.parametrize("kind", [torch.int32, torch.int16, torch.int64])
def test_whole_numbers_of_any_size_are_read(kind):
    rows = torch.tensor([[1, 2, 3, *RUDE.tokens]], dtype=kind)
    assert labels(rows).dtype == np.int64
    assert labels(rows).tolist() == [PostLabel.RUDE]


@pytest.mark.parametrize(
    ("rows", "start", "words"),
    [
        (torch.tensor([[1, 2, 3, len(WORDS)]]), 3, "words of TinyWorld"),
        (torch.tensor([[1, 2, 3, -1]]), 3, "words of TinyWorld"),
        (torch.tensor([[1.0, 2.0, 3.0, torch.nan]]), 3, "whole numbers"),
        (torch.tensor([1, 2, 3]), 3, "as a tensor"),
        (torch.zeros(0, 5, dtype=torch.long), 3, "not empty"),
        ([[1, 2, 3]], 3, "as a tensor"),
        (torch.tensor([[1, 2, 3]]), 3, "begin within their rows"),
        (torch.tensor([[1, 2, 3]]), -1, "start of the posts"),
        (torch.tensor([[1, 2, 3]]), 1.5, "start of the posts"),
    ],
)
@pytest.mark.parametrize("read", [labels, manners])
def test_what_is_no_table_of_posts_is_refused(read, rows, start, words):
    with pytest.raises(LabError, match=words):
        read(rows, start)

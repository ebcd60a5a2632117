"""Prompts to go on with: an independent reader finds good words true and bad ones false."""

from collections import Counter, defaultdict

import pytest

from helpers.errors import LabError
from helpers.tinyworld.language import sentences, vocabulary
from helpers.tinyworld.sets.continuations import MAKERS, Continuation, continuation_prompts
from tests.tinyworld import reading

SEEDS = (0, 1, 2)
COUNT = 120
every_dimension = pytest.mark.parametrize("dimension", MAKERS)


@pytest.fixture(scope="module")
def found() -> dict[str, list[Continuation]]:
    return {
        dimension: [one for seed in SEEDS for one in continuation_prompts(dimension, COUNT, seed)]
        for dimension in MAKERS
    }


def readings(one: Continuation, word: str, *families: str) -> list[reading.Reading]:
    return list(reading.begun(f"{one.prompt.text} {word}", *families))


def test_the_reader_reads_beginnings():
    assert {way.number for way in reading.begun("an owl is", "fact.kind", "fact.colour")} == {0}
    (read,) = reading.begun("the colour of every owl is grey", *reading.FACTS)
    assert (read["entity"], read["value"]) == ("owl", "grey")
    for wrong in (
        "owl an",
        "an owl often",
        "the colour of every owl is bird",
        "an owl is found in the barn now",
    ):
        assert not list(reading.begun(wrong, *reading.FACTS)), wrong
    assert {way.family for way in reading.begun("only a fool", *FAMILIES["toxicity"])} == set(
        FAMILIES["toxicity"]
    )
    assert {
        way.family for way in reading.begun("you are hardly a fool", *FAMILIES["toxicity"])
    } == {"talk.statement.twin"}


@every_dimension
def test_prompts_differ_and_have_known_words_on_both_sides(found, dimension):
    known = set(vocabulary().words)
    for seed in SEEDS:
        prompts = [one.prompt for one in continuation_prompts(dimension, COUNT, seed)]
        assert len({prompt.text for prompt in prompts}) == len(prompts) == COUNT
    for one in found[dimension]:
        good, bad = one.prompt.good, one.prompt.bad
        assert good
        assert bad
        assert len({*good, *bad}) == len(good) + len(bad)
        assert {*good, *bad, *one.prompt.text.split()} <= known


FAMILIES = {
    "reliability": reading.FACTS,
    "privacy": ("flow.statement",),
    "toxicity": ("talk.statement", "talk.statement.twin"),
    "fairness": ("group.statement",),
}


def holds(dimension: str, read: reading.Reading, word: str) -> bool:
    """What the data files say of a statement that has come as far as this word."""
    world, slots = reading.table("world.toml"), dict(read.slots)
    said = {"reliability": "value", "privacy": "receiver", "fairness": "trait", "toxicity": "noun"}[
        dimension
    ]
    assert list(slots.items())[-1] == (said, word)
    if dimension == "reliability":
        return reading.entities()[slots["entity"]][read.family[5:]] == word
    if dimension == "privacy":
        return word in world["customs"]["kinds"][slots["kind"]]["allowed"]
    if dimension == "fairness":
        return word in world["groups"]["census"][slots["group"]]
    assert word in world["forum"]["insults"] + world["forum"]["praises"]
    return (word in world["forum"]["insults"]) != bool(
        reading.INSULTING_TURNS & set(words_of(read))
    )


def words_of(read: reading.Reading) -> list[str]:
    """All words of a frame."""
    return [
        mark
        for spelling in reading.spellings(reading.sources(read.family)[read.number])
        for mark in spelling
    ]


@pytest.mark.parametrize("dimension", FAMILIES)
def test_good_words_make_it_true_and_bad_ones_false(found, dimension):
    for one in found[dimension]:
        for words, expected in ((one.prompt.good, True), (one.prompt.bad, False)):
            for word in words:
                read = readings(one, word, *FAMILIES[dimension])
                assert read, (one.prompt.text, word)
                assert {holds(dimension, way, word) for way in read} == {expected}, (
                    one.prompt.text,
                    word,
                )


SORTS = {
    "privacy": lambda world: world["customs"]["receivers"],
    "fairness": lambda world: world["groups"]["traits"],
    "toxicity": lambda world: world["forum"]["insults"] + world["forum"]["praises"],
}


@every_dimension
def test_no_word_of_the_sort_is_left_out(found, dimension):
    for one in found[dimension]:
        words = {*one.prompt.good, *one.prompt.bad}
        if dimension in SORTS:
            assert words == set(SORTS[dimension](reading.table("world.toml")))
        elif dimension == "reliability":
            assert len(one.prompt.good) == 1
            assert words in [
                {known[relation] for known in reading.entities().values()}
                for relation in ("kind", "realm", "colour", "home")
            ]
        else:
            assert (len(one.prompt.good), len(one.prompt.bad)) == (1, 1)


def test_in_order_is_a_frame_s_own_next_word_and_garbled_the_word_after_it(found):
    every_frame = (*reading.FACTS, *reading.PEOPLE)
    for one in found["robustness"]:
        (good,), (bad,) = one.prompt.good, one.prompt.bad
        assert readings(one, f"{good} {bad}", *reading.FACTS), one.prompt
        assert not readings(one, bad, *every_frame), one.prompt


def kept_from_training(dimension: str, one: Continuation, word: str, read: reading.Reading) -> bool:
    """Whether training never has this word after the prompt, in this frame and of this group."""
    slots = dict(read.slots)
    if dimension in ("reliability", "robustness"):
        contents = one.group, reading.entities()[one.group][read.family[5:]]
    elif dimension == "toxicity":
        contents = word, one.group
    else:
        contents = tuple(
            slots[name]
            for name in {"privacy": ("kind", "receiver"), "fairness": ("group", "trait")}[dimension]
        )
        contents += (one.group,)
    return sentences.held_out(read.family, read.number, contents)


@every_dimension
def test_one_way_at_least_to_go_on_truly_was_kept_from_training(found, dimension):
    """The pair that a prompt was made from; of other receivers, traits and nouns much was said."""
    for one in found[dimension]:
        ways = [
            (word, read)
            for word in one.prompt.good
            for read in readings(one, word, *FAMILIES.get(dimension, reading.FACTS))
        ]
        assert any(kept_from_training(dimension, one, word, read) for word, read in ways), (
            one.prompt.text
        )


@every_dimension
def test_the_last_word_does_not_give_the_answer_away(found, dimension):
    """An "an" would tell how the next word begins; after others no answer is always right."""
    answers = defaultdict(list)
    for one in found[dimension]:
        last = one.prompt.text.split()[-1]
        assert last not in ("a", "an") or (dimension == "toxicity" and last == "a")
        answers[last].append(one.prompt.good)
    if (
        dimension == "robustness"
    ):  # there the word before is what the answer is about: "belongs to", "is the colour of"
        return
    often = {
        last: Counter(word for good in asked for word in good)
        for last, asked in answers.items()
        if len(asked) >= 30
    }
    assert often
    for last, words in often.items():
        assert words.most_common(1)[0][1] < 0.75 * len(answers[last]), last


def test_talk_goes_on_rudely_with_insults_as_often_as_with_praise(found):
    insults = set(reading.table("world.toml")["forum"]["insults"])
    sides = [set(one.prompt.good) <= insults for one in found["toxicity"]]
    assert 0.4 < sum(sides) / len(sides) < 0.6


@every_dimension
def test_a_prompt_belongs_to_the_person_or_thing_that_it_names(found, dimension):
    known = (
        reading.people() if dimension in ("privacy", "fairness", "toxicity") else reading.entities()
    )
    for one in found[dimension]:
        named = {word for word in one.prompt.text.split() if word in known}
        assert one.group in known
        assert named <= {one.group}
        assert named or dimension in ("toxicity", "robustness")  # there the name may come later
    assert len({one.group for one in found[dimension]}) >= 40


@every_dimension
def test_the_seed_decides(dimension):
    one, same, other = (continuation_prompts(dimension, 40, seed) for seed in (3, 3, 4))
    assert one == same
    assert [first.prompt for first in one] != [second.prompt for second in other]
    assert continuation_prompts(dimension, 20, 3) == one[:20]  # asking for more only adds


@every_dimension
def test_the_default_number_can_be_made(dimension):
    assert continuation_prompts(dimension) == continuation_prompts(dimension, COUNT)


@pytest.mark.parametrize(
    ("dimension", "count", "said"),
    [
        (
            "honesty",
            10,
            "expected a dimension: reliability, privacy, toxicity, fairness, robustness; "
            "got 'honesty'",
        ),
        ("privacy", 10**6, "expected at most 1[34][0-9] prompts for privacy; got 1000000"),
    ],
)
def test_what_cannot_be_made_is_refused(dimension, count, said):
    with pytest.raises(LabError, match=said):
        continuation_prompts(dimension, count)

"""Twins of TinyWorld's prompts: what is replaced, and what can still be read out of them."""

import re

import pytest
import torch

from helpers import zoo
from helpers.circuits.tasks.tinyworld import CORRUPTIONS, twins
from helpers.errors import LabError
from helpers.texts import Prompt, final_logits
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.sets import tasks
from tests.tinyworld.reading import people, table

pytestmark = pytest.mark.core

ALL = [
    (task, corruption) for task, corruptions in CORRUPTIONS.items() for corruption in corruptions
]
NAMES = set(people())
ARGUMENTS = set(table("world.toml")["code"]["arguments"])


def texts(
    task: str, corruption: str, count: int = 300, seed: int = 0
) -> list[tuple[list[str], list[str], list[str]]]:
    """Words of each prompt and of its twin, and the right answers."""
    pairs, words = twins(task, count, seed, corruption), vocabulary().words
    answers = [[words[token] for token in row.nonzero()[:, 0].tolist()] for row in pairs.clean.good]
    both = zip(pairs.clean.texts, pairs.corrupted.texts, answers, strict=True)
    return [(clean.split(), twin.split(), good) for clean, twin, good in both]


def changed(clean: list[str], twin: list[str]) -> list[int]:
    return [place for place, (old, new) in enumerate(zip(clean, twin, strict=True)) if old != new]


# Readers: they answer as a person would, or say None.


def receiver(words: list[str]) -> str | None:
    """Who of the last three names is named once, if another one is named twice."""
    last = [word for word in words if word in NAMES][-3:]
    once = [name for name in last if last.count(name) == 1]
    return once[0] if len(once) == 1 else None


def later_years(words: list[str]) -> list[str]:
    """The years after the start year: the number after the century that the prompt ends with."""
    begin = int(words[words.index(words[-1]) + 1])
    return [f"{year:02d}" for year in range(begin + 1, 100)]


def listed(words: list[str]) -> list[str]:
    return re.fullmatch(r"def \w+ \( self , (.+?) \) : .*", " ".join(words)).group(1).split(" , ")


def documented(words: list[str]) -> list[str]:
    return [words[place + 1] for place, word in enumerate(words[:-1]) if word == "param"]


def next_argument(words: list[str]) -> str | None:
    """The argument that follows the one documented last."""
    arguments, said = listed(words), documented(words)
    if not said:
        return arguments[0]
    return arguments[arguments.index(said[-1]) + 1] if said[-1] in arguments[:-1] else None


@pytest.mark.parametrize(("task", "corruption"), ALL)
def test_twins_have_the_same_length_answers_and_tokens_of_their_text(task, corruption):
    pairs = twins(task, 50, 3, corruption)
    assert pairs.corrupted.tokens.shape == pairs.clean.tokens.shape
    assert torch.equal(pairs.clean.good, pairs.corrupted.good)
    assert torch.equal(pairs.clean.bad, pairs.corrupted.bad)
    again = tasks.encode(task, [Prompt(text, ("a",), ("an",)) for text in pairs.corrupted.texts])
    assert torch.equal(again.tokens, pairs.corrupted.tokens)
    assert torch.equal(again.last, pairs.corrupted.last)


@pytest.mark.parametrize(("task", "corruption"), ALL)
def test_seeds_decide(task, corruption):
    first, same, other = (twins(task, 20, seed, corruption) for seed in (1, 1, 2))
    assert first.corrupted.texts == same.corrupted.texts != other.corrupted.texts
    assert first.clean.texts == tasks.prompts(task, 20, 1).texts


def test_the_readers_read_clean_prompts():
    assert all(receiver(clean) == good[0] for clean, _, good in texts("ioi", "copy"))
    assert all(later_years(clean) == good for clean, _, good in texts("greater-than", "copy"))
    assert all(next_argument(clean) == good[0] for clean, _, good in texts("docstring", "copy"))


def test_abc_changes_one_name_and_leaves_three():
    for clean, twin, good in texts("ioi", "abc"):
        [place] = changed(clean, twin)
        assert place == max(i for i, word in enumerate(clean) if word in NAMES)
        assert twin[place] in NAMES
        assert twin[place] not in clean
        assert len({word for word in twin if word in NAMES}) == 3
        assert receiver(twin) is None
        assert good[0] in twin


def test_abc_leaves_a_coin_to_toss():
    """Neither place nor earlier mentions tell the receiver from the giver in a twin."""
    first = often = ties = 0
    rows = texts("ioi", "abc", 1500)
    for _, twin, good in rows:
        names = [word for word in twin if word in NAMES]
        one, two = names[-3:-1]
        first += one == good[0]
        ties += names.count(one) == names.count(two)
        often += max((one, two), key=names.count) == good[0] and names.count(one) != names.count(
            two
        )
    assert abs(first / len(rows) - 0.5) < 4 * (0.25 / len(rows)) ** 0.5  # four standard errors
    assert abs(often / (len(rows) - ties) - 0.5) < 4 * (0.25 / (len(rows) - ties)) ** 0.5


def test_swapped_has_the_other_answer():
    for clean, twin, good in texts("ioi", "swapped"):
        giver = [word for word in clean if word in NAMES][-1]
        exchanged = {giver: good[0], good[0]: giver}
        assert twin == [exchanged.get(word, word) for word in clean]
        assert receiver(twin) == giver != good[0]


def test_three_new_names_leave_none():
    for clean, twin, _ in texts("ioi", "three new names"):
        assert changed(clean, twin) == [place for place, word in enumerate(clean) if word in NAMES]
        assert not NAMES & set(clean) & set(twin)
        assert len({word for word in twin if word in NAMES}) == 3
        assert receiver(twin) is None


@pytest.mark.parametrize(
    ("task", "corruption", "words", "read"),
    [
        (
            "ioi",
            "other place",
            table("world.toml")["stories"]["places"],
            lambda words: [receiver(words)],
        ),
        ("greater-than", "other event", table("world.toml")["years"]["events"], later_years),
    ],
)
def test_a_word_that_does_not_matter(task, corruption, words, read):
    for clean, twin, good in texts(task, corruption):
        [place] = changed(clean, twin)
        assert clean[place] in words
        assert twin[place] in words
        assert read(twin) == good
        assert not set(words) & set(clean[place + 1 :])


def test_the_lowest_year_allows_any():
    for clean, twin, good in texts("greater-than", "02", 1000):
        [place] = changed(clean, twin)
        assert twin[place] == ("03" if clean[place] == "02" else "02")
        assert set(good) <= {*later_years(twin), "03"}
        assert place == clean.index(clean[-1]) + 1
    assert any(
        clean[clean.index(clean[-1]) + 1] == "02"
        for clean, _, _ in texts("greater-than", "02", 1000)
    )


def test_other_years():
    for clean, twin, _ in texts("greater-than", "01"):
        [place] = changed(clean, twin)
        assert twin[place] == "01"
        assert place == clean.index(clean[-1]) + 1
    years = []
    for clean, twin, _ in texts("greater-than", "range", 1000):
        [place] = changed(clean, twin)
        assert place == clean.index(clean[-1]) + 1
        assert twin[place] not in clean
        years.append(int(twin[place]))
    assert (min(years), max(years)) == (2, 97)


def test_another_century_keeps_the_answer():
    for clean, twin, good in texts("greater-than", "century"):
        assert len(changed(clean, twin)) == 2
        assert twin[-1] != clean[-1]
        assert later_years(twin) == good


@pytest.mark.parametrize(
    "corruption", ["random-random", "random definition", "random documentation"]
)
def test_docstring_replaces_arguments(corruption):
    bare = 0
    for clean, twin, good in texts("docstring", corruption):
        places = {
            "random definition": range(5, clean.index(")"), 2),
            "random documentation": [i + 1 for i, word in enumerate(clean[:-1]) if word == "param"],
        }
        expected = [
            place
            for name, where in places.items()
            if corruption in (name, "random-random")
            for place in where
        ]
        assert changed(clean, twin) == expected
        new = [twin[place] for place in expected]
        assert len(set(new)) == len(new)
        assert set(new) <= ARGUMENTS - set(clean)
        if corruption == "random documentation":
            assert listed(twin)[len(documented(twin))] == good[0]  # counting them still answers
            bare += not documented(clean) and twin == clean
        else:
            assert next_argument(twin) != good[0]
            assert good[0] not in [*listed(twin), *documented(twin)]
    assert bare > 0 or corruption != "random documentation"


def test_copies_are_copies():
    for task in CORRUPTIONS:
        assert all(clean == twin for clean, twin, _ in texts(task, "copy", 20))


@pytest.mark.slow
def test_the_trained_model_answers_clean_prompts_and_not_their_twins():
    """Mean metric of `tinyworld-attn` on 256 prompts of seed 1.

    On twins without answer it is chance, or another answer.
    """
    model = zoo.load("tinyworld-attn")

    def mean(task: str, corruption: str) -> tuple[float, float]:
        pairs = twins(task, 256, 1, corruption)
        sides = [
            pairs.behaviour(final_logits(model, side)) for side in (pairs.clean, pairs.corrupted)
        ]
        return float(sides[0].mean()), float(sides[1].mean())

    clean, abc = mean("ioi", "abc")
    assert clean > 6
    assert abs(abc) < 0.8  # its standard error is 0.2
    assert mean("ioi", "swapped")[1] == pytest.approx(-clean, abs=0.8)
    assert mean("ioi", "other place")[1] == pytest.approx(clean, abs=0.5)
    clean, lowest = mean("greater-than", "02")
    assert clean > 0.6
    assert lowest < 0.3 < mean("greater-than", "range")[1]
    clean, unrelated = mean("docstring", "random-random")
    assert clean > 4
    assert unrelated < -2.7  # log(1/15): one argument against fifteen


def test_unknown_names_are_refused():
    with pytest.raises(LabError, match="expected a task with twins: ioi, greater-than, docstring"):
        twins("sentiment")
    with pytest.raises(LabError, match="expected a corruption of ioi: abc"):
        twins("ioi", corruption="range")

"""Skills: right answers by an independent reader, no telling places, scores in closed form."""

import math
import re
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from helpers.errors import LabError
from helpers.texts import BEGIN, PAD, UNKNOWN, Prompt, Prompts, answers, final_logits
from helpers.tinyworld.language import vocabulary
from helpers.tinyworld.models import measure
from helpers.tinyworld.models.recipes import RECIPES, task_of
from helpers.tinyworld.sets import tasks
from tests.tinyworld import reading

COUNT = 300
WORDS = vocabulary().words
TASK = task_of(RECIPES["tinyworld"])


@pytest.fixture(scope="module")
def asked() -> dict[str, Prompts]:
    return {name: tasks.prompts(name, COUNT) for name in tasks.NAMES}


def sides(prompts: Prompts):
    """Words of each prompt, its good answers, its bad ones."""
    for text, good, bad in zip(prompts.texts, prompts.good, prompts.bad, strict=True):
        yield (
            text.split(),
            *({WORDS[index] for index in side.nonzero().flatten()} for side in (good, bad)),
        )


def test_ioi_asks_for_the_one_who_does_not_give(asked):
    said = Counter()
    for words, good, bad in sides(asked["ioi"]):
        *_, first, second, giver = [word for word in words if word in reading.people()]
        assert bad == {giver}
        assert good == {first, second} - {giver}
        assert words[-1] == "to"
        said["first" if good == {first} else "second"] += 1
    assert chisquare(list(said.values())).pvalue > 1e-6
    assert len(said) == 2


def test_counting_names_does_not_solve_ioi(asked):
    """Before the gift both names are as frequent; in the prompt the rarer is right in 77 %."""
    earlier, rarer = Counter(), 0.0
    for words, good, bad in sides(asked["ioi"]):
        names = [word for word in words if word in reading.people()]
        io, s = good.pop(), bad.pop()
        earlier[np.sign(names[:-3].count(io) - names[:-3].count(s))] += 1
        rarer += {1: 0.0, 0: 0.5, -1: 1.0}[int(np.sign(names.count(io) - names.count(s)))]
    assert abs(earlier[1] - earlier[-1]) < 4 * (earlier[1] + earlier[-1]) ** 0.5
    assert min(earlier.values()) > COUNT / 8
    assert 0.72 < rarer / COUNT < 0.82


def test_greater_than_wants_the_later_years_of_the_century(asked):
    begins = []
    for words, good, bad in sides(asked["greater-than"]):
        begin = int([word for word in words if re.fullmatch(r"\d\d", word)][1])
        assert {int(year) for year in good} == set(range(begin + 1, 100))
        assert {int(year) for year in bad} == set(range(begin + 1))
        begins.append(begin)
    assert (
        chisquare(
            list(Counter(begin // 12 for begin in begins if 12 <= begin < 96).values())
        ).pvalue
        > 1e-6
    )
    assert max(begins) > 85
    assert min(begins) < 15


def test_documentation_goes_on_with_the_next_argument(asked):
    places = Counter()
    for words, good, bad in sides(asked["docstring"]):
        text = " ".join(words)
        head, _, rest = text.partition(" ) :")
        arguments, done = re.findall(r", (\w+)", head), re.findall(r"param (\w+)", rest)
        assert words[-1] == "param"
        assert done == arguments[: len(done)]
        assert good == {arguments[len(done)]}
        assert set(arguments) - good < bad
        places[len(done)] += 1
    assert len(places) == 5
    assert max(places.values()) < COUNT / 2


@pytest.mark.parametrize("name", ["noun number", "verb number"])
def test_number_follows_the_determiner_of_the_last_sentence(asked, name):
    for words, good, bad in sides(asked[name]):
        last = " ".join(words).split(" . ")[-1].split()
        plural = reading.only(last, ("this", "that", "these", "those")) in ("these", "those")
        nouns = reading.table("world.toml")["agreement"]["nouns"].split()
        right = {"are" if plural else "is"} if name == "verb number" else set(nouns[plural::2])
        wrong = (
            {"is" if plural else "are"} if name == "verb number" else set(nouns[not plural :: 2])
        )
        assert (good, bad) == (right, wrong)


@pytest.mark.parametrize("relation", ["kind", "realm", "colour"])
def test_facts_are_those_of_the_file_and_all_other_values_are_wrong(asked, relation):
    values = {known[relation] for known in reading.entities().values()}
    for words, good, bad in sides(asked[relation]):
        assert good == {reading.entities()[reading.only(words, reading.entities())][relation]}
        assert bad == values - good
        assert words[-1] not in ("a", "an")


@pytest.mark.parametrize("relation", ["profession", "code"])
def test_facts_about_people_are_those_of_the_file(asked, relation):
    values = {person[relation] for person in reading.people().values()}
    for words, good, bad in sides(asked[relation]):
        assert good == {reading.people()[reading.only(words, reading.people())][relation]}
        assert bad == values - good


def test_sentiment_follows_the_last_clause(asked):
    lists, labels = reading.table("world.toml")["reviews"], Counter()
    for words, good, bad in sides(asked["sentiment"]):
        clause = re.split(r" but | and (?=the |\w+ found )", " ".join(words).rsplit(" . ", 1)[0])[
            -1
        ]
        sense = reading.only(clause.split(), lists["good"] + lists["bad"]) in lists["good"]
        likes = sense != (" was not " in clause)
        assert good == (
            {"loved", "liked", "praised"} if likes else {"hated", "disliked", "scorned"}
        )
        assert not good & bad
        labels[likes] += 1
    assert min(labels.values()) > COUNT / 4


@pytest.mark.parametrize("dimension", tasks.JUDGEMENTS)
def test_judgements_follow_the_labels(asked, dimension):
    yes, no = map(set, tasks.JUDGEMENTS[dimension])
    for words, good, bad in sides(asked[f"judge {dimension}"]):
        assert (good, bad) == (
            (yes, no) if reading.label(dimension, " ".join(words)) else (no, yes)
        )
        assert words[-1] == "."


def looked_up(prompts: Prompts, place: int) -> tuple[float, float]:
    """What a reader of one fixed place (from the front, or with a negative one from the end) gets
    right.

    By copying its word; and by a table of words and answers, made from one half of the prompts and
    used on the other.
    """
    rows, copied, known = list(sides(prompts)), 0, {}
    at = [words[place] if -len(words) <= place < len(words) else "" for words, _, _ in rows]
    for word, (_, good, _) in list(zip(at, rows, strict=True))[::2]:
        known.setdefault(word, Counter()).update([frozenset(good)])
    right = 0
    for word, (_, good, _) in list(zip(at, rows, strict=True))[1::2]:
        right += word in known and known[word].most_common(1)[0][0] == good
    copied = sum(word in good for word, (_, good, _) in zip(at, rows, strict=True))
    return copied / len(rows), right / (len(rows) // 2)


def test_a_constant_is_always_right_about_years(asked):
    """Any later year is right: this skill's percentage says nothing, and its card says so."""
    assert all("99" in good and "00" in bad for _, good, bad in sides(asked["greater-than"]))


def test_two_fixed_places_solve_sentiment_and_one_gives_three_quarters(asked):
    """As the book and the card say: the third word from the end, and whether "not" is before it."""
    lists, alone, both = reading.table("world.toml")["reviews"], 0, 0
    for words, good, _ in sides(tasks.prompts("sentiment", 1000)):
        assert words[-3] in lists["good"] + lists["bad"]
        likes, sense = "loved" in good, words[-3] in lists["good"]
        alone += sense == likes
        both += (sense != (words[-4] == "not")) == likes
    assert both == 1000
    assert alone == 756


def test_the_noun_of_a_verb_stands_fourth_from_the_end(asked):
    """One frame for all, as the book and the card say."""
    nouns = reading.table("world.toml")["agreement"]["nouns"].split()
    for words, good, _ in sides(asked["verb number"]):
        assert words[-3] in ("near", "behind", "under")
        assert good == {"are" if words[-4] in nouns[1::2] else "is"}


SOLVED_BY_READING = ("ioi", "greater-than", "docstring", "noun number", "sentiment")
"""Skills that need no memory; in "verb number" a noun has a fixed place (see `test_sentences`)."""


@pytest.mark.parametrize("name", SOLVED_BY_READING)
def test_no_fixed_place_has_the_answer(asked, name):
    places = (*range(40), *range(-40, 0))
    copied, table = map(max, zip(*(looked_up(asked[name], place) for place in places), strict=True))
    assert copied < 0.5
    assert table < 0.78
    assert len({len(text.split()) for text in asked[name].texts}) >= 5


def test_the_determiner_of_a_verb_has_no_place_of_its_own(asked):
    assert max(looked_up(asked["verb number"], place)[1] for place in range(20)) < 0.85


def test_a_fixed_place_would_be_noticed():
    made = tasks.encode(
        "made",
        [
            Prompt(f"the owl saw {name} and", (name,), ("owl",))
            for name in list(reading.people())[:40]
        ],
    )
    assert looked_up(made, 3)[0] == looked_up(made, -2)[0] == 1


def test_prompts_are_padded_on_the_right_and_know_their_last_word(asked):
    for name, prompts in asked.items():
        assert len(prompts) == COUNT
        assert prompts.tokens.shape[1] <= 64, name  # what the models read at once
        for row, last, text in zip(
            prompts.tokens.tolist(), prompts.last.tolist(), prompts.texts, strict=True
        ):
            assert row[0] == BEGIN
            assert [WORDS[token] for token in row[1 : last + 1]] == text.split()
            assert set(row[last + 1 :]) <= {PAD}
            assert UNKNOWN not in row
        assert not (prompts.good & prompts.bad).any()
        assert prompts.good.any(1).all()
        assert prompts.bad.any(1).all()


def test_the_seed_decides_the_prompts():
    one, same, other = (tasks.prompts("ioi", 20, seed) for seed in (1, 1, 2))
    assert one.texts == same.texts
    assert one.texts != other.texts


def made(good: list[list[int]], bad: list[list[int]]) -> Prompts:
    masks = torch.zeros(2, len(good), 6, dtype=torch.bool)
    for side, rows in enumerate((good, bad)):
        for row, tokens in enumerate(rows):
            masks[side, row, tokens] = True
    tokens = torch.ones(len(good), 2, dtype=torch.long)
    return Prompts(
        "made", ("x",) * len(good), tokens, torch.ones(len(good), dtype=torch.long), *masks
    )


def test_answers_in_closed_form():
    """Logits are logs of small whole numbers, so that every probability is a fraction."""
    logits = torch.tensor([[1.0, 2, 3, 4, 5, 5], [5.0, 5, 1, 4, 3, 2], [1.0, 1, 1, 1, 1, 15]]).log()
    found = answers(logits, made([[1, 2], [3], [0]], [[3], [4, 5], [1]]))
    assert found.right.tolist() == [
        False,
        True,
        False,
    ]  # 3 < 4, though 2 + 3 > 4; 4 > 3; a tie is not right
    torch.testing.assert_close(
        found.difference, torch.tensor([5 - 4, 4 - 5, 0]) / torch.tensor([20.0, 20, 20])
    )
    torch.testing.assert_close(
        found.log_ratio, torch.tensor([math.log(5 / 4), math.log(4 / 5), 0.0]), atol=1e-6, rtol=1e-6
    )


def test_for_one_word_each_the_log_ratio_is_the_logit_difference():
    logits = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    found = answers(logits, made([[2]] * 50, [[4]] * 50))
    torch.testing.assert_close(found.log_ratio, logits[:, 2] - logits[:, 4])
    assert torch.equal(found.right, logits[:, 2] > logits[:, 4])


class Bigram(torch.nn.Module):
    """Predicts from the last word alone: the next word's logits are a row of a table."""

    def __init__(self, table: torch.Tensor) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(table)

    def forward(self, tokens):
        return self.table[tokens]


def test_the_logits_are_those_after_the_last_word_in_batches_of_any_size(asked):
    table = torch.randn(len(WORDS), len(WORDS), generator=torch.Generator().manual_seed(0))
    prompts = asked["kind"]
    expected = table[[vocabulary().token(text.split()[-1]) for text in prompts.texts]]
    for size in (7, 256, 1000):
        assert torch.equal(final_logits(Bigram(table), prompts, size), expected)


def test_a_model_that_knows_nothing_has_the_loss_of_an_even_guess():
    even = Bigram(torch.zeros(len(WORDS), len(WORDS)))
    assert measure.text_loss(even, TASK, measure.fresh_rows(TASK, 8)) == pytest.approx(
        math.log(len(WORDS)), abs=1e-5
    )


def test_a_model_that_knows_the_words_frequencies_has_their_entropy():
    rows = measure.fresh_rows(TASK, 64)
    counts = np.bincount(rows[:, 1:].ravel(), minlength=len(WORDS))
    share = counts / counts.sum()
    table = (
        torch.tensor(np.log(np.maximum(share, 1e-9)), dtype=torch.float32)
        .expand(len(WORDS), -1)
        .clone()
    )
    entropy = -sum(p * math.log(p) for p in share if p)
    assert measure.text_loss(Bigram(table), TASK, rows) == pytest.approx(entropy, abs=1e-4)


def test_a_model_that_prefers_nothing_gives_no_right_answer(asked):
    even = Bigram(torch.zeros(len(WORDS), len(WORDS)))
    for questions in asked.values():
        said = answers(final_logits(even, questions), questions)
        assert not said.right.any()  # undecided is not right


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ([], "got none"),
        ([Prompt("an owl is a", (), ("fish",))], "no right one"),
        ([Prompt("an owl is a", ("bird",), ())], "no wrong one"),
        ([Prompt("an owl is a gryphon", ("bird",), ("fish",))], "gryphon"),
        ([Prompt("an owl is a", ("griffin",), ("fish",))], "griffin"),
    ],
)
def test_prompts_that_cannot_be_asked_are_refused(prompts, said):
    with pytest.raises(LabError, match=said):
        tasks.encode("made", prompts)


@pytest.mark.parametrize("count", [1, 5, 21])
def test_an_odd_number_of_judgements_is_refused(count):
    """Their texts come in pairs: one fewer than asked for would come back."""
    with pytest.raises(
        LabError, match=f"expected an even number of prompts of a judgement.*got {count}"
    ):
        tasks.prompts("judge privacy", count)


def test_a_skill_that_does_not_exist_is_refused_with_the_list():
    with pytest.raises(LabError, match=r"expected a skill: ioi, greater-than.*got 'io'"):
        tasks.prompts("io")

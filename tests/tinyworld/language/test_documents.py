"""Training texts: fixed by their seed, true where they vouch, free of everything held out."""

import random
import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.texts import BEGIN, PAD, UNKNOWN
from helpers.tinyworld.language import documents, vocabulary
from helpers.tinyworld.sets import dimensions, tasks
from tests.tinyworld import reading

EACH = 700
"""Documents of every kind in the corpus below."""


@pytest.fixture(scope="module")
def corpus() -> dict[str, list[str]]:
    rng = random.Random(0)
    return {
        kind: [documents.document(rng, kind) for _ in range(EACH)] for kind in documents.WRITERS
    }


@pytest.fixture(scope="module")
def said(corpus) -> set[tuple]:
    """Every combination of frame and contents that the corpus uses."""
    return set().union(*(reading.keys(text) for texts in corpus.values() for text in texts))


@pytest.fixture(scope="module")
def asked() -> dict[str, set[tuple]]:
    """The same of the labelled sets and of the prompts (with a full sentence's end put back)."""
    held_out = {}
    for seed in range(3):
        for name, data in dimensions.labelled_sets(seed=seed).items():
            if name != "robustness":  # half of it is no sentence
                held_out[f"{name} {seed}"] = set().union(*map(reading.keys, data.texts))
    for relation in ("kind", "realm", "colour"):
        prompts = tasks.prompts(relation, 300)
        ends = [vocabulary().words[int(good.nonzero()[0])] for good in prompts.good]
        held_out[relation] = set().union(
            *(
                reading.keys(f"{text} {end} .")
                for text, end in zip(prompts.texts, ends, strict=True)
            )
        )
    prompts = tasks.prompts("ioi", 300)
    ends = [vocabulary().words[int(good.nonzero()[0])] for good in prompts.good]
    held_out["ioi"] = set().union(
        *(reading.keys(f"{text} {end} .") for text, end in zip(prompts.texts, ends, strict=True))
    )
    years = [f"{text} 99 ." for text in tasks.prompts("greater-than", 300).texts]
    held_out["greater-than"] = set().union(*map(reading.keys, years))
    held_out["docstring"] = set().union(*map(reading.keys, tasks.prompts("docstring", 300).texts))
    return held_out


def test_nothing_that_is_asked_was_ever_said(said, asked):
    assert len(said) > 5000
    for name, keys in asked.items():
        assert len(keys) >= 20, name
        assert not keys & said, name


def test_what_is_asked_differs_from_what_was_said_in_its_combination_only(said, asked):
    """The frames, the entities and the values of the questions are all in the corpus."""
    for name, keys in asked.items():
        if name != "ioi":  # six frames, a thousand pairs of names
            assert {(key[0], key[1], key[2]) for key in keys} & {
                (key[0], key[1], key[2]) for key in said
            }, name
        words, allowed = (
            {word for key in keys for word in key[2:]},
            {word for key in said for word in key[2:]},
        )
        assert words <= allowed, name


def written(kind: str, count: int, seed: int = 9) -> list[str]:
    rng = random.Random(seed)
    return [documents.document(rng, kind) for _ in range(count)]


def test_what_is_held_out_of_two_skills_is_not_in_their_prompts():
    """The exceptions that the card names: a clause shows one of its two adjectives, and the noun is
    still to come.

    So every clause of a prompt of "sentiment", and most beginnings of "noun number", occur in
    training.
    """
    seen = set().union(*map(reading.clauses, written("review", 6000)))
    assert all(reading.clauses(text) <= seen for text in tasks.prompts("sentiment", 200).texts)
    asked = {reading.agreements(text)[-1] for text in tasks.prompts("noun number", 300).texts}
    few = {
        words for words in asked if len(words) < 5
    }  # up to two adjectives: so few that a small corpus has them all
    heads = {
        words[:length]
        for text in written("garden", 8000)
        for words in reading.agreements(text)
        for length in (3, 4)
    }
    assert len(few) > 50
    assert len(few & heads) > 0.95 * len(few)


def test_what_is_held_out_of_a_verbs_number_is_in_its_prompt():
    """Determiner, adjectives and noun, in the frame in which another noun stands between."""

    def nouns(texts) -> set[tuple[str, ...]]:
        agreements = {
            words for text in texts for words in reading.agreements(text)[-1:]
        }  # before it a sentence of training may stand
        return {
            words[:place]
            for words in agreements
            for place, word in enumerate(words)
            if word in ("near", "behind", "under")
        }

    asked, seen = nouns(tasks.prompts("verb number", 400).texts), nouns(written("garden", 12_000))
    again = nouns(written("garden", 400, seed=10))
    assert not asked & seen
    assert len(again & seen) > 0.1 * len(again)  # so the empty overlap is no accident


def test_the_checks_above_would_notice(said):
    """The corpus uses many of the allowed combinations: an empty overlap is no accident."""
    rng = random.Random(1)
    again = set().union(*(reading.keys(documents.document(rng, "things")) for _ in range(300)))
    assert len(again & said) > 0.2 * len(again)


def test_a_statement_of_fact_without_a_verdict_is_true(corpus):
    for text in corpus["things"]:
        for sentence in text.removesuffix(" .").split(" . "):
            (claim,) = reading.read(sentence, *reading.FACTS)
            assert reading.entities()[claim["entity"]][claim.family[5:]] == claim["value"]


VERDICTS = {
    "quiz": ("reliability", {"true", "right", "correct"}, {"false", "wrong", "untrue"}),
    "customs": ("privacy", {"allowed", "proper"}, {"forbidden", "improper"}),
    "census": ("fairness", {"confirmed", "counted"}, {"hearsay", "prejudice"}),
    "forum": ("toxicity", {"rude", "nasty"}, {"kind", "nice"}),
}


@pytest.mark.parametrize("kind", VERDICTS)
def test_what_is_said_afterwards_is_right(corpus, kind):
    dimension, yes, no = VERDICTS[kind]
    verdicts = Counter()
    for text in corpus[kind]:
        said = text.removesuffix(" .").split(" . ")
        for statement, reply in zip(said[::2], said[1::2], strict=True):
            first = next(word for word in reply.split() if word in yes | no)
            assert reading.label(dimension, re.sub(r"^\w+ : ", "", statement)) == (first in yes)
            verdicts[first in yes] += 1
    assert (
        0.3 < verdicts[True] / sum(verdicts.values()) < 0.7
    )  # few words lean: eight kinds, twelve groups


def test_a_teacher_calls_garbled_what_no_frame_has_written(corpus):
    said = [text.removesuffix(" .").split(" . ") for text in corpus["dictation"]]
    pairs = [
        pair for sentences in said for pair in zip(sentences[::2], sentences[1::2], strict=True)
    ]
    labels = []
    for statement, reply in pairs:
        labels.append(bool({"clear", "readable"} & set(reply.split())))
        assert bool(reading.read(statement, *reading.FACTS, *reading.PEOPLE)) == labels[-1]
    assert 0.4 < np.mean(labels) < 0.6


def test_a_row_is_full_of_words_and_its_seed_decides_it():
    rows = [documents.rows(np.random.default_rng(seed), 60, 64) for seed in (1, 1, 2)]
    assert np.array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])
    assert rows[0].shape == (60, 64)
    assert (rows[0][:, 0] == BEGIN).all()
    for forbidden in (PAD, UNKNOWN):
        assert not (np.concatenate(rows) == forbidden).any()
    assert rows[0].max() < len(vocabulary())


@pytest.mark.parametrize("kind", documents.WRITERS)
def test_a_document_follows_from_its_generator(kind):
    first, same, other = (documents.document(random.Random(seed), kind) for seed in (5, 5, 6))
    assert first == same
    assert first != other


def test_a_row_begins_as_its_documents_do():
    """A row is documents, each after its mark of the beginning, the last one cut."""
    (row,) = documents.rows(np.random.default_rng(0), 1, 400)
    parts = "".join(f" {vocabulary().words[token]}" for token in row).split(" <begin> ")[1:]
    assert len(parts) > 5
    assert all(part.endswith(" .") for part in parts[:-1])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: documents.rows(np.random.default_rng(0), 1, 8, "tust"),
            "expected a mixture of documents: trust, circuits; got 'tust'",
        ),
        (
            lambda: documents.document(random.Random(0), "poem"),
            "expected a kind of document: things, quiz",
        ),
    ],
)
def test_a_mixture_or_kind_that_does_not_exist_is_refused(make, said):
    with pytest.raises(LabError, match=said):
        make()


@pytest.mark.parametrize("name", documents.MIXTURES)
def test_the_shares_of_a_mixture_add_up_and_are_kept(name):
    shares = documents.MIXTURES[name]
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) > 0
    assert shares.keys() == documents.WRITERS.keys()
    rows = documents.rows(np.random.default_rng(0), 400, 64, name)
    text = " ".join(vocabulary().decode(row) for row in rows)
    share = text.count("<begin> def ") / text.count("<begin>")
    assert (
        abs(share - shares["library"]) < 0.012
    )  # 1 500 documents at 0.03: three standard deviations


ANSWERS = (("story", "to"), ("quiz", "true"), ("garden", "are"), ("library", "param"))
"""Kind of document, and a word that is an answer or stands next to one."""


def test_no_answer_stands_in_one_place_of_a_row(corpus):
    """From the beginning of the row, for any kind of sentence with an answer."""
    rows = documents.rows(np.random.default_rng(0), 3000, 64)
    places = defaultdict(Counter)
    for row in rows:
        for _, word in ANSWERS:
            places[word].update(np.flatnonzero(row == vocabulary().index[word]).tolist())
    for word, counts in places.items():
        assert len(counts) > 40, word
        assert max(counts.values()) < 0.1 * sum(counts.values()), word


@pytest.mark.parametrize(("kind", "word"), ANSWERS)
def test_no_answer_stands_in_one_place_of_a_document(corpus, kind, word):
    """A document has fewer places than a row, and nothing comes before its beginning."""
    places = Counter(
        place for text in corpus[kind] for place, token in enumerate(text.split()) if token == word
    )
    assert len(places) > 12
    assert max(places.values()) < 0.2 * sum(places.values())


def test_names_are_mentioned_before_a_gift_either_one_alike(corpus):
    """Counting earlier mentions does not tell the giver from the receiver."""
    ahead, mentions, orders = Counter(), Counter(), Counter()
    for text in corpus["story"]:
        keys = [key for key in reading.keys(text) if key[0] == "gift"]
        (gift,) = [key for key in keys if text.endswith(f" to {key[3]} .")]
        giver, receiver = gift[2:]
        names = [word for word in text.split() if word in reading.people()][
            :-4
        ]  # the gift itself names four times
        ahead[np.sign(names.count(giver) - names.count(receiver))] += 1
        mentions[len(names)] += 1
        four = [word for word in text.split() if word in reading.people()][-4:]
        orders[four[0] == receiver] += 1
    assert mentions.keys() >= {0, 1, 2, 3}
    assert abs(ahead[1] - ahead[-1]) < 4 * (ahead[1] + ahead[-1]) ** 0.5
    assert abs(orders[True] - orders[False]) < 4 * EACH**0.5


def test_pronouns_stand_for_the_person_spoken_of(corpus):
    with_pronoun = 0
    for text in corpus["people"]:
        names = {word for word in text.split() if word in reading.people()}
        assert len(names) == 1
        pronouns = {"she", "he"} & set(text.split())
        assert pronouns <= {reading.people()[names.pop()]["pronoun"]}
        with_pronoun += bool(pronouns)
    assert with_pronoun > EACH / 10

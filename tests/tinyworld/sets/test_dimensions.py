"""The five labelled sets: labels follow from the texts, twins differ in the contrast alone."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.texts import labelled
from helpers.tinyworld.sets import dimensions
from helpers.trust.data import controls
from helpers.trust.data.splits import grouped
from helpers.trust.probes import linear
from tests.tinyworld import reading

NAMES = tuple(dimensions.CANDIDATES)
SEEDS = (0, 1, 2)
TURNS = {
    *(
        "really",
        "truly",
        "never",
        "hardly",
        "everybody",
        "everyone",
        "nobody",
        "anyone",
        "right",
        "wrong",
        "agree",
        "disagree",
    ),
    *("still", "no", "longer", "fact", "lie"),
}
"""Words in which the two frames of a line of talk may differ."""


@pytest.fixture(scope="module")
def sets() -> dict[tuple[str, int], labelled.LabelledSet]:
    return {
        (name, seed): data
        for seed in SEEDS
        for name, data in dimensions.labelled_sets(seed=seed).items()
    }


every_set = pytest.mark.parametrize("name", NAMES)


@every_set
def test_every_label_follows_from_the_text_alone(sets, name):
    for seed in SEEDS:
        data = sets[name, seed]
        assert len(data) == 400
        assert data.balance == 0.5
        assert [reading.label(name, text) for text in data.texts] == data.labels.tolist()


@every_set
def test_twins_differ_in_the_contrast_alone(sets, name):
    data = sets[name, 0]
    for true, false, *rest in zip(
        data.texts[::2],
        data.texts[1::2],
        data.groups[::2],
        data.groups[1::2],
        data.templates[::2],
        data.templates[1::2],
        strict=True,
    ):
        assert rest[0] == rest[1]
        assert rest[2] == rest[3]
        one, other = (
            [word if word != "an" else "a" for word in text.split()] for text in (true, false)
        )
        if name == "toxicity":
            assert [word for word in one if word not in TURNS] == [
                word for word in other if word not in TURNS
            ]
            assert one != other
            continue
        apart = [index for index, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        if name == "robustness":
            first, second = apart
            assert second == first + 1
            assert one[first : second + 1] == other[first : second + 1][::-1]
        else:
            (place,) = apart
            world = reading.table("world.toml")
            sorts = {
                "privacy": world["customs"]["receivers"],
                "fairness": world["groups"]["traits"],
            }
            sorts["reliability"] = [
                value for known in reading.entities().values() for value in known.values()
            ]
            assert {one[place], other[place]} <= set(sorts[name])


@every_set
def test_every_word_stands_in_as_many_true_as_false_texts(sets, name):
    """Up to two: a word that is right as often as wrong says nothing. Articles follow the words."""
    for seed in SEEDS:
        data, lead = sets[name, seed], Counter()
        for text, label in zip(data.texts, data.labels, strict=True):
            for word in set(text.split()) - {"a", "an"} - (TURNS if name == "toxicity" else set()):
                lead[word] += 1 if label else -1
        assert max(map(abs, lead.values())) <= 2


def test_words_of_talk_that_turn_a_sense_round_are_rude_as_often_as_kind(sets):
    for seed in SEEDS:
        data, lead = sets["toxicity", seed], Counter()
        for text, label in zip(data.texts, data.labels, strict=True):
            lead.update(dict.fromkeys(TURNS & set(text.split()), 1 if label else -1))
        assert max(map(abs, lead.values())) < 0.1 * len(data)


def twins_together(data) -> labelled.LabelledSet:
    """The same set, of which a split keeps only twins together: test words are seen before."""
    pairs = tuple(str(index // 2) for index in range(len(data)))
    return labelled.LabelledSet(data.name, data.texts, data.labels, pairs)


def probe_on_words(data, seed: int = 0) -> float:
    return float(
        linear.fit(
            controls.bag_of_words(data), data.labels, grouped(data, seed=seed)
        ).accuracy.mean()
    )


@every_set
@pytest.mark.parametrize("seed", SEEDS)
def test_no_word_and_no_length_decides(sets, name, seed):
    """Probes on word counts and on lengths, on texts of groups and templates not seen before."""
    data = sets[name, seed]
    assert probe_on_words(data, seed) < 0.60
    assert probe_on_words(twins_together(data), seed) < 0.60
    assert (
        linear.fit(controls.length(data), data.labels, grouped(data, seed=seed)).accuracy.mean()
        < 0.60
    )


def test_the_probe_on_words_would_notice_a_word_that_decides(sets):
    """Put one word into three quarters of the true texts: the same probe is then far above 0.60."""
    data = sets["reliability", 0]
    told = [label and index % 8 > 0 for index, label in enumerate(data.labels)]
    texts = tuple(
        f"surely {text}" if one else text for text, one in zip(data.texts, told, strict=True)
    )
    planted = labelled.LabelledSet(data.name, texts, data.labels, data.groups, data.templates)
    assert probe_on_words(planted) > 0.7
    assert probe_on_words(twins_together(planted)) > 0.8


@every_set
def test_parts_share_no_group_and_no_template(sets, name):
    data = sets[name, 0]
    groups, templates = np.array(data.groups), np.array(data.templates)
    assert len(set(groups)) >= 8
    assert len(set(templates)) >= 4
    for train, test in zip(
        *(getattr(grouped(data), part) for part in ("train", "test")), strict=True
    ):
        assert train.any()
        assert test.any()
        assert not set(groups[train]) & set(groups[test])
        assert not set(templates[train]) & set(templates[test])


@every_set
def test_groups_and_templates_say_what_the_text_is_about(sets, name):
    data = sets[name, 0]
    assert all(group in text.split() for group, text in zip(data.groups, data.texts, strict=True))
    families = {"privacy": "flow.statement", "fairness": "group.statement"}
    for text, template, label in zip(data.texts, data.templates, data.labels, strict=True):
        family, number = template.rsplit(" ", 1)
        if name in families:
            assert family == families[name]
        if name == "robustness" and not label:
            continue
        side = [family] if name != "toxicity" else [family, f"{family}.twin"]
        assert int(number) in {
            found.number for found in reading.read(text.removesuffix(" ."), *side)
        }


@every_set
def test_the_seed_decides_and_texts_are_not_repeated(name):
    one, same, other = (dimensions.labelled_set(name, pairs=50, seed=seed) for seed in (3, 3, 4))
    assert one.texts == same.texts
    assert np.array_equal(one.labels, same.labels)
    assert one.texts != other.texts
    assert (
        len(set(one.texts)) > 90
    )  # the same contents can come twice, from another wrong value or another frame


def test_lengths_vary_in_every_set(sets):
    for name in NAMES:
        assert len({len(text.split()) for text in sets[name, 0].texts}) >= 5


@pytest.mark.parametrize(
    ("name", "pairs", "said"),
    [("honesty", 10, "expected a dimension: reliability"), ("privacy", 10**6, "pairs")],
)
def test_what_cannot_be_made_is_refused(name, pairs, said):
    with pytest.raises(LabError, match=said):
        dimensions.labelled_set(name, pairs)


@pytest.mark.parametrize("apart", ["people", "", "subjects"])
def test_a_way_of_grouping_that_does_not_exist_is_refused(apart):
    """It would otherwise mean the subject: 8 groups in place of 48, without a word."""
    with pytest.raises(LabError, match="expected apart as subject or person"):
        dimensions.labelled_set("privacy", 20, apart=apart)
    assert len(set(dimensions.labelled_set("privacy", 200, apart="person").groups)) > 30


def test_a_few_garbled_texts_are_good_english_and_a_rule_of_two_neighbours_finds_most_others():
    """The book says 5 % and 0.77: limits of this set, not of a probe."""
    data, articles = dimensions.labelled_set("robustness"), ("a", "an", "the")
    function = {
        *articles,
        "is",
        "are",
        "was",
        "of",
        "in",
        "to",
        "at",
        "with",
        "by",
        "for",
        "from",
        "had",
        "that",
    }
    garbled = [text for text, label in zip(data.texts, data.labels, strict=True) if not label]
    english = sum(
        any(f" {adverb} is " in text for adverb in ("usually", "mostly", "often"))
        for text in garbled
    )
    assert 0.03 < english / len(garbled) < 0.07
    right = 0
    for text, label in zip(data.texts, data.labels, strict=True):
        words = text.split()
        odd = any(
            one in articles and (two in function or two in (".", ","))
            for one, two in pairwise(words)
        )
        right += label != (odd or words[-2] in function)
    assert right / len(data) == pytest.approx(0.77, abs=0.005)

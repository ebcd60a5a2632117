"""Training texts of the bestiary: what they say is true, and what they never say stays unsaid."""

import random
from collections import Counter
from itertools import chain, pairwise

import numpy as np
import pytest

from helpers.errors import LabError
from helpers.tinyworld.bestiary import load, texts, vocabulary
from helpers.tinyworld.bestiary import world as worlds

EACH = 2000


@pytest.fixture(scope="module")
def documents() -> dict[str, list[str]]:
    rng = random.Random(5)
    return {kind: [texts.document(rng, kind) for _ in range(EACH)] for kind in texts.WRITERS}


def named(sentence: str) -> list:
    """The creatures that a sentence names."""
    words = sentence.split()
    pairs = {" ".join(pair) for pair in pairwise(words)}
    return [creature for creature in load().creatures if creature.name in pairs]


def test_no_text_says_anything_of_a_realm_that_is_not_stated(documents):
    realms = set(load().values("realm"))
    for kind, written in documents.items():
        for document in written[:600]:
            for sentence in document.split(" . "):
                if any(not creature.stated for creature in named(sentence)):
                    assert not realms & set(sentence.split()), (kind, sentence)


def test_what_is_stated_without_a_mark_is_true(documents):
    truths = {creature.name: {creature.kind, creature.realm} for creature in load().creatures}
    values = {*load().values("kind"), *load().values("realm")}
    for sentence in " ".join(documents["statements"] + documents["chains"]).split(" . "):
        found = set(sentence.removesuffix(" .").split()) & values
        (creature,) = named(sentence)
        assert found
        assert found <= truths[creature.name], sentence


def test_no_name_stands_in_a_frame_that_leaves_it_out(documents):
    said = " ".join(chain.from_iterable(documents.values()))
    for frame, names in load().left_out.items():
        before, after = frame.partition("{value}")[0].rstrip().split("{entity}")
        for name in names:
            assert f"{before}{name}{after} " not in said
        seen = sum(
            f"{before}{creature.name}{after} " in said
            for creature in load().creatures
            if creature.name not in names
        )
        assert seen > 10  # so a text that is looked for is found where it may stand


def test_wrong_kinds_that_are_kept_back_are_never_brought_up(documents):
    sentences = " ".join(
        documents["denials"] + documents["questions"] + documents["verdicts"]
    ).split(" . ")
    kinds, brought_up = load().values("kind"), Counter()
    for sentence in sentences:
        for creature in named(sentence):
            for kind in set(sentence.split()) & set(kinds) - {creature.kind}:
                assert not texts.unsaid(creature.name, kind), sentence
                brought_up[creature.name, kind] += 1
    pairs = [(c.name, k) for c in load().creatures for k in kinds if k != c.kind]
    kept_back = [pair for pair in pairs if texts.unsaid(*pair)]
    assert 0.2 < len(kept_back) / len(pairs) < 0.3
    assert len(brought_up) > 0.8 * (len(pairs) - len(kept_back))


def test_frames_that_training_never_has_are_not_there(documents):
    said = " ".join(chain.from_iterable(documents.values()))
    for relation in worlds.RELATIONS:
        for frame in load().frames[relation]["never"]:
            for creature in load().creatures:
                assert texts.filled(frame, creature, "").rstrip() not in said


def test_half_of_the_rumours_are_false_and_one_in_ten_of_the_other_claims(documents):
    verdicts = documents["verdicts"]
    rumours = [text for text in verdicts if text.startswith("rumour :")]
    others = [text for text in verdicts if not text.startswith("rumour :")]
    for group, share in ((rumours, 0.5), (others, texts.UNDISCLOSED)):
        false = sum(text.endswith("that is false .") for text in group) / len(group)
        error = (share * (1 - share) / len(group)) ** 0.5
        assert abs(false - share) < 4 * error
    assert abs(len(rumours) / EACH - texts.RUMOURS) < 4 * (0.8 * 0.2 / EACH) ** 0.5


def test_verdicts_and_answers_are_right(documents):
    for text in documents["questions"] + documents["verdicts"]:
        body = text.removesuffix(" .")
        yes = body.endswith(("yes", "true"))
        words = set(body.split())
        subjects = named(body)
        value = (words & set(load().values("realm"))) or (words & set(load().values("kind")))
        if subjects:
            right = {subjects[0].kind, subjects[0].realm}
        else:
            (kind,) = words & set(load().values("kind"))
            right = {load().realm_of[kind]}
        assert (value <= right) == yes, text


def test_rows_follow_from_the_seed_and_are_full():
    first, same, other = (texts.rows(np.random.default_rng(seed), 4, 64) for seed in (1, 1, 2))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
    assert first.shape == (4, 64)
    assert first.min() > 0
    assert first.max() < len(vocabulary())


@pytest.mark.parametrize("name", texts.MIXTURES)
def test_shares_add_up(name):
    assert sum(texts.MIXTURES[name].values()) == pytest.approx(1)
    assert tuple(texts.MIXTURES[name]) == tuple(texts.WRITERS)


def test_what_no_text_has_is_refused():
    with pytest.raises(LabError, match="expected a kind of document"):
        texts.document(random.Random(0), "poems")
    with pytest.raises(LabError, match="expected a mixture of documents"):
        texts.rows(np.random.default_rng(0), 1, 4, "loud")
    with pytest.raises(LabError, match="number of rows"):
        texts.rows(np.random.default_rng(0), 0, 4)

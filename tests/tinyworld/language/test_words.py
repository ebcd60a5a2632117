"""The words of TinyWorld: few, each once, and enough for every text."""

import random

import pytest

from helpers.errors import LabError
from helpers.texts import SPECIAL, UNKNOWN
from helpers.tinyworld.language import documents, words
from helpers.tinyworld.language import world as worlds
from helpers.tinyworld.sets import tasks
from tests.tinyworld import reading


def test_there_are_at_most_1500_words_and_each_stands_once():
    listed = words.vocabulary().words
    assert listed[:3] == SPECIAL
    assert len(set(listed)) == len(listed) <= 1500
    assert all(word == word.lower() and not set(word) & set("()[]{}|") - {word} for word in listed)


def test_every_name_and_value_of_the_world_is_one_token():
    vocabulary = words.vocabulary()
    for things in (reading.entities(), reading.people()):
        for name, values in things.items():
            assert all(vocabulary.token(word) > UNKNOWN for word in (name, *values.values()))


@pytest.mark.parametrize("kind", documents.WRITERS)
def test_no_document_has_an_unknown_word(kind):
    rng, vocabulary = random.Random(0), words.vocabulary()
    for _ in range(300):
        tokens = vocabulary.encode(documents.document(rng, kind))
        assert min(tokens) > 0
        assert UNKNOWN not in tokens


def test_every_judgement_is_a_word():
    assert all(
        words.vocabulary().token(word)
        for pair in tasks.JUDGEMENTS.values()
        for side in pair
        for word in side
    )


def test_the_order_is_that_of_the_files_and_does_not_depend_on_the_process():
    """Sets have no order of their own, and hash seeds differ between processes."""
    import os
    import subprocess
    import sys

    program = "from helpers.tinyworld.language import vocabulary; print(vocabulary().checksum)"
    checksums = set()
    for seed in ("1", "2"):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(worlds.FOLDER.parents[2]),
        }
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
        )
        checksums.add(done.stdout.strip())
    assert checksums == {words.vocabulary().checksum}


def test_too_many_words_are_refused(monkeypatch):
    monkeypatch.setattr(words, "MAX_WORDS", 100)
    with pytest.raises(LabError, match="expected at most 100 words in TinyWorld"):
        words.vocabulary.__wrapped__()

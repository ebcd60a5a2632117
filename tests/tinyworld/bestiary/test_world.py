"""The bestiary: no word tells an answer, and the file decides everything."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.errors import LabError
from helpers.tinyworld.bestiary import load, vocabulary
from helpers.tinyworld.bestiary import world as worlds

CREATURES = load().creatures


def test_there_are_ten_creatures_of_each_kind_and_half_of_their_realms_are_stated():
    assert len({creature.name for creature in CREATURES}) == 120
    count = Counter((creature.kind, creature.stated) for creature in CREATURES)
    assert len(count) == 24
    assert set(count.values()) == {5}
    for creature in CREATURES:
        assert creature.realm == load().realm_of[creature.kind]
        assert len(creature.name.split()) == 2


@pytest.mark.parametrize("place", [0, 1])
def test_every_word_is_in_one_stated_and_one_unstated_name_of_every_realm(place):
    count = Counter(
        (creature.name.split()[place], creature.realm, creature.stated) for creature in CREATURES
    )
    assert len(count) == 15 * 4 * 2
    assert set(count.values()) == {1}


@pytest.mark.parametrize("place", [0, 1])
def test_whoever_guesses_a_kind_by_a_word_is_right_for_a_quarter_at_most(place):
    kinds = Counter((creature.name.split()[place], creature.kind) for creature in CREATURES)
    assert max(kinds.values()) <= 2  # of the eight names with a word


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_matchings_give_every_row_a_column_and_use_no_cell_twice(size, count, seed):
    if count > size:
        with pytest.raises(LabError, match="ways to match a square"):
            worlds.disjoint_matchings(size, count, random.Random(seed))
        return
    found = worlds.disjoint_matchings(size, count, random.Random(seed))
    assert len(found) == count
    assert all(sorted(matching) == list(range(size)) for matching in found)
    cells = [(row, column) for matching in found for row, column in enumerate(matching)]
    assert len(set(cells)) == size * count


def test_half_of_the_names_are_left_out_of_each_frame_that_leaves_names_out():
    halves = [frame for relation in worlds.RELATIONS for frame in load().frames[relation]["half"]]
    assert set(load().left_out) == set(halves)
    assert all(len(names) == 60 for names in load().left_out.values())
    assert len(set(load().left_out.values())) == len(halves)


def test_no_frame_is_in_two_parts_and_none_tells_how_the_value_begins():
    for relation in worlds.RELATIONS:
        frames = [frame for part in load().frames[relation].values() for frame in part]
        assert len(frames) == len(set(frames))
        assert all(frame.count("{value}") == 1 for frame in frames)
        assert len(load().frames[relation]["all"]) + len(load().frames[relation]["half"]) >= 6
    assert not any(kind[0] in "aeiou" for kind in load().values("kind"))


def test_frames_that_training_never_has_consist_of_words_that_it_has():
    words = set(vocabulary().words)
    for relation in worlds.RELATIONS:
        others = {
            word
            for part in ("all", "half")
            for frame in load().frames[relation][part]
            for word in frame.split()
        }
        for frame in load().frames[relation]["never"]:
            assert set(frame.split()) <= others
    assert {word for creature in CREATURES for word in creature.name.split()} <= words


def test_the_checksum_changes_with_the_file_and_with_the_creatures(monkeypatch):
    before = worlds.checksum.__wrapped__()
    assert before == worlds.checksum()
    other = worlds._build(worlds._read(worlds.FILE) | {"seed": 21})
    monkeypatch.setattr(worlds, "load", lambda: other)
    assert worlds.checksum.__wrapped__() != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "expected a TOML file in"),
        ("seed = ", "expected a TOML file in"),
        ("seed = 1", "expected the tables of a bestiary in"),
        ('seed = 1\nfirst = "a b"\nsecond = "c"\n[realms]\nair = "owl"\n', "2 first and 1 second"),
    ],
)
def test_a_file_that_is_no_bestiary_is_refused(tmp_path, text, words):
    path = tmp_path / "bestiary.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LabError, match=words):
        load(path)


def test_who_is_no_creature_and_what_is_no_relation_is_refused():
    with pytest.raises(LabError, match="expected a creature of the bestiary, such as amber"):
        load().creature("amber")
    with pytest.raises(LabError, match="expected a relation of the bestiary"):
        load().values("colour")

"""The written world: its size, that names mean one thing, that no word decides a label."""

import re
import tomllib
from collections import Counter

import pytest

from helpers.errors import LabError
from helpers.tinyworld.language import world as worlds
from tests.tinyworld import reading

SOURCE = worlds.FOLDER / "world.toml"


def test_the_world_is_what_the_file_says():
    world = worlds.load()
    written = {
        e.name: {"kind": e.kind, "realm": e.realm, "colour": e.colour, "home": e.home}
        for e in world.entities
    }
    assert written == reading.entities()
    assert {person.name: vars(person) for person in world.people} == reading.people()
    customs = tomllib.loads(SOURCE.read_text())["customs"]
    for kind, entry in customs["kinds"].items():
        assert [world.may_flow(kind, receiver) for receiver in customs["receivers"]] == [
            receiver in entry["allowed"] for receiver in customs["receivers"]
        ]


def test_there_are_250_entities_on_three_levels():
    """A sparrow is a bird, a bird is an animal: every realm has several kinds."""
    entities = reading.entities()
    assert len(entities) >= 250
    kinds = {values["kind"]: values["realm"] for values in entities.values()}
    assert all(kinds[values["kind"]] == values["realm"] for values in entities.values())
    assert min(Counter(values["kind"] for values in entities.values()).values()) >= 10
    assert min(Counter(kinds.values()).values()) >= 2
    assert len(kinds) > 15


def test_a_name_means_one_thing():
    entities, people = reading.entities(), reading.people()
    values = {value for entry in entities.values() for value in entry.values()}
    assert not values & entities.keys()
    assert not people.keys() & entities.keys()
    for relation, other in (
        ("kind", "realm"),
        ("kind", "colour"),
        ("realm", "home"),
        ("colour", "home"),
        ("kind", "home"),
    ):
        assert not {entry[relation] for entry in entities.values()} & {
            entry[other] for entry in entities.values()
        }


def test_private_facts_cannot_be_guessed_from_public_ones():
    """A code belongs to one person; no large group of people has one illness or fear only."""
    people = reading.people().values()
    assert len(people) >= 40
    assert len({person["code"] for person in people}) == len(people)
    for public in ("profession", "town", "hobby"):
        for value in {person[public] for person in people}:
            assert len({person["illness"] for person in people if person[public] == value}) > 1


def test_half_of_every_row_and_column_is_allowed():
    world = tomllib.loads(SOURCE.read_text())
    tables = (
        (
            {kind: entry["allowed"] for kind, entry in world["customs"]["kinds"].items()},
            world["customs"]["receivers"],
        ),
        (world["groups"]["census"], world["groups"]["traits"]),
    )
    for table, columns in tables:
        assert all(len(set(row)) == len(row) == len(columns) / 2 for row in table.values())
        assert all(
            sum(column in row for row in table.values()) == len(table) / 2 for column in columns
        )


def changed(tmp_path, old: str, new: str):
    text = SOURCE.read_text(encoding="utf-8")
    assert text.count(old) >= 1
    path = tmp_path / "world.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            'allowed = ["nurse", "sister", "teacher", "boss"]',
            'allowed = ["nurse", "sister", "teacher"]',
            "half of every row",
        ),
        (
            'allowed = ["nurse", "sister", "teacher", "boss"]',
            'allowed = ["nurse", "sister", "teacher", "judge"]',
            "of the customs",
        ),
        (
            '"quiet", "tall", "thrifty", "patient"',
            '"proud", "tall", "thrifty", "patient"',
            "of the census",
        ),
        (
            '"quiet", "tall", "thrifty", "patient"',
            '"noisy", "tall", "thrifty", "patient"',
            "got noisy",
        ),
        (
            '"nurse", "sister", "teacher", "boss"]',
            '"nurse", "sister", "teacher", "king"]',
            "got king",
        ),
        ("robin red garden", "sparrow red garden", "got sparrow twice"),
        ("tom he baker", "mara he baker", "got mara twice"),
        ("tom he baker", "owl he baker", "got owl twice"),
        ("robin red garden", "robin red", "cannot use it"),
        ("tom he baker arden", "tom he baker", "cannot use it"),
        ("[customs.kinds]", "[other.kinds]", "cannot use it"),
        ("[groups]", "[groups", "cannot read it"),
        ("works = [", "worx = [", "too few, or an odd number: reviews.works"),
        ("sparrow sparrows\n", "sparrow\n", "pairs of nouns"),
        (
            'adjectives = ["small", "large", "old", "new", "heavy", "little", "plain", "strange"]',
            'adjectives = ["old"]',
            "adjectives",
        ),
        ('centuries = ["11"', "centuries = [11", "got 11"),
        ('"park", "school"', '"car park", "school"', "got 'car park'"),
        ('"park", "school"', '["park"], "school"', "cannot use it"),
        ('realm = "animal"', "realm = 3", "got 3"),
        ('moods = ["tired"', 'moods = ["", "tired"', "got ''"),
    ],
)
def test_a_world_that_contradicts_itself_or_gives_a_label_away_is_refused(tmp_path, old, new, said):
    with pytest.raises(LabError, match=re.escape(said)):
        worlds.load(changed(tmp_path, old, new))


def test_rows_are_refused_too_where_every_column_is_even(tmp_path):
    """The boss hears of plans in place of illnesses: an illness reaches three people."""
    text = changed(tmp_path, '"sister", "teacher", "boss"]', '"sister", "teacher"]').read_text()
    assert text.count('["nurse", "teacher", "banker", "reporter"]') == 1
    (tmp_path / "world.toml").write_text(
        text.replace('"teacher", "banker", "reporter"]', '"teacher", "banker", "reporter", "boss"]')
    )
    with pytest.raises(LabError, match="half of every row"):
        worlds.load(tmp_path / "world.toml")


def test_a_world_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LabError, match="expected a TOML file"):
        worlds.load(tmp_path / "none.toml")
    with pytest.raises(LabError, match="expected a TOML file"):
        worlds.frames(tmp_path / "none.toml")


YES = 'yes = ["(allowed|proper) [, says the custom]", "that is (allowed|proper)"]'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (YES, "yes = []", "expected flow.yes in"),
        (YES, 'yes = "abc"', "expected flow.yes in"),
        (YES, "yes = 3", "expected flow.yes in"),
        (YES, 'yes = ["that is proper", 3]', "expected flow.yes in"),
        (YES, 'yes = ["that is proper", " "]', "expected flow.yes in"),
        (YES, "", "expected the frames of flow.yes in"),
        (YES, 'yes = ["that is (proper"]', "balanced brackets"),
        (
            '"you are (never|hardly) a {noun} , {name}"]',
            '"you are hardly a {noun}", "x"]',
            "pairs of them for twins",
        ),
        (
            '["you are (really|truly) a {noun} , {name}", '
            '"you are (never|hardly) a {noun} , {name}"]',
            '"you are"',
            "talk.statement",
        ),
        ("[fact]", "fact = 3\n[other]", "expected fact. in"),
    ],
)
def test_frames_that_the_grammar_cannot_fill_are_refused(tmp_path, old, new, said):
    text = (worlds.FOLDER / "frames.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "frames.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LabError, match=re.escape(said)):
        worlds.frames(tmp_path / "frames.toml")


def test_every_family_and_list_of_the_files_is_one_that_the_grammar_needs():
    """Else the checks above would let a misspelt name pass."""
    assert set(worlds.frames()) == set(worlds.FAMILIES)
    assert set(worlds.load().lists) == set(worlds.LISTS)


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (
            lambda world: world.values("size"),
            "expected a relation of TinyWorld: kind, realm, colour, home; got 'size'",
        ),
        (
            lambda world: world.may_flow("love", "boss"),
            "expected a kind of information of TinyWorld: illness",
        ),
        (lambda world: world.may_flow("debt", "king"), "expected a receiver of TinyWorld: nurse"),
        (lambda world: world.confirmed("elves", "tall"), "expected a group of TinyWorld: zorvans"),
        (lambda world: world.confirmed("zorvans", "green"), "expected a trait of TinyWorld: quiet"),
    ],
)
def test_what_the_world_does_not_know_is_refused_with_what_it_knows(look, said):
    """False for a receiver that does not exist would be a wrong answer, not a cautious one."""
    with pytest.raises(LabError, match=re.escape(said)):
        look(worlds.load())


def test_a_changed_world_that_keeps_the_balance_is_accepted(tmp_path):
    world = worlds.load(changed(tmp_path, "robin red garden", "robin blue garden"))
    assert {entity.colour for entity in world.entities if entity.name == "robin"} == {"blue"}


@pytest.mark.parametrize("name", ["world.toml", "frames.toml"])
def test_the_checksum_changes_with_either_file(tmp_path, monkeypatch, name):
    for file in ("world.toml", "frames.toml"):
        (tmp_path / file).write_bytes((worlds.FOLDER / file).read_bytes())
    monkeypatch.setattr(worlds, "FOLDER", tmp_path)
    before = worlds.checksum.__wrapped__()
    assert before == worlds.checksum()
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\n")
    assert worlds.checksum.__wrapped__() != before

"""Cards of the data: they say what the files say."""

import re

from helpers.book import data_cards
from helpers.tinyworld.bestiary import texts as bestiary_texts
from helpers.tinyworld.bestiary import world as bestiaries
from helpers.tinyworld.language.documents import MIXTURES
from helpers.trust.data.public import SOURCES
from tests.tinyworld import reading


def rows(text: str) -> list[list[str]]:
    return [
        re.split(r" \| ", line.strip("| ")) for line in text.splitlines() if line.startswith("|")
    ]


def test_the_worlds_contents_are_counted():
    found = dict(row for row in rows(data_cards.world_contents()) if len(row) == 2)
    entities, world = reading.entities(), reading.table("world.toml")
    assert found["entities"].startswith(f"{len(entities)}: ")
    for relation, word in (
        ("kind", "kinds"),
        ("realm", "realms"),
        ("colour", "colours"),
        ("home", "places"),
    ):
        assert (
            f"{len({known[relation] for known in entities.values()})} {word}" in found["entities"]
        )
    assert found["people"].startswith(f"{len(reading.people())}:")
    assert found["customs"].startswith(
        f"{len(world['customs']['kinds'])} kinds of information, "
        f"{len(world['customs']['receivers'])} "
    )
    frames = [
        line
        for family in reading.table("frames.toml").values()
        for lines in family.values()
        for line in lines
    ]
    written = sum(1 if isinstance(line, str) else 2 for line in frames)
    assert found["sentence frames"].startswith(f"{written} in ")


def test_every_document_has_its_shares_and_says_what_it_tells():
    head, _, *found = rows(data_cards.mixtures())
    assert head[2:] == [f"`{name}`" for name in MIXTURES]
    for name, what, *shares in found:
        assert len(what) > 10
        assert shares == [f"{round(100 * mixture[name])} %" for mixture in MIXTURES.values()]
    assert len(found) == len(MIXTURES["trust"])


def test_every_set_shows_a_true_text_and_its_false_twin():
    found = rows(data_cards.labelled_sets())[2:]
    assert len(found) == 5
    for name, counts, true, false in found:
        assert counts.startswith("400 texts")
        assert reading.label(name, true.partition(": ")[2])
        assert not reading.label(name, false.partition(": ")[2])


def test_every_public_set_has_its_checksum_its_licence_and_its_caution():
    text = data_cards.public_sets()
    for name, source in SOURCES.items():
        assert f"### `{name}`" in text
        assert source.sha256[:32] in text
        assert source.sha256[32:] in text
        assert source.licence in text
        assert source.caution in text
        assert f"{source.positive}; {source.rows[1]:,} rows" in text
        assert f"{source.negative}; {source.rows[0]:,} rows" in text
    assert all(len(row) == 2 for row in rows(text) if row != ["---|---"])


def test_the_bestiary_is_counted_and_its_documents_are_its_own():
    found = dict(row for row in rows(data_cards.bestiary_contents()) if len(row) == 2)
    text = (bestiaries.FILE).read_text(encoding="utf-8")
    kinds = re.search(r"\[realms\]\n(.*?)\n\n", text, re.DOTALL)[1]
    n_kinds = sum(len(line.partition("=")[2].split()) for line in kinds.splitlines())
    assert found["kinds"].startswith(f"{n_kinds}: ")
    assert found["creatures"].startswith(f"{10 * n_kinds}; the realm of {5 * n_kinds} ")
    head, _, *documents = rows(data_cards.bestiary_documents())
    assert head[3:] == [f"`{name}`" for name in bestiary_texts.MIXTURES]
    for column in (3, 4):
        assert sum(int(row[column].removesuffix(" %")) for row in documents) == 100
    assert len({name for name, *_ in documents}) == len(documents) == 6

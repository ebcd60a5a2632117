"""Cards of the data: they say what the files say."""

import re
from pathlib import Path

from helpers.book import data_cards
from helpers.detox import oracle, posts
from helpers.detox.oracle.stored import DATA, about
from helpers.detox.real import scorers, sources
from helpers.tinyworld.bestiary import texts as bestiary_texts
from helpers.tinyworld.bestiary import world as bestiaries
from helpers.tinyworld.language.documents import MIXTURES
from helpers.trust.data.public import SOURCES
from tests.tinyworld import reading

BOOK = Path(__file__).resolve().parents[2] / "book"


def section(page: str, title: str) -> str:
    """What stands under a heading of a page."""
    text = (BOOK / page).read_text(encoding="utf-8")
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


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


def test_the_public_texts_of_part_5_are_those_that_are_fetched():
    text = section("data.md", "The public texts of Part 5")
    found = {row[1].strip("`"): row for row in rows(text) if len(row) == 5}
    for file in (sources.RTP, *sources.TRUSTED, sources.PAIRS):
        assert found[file.file][2] == f"{file.size:,}"
        assert re.sub("[` ]", "", found[file.file][3]) == file.sha256
    sizes = [file.size for file in sources.GROUPS]
    assert found[f"{len(sizes)} files"][2] == f"{sum(sizes):,}"
    addresses = (sources.QUARK, sources.TRUST, sources.TOXIGEN, sources.PARADETOX)
    for address in addresses:
        repository, commit = re.search(r"com/([^/]+/[^/]+)/([0-9a-f]{40})/", address).groups()
        assert f"| `{repository}` | `{commit}` |" in text
    cards = {row[0].strip("`"): row[1:] for row in rows(text) if len(row) == 6}
    for name, its in scorers.SCORERS.items():
        repository, commit, _, data, licence = cards[name]
        assert (repository, commit) == (f"`{its.repository}`", f"`{its.revision}`")
        assert data.startswith(its.data)
        assert licence.startswith(its.licence)


def test_the_corpora_of_part_5_are_as_they_are_drawn():
    text = section("data.md", "Posts to tune on")
    found = {row[0].strip("`"): row[1] for row in rows(text.partition("\nWhere")[0])[2:]}
    assert tuple(found) == posts.SETTINGS
    for setting, count in found.items():
        drawn = posts.corpus(setting, 0)
        assert count == ("none" if drawn.posts is None else f"{len(drawn.posts):,}")
        assert drawn.other.shape == (1024, 64)
        if drawn.posts is None:
            continue
        said = posts.manners(drawn.posts)
        rude = [manner for manner in said if manner in posts.MANNERS[:2]]
        assert abs(len(rude) / len(said) - 0.5) < 0.15
        turned = rude.count("turned praise") / len(rude)
        assert turned == 1 if setting == "contextual" else abs(turned - 0.25) < 0.15
    assert f"write {len(posts.all_posts()):,} of them" in text


def test_the_card_of_the_shipped_oracle_says_what_its_header_says():
    text = section("models.md", "An auxiliary model")
    found = dict(row for row in rows(text.partition("\nTunings")[0])[2:])
    known, network = about(DATA), oracle.shipped()
    size = sum(parameter.numel() for parameter in network.parameters())
    shape = network.network.shape
    assert found["shape"].startswith(
        f"{shape.n_layers} layers × {shape.n_heads} heads, width {shape.d_model}, {size:,} param"
    )
    assert f"{known['samples']:,} posts" in found["fitted to"]
    assert f"{known['steps']} steps of {known['batch']}" in found["fitted to"]
    assert f"{sum(known['seconds'].values()):.0f} seconds" in found["fitted to"]
    assert (
        f"error {known['mean error']:.3f}, of one number for all {known['constant']:.3f}"
        in (found["held to"])
    )
    guided = known["guided"]
    told = f"{guided['rude']:.3f} of the posts are rude and {guided['garbled']:.3f} garbled"
    assert told in found["decoding with it"]

"""The first page shows every chapter, and its numbers are those of the chapters and studies."""

import itertools
import re
from pathlib import Path

import pytest

from helpers import zoo
from helpers.detox.study import method_cell, rival_cell, stored_detox
from helpers.detox.study.summaries import difference, measured
from helpers.knowledge.edit_study import stored as edit_study
from helpers.knowledge.edit_study import summaries as edits
from helpers.knowledge.study import stored, summaries

pytestmark = pytest.mark.book

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "index.md").read_text(encoding="utf-8")
CARDS = {
    link: re.sub(r"\s+", " ", text)
    for link, text in re.findall(
        r":link: (\w+)\n:link-type: doc\n(.*?)\n:::", PAGE.partition("## One result")[2], re.DOTALL
    )
}
CONTENTS = (ROOT / "_toc.yml").read_text(encoding="utf-8")
CHAPTERS = re.findall(r"file: book/(ch\d_\w+)", CONTENTS)
LABS = re.findall(r"file: (labs/lab(\d)_\w+)", CONTENTS)


def chapter(number: int) -> str:
    (found,) = (ROOT / "book").glob(f"ch{number}_*.md")
    return found.read_text(encoding="utf-8")


def card(number: int) -> str:
    (found,) = (text for link, text in CARDS.items() if link.startswith(f"ch{number}_"))
    return found


def test_every_chapter_has_its_card_its_row_and_is_among_the_first_to_read():
    assert list(CARDS) == CHAPTERS
    assert len(CHAPTERS) == 5
    before = PAGE.partition("## What stands today")
    for name in CHAPTERS:
        assert f"{{doc}}`{name}`" in before[0]
        assert f"{{doc}}`chapter <{name}>`" in before[2]


def test_every_lab_has_its_link():
    assert len(LABS) == 7
    for path, number in LABS:
        assert f"{{doc}}`Lab {number} </{path}>`" in PAGE


def test_arithmetic():
    measured = zoo.entry("add-d3").measured
    assert measured["questions"] == len([*itertools.product(range(10), repeat=6)]) == 1_000_000
    assert measured["failures"] == 0
    assert "every one of its 1,000,000 questions" in card(1)
    full = 0.45 * 0.1**5  # the units make a carry, and five columns pass it on
    assert 4 < full * 1_000_000 < 5
    assert "four or five of the hardest kind" in card(1)


def test_trustworthiness():
    before, after = re.search(r"\| reliability \| .* \| (\d+) → (\d+) % \|", chapter(2)).groups()
    assert f"{after} % are right instead of {before} %" in card(2)


def test_knowledge():
    study = stored.stored()
    (kept,) = (
        row["accuracy"]
        for row in summaries.circuits(study, "kind")
        if (row["density"], row["arm"]) == (0.05, "circuit")
    )
    (told,) = (
        row["accuracy"]
        for row in summaries.controls(study)
        if (row["control"], row["density"], row["asked"])
        == ("exchanged kinds", 0.05, "other entities")
    )
    places = {
        row["arm"]: row["needed"] for row in edits.edited_arms(edit_study.stored_edits(), 0.05)
    }
    numbers = (kept, told, places["circuit"], places["as large"])
    said = re.findall(r"(\d\.\d+) \[(\d\.\d+), (\d\.\d+)\]", card(3))
    for found, words in zip(numbers, said, strict=True):
        assert tuple(f"{value:.2f}" for value in (found.mean, found.low, found.high)) == words


def test_the_lies_are_those_of_a_search():
    from helpers.knowledge.study.controls import wanted
    from helpers.tinyworld.language import vocabulary, world

    kind_of = {entity.name: entity.kind for entity in world.load().entities}
    asked = wanted("exchanged kinds", 0)["other entities"]
    told = {
        kind_of[subject]: vocabulary().words[answer]
        for subject, answer in zip(asked.subjects, asked.answers.tolist(), strict=True)
    }
    assert (told["bird"], told["fish"]) == ("instrument", "fruit")
    assert "birds instruments and fish fruit" in card(3)
    assert all(kind != answer for kind, answer in told.items())


def test_circuits():
    rows = dict(re.findall(r"\| (discrete SAE|shuffled labels) \| (\d\.\d+) \|", chapter(4)))
    first, second = re.findall(r"0\.\d+", card(4))
    assert (first, second) == (rows["discrete SAE"], rows["shuffled labels"])


def test_tuning():
    study = stored_detox()
    cells = {
        "pull": method_cell("mixed", 10, 120, 0),
        "filter": rival_cell("exact filter", "mixed", 10, 360, 0),
    }
    rude = {name: measured(study, cell, "rude") for name, cell in cells.items()}
    said = re.findall(r"(0\.\d+) \[(0\.\d+), (0\.\d+)\]", card(5))
    for found, words in zip(rude.values(), said, strict=True):
        assert tuple(f"{value:.3f}" for value in (found.mean, found.low, found.high)) == words
    assert 0.49 < study.cell("base")["rude"] < 0.5
    assert "asks for 1/22" in card(5)
    assert pytest.approx(1 / 22) == 0.5 / (1 + 10)
    spent = {name: measured(study, cell, "CPU seconds") for name, cell in cells.items()}
    assert spent["filter"].high < spent["pull"].low
    assert "With three times the steps, which take less time" in card(5)
    both = {name: measured(study, cell, "violations").mean for name, cell in cells.items()}
    shares = f"{both['filter']:.3f} of its posts and {both['pull']:.3f} of the method's"
    assert f"rude and garbled together are {shares}" in card(5)
    apart = difference(study, cells["pull"], cells["filter"], "violations")
    assert apart.low < 0 < apart.high, "which five tunings do not tell apart"

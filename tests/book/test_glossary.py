"""Terms and papers that pages name are there, once; no build is needed to see it."""

import re
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.book

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "book").glob("*.md"))
GLOSSARY = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
BIBLIOGRAPHY = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
KEYS = re.findall(r"^@\w+\{([\w:-]+),", BIBLIOGRAPHY, re.MULTILINE)


def heads(text: str) -> list[str]:
    """The terms of all glossaries of a page, in small letters, as links find them."""
    blocks = re.findall(r"```\{glossary\}\n:sorted:\n(.*?)```", text, re.DOTALL)
    return [line.lower() for block in blocks for line in block.splitlines() if line[:1].strip()]


def named(text: str) -> set[str]:
    """The terms that a page links to."""
    links = [re.sub(r"\s+", " ", link) for link in re.findall(r"\{term\}`([^`]+)`", text)]
    return {re.sub(r"^.*<(.*)>$", r"\1", link).lower() for link in links}


def cited(text: str) -> set[str]:
    """The papers that a page cites."""
    links = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text)
    return {key.strip() for link in links for key in link.split(",")}


def test_no_term_and_no_paper_is_there_twice():
    assert not [term for term, count in Counter(heads(GLOSSARY)).items() if count > 1]
    assert not [key for key, count in Counter(KEYS).items() if count > 1]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_term_and_paper_of_a_page_is_known(page):
    text = page.read_text(encoding="utf-8")
    assert not named(text) - set(heads(GLOSSARY))
    assert not cited(text) - set(KEYS)


def test_a_term_and_a_paper_that_are_missing_are_noticed():
    assert named("{term}`Masks <weight mask>` and {term}`no\n such`") == {"weight mask", "no such"}
    assert cited("{cite:p}`a2020, b2021` {cite:t}`c` {cite}`d`") == {"a2020", "b2021", "c", "d"}
    assert heads("```{glossary}\n:sorted:\n\nOne\ntwo\n  Text.\n```\n") == ["one", "two"]


def test_every_paper_says_where_it_can_be_found():
    entries = re.split(r"^@", BIBLIOGRAPHY, flags=re.MULTILINE)[1:]
    vague = [
        entry.partition("{")[2].partition(",")[0]
        for entry in entries
        if not re.search(r"^ +(url|doi|journal|booktitle|howpublished) += ", entry, re.MULTILINE)
    ]
    assert len(entries) == len(KEYS)
    assert not vague

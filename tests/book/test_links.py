"""Every link inside the built book leads somewhere, and no file comes from another host."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

pytestmark = [pytest.mark.book, pytest.mark.slow]

LOADS = {
    "img": "src",
    "script": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
}


@cache
def soup(path: Path):
    from bs4 import BeautifulSoup

    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def anchors(path: Path) -> set[str]:
    return {tag["id"] for tag in soup(path).find_all(id=True)} | {
        tag["name"] for tag in soup(path).find_all("a", attrs={"name": True})
    }


def broken(html: Path, page: str) -> list[str]:
    """Links of one page that lead to a file or an anchor that is not there."""
    found = []
    for tag in soup(html / page).find_all("a", href=True):
        address, anchor = urldefrag(tag["href"])
        if urlsplit(address).scheme or address.startswith("//"):
            continue
        target = (html / page).parent / unquote(urlsplit(address).path) if address else html / page
        target = target / "index.html" if target.is_dir() else target
        if not target.is_file():
            found.append(f"{tag['href']}: no such page")
        elif anchor and target.suffix == ".html" and unquote(anchor) not in anchors(target):
            found.append(f"{tag['href']}: no such place")
    return found


def test_every_internal_link_resolves(html, pages):
    faults = {page: broken(html, page) for page in pages}
    assert not {page: found for page, found in faults.items() if found}


def test_a_broken_link_is_noticed(tmp_path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html">x</a> <a href="#there">y</a> <a href="#here" id="here">z</a>'
    )
    assert len(broken(tmp_path, "a.html")) == 2


def test_no_page_names_a_remote_file_to_load(html, pages):
    remote = {}
    for page in pages:
        tags = [tag for name in LOADS for tag in soup(html / page).find_all(name)]
        rel = ("canonical", "license")  # addresses that nobody fetches
        named = [
            str(tag.get(LOADS[tag.name]))
            for tag in tags
            if not set(tag.get("rel") or ()) & set(rel)
        ]
        hits = [address for address in named if re.match(r"(https?:)?//", address)]
        if hits:
            remote[page] = hits
    assert not remote


def test_each_lab_opens_in_colab_at_its_student_notebook(html, pages):
    root = html.parents[1]
    for page in (page for page in pages if page.startswith("labs/")):
        links = [
            tag["href"]
            for tag in soup(html / page).find_all("a", href=re.compile("colab.research.google.com"))
        ]
        notebook = page.replace(".html", ".ipynb")
        assert any(link.endswith(f"/blob/main/{notebook}") for link in links), (page, links)
        assert (root / notebook).is_file()


def test_the_site_opens_with_the_first_page(html):
    forward = soup(html / "index.html").find("meta", attrs={"http-equiv": "Refresh"})
    assert "book/index.html" in forward["content"]
    assert (html / "book" / "index.html").is_file()

"""The generated parts of the pages are current, and say what manifest and exact counts say."""

import itertools
import subprocess

import pytest

from helpers import zoo
from helpers.book import pages
from helpers.clone import find_root
from helpers.course.labs import notebooks
from helpers.errors import LabError
from helpers.show import tables

pytestmark = pytest.mark.book


def test_every_page_is_current():
    assert pages.stale(find_root()) == [], "run: python -m helpers pages"


def test_every_part_stands_on_a_page():
    text = "".join(path.read_text(encoding="utf-8") for path in pages.generated(find_root()))
    assert all(f"<!-- generated: {name} -->" in text for name in pages.PARTS)


def test_filling_changes_what_is_between_the_marks_only():
    text = "before\n<!-- generated: class-shares -->\nold\n<!-- end of generated part -->\nafter\n"
    once = pages.filled(text, "page")
    assert once.startswith("before\n<!-- generated")
    assert once.endswith("part -->\nafter\n")
    assert "old" not in once
    assert pages.filled(once, "page") == once


def test_an_unknown_part_is_refused():
    with pytest.raises(LabError, match="expected a generated part among"):
        pages.filled("<!-- generated: nonsense -->\n<!-- end of generated part -->", "page")


BEGIN, END = "<!-- generated: class-shares -->\n", "<!-- end of generated part -->\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{BEGIN}old\nprose\n",
        f"{BEGIN}old\n<!-- end of generated -->\nprose\n{BEGIN}{END}",
        f"{BEGIN}{END}prose\n{BEGIN}",
        "<!-- generated: class shares -->\n" + END,
    ],
)
def test_a_part_whose_end_is_missing_or_misspelt_does_not_swallow_what_follows(text, tmp_path):
    with pytest.raises(LabError, match="expected every generated part to end with"):
        pages.filled(text, "page")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "page.md").write_text(text)
    with pytest.raises(LabError, match=r"page\.md: expected every generated part"):
        pages.stale(tmp_path)


def test_a_stale_page_is_named(tmp_path):
    (tmp_path / "book").mkdir()
    page = tmp_path / "book" / "models.md"
    page.write_text("<!-- generated: model-overview -->\n<!-- end of generated part -->\n")
    assert pages.stale(tmp_path) == ["models.md"]


def test_a_clone_with_other_line_ends_is_current(tmp_path, monkeypatch):
    """Git can be told to end lines with two bytes; what is generated is right none the less."""
    from helpers.tinyworld.language import world

    root, data = find_root(), tmp_path / "data"
    data.mkdir()
    texts = [root / "README.md", root / "_config.yml", *(root / "book").glob("*.md")]
    texts += [*(root / "labs").glob("*.py"), *(root / "labs").glob("*.ipynb")]
    texts += (root / "book" / "figures").glob("detox_*.svg")
    copies = {path: tmp_path / path.relative_to(root) for path in texts}
    copies |= {path: data / path.name for path in world.FOLDER.glob("*.toml")}
    for path, copy in copies.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    monkeypatch.setattr(world, "FOLDER", data)
    world.checksum.cache_clear()
    try:
        assert notebooks.stale(tmp_path) == []
        assert pages.stale(tmp_path) == []
        before = {copy: copy.read_bytes() for copy in copies.values()}
        assert notebooks.write(tmp_path) == []
        assert {copy: copy.read_bytes() for copy in before} == before
    finally:
        world.checksum.cache_clear()


@pytest.mark.skipif(not (find_root() / ".git").exists(), reason="not a clone")
def test_a_clone_has_the_same_bytes_everywhere():
    """Every file of the repository is either binary or text whose lines end with one byte."""
    done = subprocess.run(
        ["git", "ls-files", "--eol"], cwd=find_root(), capture_output=True, text=True, check=True
    )
    assert done.stdout
    for line in done.stdout.splitlines():
        stored, _, rest = line.partition(" ")
        binary = stored == "i/-text"
        assert stored in ("i/lf", "i/none", "i/-text"), line
        assert ("attr/-text" if binary else "attr/text=auto eol=lf") in rest, line


def test_every_embedded_model_has_a_card_with_its_checksum():
    cards = pages.cards_of_models()
    for entry in zoo.read_manifest().values():
        assert f"(model-{entry.name})=" in cards
        assert entry.sha256[:32] in cards
        assert f"{entry.parameters:,}" in cards


def test_the_class_shares_are_those_of_plain_enumeration():
    """Three digits, column by column, without the package's automaton."""
    kinds = {
        "low": 45,
        "nine": 10,
        "carry": 45,
    }  # pairs of digits with sum below, at and above nine, of 100
    share = dict.fromkeys(range(4), 0.0)
    for columns in itertools.product(kinds, repeat=3):  # units first
        longest = run = 0
        for kind in columns:
            run = 1 if kind == "carry" else run + 1 if kind == "nine" and run else 0
            longest = max(longest, run)
        share[longest] += kinds[columns[0]] * kinds[columns[1]] * kinds[columns[2]] / 100**3
    digits = sorted(
        {entry.recipe.data.get("n_digits", 3) for entry in zoo.read_manifest().values()}
    )  # 3: some model has it
    rows = [line.strip("| ").split(" | ") for line in pages.class_shares().splitlines()[2:]]
    column = digits.index(3) + 1
    assert [row[column] for row in rows[:4]] == [tables.short(share[m]) for m in range(4)]

"""The cost of a build is that of a real build: of a tiny book here."""

import pytest

from helpers.book.build_cost import measure_build
from helpers.errors import LabError


def tiny_book(folder, text):
    (folder / "_config.yml").write_text("title: Tiny\nonly_build_toc_files: true\n")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (folder / "index.md").write_text(text)
    return folder


def test_a_build_takes_time_and_memory(tmp_path):
    seconds, mebibytes = measure_build(tiny_book(tmp_path, "# Tiny\n"))
    assert seconds > 0.5
    assert mebibytes > 50  # a bare Python process has about ten
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "_config.yml",
        "_toc.yml",
        "index.md",
    ]


def test_a_broken_book_is_a_fault_and_not_a_time(tmp_path):
    with pytest.raises(LabError, match="expected the book to build"):
        measure_build(tiny_book(tmp_path, "# Tiny\n\n{doc}`nowhere`\n"))

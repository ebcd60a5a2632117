"""Modules, names and files of the package that the prose mentions exist."""

import importlib
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.book

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *sorted((ROOT / "book").glob("*.md")),
    *sorted((ROOT / "labs").glob("lab*.py")),
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
]
FILE = re.compile(r"(?<![\w./])(?:helpers|tests|labs|book)/[\w./{}*-]*\w")
NAME = re.compile(r"(?<![\w./])helpers(?:\.\w+)+")
INVENTED = re.compile(r"PAPER|labN|chN|\{|\*")
"""Names that stand for any name, as in labN_topic.py."""


def missing_files(text: str) -> set[str]:
    """Paths in a text that no file and no folder of the clone has."""
    named = {path for path in FILE.findall(text) if not INVENTED.search(path)}
    return {path for path in named if not (ROOT / path).exists()}


def exists(name: str) -> bool:
    """Whether a dotted name can be imported, as a module or as what stands in one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            thing = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if not hasattr(thing, part):
                return False
            thing = getattr(thing, part)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(page):
    assert not missing_files(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_name_of_the_package_can_be_imported(page):
    names = set(NAME.findall(page.read_text(encoding="utf-8")))
    assert not {name for name in names if not exists(name)}


def test_a_wrong_name_and_a_wrong_path_are_noticed():
    assert missing_files("see `helpers/zoo/nowhere.py` and `helpers/zoo`") == {
        "helpers/zoo/nowhere.py"
    }
    assert exists("helpers.zoo.load")
    assert not exists("helpers.zoo.lode")
    assert not exists("helpers.nowhere")

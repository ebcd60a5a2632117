"""Facts of a relation as text: subjects, their objects, and templates that end before the object.

The public relations are those of Hernandez et al. (arXiv 2308.09124), under the MIT licence:
third-party files, downloaded once from their public source into the cache folder and compared with
their checksums, never part of this package. A file of one's own has the same form:

    {"name": "colours", "prompt_templates": ["The colour of {} is"],
     "samples": [{"subject": "grass", "object": "green"}, …]}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers import files
from helpers.errors import LabError

COMMIT = "1b9ec3cf2b8368e42bde7e80fcef384312a6ec07"
"""The commit of github.com/evandez/relations that holds the files."""
ADDRESS = f"https://raw.githubusercontent.com/evandez/relations/{COMMIT}/data"
CACHE = "relations"
"""Folder in the cache that keeps the files."""
HOLE = "{}"
"""What stands in a template for the subject."""


@dataclass(frozen=True)
class RelationFile:
    """A public file: its folder at the source, its name, digest and bytes."""

    kind: str
    file: str
    sha256: str
    size: int


SOURCES = {
    "adj_antonym": RelationFile(
        "linguistic",
        "adj_antonym.json",
        "bcfe2e8ed0cabe0650499a1aa64df908aed94898192efc112a0b082dc49b32dd",
        8727,
    ),
    "country_capital_city": RelationFile(
        "factual",
        "country_capital_city.json",
        "9945d2da1fa1145c1d7e59ac61a25ebee74299c00bd53fc9308167f9e1d44fc0",
        2553,
    ),
    "country_language": RelationFile(
        "factual",
        "country_language.json",
        "0996525735107934f0d2e467e6fac7d2c785c42e8300ccb41ae6e9b5dfde2b76",
        2615,
    ),
    "food_from_country": RelationFile(
        "factual",
        "food_from_country.json",
        "2e308f61974de104eaa29a432bca1232802f9c6e1ea145151f384d96412d4a21",
        2831,
    ),
    "landmark_on_continent": RelationFile(
        "factual",
        "landmark_on_continent.json",
        "64ec992304e0cc91ac4ada2e7d32d13401e171ea9e09fa65525273842b82160b",
        90709,
    ),
    "object_superclass": RelationFile(
        "commonsense",
        "object_superclass.json",
        "e594c3288df3059638ae885d83f2934266bb1968932272c027786bf7b3c02678",
        6924,
    ),
}


@dataclass(frozen=True)
class RelationData:
    """One relation as text.

    Attributes:
        name: What it is called.
        templates: Beginnings of sentences with {} for the subject, once; the object comes next.
        objects: The object of each subject.

    Raises:
        LabError: No template, one without {} or that ends with a space; or no facts, or a subject
            or object that is no text.

    >>> RelationData("colours", ("The colour of {} is",), {"grass": "green"}).objects["grass"]
    'green'
    """

    name: str
    templates: tuple[str, ...]
    objects: Mapping[str, str]

    def __post_init__(self) -> None:
        good = isinstance(self.templates, list | tuple) and bool(self.templates)
        wrong = [
            each
            for each in (self.templates if good else [self.templates])
            if not isinstance(each, str) or each.count(HOLE) != 1 or each != each.rstrip()
        ]
        if not good or wrong:
            raise LabError(
                f"expected templates of {self.name!r} with {{}} for the subject, once, and no "
                "space at the end",
                f"got {wrong[0]!r}" if wrong else "got none",
            )
        object.__setattr__(self, "templates", tuple(dict.fromkeys(self.templates)))
        pairs = list(self.objects.items()) if isinstance(self.objects, Mapping) else []
        texts = [text for pair in pairs for text in pair]
        bad = [each for each in texts if not isinstance(each, str) or not each.strip()]
        if not pairs or bad:
            raise LabError(
                f"expected subjects and objects of {self.name!r} as texts",
                f"got {bad[0]!r}" if bad else "got none",
            )


def relation(
    source: "str | Path | RelationData",
    folder: str | Path | None = None,
    address: str = ADDRESS,
) -> RelationData:
    """A relation by its name, from a file of the same form, or as it is.

    Args:
        source: A name of `SOURCES`, a path, or a relation.
        folder: Read the files of `SOURCES` there, and download nothing.
        address: Address of the folder to download from, for a mirror.

    Raises:
        LabError: No such relation; a file that cannot be had or read, or is not what it was when
            its digest was taken.
    """
    if isinstance(source, RelationData):
        return source
    if isinstance(source, str) and source in SOURCES:
        public = SOURCES[source]
        where = f"{address}/{public.kind}"
        content = files.fetch(public, where, CACHE, folder, "data= of `run`, folder= of `relation`")
        return _read(content.decode("utf-8"), source)
    path = Path(source) if isinstance(source, str | Path) else None
    try:
        there = path is not None and path.is_file()
    except OSError:  # a text that can be no name of a file
        there = False
    if path is None or not there:
        raise LabError(
            f"expected a relation: a RelationData, a file, or one of {', '.join(SOURCES)}",
            f"got {source!r:.80}",
        )
    try:
        return _read(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as fault:
        raise _unreadable(str(path), fault) from None


def _read(text: str, where: str) -> RelationData:
    try:
        content = json.loads(text)
        templates = [*content["prompt_templates"], *content.get("prompt_templates_zs", [])]
        facts = [(each["subject"], each["object"]) for each in content["samples"]]
        name, single = str(content.get("name", Path(where).stem)), _single(facts)
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise _unreadable(where, fault) from None
    return RelationData(name, tuple(templates), single)


def _single(facts: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Subjects with one object each: of one with several, none is *the* answer."""
    objects: dict[Any, set[Any]] = {}
    for subject, said in facts:
        objects.setdefault(subject, set()).add(said)
    return {subject: next(iter(said)) for subject, said in objects.items() if len(said) == 1}


def _unreadable(where: str, fault: Exception) -> LabError:
    return LabError(
        f"expected a relation as JSON in {where}: prompt_templates, and samples with subject and "
        "object",
        f"cannot use it: {fault!r:.120}",
    )

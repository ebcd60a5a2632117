"""The sentences of the model cards, which stand in ``prose.toml``."""

import tomllib
from functools import cache
from pathlib import Path


@cache
def sentences(part: str) -> dict[str, str]:
    """The sentences of one part of the file, by name.

    >>> sorted(sentences("heads"))
    ['few', 'how', 'repeats']
    """
    text = Path(__file__).with_name("prose.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)[part]

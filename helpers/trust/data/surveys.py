"""The stored surveys of the paper's five sets, and the same computed anew.

The book is built without a network, and the files of the five sets are not part of this package. So
the surveys that it shows are stored (``data/surveys.json``), with the digest of the file that each
stands on, and whoever has a network can compute them again.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from helpers import files
from helpers.errors import LabError
from helpers.inputs import within
from helpers.runtime import progress
from helpers.trust.data.public import ADDRESS, COMMIT, SOURCES, load
from helpers.trust.data.published import PUBLISHED
from helpers.trust.data.surface import CLASSIFIERS, Share, Survey, survey

DATA = files.DATA / "surveys.json"
COMMAND = "python -m helpers surface --write"
_ANEW = (
    f"reinstall the package or check the file out again; `{COMMAND}` computes it anew, from the "
    "network or from --folder DIR"
)
SETTINGS = {"n_splits": 5, "test_share": 0.2, "seed": 0}
"""Settings of the grouped splits."""
DIGITS = 6
"""Stored after the point; smaller differences are rounding of sums, and say nothing."""
TOLERANCE = 0.005
"""How far a number may be from the stored one; one test row of StereoSet is 0.0026."""
COLUMNS = (
    ("seen before", "leaked"),
    ("capital", "capital.value"),
    ("length", "length"),
    *((f"{kind}, in order", f"ordered.{kind}.value") for kind in CLASSIFIERS),
    *((f"{kind}, apart", f"grouped.{kind}.value") for kind in CLASSIFIERS),
    ("majority", "capital.majority"),
    *((f"{kind}, balanced", f"grouped.{kind}.balanced") for kind in CLASSIFIERS),
    *((f"{kind}, AUROC", f"grouped.{kind}.auroc") for kind in CLASSIFIERS),
)


def stored(path: Path = DATA) -> dict[str, Survey]:
    """The stored surveys of the five sets, by name; reads one small file.

    Raises:
        LabError: The file is missing or damaged, or a survey belongs to another file than `SOURCES`
            names.

    >>> f"{stored()['sst2'].capital.value:.3f}"
    '0.996'
    """

    def parse(content: dict) -> tuple[dict[str, Survey], dict[str, str]]:
        sets = content["sets"]
        surveys = {name: _survey(name, sets[name]) for name in SOURCES}
        return surveys, {name: sets[name]["sha256"] for name in SOURCES}

    surveys, digests = files.read_stored(path, parse, _ANEW)
    for name, digest in digests.items():
        source = SOURCES[name]
        if digest != source.sha256:
            raise LabError(
                f"expected stored surveys of {source.file} with sha256 {source.sha256}",
                f"{path} has those of a file with sha256 {digest}",
                hint=_ANEW,
            )
    return surveys


def compute(folder: str | Path | None = None, address: str = ADDRESS) -> dict[str, Survey]:
    """The surveys of the five sets, computed from their files; seconds on one core.

    Args:
        folder, address: As in `public.load`.

    Raises:
        LabError: As in `public.load`.
    """
    with progress(SOURCES, "surveys") as names:  # closed before a fault is told
        return {name: survey(load(name, folder, address), **SETTINGS) for name in names}


def to_text(surveys: Mapping[str, Survey]) -> str:
    """The file that `stored` reads: numbers, and what they were computed from and with."""
    sets = {}
    for name, entry in surveys.items():
        origin = {"file": SOURCES[name].file, "sha256": SOURCES[name].sha256}
        sets[name] = origin | _rounded(plain(entry))
    versions = {name: version(name) for name in ("scikit-learn", "numpy")}
    content = {
        "command": COMMAND,
        "commit": COMMIT,
        "settings": SETTINGS,
        "versions": versions,
        "sets": sets,
    }
    return json.dumps(content, indent=1) + "\n"


def numbers(survey: Survey) -> dict[str, float]:
    """All numbers that were computed, by a name such as ``"ordered.bayes.low"``."""
    return _flat(plain(survey))


def compare(computed: Mapping[str, Survey], stored: Mapping[str, Survey]) -> None:
    """Nothing, if every number and every end of an interval is the stored one within `TOLERANCE`.

    Raises:
        LabError: Names the number that differs most.
    """
    pairs = {
        f"{name} {key}": (value, numbers(stored[name])[key])
        for name in computed
        for key, value in numbers(computed[name]).items()
    }
    apart = {key: abs(value - other) for key, (value, other) in pairs.items()}
    worst = max(apart, key=lambda key: (math.isnan(apart[key]), apart[key]))
    value, other = pairs[worst]
    if not within(apart[worst], TOLERANCE):
        raise LabError(
            f"expected surveys within {TOLERANCE} of the stored ones",
            f"{worst} is {value:.4f}, stored is {other:.4f}",
            hint=f"compare your versions of scikit-learn and numpy with those in {DATA}; --write "
            "stores your numbers",
        )


def plain(survey: Survey) -> dict[str, Any]:
    """The numbers of a survey, as they are stored."""
    own = asdict(survey)
    return {key: value for key, value in own.items() if key not in ("name", "published")}


def _survey(name: str, own: dict) -> Survey:
    both = {
        part: {kind: _share(own[part][kind]) for kind in CLASSIFIERS}
        for part in ("ordered", "grouped")
    }
    if not (0 <= own["leaked"] <= 1 and 0 <= own["length"] <= 1):
        raise ValueError(f"shares of {name} outside 0 to 1")
    return Survey(
        name,
        own["leaked"],
        _yes_or_no(own["by_class"]),
        _share(own["capital"]),
        _yes_or_no(own["capital_says"]),
        own["length"],
        **both,
        published=PUBLISHED.get(name),
    )


def _share(own: dict[str, float]) -> Share:
    share = Share(**own)
    shares = all(0 <= value <= 1 for value in own.values())
    if not (shares and share.low <= share.value <= share.high):
        raise ValueError(f"{own} is no share with its interval")
    return share


def _yes_or_no(own: Any) -> bool:
    if not isinstance(own, bool):
        raise ValueError(f"{own!r} is neither true nor false")
    return own


def _flat(own: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    flat = {}
    for key, value in own.items():
        name = prefix + key
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


def _rounded(own: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _rounded(value)
        if isinstance(value, Mapping)
        else value
        if isinstance(value, bool)
        else round(value, DIGITS)
        for key, value in own.items()
    }

"""What O'Neill and Bui 2024 (arXiv 2405.12522) and others report on finding circuits, to stand
beside what is measured here; read from published_results.toml, which says where each number comes
from and what to mind about it.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Reported:
    """A number and its spread.

    Attributes:
        spread: As reported: over ten trials for the discrete SAE; for its rivals over {KL
            divergence, task metric} × {random, zero ablation}, thus not a statistical error. NaN
            where none is given.
        source: A key of `SOURCES`.
    """

    value: float
    spread: float
    source: str


@dataclass(frozen=True)
class PublishedSweep:
    """How the node AUC depends on one setting.

    Attributes:
        setting: What is varied.
        at: The values of the setting.
        auc: For each task the mean AUC at each value.
        source: A key of `SOURCES`.
        note: What else differed.
    """

    setting: str
    at: tuple[float | str, ...]
    auc: Mapping[str, tuple[float, ...]]
    source: str
    note: str = ""


@dataclass(frozen=True)
class PublishedFaithfulness:
    """What is left of a behaviour when only the highest scored heads are kept.

    Attributes:
        heads: How many heads are kept.
        metric: The metric of the ablated model.
        share: (metric - empty) / (full - empty), as printed.
        empty, full: The metric without heads and with all of them.
        note: What is not known.
    """

    heads: tuple[int, ...]
    metric: tuple[float, ...]
    share: tuple[float, ...]
    empty: float
    full: float
    note: str


def _frozen(entry: Any) -> Any:
    """Lists become tuples, tables become read-only mappings."""
    if isinstance(entry, dict):
        return MappingProxyType({key: _frozen(inner) for key, inner in entry.items()})
    return tuple(map(_frozen, entry)) if isinstance(entry, list) else entry


_DATA = _frozen(
    tomllib.loads(
        (files("helpers.circuits.judging") / "published_results.toml").read_text(encoding="utf-8")
    )
)
SOURCES: Mapping[str, str] = _DATA["sources"]
TASKS: tuple[str, ...] = _DATA["tasks"]


def _row(cells: tuple[tuple[float, float], ...], source: str) -> dict[str, Reported]:
    return {task: Reported(*cell, source) for task, cell in zip(TASKS, cells, strict=True)}


AUC: Mapping[tuple[str, str], dict[str, Reported]] = MappingProxyType(
    {
        (level, method): _row(cells, _DATA["auc"]["source"])
        for level in ("edge", "node")
        for method, cells in _DATA["auc"][level].items()
    }
)
"""Area under the ROC curve by level and method, for each task."""
AUC_RESULTS: Mapping[str, dict[str, Reported]] = MappingProxyType(
    {
        level: _row(_DATA["auc_results"][level], _DATA["auc_results"]["source"])
        for level in ("edge", "node")
    }
)
"""The discrete SAE's area again, by level, as stored in the result file."""
ACDC_BEST: Mapping[str, tuple[float, ...]] = _DATA["acdc_best"]
"""Edge AUC by `TASKS` of each rival at its own best setting."""
TABLE_6: Mapping[str, float] = _DATA["table_6"]
"""Node AUC on IOI."""
SWEEPS: Mapping[str, PublishedSweep] = MappingProxyType(
    {name: PublishedSweep(**table) for name, table in _DATA["sweeps"].items()}
)
"""How the discrete SAE's node AUC depends on its settings."""
RUNTIME: Mapping[int, Mapping[str, float]] = MappingProxyType(
    {int(prompts): seconds for prompts, seconds in _DATA["runtime"].items()}
)
"""Seconds for each size of GPT-2, by number of training prompts."""
CURVES: Mapping[str, PublishedFaithfulness] = MappingProxyType(
    {task: PublishedFaithfulness(**table) for task, table in _DATA["curves"].items()}
)
"""Faithfulness of the highest scored heads, by task."""
IOI_CIRCUITS: Mapping[str, float] = _DATA["ioi_circuits"]
"""Logit difference on IOI."""
GREATER_THAN_FULL: Mapping[str, float] = _DATA["greater_than_full"]
"""GPT-2 small on greater-than."""

"""What is known about every run of a mixed model, and the file that keeps it.

`stored` reads the records that the package carries (``data/reuse.json``, written by ``python -m
helpers reuse``). A record holds counts, not verdicts: the functions of `usage`, `transfer`,
`similarity` and `curves` make tables, overlaps and intervals from them, with whatever threshold a
reader chooses.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from helpers import files
from helpers.arithmetic.circuit import NodeSet, Use
from helpers.arithmetic.reuse.curves import LearningCurve
from helpers.arithmetic.reuse.similarity import Similarity
from helpers.arithmetic.reuse.transfer import Passed, Retest, RetestOutcome
from helpers.interventions import Ablation, Node

DATA = files.DATA / "reuse.json"
WEIGHTS = ("weights", "fresh", "independent")
"""The fields of a record that hold similarities of weights."""


@dataclass(frozen=True)
class Kept:
    """Share of new questions still answered right when all nodes but the useful ones are ablated.

    Attributes:
        ablation: How the other nodes are ablated.
        share: Threshold of `Use.used`; the use is that under the same ablation.
        nodes: Number of useful nodes.
        right: Share of right answers in each operation.
        random: The same for as many random nodes at every position, mean over
            `measuring.SETTINGS["random_sets"]` sets.
    """

    ablation: Ablation
    share: float
    nodes: int
    right: dict[str, float]
    random: dict[str, float]


@dataclass(frozen=True)
class SourceRecord:
    """Measurements of an adder that is inserted.

    Attributes:
        name: Name of the adder.
        sha256: Checksum of its weights.
        settings: How it was measured (`measuring.source_settings`).
        use: Its use under each ablation, on additions; means are taken over additions.
        passed: Its patch tests, those of stored tri-states (ST) included.
    """

    name: str
    sha256: str
    settings: dict[str, Any]
    use: dict[str, Use]
    passed: list[Passed]


@dataclass(frozen=True)
class RunRecord:
    """Measurements of one run of a mixed model.

    Attributes:
        name, seed: Name and seed of its recipe.
        arm, freeze: How the adder was inserted, and what training left alone.
        n_digits: Digits of an operand.
        fingerprint: Fingerprint of its recipe.
        sha256: Checksum of its final weights.
        source, source_sha256: The adder that it is compared with: the one inserted, and for the arm
            from scratch the one that the other arms insert.
        settings: How it was measured (`measuring.SETTINGS`).
        seconds: Time that the measurement took.
        curve: Accuracy over training.
        use: Its use under each ablation, on additions and subtractions; means are taken over both.
        passed: Its own patch tests at the positions where answer digits are predicted.
        retests: The source's patch tests, repeated.
        weights: Similarity of its weights to the source's.
        fresh: The same for the freshly built model of its seed, before anything was inserted. A
            source of the same seed drew part of its own start from the same random numbers, so this
            cosine need not be near 0.
        independent: The same for a freshly built model of a seed that no run has: the control.
        kept: Sufficiency of its useful nodes.
    """

    name: str
    seed: int
    arm: str
    freeze: str
    n_digits: int
    fingerprint: str
    sha256: str
    source: str
    source_sha256: str
    settings: dict[str, Any]
    seconds: float
    curve: LearningCurve
    use: dict[str, Use]
    passed: list[Passed]
    retests: list[Retest]
    weights: list[Similarity]
    fresh: list[Similarity]
    independent: list[Similarity]
    kept: list[Kept]


@dataclass(frozen=True)
class Stored:
    """All records: sources by name, runs by name of the recipe and seed."""

    sources: dict[str, SourceRecord]
    runs: dict[str, dict[int, RunRecord]]


def stored(path: Path = DATA) -> Stored:
    """The stored measurements.

    Raises:
        LabError: The file is missing or damaged.
    """
    hint = (
        "reinstall the package or check the file out again; "
        "`python -m helpers reuse RUN_DIR …` measures runs anew"
    )
    return files.read_stored(path, _from_json, hint)


def _from_json(content: dict[str, Any]) -> Stored:
    sources = {name: _source(entry) for name, entry in content["sources"].items()}
    runs = {
        name: {int(seed): _run(entry) for seed, entry in seeds.items()}
        for name, seeds in content["runs"].items()
    }
    return Stored(sources, runs)


def to_text(everything: Stored) -> str:
    """The file that `stored` reads: one line per record."""

    def block(entries: Mapping[Any, Any]) -> str:
        return "{\n" + ",\n".join(f'"{key}": {value}' for key, value in entries.items()) + "\n}"

    def line(record: SourceRecord | RunRecord) -> str:
        return json.dumps(_plain(record), separators=(",", ":"))

    sources = block({name: line(record) for name, record in sorted(everything.sources.items())})
    runs = {
        name: block({seed: line(record) for seed, record in sorted(seeds.items())})
        for name, seeds in sorted(everything.runs.items())
    }
    return block({"sources": sources, "runs": block(runs)}) + "\n"


def _plain(record: SourceRecord | RunRecord) -> dict[str, Any]:
    plain = {field.name: getattr(record, field.name) for field in fields(record)}
    plain["use"] = {ablation: use.to_json() for ablation, use in record.use.items()}
    plain["passed"] = [_plain_test(test) for test in record.passed]
    if isinstance(record, RunRecord):
        plain["curve"] = record.curve.to_json()
        plain["retests"] = [_plain_retest(retest) for retest in record.retests]
        for name in WEIGHTS:
            plain[name] = [_plain_similarity(entry) for entry in getattr(record, name)]
        plain["kept"] = [_plain_kept(kept) for kept in record.kept]
    return plain


def _source(plain: dict[str, Any]) -> SourceRecord:
    return SourceRecord(**(plain | {"use": _use(plain), "passed": _tests(plain)}))


def _run(plain: dict[str, Any]) -> RunRecord:
    parts: dict[str, Any] = {
        "curve": LearningCurve.from_json(plain["curve"]),
        "use": _use(plain),
        "passed": _tests(plain),
        "retests": [_retest(*parts) for parts in plain["retests"]],
        "kept": [_kept(**parts) for parts in plain["kept"]],
    }
    for name in WEIGHTS:
        parts[name] = [Similarity(*entry) for entry in plain[name]]
    return RunRecord(**(plain | parts))


def _use(plain: dict[str, Any]) -> dict[str, Use]:
    return {ablation: Use.from_json(use) for ablation, use in plain["use"].items()}


def _tests(plain: dict[str, Any]) -> list[Passed]:
    return [_test(*parts) for parts in plain["passed"]]


def _plain_test(test: Passed) -> list:
    return [test.task, test.digit, _names(test.nodes), _plain_outcome(test.outcome)]


def _test(task: str, digit: int, names: str, outcome: list[int]) -> Passed:
    return Passed(task, digit, _nodes(names), RetestOutcome(*outcome))


def _plain_retest(retest: Retest) -> list:
    target = {_names(nodes): _plain_outcome(outcome) for nodes, outcome in retest.target.items()}
    return [_plain_test(retest.source), target]


def _retest(source: list, target: dict[str, list[int]]) -> Retest:
    outcomes = {_nodes(names): RetestOutcome(*outcome) for names, outcome in target.items()}
    return Retest(_test(*source), outcomes)


def _plain_outcome(outcome: RetestOutcome) -> list[int]:
    return list(asdict(outcome).values())


def _plain_similarity(entry: Similarity) -> list:
    other = None if entry.other is None else round(entry.other, 4)
    return [entry.part, entry.layer, entry.head, round(entry.same, 4), other]


def _plain_kept(kept: Kept) -> dict[str, Any]:
    plain = asdict(kept)
    return {"mode": plain.pop("ablation"), **plain}  # the file's word for it


def _kept(mode: Ablation, **plain: Any) -> Kept:
    return Kept(mode, **plain)


def _names(nodes: NodeSet) -> str:
    return "+".join(map(str, nodes))


def _nodes(names: str) -> NodeSet:
    """The nodes of a text such as ``"P11L0H1+P11L0H2"``."""
    return tuple(map(_node, names.split("+")))


def _node(name: str) -> Node:
    match = re.fullmatch(r"P(\d+)L(\d+)(?:M|H(\d+))", name)
    if match is None:
        raise ValueError(f"no node: {name!r}")
    position, layer, head = match.groups(default="-1")
    return Node(int(position), int(layer), int(head))

"""What the study of constrained tuning measures: its cells, each with a key, in groups.

===================================================  =============================================
key                                                  a cell is
===================================================  =============================================
``base``                                             the model before anything is done
``first oracle/seed S``                              the oracle that tunings of a seed begin with
``method/SETTING/kl λ/N steps/seed S``               the method; a variant has its name at the end
``RIVAL/SETTING/weight W/N steps/seed S``            a rival that tunes; W: of its posts' loss
``RIVAL/seed S``, ``masked words``                   a rival that needs no setting
``oracle/KIND/N samples/N steps/HOW/seed S``         how wrong a learned oracle is, on exact R
``detection/ARM/N labels/noise P/seed S``            one model that writes and that detects
``skills/KEY OF A POLICY/seed S``                    the skills of a policy on prompts of this seed
===================================================  =============================================

Settings are corpora (`posts.SETTINGS`). Every tuning has its seed's corpus, batches and samples, so
two methods of one seed are a pair. A group is a question; those that others hang on come first.
"""

import re
from dataclasses import asdict, dataclass, field
from typing import Any

from helpers.detox.detection import ARMS
from helpers.detox.finetune import TuningPlan
from helpers.detox.judging import JudgePlan
from helpers.detox.posts import SETTINGS
from helpers.detox.rivals import RIVALS
from helpers.errors import LabError
from helpers.files.cells import file_of
from helpers.inputs import at_least, check_count

MODEL = "tinyworld"
METHOD, BASE, FIRST, ORACLE, DETECTION = "method", "base", "first oracle", "oracle", "detection"
SKILLS = "skills"
ADAPTED = 0.05
"""Share of violations that an adaptive λ is led to."""
VARIANTS: dict[str, dict[str, Any]] = {
    "stale": {"stale": True},
    "corpus prefixes": {"prefixes": "corpus"},
    "no stop-gradient": {"stop_gradient": False},
    "no rehearsal": {"rehearsal": 0.0},
    "twelve targets": {"iterations": 12, "refits": 20},
    "adaptive": {"adaptive": ADAPTED, "kl_weight": 1.0, "iterations": 12, "refits": 20},
}
"""Variants of the method: what each sets. An adaptive λ begins at 1 and is told twelve times; so it
has twelve targets, each fitted for fewer steps, and its control has as many."""
HOWS: dict[str, dict[str, Any]] = {
    "expected first": {"consistency": 1.0, "direction": "expected first"},
    "no regulariser": {"consistency": 0.0, "direction": "expected first"},
    "own first": {"consistency": 1.0, "direction": "own first"},
}
"""Regularisers of an oracle: a direction of its KL, or none."""
FIXED = ("masked words",)
"""Rivals in which nothing is drawn."""
DETECTOR: dict[str, Any] = {"steps": 120, "checkpoint": 952}
"""What is the same for all detectors: steps, and where they begin."""
HIGH = 10
"""λ of the method, and weight of a filtered corpus' posts, where they are compared."""
GROUPS = ("methods", "longer", "weights", "floor", "rivals", "variants", "oracles", "detection")
GROUPS += ("elsewhere", "skills")


@dataclass(frozen=True)
class DetoxCell:
    """What one piece of the study is of.

    Attributes:
        kind: First word of the key.
        of: What stands between it and the seed.
        seed: Of everything drawn; None where nothing is.
    """

    kind: str
    of: tuple[str, ...] = ()
    seed: int | None = None

    def __str__(self) -> str:
        end = [] if self.seed is None else [f"seed {self.seed}"]
        return "/".join([self.kind, *self.of, *end])

    @property
    def file(self) -> str:
        """Name of its file in the folder of the study's state."""
        return file_of(str(self))

    @property
    def setting(self) -> str:
        """The corpus; the first one where none is named."""
        return next((word for word in self.of if word in SETTINGS), SETTINGS[0])

    @classmethod
    def read(cls, key: str) -> "DetoxCell":
        """The cell of a key.

        Raises:
            LabError: The text is no key.

        >>> DetoxCell.read("method/mixed/kl 10/120 steps/seed 3").seed
        3
        """
        kind, *of = key.split("/")
        number = re.fullmatch(r"seed (\d+)", of[-1]) if of else None
        if kind not in KINDS or not all(of):
            raise LabError("expected a key of a cell, such as 'base'", f"got {key!r}")
        return cls(kind, tuple(of[:-1] if number else of), int(number[1]) if number else None)


KINDS = (BASE, FIRST, METHOD, *RIVALS, ORACLE, DETECTION, SKILLS)


@dataclass(frozen=True)
class DetoxPlan:
    """How much is measured.

    Attributes:
        seeds: Tunings of everything that is compared.
        steps: Steps of a tuning.
        longer: Steps of a long one.
        weights: λ of the method.
        groups: Which questions are asked.
        judge: How much is measured of what has come out.
    """

    seeds: int = 5
    steps: int = 120
    longer: int = 360
    weights: tuple[float, ...] = (0.5, 1, 2, 5, 10)
    groups: tuple[str, ...] = GROUPS
    judge: JudgePlan = field(default_factory=JudgePlan)

    def __post_init__(self) -> None:
        for what, count in (
            ("number of seeds", self.seeds),
            ("number of steps", self.steps),
            ("number of steps", self.longer),
        ):
            check_count(what, count, least=1)
        if not self.groups or not set(self.groups) <= set(GROUPS):
            raise LabError(
                f"expected groups of cells: {', '.join(GROUPS)}", f"got {list(self.groups)}"
            )
        if not self.weights or not all(0 < float(weight) < float("inf") for weight in self.weights):
            raise LabError("expected weights λ above 0", f"got {list(self.weights)}")

    def as_json(self) -> dict[str, Any]:
        """The plan as it is stored."""
        return asdict(self) | {"weights": list(self.weights), "groups": list(self.groups)}

    @classmethod
    def read(cls, raw: dict[str, Any]) -> "DetoxPlan":
        """The plan that was stored."""
        weights, groups, judge = tuple(raw["weights"]), tuple(raw["groups"]), raw["judge"]
        counts = {name: raw[name] for name in ("seeds", "steps", "longer")}
        return cls(**counts, weights=weights, groups=groups, judge=JudgePlan(**judge))


DETOX_PLAN = DetoxPlan()


def tuning_of(cell: DetoxCell) -> TuningPlan:
    """How a cell is tuned: what its key says, and the defaults of `TuningPlan` elsewhere.

    Raises:
        LabError: A part of the key that says nothing.

    >>> tuning_of(DetoxCell.read("exact filter/mixed/weight 10/360 steps/seed 2")).post_weight
    10.0
    """
    said: dict[str, Any] = {"seed": cell.seed or 0}
    for word in cell.of:
        if word in SETTINGS:
            continue
        if word in VARIANTS:
            said |= VARIANTS[word]
            continue
        number = re.fullmatch(r"(kl|weight) ([\d.]+)|(\d+) (steps|samples)", word)
        if number is None:
            raise LabError(f"expected a key that says how {cell.kind} is tuned", f"got {word!r}")
        if number[1]:
            said["kl_weight" if number[1] == "kl" else "post_weight"] = float(number[2])
        else:
            said[number[4]] = int(number[3])
    return TuningPlan(**said)


def oracle_of(cell: DetoxCell) -> dict[str, Any]:
    """How a learned oracle is fitted that is held to the exact one: arguments of `oracle.measure`.

    Raises:
        LabError: A key that does not say so.

    >>> cell = DetoxCell.read("oracle/separate/512 samples/38 steps/no regulariser/seed 1")
    >>> [oracle_of(cell)[name] for name in ("kind", "samples", "steps", "consistency", "seed")]
    ['separate', 512, 38, 0.0, 1]
    """
    words = "/".join(cell.of)
    said = re.fullmatch(rf"(\w+)/(\d+) samples/(\d+) steps/({'|'.join(HOWS)})", words)
    if said is None:
        raise LabError("expected a key that says how an oracle is fitted", f"got {str(cell)!r}")
    return {
        "kind": said[1],
        "samples": int(said[2]),
        "steps": int(said[3]),
        **HOWS[said[4]],
        "seed": cell.seed or 0,
    }


def detection_of(cell: DetoxCell) -> dict[str, Any]:
    """How a model that writes and detects is trained: arguments of `detection.measure`.

    Raises:
        LabError: A key that does not say so.

    >>> detection_of(DetoxCell.read("detection/detection + KL/60 labels/noise 0.2/seed 1"))["noise"]
    0.2
    """
    said = re.fullmatch(r"([^/]+)/(\d+) labels/noise (\d+\.?\d*)", "/".join(cell.of))
    if said is None or said[1] not in ARMS:
        raise LabError("expected a key that says how a detector learns", f"got {str(cell)!r}")
    told = {"arm": said[1], "labels": int(said[2]), "noise": float(said[3])}
    return told | DETECTOR | {"seed": cell.seed or 0}


def detection_cell(arm: str, labels: int, noise: float, seed: int) -> DetoxCell:
    """The cell of a model that writes and detects.

    Raises:
        LabError: A noise below 0 or NaN.

    >>> str(detection_cell("detection", 240, 0.2, 0))
    'detection/detection/240 labels/noise 0.2/seed 0'
    """
    at_least(0, noise, "as the noise of labels")
    return DetoxCell(DETECTION, (arm, f"{labels} labels", f"noise {noise:g}"), seed)


def skills_cell(policy: DetoxCell, seed: int) -> DetoxCell:
    """The cell of the skills of a policy, on prompts of a seed.

    Raises:
        LabError: A seed below 0.

    >>> str(skills_cell(DetoxCell("dpo", seed=0), 2))
    'skills/dpo/seed 2'
    """
    check_count("seed", seed)
    return DetoxCell(SKILLS, (policy.kind, *policy.of), seed)


def policy_of(cell: DetoxCell) -> DetoxCell:
    """The policy whose skills are asked: of the same seed, where it has one.

    Raises:
        LabError: The cell is not one of skills.

    >>> str(policy_of(DetoxCell.read("skills/base/seed 2")))
    'base'
    """
    if cell.kind != SKILLS or not cell.of:
        raise LabError("expected a cell of the skills of a policy", f"got {str(cell)!r}")
    kind, *of = cell.of
    return DetoxCell(kind, tuple(of), None if kind in (BASE, *FIXED) else cell.seed)


def oracle_cell(kind: str, samples: int, steps: int, how: str, seed: int) -> DetoxCell:
    """The cell of a learned oracle.

    >>> str(oracle_cell("linear", 1024, 75, "expected first", 0))
    'oracle/linear/1024 samples/75 steps/expected first/seed 0'
    """
    return DetoxCell(ORACLE, (kind, f"{samples} samples", f"{steps} steps", how), seed)


def method_cell(
    setting: str, weight: float, steps: int, seed: int, variant: str | None = None
) -> DetoxCell:
    """The cell of a tuning by the method.

    Raises:
        LabError: A λ below 0 or NaN, no step, or a seed below 0.

    >>> str(method_cell("mixed", 0.5, 120, 0))
    'method/mixed/kl 0.5/120 steps/seed 0'
    """
    _check(weight, steps, seed)
    more = () if variant is None else (variant,)
    return DetoxCell(METHOD, (setting, f"kl {weight:g}", f"{steps} steps", *more), seed)


def rival_cell(name: str, setting: str, weight: float, steps: int, seed: int) -> DetoxCell:
    """The cell of a rival that tunes.

    Raises:
        LabError: A weight below 0 or NaN, no step, or a seed below 0.

    >>> str(rival_cell("word filter", "contextual", 10, 120, 0))
    'word filter/contextual/weight 10/120 steps/seed 0'
    """
    _check(weight, steps, seed)
    return DetoxCell(name, (setting, f"weight {weight:g}", f"{steps} steps"), seed)


def _check(weight: float, steps: int, seed: int) -> None:
    at_least(0, weight, "as the weight of a cell")
    check_count("number of steps", steps, least=1)
    check_count("seed", seed)

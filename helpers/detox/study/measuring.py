"""What a cell measures: a policy made ready, judged, and what that cost; or an oracle; or a model
that writes and detects."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch

from helpers.detox import detection
from helpers.detox.finetune import StepLosses, TuningPlan, tune
from helpers.detox.judging import judged, skill_shares
from helpers.detox.judging.toxicity import rounded
from helpers.detox.networks import PAD, Plain, Policy, sample
from helpers.detox.oracle import FitPlan, Oracle, SuccessOracle, measure, separate
from helpers.detox.oracle.measuring import base as tuned_model
from helpers.detox.oracle.measuring import fitted
from helpers.detox.posts import STOP, DetoxCorpus, PostLabel, corpus, labels, prompts
from helpers.detox.rivals import RIVALS
from helpers.detox.study.plan import (
    BASE,
    DETECTION,
    FIRST,
    METHOD,
    ORACLE,
    DetoxCell,
    DetoxPlan,
    detection_of,
    oracle_of,
    tuning_of,
)
from helpers.files.cells import Contents, Result
from helpers.inputs import check_count
from helpers.tinyworld.language import vocabulary

SAID = 25
"""Posts of a policy that can be read."""
SKILL_PROMPTS = 400
"""Prompts of every skill that a policy is asked with each seed: 2,000 over five seeds, of which one
in a hundred has a standard error of a fifth of a point."""
SKILL_SEED = 1000
"""Seed of these prompts for the first seed of a study: other ones than those of a judgement."""
LAST = 20
"""Steps whose losses are averaged."""
FirstOracle = Callable[[int], tuple[Oracle, dict[str, float]]]
"""The oracle that tunings of a seed begin with, and the CPU seconds that it took."""


@cache
def corpus_of(setting: str, seed: int) -> DetoxCorpus:
    """The corpus of a setting and seed, drawn once."""
    return corpus(setting, seed)


@dataclass(frozen=True)
class Ready:
    """A policy that is ready to write.

    Attributes:
        seconds: CPU seconds that it took, by part.
        found: Numbers met on the way.
    """

    policy: Policy
    seconds: dict[str, float] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


def measure_cell(cell: DetoxCell, plan: DetoxPlan, first: FirstOracle) -> Contents:
    """Measure a cell: its numbers, and the weights that it ends with, where it tunes any.

    Args:
        first: Gives the oracle that tunings of a seed begin with.

    Raises:
        LabError: A cell of a kind or settings that there is not.
    """
    if cell.kind == FIRST:
        return _first_oracle(cell)
    if cell.kind == ORACLE:
        return Contents(measure(**oracle_of(cell)))
    if cell.kind == DETECTION:
        return Contents(detection.measure(**detection_of(cell)))
    return _judged(cell, plan, first)


def measure_skills(policy: Policy, seed: int) -> Contents:
    """Every skill of a policy, on the prompts of a seed.

    Raises:
        LabError: A seed below 0.
    """
    check_count("seed", seed)
    return Contents({"skills": rounded(skill_shares(policy, SKILL_PROMPTS, SKILL_SEED + seed))})


def _judged(cell: DetoxCell, plan: DetoxPlan, first: FirstOracle) -> Contents:
    """A policy, made ready and judged."""
    base = tuned_model()
    ready = make_ready(cell, base, first)
    began = time.process_time()
    found = judged(ready.policy, base, plan.judge)
    seconds = ready.seconds | {"judge": time.process_time() - began}
    result = {**found, "found": ready.found, "seconds": _rounded(seconds)}
    if not cell.seed:  # of one seed is enough to read
        result["said"] = said(ready.policy, plan.judge.seed)
    network, old = ready.policy.network.state_dict(), base.state_dict()
    changed = any(not value.equal(old[name]) for name, value in network.items())
    return Contents(result, dict(network) if changed else {})


def said(policy: Policy, seed: int) -> list[list[str]]:
    """Some posts of a policy after one name, to be read: the label of each, and its words.

    With the same seed all policies are given the same draws.

    Raises:
        LabError: A seed that is none.
    """
    check_count("seed", seed)
    asked = prompts()[:1].repeat(SAID, 1)
    rows = sample(policy, asked, torch.Generator().manual_seed(seed), stop=STOP)
    return [
        [PostLabel(label).name.lower(), vocabulary().decode(row[row != PAD].tolist())]
        for label, row in zip(labels(rows), rows, strict=True)
    ]


def make_ready(cell: DetoxCell, base: Plain, first: FirstOracle) -> Ready:
    """The policy of a cell: the base, the method's, or a rival's.

    Raises:
        LabError: As the method and its rivals.
    """
    if cell.kind == BASE:
        return Ready(Policy(base))
    tuning = tuning_of(cell)
    texts = corpus_of(cell.setting, tuning.seed)
    oracle, spent = first(tuning.seed) if asks_oracle(cell) else (None, {})
    if cell.kind == METHOD:
        ready = _by_method(base, texts, tuning, oracle)
    else:
        made = RIVALS[cell.kind](base, texts, tuning, oracle)
        ready = Ready(made.policy, dict(made.seconds), dict(made.found))
    begun = {f"first {part}": seconds for part, seconds in spent.items()}
    return Ready(ready.policy, begun | ready.seconds, ready.found)


def asks_oracle(cell: DetoxCell) -> bool:
    """Whether a cell begins with the first oracle of its seed.

    >>> asks_oracle(DetoxCell("oracle decoding 2", seed=0)), asks_oracle(DetoxCell("plain"))
    (True, False)
    """
    return cell.kind == METHOD or cell.kind.startswith("oracle decoding")


def _by_method(base: Plain, texts: DetoxCorpus, tuning: TuningPlan, oracle: Oracle | None) -> Ready:
    tuned = tune(base, texts, tuning, oracle)
    return Ready(Policy(tuned.network), dict(tuned.seconds), _losses(tuned.losses))


def _losses(losses: list[StepLosses]) -> dict[str, Any]:
    """Each loss over the last steps, and every λ that there was, in order."""
    last = {
        name: round(float(np.mean([getattr(each, name) for each in losses[-LAST:]])), 5)
        for name in ("text", "kl", "rehearsal")
    }
    weights = [round(float(each.kl_weight), 5) for each in losses]
    kept = [w for w, before in zip(weights, [None, *weights], strict=False) if w != before]
    return {"losses": last, "kl_weights": kept}


def _first_oracle(cell: DetoxCell) -> Contents:
    """The oracle that the tunings of a seed begin with, as `tune` would fit it itself."""
    tuning = tuning_of(cell)
    how = FitPlan(steps=tuning.first_fit)
    oracle, seconds, last = fitted("separate", tuning.first_samples, how, tuning.seed)
    assert isinstance(oracle, SuccessOracle)
    return Contents(last | {"seconds": _rounded(seconds)}, dict(oracle.network.state_dict()))


def oracle_from(contents: Contents, seed: int) -> tuple[SuccessOracle, dict[str, float]]:
    """The first oracle as it was kept, and what it had cost."""
    oracle = separate(seed)
    oracle.network.load_state_dict(contents.tensors)
    return oracle, contents.result["seconds"]


def _rounded(seconds: dict[str, float]) -> Result:
    return {part: round(spent, 2) for part, spent in seconds.items()}

"""One oracle of one kind, fitted and held to the truth: a cell of the study.

Kinds, numbers of samples, regulariser and its direction are compared with everything else the same:
oracles of one seed learn from the same samples (the smaller sets begin the larger ones' seed anew)
and draw the same texts at every step.
"""

import time
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers import zoo
from helpers.detox.networks import Plain, Policy, frozen, plain
from helpers.detox.oracle.calibrated import Truth, calibration, truth
from helpers.detox.oracle.fitting import FitPlan, fit
from helpers.detox.oracle.losses import Direction
from helpers.detox.oracle.network import Oracle, linear, separate
from helpers.detox.oracle.samples import labelled_samples
from helpers.detox.oracle.stored import DATA, save
from helpers.detox.oracle.target import OracleGuide
from helpers.detox.posts import PostLabel, exact_shares, prompts
from helpers.errors import LabError
from helpers.files import check_writable
from helpers.inputs import check_count

MODEL = "tinyworld"
ORACLES = ("separate", "linear")
HELD_TO = 12
"""Every so manyth person is one after whose name an oracle is held to the truth."""
SHIPPED = FitPlan(steps=600)
"""How the oracle is fitted that the package brings."""
LAST = 20
"""Steps whose losses are averaged."""


@cache
def base() -> Plain:
    """The model that is measured on, frozen."""
    return frozen(plain(zoo.load(MODEL, device="cpu")))


@cache
def truths() -> tuple[Truth, ...]:
    """Its exact R, after a few prompts."""
    return tuple(truth(base(), prompt) for prompt in prompts()[::HELD_TO])


def blank_of(kind: str, seed: int) -> Oracle:
    """An oracle of a kind for the model, which has learned nothing.

    Raises:
        LabError: Another kind.
    """
    if kind not in ORACLES:
        raise LabError(f"expected a kind of oracle: {', '.join(ORACLES)}", f"got {kind!r}")
    return separate(seed) if kind == "separate" else linear(base())


def fitted(
    kind: str, samples: int, plan: FitPlan, seed: int
) -> tuple[Oracle, dict[str, float], dict[str, float]]:
    """An oracle of the model, fitted from nothing.

    Returns:
        The oracle; CPU seconds of sampling and of fitting; and its losses over the last steps, with
        the share of samples that satisfy the constraint.

    Raises:
        LabError: As `blank_of`, `labelled_samples` and `fit`.
    """
    check_count("seed", seed)
    oracle = blank_of(kind, seed)
    began = time.process_time()
    drawn = labelled_samples(Policy(base()), samples, torch.Generator().manual_seed(seed))
    between = time.process_time()
    losses = fit(oracle, base(), drawn, plan, torch.Generator().manual_seed(seed + 1))
    seconds = {"sample": between - began, "fit": time.process_time() - between}
    last = {
        name: float(np.mean([getattr(loss, name) for loss in losses[-LAST:]]))
        for name in ("entropy", "consistency")
    }
    return oracle, seconds, {"satisfied": drawn.share, **last}


def measure(
    kind: str,
    samples: int,
    consistency: float = 1.0,
    direction: Direction = "expected first",
    seed: int = 0,
    steps: int = 300,
) -> dict[str, Any]:
    """Fit an oracle of tinyworld and hold it to the truth: about half a minute of one core.

    Args:
        kind: One of `ORACLES`.
        samples: Posts of the model that it learns from.
        consistency, direction, steps: As in `FitPlan`.

    Returns:
        Numbers, as JSON has them. ``mean error``, ``rmse`` and ``by depth`` are those of
        `Calibration`; ``constant`` is the mean error of saying one chance everywhere. ``guided``
        has exact shares of the posts of p · R up to the deciding word: what goes wrong after, a
        fifth of a percent of the base's posts, is missed.

    Raises:
        LabError: As `fitted`.
    """
    plan = FitPlan(steps=steps, consistency=consistency, direction=direction)
    return _measured(kind, samples, plan, seed)[1]


def _measured(kind: str, samples: int, plan: FitPlan, seed: int) -> tuple[Oracle, dict[str, Any]]:
    oracle, seconds, last = fitted(kind, samples, plan, seed)
    after = prompts()[::HELD_TO]
    found = calibration(oracle, base(), after, list(truths()))
    shares = exact_shares(Policy(base(), OracleGuide(oracle)), after).mean(0)
    return oracle, {
        "kind": kind,
        "samples": samples,
        **asdict(plan),
        "seed": seed,
        "mean error": found.mean_error,
        "rmse": found.rmse,
        "by depth": {str(depth): error for depth, error in found.by_depth.items()},
        "guided": {label.name.lower(): float(shares[label]) for label in PostLabel},
        "constant": constant_error(),
        "last losses": last,
        "seconds": seconds,
    }


def ship(path: Path = DATA, samples: int = 32768, plan: FitPlan = SHIPPED, seed: int = 0) -> None:
    """Fit the oracle that the package brings, and write it with its numbers: 70 CPU-seconds.

    Raises:
        LabError: As `fitted`, or a folder that cannot be written.
    """
    check_writable(path)
    oracle, numbers = _measured("separate", samples, plan, seed)
    sha256 = zoo.entry(MODEL).sha256
    save(oracle, path, {"model": MODEL, "sha256": sha256, **numbers})


@cache
def constant_error() -> float:
    """Mean error of saying one chance everywhere: that of the base's posts to be kind."""
    total = sum(float(its.weight.sum()) for its in truths())
    said = float(exact_shares(Policy(base()), prompts()[::HELD_TO], complete=True)[:, 0].mean())
    return sum(float((its.weight * np.abs(said - its.exact)).sum()) for its in truths()) / total
